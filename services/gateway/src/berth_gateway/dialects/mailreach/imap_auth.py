"""`POST /v1/imap_auth`: connect, update or only test one mailbox, and answer when it is known whether it works."""

import contextlib
from typing import TYPE_CHECKING, ClassVar, Final
from uuid import UUID

from berth_gateway.accounts.commands import Accounts, ConnectAccount, Mailbox, Tenant
from berth_gateway.dialects.mailreach.attempts import Attempt, Attempts
from berth_gateway.dialects.mailreach.schemas import Account, DryRunAccount, ImapAuthError, ImapAuthRequest
from berth_gateway.dialects.mailreach.translation import (
    account,
    connection_of,
    dry_run_account,
    error_of,
    mailbox_of,
)
from berth_gateway.errors import AddressTaken, FieldFault, GatewayError, InvalidFields, NotFound, Unavailable

if TYPE_CHECKING:
    from datetime import datetime

    from berth_events.contracts import Verification
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.store import Context, EventStore
    from berth_gateway.accounts.probes import Probes
    from berth_gateway.accounts.repository import AccountRepository
    from berth_gateway.accounts.servers import ServerVetting
    from berth_gateway.fingerprints import Fingerprints
    from berth_gateway.waiting import Waiting

__all__ = ["ImapAuth", "StillVerifying"]

_TRIES: Final = 3


