"""Connecting a mailbox so that a repeated request does nothing twice, and waiting for what comes of it.

Clients repeat what was answered with a 5xx or not at all. An equal request joins the one that is at work, and is answered from
its result for a minute: there are never two accounts of one address, and a refused password is not tried again so soon.
"""

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal
from uuid import UUID

from berth_gateway import feed
from berth_gateway.accounts.attempts import Attempt, Attempts
from berth_gateway.accounts.commands import Accounts, ConnectAccount
from berth_gateway.accounts.mailboxes import Tenant
from berth_gateway.errors import AddressTaken, FieldFault, GatewayError, InvalidFields, NotFound, Unavailable

if TYPE_CHECKING:
    from berth_events.contracts import Verification
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.store import Context, EventStore
    from berth_gateway.accounts.changes import Changes
    from berth_gateway.accounts.probes import Probes
    from berth_gateway.accounts.repository import AccountRepository
    from berth_gateway.fingerprints import Fingerprints
    from berth_gateway.waiting import Waiting

__all__ = ["Connect", "Connecting", "Existing", "StillVerifying"]

_TRIES: Final = 3
_SECRETS: Final = ("imap_password", "smtp_password")

#: What becomes of an account that has the address. refuse: it stays as it is, the request is refused. retry: likewise, unless
#: this very request made it what it is and it does not work. prove: it gets the new settings once they are proven.
#: replace: it gets them at once.
Existing = Literal["refuse", "retry", "prove", "replace"]


class StillVerifying(GatewayError):
    """The verification takes longer than usual and goes on. Send the same request again: it waits for the same result."""

    status = 504
    title = "Still verifying"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """A request to connect a mailbox, in whatever dialect.

    Attributes:
        command: the account that is to be.
        existing: what becomes of an account that has the address.
        number: the account that is meant; None: the one of the address, or a new one.
        dry_run: only try it out; nothing is kept.
    """

    command: ConnectAccount
    existing: Existing
    number: int | None = None
    dry_run: bool = False

    @property
    def content(self) -> dict[str, Any]:
        """Everything that makes two requests the same, secrets included: only for a fingerprint."""
        command, mailbox = self.command, self.command.mailbox
        names = [command.provider, command.first_name, command.last_name, command.seat_kind]
        return {
            # only what is to be proven first waits for the login; anything else is changed without another one
            "names": names if self.existing == "prove" else None,
            "address": mailbox.address.key,
            "imap_issue": mailbox.imap_issue,
            "imap": mailbox.imap and mailbox.imap.model_dump(mode="json"),
            "smtp": mailbox.smtp and mailbox.smtp.model_dump(mode="json"),
            "secrets": {name: mailbox.credential.reveal(name) for name in _SECRETS if name in mailbox.credential.names},
        }


