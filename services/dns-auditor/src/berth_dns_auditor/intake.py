"""From accounts to audits: one audit of a domain, however many accounts share it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from berth_dns_auditor import repository
from berth_dns_auditor.requests import INTERVAL, audit_of
from berth_events.contracts import AccountRemoved, AccountRequested, AccountVerificationRequested, Envelope, domain_id
from berth_events.contracts.topics import ACCOUNTS

if TYPE_CHECKING:
    from uuid import UUID

    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.work import WorkItem, WorkQueue

__all__ = ["Intake"]

#: A domain that was audited within this time is not audited again for a new account.
FRESH: Final = timedelta(hours=1)


class Intake:
    """Turns AccountRequested and dry runs into work, and keeps count of who needs a domain."""

    name: Final = "dns-auditor-intake"
    topics: Final = (ACCOUNTS,)

    def __init__(self, queue: "WorkQueue", clock: "Clock") -> None:
        self._queue, self._clock = queue, clock

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Apply events of one partition, in order."""
        wanted: dict[UUID, WorkItem] = {}
        for envelope in envelopes:
            match envelope.data:
                case AccountRequested(account_id=account_id, domain=domain):
                    item = audit_of(domain, envelope.event_id, traceparent=envelope.traceparent)
                    wanted.setdefault(item.key, item)
                    await repository.add_account(connection, account_id, domain_id(domain))
                case AccountVerificationRequested(domain=str(domain)):
                    # a dry run shows the domain too, and keeps nothing
                    item = audit_of(domain, envelope.event_id, traceparent=envelope.traceparent)
                    wanted.setdefault(item.key, item)
                case AccountRemoved(account_id=account_id):
                    await repository.remove_account(connection, account_id)
                case _:
                    pass
        if wanted:
            now = self._clock.now()
            items = [wanted[key] for key in sorted(wanted)]  # in one order everywhere, so that nobody waits in a circle
            settled = await repository.settled(connection, list(wanted), since=now - FRESH, now=now)
            await self._queue.request(connection, [item for item in items if item.key not in settled])
            # The last account of a settled domain may have gone, and with it the next audit.
            later = [replace(item, run_at=now + INTERVAL) for item in items if item.key in settled]
            await self._queue.schedule(connection, later)