class StillVerifying(GatewayError):
    """The verification takes longer than usual and goes on. Send the same request again: it waits for the same result."""

    status = 504
    title = "Still verifying"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class ImapAuth:
    """The call's course: accept in one transaction, wait outside of any, answer.

    Nothing depends on the request being there until the end: what becomes of an account or a probe is decided by the process
    manager when the result arrives.

    Args:
        pool: the gateway's database.
        store: its relay is woken after a commit.
        vetting: refuses hosts.
        accounts: connects.
        probes: verify before anything is kept.
        repository: reads accounts.
        fingerprints: recognise repeated requests.
        settled: waits for results.
        audits: waits for the domain's record.
        clock: time.
        deadline: seconds to wait for the result.
        audit_deadline: seconds to wait for the domain's record after that.
    """

    def __init__(
        self,
        *,
        pool: "Pool",
        store: "EventStore",
        vetting: "ServerVetting",
        accounts: Accounts,
        probes: "Probes",
        repository: "AccountRepository",
        fingerprints: "Fingerprints",
        settled: "Waiting[UUID, Verification]",
        audits: "Waiting[str, datetime]",
        clock: "Clock",
        deadline: float = 45.0,
        audit_deadline: float = 2.0,
    ) -> None:
        self._pool, self._store, self._vetting = pool, store, vetting
        self._accounts, self._probes, self._repository = accounts, probes, repository
        self._fingerprints, self._attempts, self._clock = fingerprints, Attempts(clock), clock
        self._settled, self._audits = settled, audits
        self._deadline, self._audit_deadline = deadline, audit_deadline

    async def authenticate(
        self, request: ImapAuthRequest, tenant: Tenant, context: "Context", request_id: UUID
    ) -> Account | DryRunAccount | ImapAuthError:
        """Serve one request.

        Raises:
            InvalidFields: faults of the request.
            NotFound: the project has no account of this id, or not any more.
            SubscriptionRequired, SeatLimitReached: there is no seat for it.
            StillVerifying: no result within the deadline.
        """
        mailbox = await mailbox_of(request, self._vetting)
        for _ in range(_TRIES):
            attempt = await self._attempt(request, mailbox, tenant, context)
            verification = await self._settled.wait(attempt.subject, within=self._deadline)
            if verification is None:
                raise StillVerifying
            if verification.outcome == "failed":
                return error_of(mailbox, verification, request_id)
            answer = await self._answer(request, mailbox, tenant, attempt)
            if answer is not None:
                return answer
            if request.id is not None:
                break
            # it was to be an update, and the account has gone meanwhile: now it is to be created
        raise NotFound

    async def _answer(
        self, request: ImapAuthRequest, mailbox: Mailbox, tenant: Tenant, attempt: Attempt
    ) -> Account | DryRunAccount | None:
        """What to show of a mailbox that works; None when its account is not there any more."""
        await self._audits.wait(mailbox.address.domain, within=self._audit_deadline)
        async with self._pool.acquire() as connection:
            if attempt.account_id is None:
                audit = await self._repository.audit(connection, mailbox.address.domain)
                return dry_run_account(request, mailbox, audit, self._clock.now())
            view = await self._repository.find(connection, tenant.project_id, attempt.account_id)
        return account(view, alive=True) if view else None

    async def _attempt(self, request: ImapAuthRequest, mailbox: Mailbox, tenant: Tenant, context: "Context") -> Attempt:
        fingerprint = self._fingerprints.of(connection_of(request, mailbox))
        for _ in range(_TRIES):
            with contextlib.suppress(AddressTaken):  # another request was quicker: this one is an update now
                async with self._pool.acquire() as connection, connection.transaction():
                    attempt = await self._begin(connection, request, mailbox, tenant, fingerprint, context)
                self._store.notify()
                return attempt
        raise Unavailable

    async def _begin(
        self,
        connection: "Connection",
        request: ImapAuthRequest,
        mailbox: Mailbox,
        tenant: Tenant,
        fingerprint: bytes,
        context: "Context",
    ) -> Attempt:
        """Join an equal request, answer from its result, or start a verification."""
        await self._attempts.lock(connection, tenant.project_id, fingerprint)
        target = None if request.test else await self._target(connection, request, mailbox, tenant)
        refused = await self._attempts.refused(connection, tenant.project_id, fingerprint)
        if refused is not None:
            return Attempt(subject=refused, account_id=target)
        if request.test or target is not None:
            repeated = await self._attempts.repeated(connection, tenant.project_id, fingerprint, target)
            if repeated is not None:
                return Attempt(subject=repeated, account_id=target)
        attempt = await self._start(connection, request, mailbox, tenant, target, context)
        await self._attempts.record(connection, tenant.project_id, fingerprint, attempt)
        return attempt

    async def _target(
        self, connection: "Connection", request: ImapAuthRequest, mailbox: Mailbox, tenant: Tenant
    ) -> UUID | None:
        """The account that the request is for; None when it is to be created."""
        of_address = await self._repository.by_address(connection, tenant.project_id, mailbox.address.key)
        if request.id is None:
            return of_address
        of_number = await self._repository.by_number(connection, tenant.project_id, request.id)
        if of_number is None:
            raise NotFound
        if of_number != of_address:
            detail = "The account of this id has another address."
            raise InvalidFields([FieldFault("email", detail, "An address is an account of its own: leave out id.")])
        return of_number

    async def _start(
        self,
        connection: "Connection",
        request: ImapAuthRequest,
        mailbox: Mailbox,
        tenant: Tenant,
        target: UUID | None,
        context: "Context",
    ) -> Attempt:
        if request.test:
            return Attempt(subject=await self._probes.dry_run(connection, tenant, mailbox, context))
        if target is not None:
            names = (request.provider, request.first_name, request.last_name)
            subject, reference = await self._probes.replace(connection, tenant, target, mailbox, names, context)
            return Attempt(subject=subject, account_id=target, credential_id=reference.credential_id)
        command = ConnectAccount(
            mailbox=mailbox,
            provider=request.provider,
            first_name=request.first_name,
            last_name=request.last_name,
            seat_kind="spam_check" if request.spamchecker_only else "monitoring",
            on_failure="remove",
        )
        account_id, reference = await self._accounts.connect(connection, tenant, command, context)
        return Attempt(subject=account_id, account_id=account_id, credential_id=reference.credential_id)