class Connecting:
    """Accepts in one transaction, and waits outside of any.

    Nothing depends on the request being there until the end: what becomes of an account or a probe is decided by the process
    manager when the result arrives.

    Args:
        pool: the gateway's database.
        store: its relay is woken after a commit.
        accounts: connects.
        changes: replaces at once.
        probes: verify before anything is kept.
        repository: reads accounts.
        attempts: what was tried just now.
        fingerprints: recognise repeated requests.
        settled: waits for results.
        deadline: seconds to wait for a result.
    """

    def __init__(
        self,
        *,
        pool: "Pool",
        store: "EventStore",
        accounts: Accounts,
        changes: "Changes",
        probes: "Probes",
        repository: "AccountRepository",
        attempts: Attempts,
        fingerprints: "Fingerprints",
        settled: "Waiting[UUID, Verification]",
        deadline: float = 45.0,
    ) -> None:
        self._pool, self._store, self._accounts, self._changes = pool, store, accounts, changes
        self._probes, self._repository, self._attempts = probes, repository, attempts
        self._fingerprints, self._settled, self._deadline = fingerprints, settled, deadline

    async def begin(self, connect: Connect, tenant: Tenant, context: "Context") -> Attempt:
        """Join an equal request, take its last result, or start a verification.

        Raises:
            NotFound: the project has no account of this number.
            InvalidFields: the account of this number has another address.
            AddressTaken: an account that is not to be touched has the address.
            SubscriptionRequired, SeatLimitReached: there is no seat for it.
        """
        fingerprint = self._fingerprints.of(connect.content)
        for _ in range(_TRIES):
            with contextlib.suppress(_Overtaken):
                async with self._pool.acquire() as connection, connection.transaction():
                    attempt = await self._begin(connection, connect, tenant, fingerprint, context)
                self._store.notify()
                return attempt
        raise Unavailable

    async def result(self, attempt: Attempt) -> "Verification":
        """What came out, when everything that follows from it is done.

        Raises:
            StillVerifying: nothing within the deadline; the same request later joins it.
        """
        verification = await self._settled.wait(attempt.subject, within=self._deadline)
        if verification is None:
            raise StillVerifying
        return verification

    async def _begin(
        self, connection: "Connection", connect: Connect, tenant: Tenant, fingerprint: bytes, context: "Context"
    ) -> Attempt:
        project_id = tenant.project_id
        await self._attempts.lock(connection, project_id, fingerprint)
        target = None if connect.dry_run else await self._target(connection, connect, tenant)
        if target is not None and not await self._may_touch(connection, connect, project_id, fingerprint, target):
            raise AddressTaken(account_id=str(target))
        known = await self._known(connection, connect, project_id, fingerprint, target)
        if target is not None and connect.existing != "prove":
            attempt = await self._renew(connection, connect.command, tenant, target, known, context)
        elif known is None:
            attempt = await self._start(connection, connect, tenant, target, context)
        else:
            attempt = Attempt(subject=known, account_id=target)
        if known is None:
            await self._attempts.record(connection, project_id, fingerprint, attempt)
        return attempt

    async def _known(
        self, connection: "Connection", connect: Connect, project_id: UUID, fingerprint: bytes, target: UUID | None
    ) -> UUID | None:
        """The subject whose result answers for the request too; None when there has to be another login."""
        if connect.dry_run or target is not None:
            repeated = await self._attempts.repeated(connection, project_id, fingerprint, target)
            if repeated is not None:
                return repeated
        # asked for second: a refusal that arrives between the two questions is found by this one
        return await self._attempts.refused(connection, project_id, fingerprint)

    async def _target(self, connection: "Connection", connect: Connect, tenant: Tenant) -> UUID | None:
        """The account that the request is for; None when it is to be created."""
        of_address = await self._repository.by_address(
            connection, tenant.project_id, connect.command.mailbox.address.key
        )
        if connect.number is None:
            return of_address
        of_number = await self._repository.by_number(connection, tenant.project_id, connect.number)
        if of_number is None:
            raise NotFound
        if of_number != of_address:
            detail = "The account of this id has another address."
            raise InvalidFields([FieldFault("email", detail, "An address is an account of its own: leave out id.")])
        return of_number

    async def _may_touch(
        self, connection: "Connection", connect: Connect, project_id: UUID, fingerprint: bytes, target: UUID
    ) -> bool:
        match connect.existing:
            case "refuse":
                return False
            case "retry":
                return await self._attempts.made(connection, project_id, fingerprint, target)
            case _:
                return True

    async def _start(
        self, connection: "Connection", connect: Connect, tenant: Tenant, target: UUID | None, context: "Context"
    ) -> Attempt:
        command, mailbox = connect.command, connect.command.mailbox
        if connect.dry_run:
            return Attempt(subject=await self._probes.dry_run(connection, tenant, mailbox, context))
        if target is None:
            try:
                account_id, reference = await self._accounts.connect(connection, tenant, command, context)
            except AddressTaken:  # another request was quicker since we looked
                raise _Overtaken from None
            return Attempt(subject=account_id, account_id=account_id, credential_id=reference.credential_id)
        names = (command.provider, command.first_name, command.last_name)
        subject, reference = await self._probes.replace(connection, tenant, target, mailbox, names, context)
        return Attempt(subject=subject, account_id=target, credential_id=reference.credential_id)

    async def _renew(
        self,
        connection: "Connection",
        command: ConnectAccount,
        tenant: Tenant,
        target: UUID,
        known: UUID | None,
        context: "Context",
    ) -> Attempt:
        """Give an account its settings, and servers and secrets too when nothing is known of them yet."""
        entries: list[feed.Entry] = await self._changes.update(connection, tenant, target, command.full_change, context)
        if command.suspended is not None:
            entries += await self._suspend(connection, tenant, target, context, suspended=command.suspended)
        attempt = Attempt(subject=known or target, account_id=target)
        if known is None:
            reference, replaced = await self._changes.replace(
                connection, tenant, target, command.mailbox, context, command.provider
            )
            entries += replaced
            attempt = replace(attempt, credential_id=reference.credential_id)
        await feed.publish(connection, entries)
        return attempt

    async def _suspend(
        self, connection: "Connection", tenant: Tenant, target: UUID, context: "Context", *, suspended: bool
    ) -> list[feed.Entry]:
        if suspended:
            return await self._changes.suspend(connection, tenant, target, "", context)
        return await self._changes.resume(connection, tenant, target, context)


class _Overtaken(Exception):
    """Another request made the account since we looked for it. Look again."""
