"""Many mailboxes from a file: each is tested, a few at a time, and kept only if it works."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from berth_gateway.accounts.commands import ConnectAccount
from berth_gateway.accounts.connecting import Connect, StillVerifying
from berth_gateway.accounts.mailboxes import Tenant
from berth_gateway.dialects.sendkit import repository
from berth_gateway.dialects.sendkit.presentation import reason
from berth_gateway.dialects.sendkit.schemas import ImportFault, ImportReport
from berth_gateway.errors import AddressTaken, GatewayError, SeatLimitReached, SubscriptionRequired

if TYPE_CHECKING:
    from berth_events.runtime.store import Context
    from berth_gateway.api.services import Services

__all__ = ["Importer", "Row"]

#: So many tests at once in one request.
_AT_ONCE: Final = 20
#: Seconds that a request waits for its tests together. Those that take longer go on, and decide what is kept as ever.
_PATIENCE_S: Final = 50.0

Outcome = Literal["imported", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a file: the mailbox that is to be added, or why it cannot be."""

    email: str
    command: ConnectAccount | None = None
    fault: str = ""


class Importer:
    """Imports the rows of one request.

    Args:
        services: everything behind the endpoints.
        tenant: whose mailboxes.
        context: of the events.
        wait: for the tests, so that the report has those that failed.
    """

    def __init__(self, services: "Services", tenant: Tenant, context: "Context", *, wait: bool) -> None:
        self._services, self._tenant, self._context, self._wait = services, tenant, context, wait
        self._until = asyncio.get_running_loop().time() + _PATIENCE_S
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def run(self, rows: Sequence[Row]) -> ImportReport:
        """Import them.

        Raises:
            SubscriptionRequired: the organization has no subscription.
            SeatLimitReached: there are not seats for all new addresses; nothing is imported.
        """
        first: dict[str, int] = {}
        for place, row in enumerate(rows):
            if row.command is not None:
                first.setdefault(row.command.mailbox.address.key, place)
        await self._refuse_without_seats(list(first))
        unique = [place in first.values() or row.command is None for place, row in enumerate(rows)]
        outcomes = await asyncio.gather(
            *(self._import(row) if single else _skipped() for row, single in zip(rows, unique, strict=True))
        )
        faults = [outcome for outcome in outcomes if isinstance(outcome, ImportFault)]
        counts = Counter(outcome for outcome in outcomes if not isinstance(outcome, ImportFault))
        return ImportReport(imported=counts["imported"], skipped=counts["skipped"], failed=len(faults), errors=faults)

    async def _refuse_without_seats(self, keys: list[str]) -> None:
        async with self._services.pool.acquire() as connection:
            seats = await repository.seats(connection, self._tenant.organization_id)
            taken = await repository.taken_keys(connection, self._tenant.project_id, keys)
        requested = len(keys) - len(taken)
        if not seats.subscribed:
            raise SubscriptionRequired
        if requested and seats.used + requested > seats.limit:
            raise SeatLimitReached(used=seats.used, limit=seats.limit, requested=requested)

    async def _import(self, row: Row) -> Outcome | ImportFault:
        if row.command is None:
            return ImportFault(email=row.email, error=row.fault)
        async with self._turn:
            try:
                return await self._connect(row.email, row.command)
            except AddressTaken:
                return "skipped"
            except GatewayError as error:
                return ImportFault(email=row.email, error=error.detail)

    async def _connect(self, email: str, command: ConnectAccount) -> Outcome | ImportFault:
        connect = Connect(command=command, existing="refuse")
        attempt = await self._services.connecting.begin(connect, self._tenant, self._context)
        refused_before = attempt.account_id is None
        if not self._wait and not refused_before:
            return "imported"
        try:
            async with asyncio.timeout_at(self._until):
                result = await self._services.connecting.result(attempt)
        except (StillVerifying, TimeoutError):
            return "imported"
        if result.outcome == "failed":
            return ImportFault(email=email, error=reason(result.diagnosis))
        return "imported"


async def _skipped() -> Outcome:
    return "skipped"
