"""`POST /v1/imap_auth`: connect, update or only test one mailbox, and answer when it is known whether it works."""

from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_gateway.accounts.attempts import Attempt
from berth_gateway.accounts.commands import ConnectAccount
from berth_gateway.accounts.connecting import Connect, Connecting
from berth_gateway.accounts.mailboxes import Mailbox, Tenant
from berth_gateway.dialects.mailreach.schemas import Account, DryRunAccount, ImapAuthError, ImapAuthRequest
from berth_gateway.dialects.mailreach.translation import account, dry_run_account, error_of, mailbox_of
from berth_gateway.errors import NotFound

if TYPE_CHECKING:
    from datetime import datetime

    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Pool
    from berth_events.runtime.store import Context
    from berth_gateway.accounts.repository import AccountRepository
    from berth_gateway.accounts.servers import ServerVetting
    from berth_gateway.waiting import Waiting

__all__ = ["ImapAuth"]

_TRIES: Final = 3


class ImapAuth:
    """The call's course: accept, wait, answer.

    Args:
        pool: the gateway's database.
        vetting: refuses hosts.
        connecting: accepts, and waits for results.
        repository: reads accounts.
        audits: waits for the domain's record.
        clock: time.
        audit_deadline: seconds to wait for the domain's record after the result.
    """

    def __init__(
        self,
        *,
        pool: "Pool",
        vetting: "ServerVetting",
        connecting: Connecting,
        repository: "AccountRepository",
        audits: "Waiting[str, datetime]",
        clock: "Clock",
        audit_deadline: float = 2.0,
    ) -> None:
        self._pool, self._vetting, self._connecting, self._repository = pool, vetting, connecting, repository
        self._audits, self._clock, self._audit_deadline = audits, clock, audit_deadline

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
        command = ConnectAccount(
            mailbox=mailbox,
            provider=request.provider,
            first_name=request.first_name,
            last_name=request.last_name,
            seat_kind="spam_check" if request.spamchecker_only else "monitoring",
            on_failure="remove",
        )
        connect = Connect(command=command, existing="prove", number=request.id, dry_run=request.test)
        for _ in range(_TRIES):
            attempt = await self._connecting.begin(connect, tenant, context)
            verification = await self._connecting.result(attempt)
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
        return account(view, proven=True) if view else None
