"""The work of the service: verify an account, say what came out, and come back."""

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol
from uuid import UUID, uuid4

import structlog

from berth_connector import repository
from berth_connector.breaker import PAUSE, Breaker
from berth_connector.lifecycle import decide
from berth_connector.probe import Login, ProbeResult
from berth_connector.requests import VerificationRequest, recheck_of
from berth_events.contracts import AccountChecked, Envelope, VerificationEvent
from berth_events.runtime.store import Context
from berth_vault import Binding, Credential, CredentialErased

if TYPE_CHECKING:
    from berth_connector.repository import Account
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.store import EventStore
    from berth_events.runtime.work import Job, WorkQueue
    from berth_vault import VaultReader

__all__ = ["Mailboxes", "Verified", "VerifyHandler"]

_log = structlog.get_logger(__name__)


class Mailboxes(Protocol):
    """Proves mailboxes (`berth_connector.probe.Prober`)."""

    async def verify(self, verification_id: UUID, imap: Login | None, smtp: Login | None) -> ProbeResult:
        """Run all steps; failures are in the result."""
        ...


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified, what came out, and whether its mail service is to be left alone for a while."""

    request: VerificationRequest
    result: ProbeResult
    turned_away: bool


class VerifyHandler:
    """Performs verifications and records them.

    Args:
        pool: the connector's database.
        vault_pool: the database with the vault, as berth_connector.
        vault: opens credentials.
        mailboxes: does the verifying.
        store: where the events go.
        queue: where the next look waits.
        breaker: sees every result.
        clock: time.
        rng: spreads the next looks, so that a bulk import does not come back in one heap.
        recheck: how often a mailbox that works is looked at.
    """

    def __init__(
        self,
        *,
        pool: "Pool",
        vault_pool: "Pool",
        vault: "VaultReader",
        mailboxes: Mailboxes,
        store: "EventStore",
        queue: "WorkQueue",
        breaker: Breaker,
        clock: "Clock",
        rng: random.Random,
        recheck: timedelta,
    ) -> None:
        self._pool, self._vault_pool, self._vault, self._mailboxes = pool, vault_pool, vault, mailboxes
        self._store, self._queue, self._breaker = store, queue, breaker
        self._clock, self._rng, self._recheck = clock, rng, recheck

    async def perform(self, job: "Job") -> Verified | None:
        """Open the credential and verify. None: there is nothing to verify any more.

        Raises:
            CannotOpen, MissingSecret: the credential is not what the request says; an operator has to look at it.
        """
        imap_too = True
        if job.payload["reason"] == "recheck":
            account = await self._due(job.key)
            if account is None:
                return None
            request, imap_too = account.request, not account.imap_issue
        else:
            request = VerificationRequest.model_validate(job.payload)
        try:
            credential = await self._open(request)
        except CredentialErased:
            # the account was removed, or has another credential: the event that says so is on its way
            _log.info("verification.obsolete", account_id=str(request.account_id), because="credential erased")
            return None
        imap = Login(request.imap, credential.reveal("imap_password")) if request.imap and imap_too else None
        smtp = Login(request.smtp, credential.reveal("smtp_password")) if request.smtp else None
        result = await self._mailboxes.verify(uuid4(), imap, smtp)
        failure = result.verification.diagnosis
        turned_away = self._breaker.trips(job.destination, request.account_id, failure.code if failure else None)
        return Verified(request, result, turned_away)

    async def record(self, connection: "Connection", job: "Job", result: Verified | None) -> None:
        """Say what came out, once, and wait for the next look. What the account no longer has is not spoken of."""
        if result is None:
            return
        request = result.request
        if result.turned_away:
            until = self._clock.now() + max(PAUSE, result.result.wait or PAUSE)
            _log.warning("destination.left_alone", destination=job.destination, until=until.isoformat())
            await repository.leave_alone(connection, job.destination, until)
        if request.reason == "dry_run":
            await self._say(connection, job, result, AccountChecked)
            return
        account = await repository.lock(connection, request.account_id)
        if account is None or account.request.settings != request.settings:
            _log.info("verification.obsolete", account_id=str(request.account_id), because="settings replaced")
            return
        decision = decide(
            account.standing,
            result.result.verification.diagnosis,
            result.result.wait,
            asked_for=request.asked_for,
            recheck=self._recheck,
            random=self._rng,
        )
        envelope = await self._say(connection, job, result, decision.event)
        await repository.save_standing(connection, request.account_id, decision.standing)
        if decision.next_look is not None and not account.suspended:
            run_at = self._clock.now() + decision.next_look
            await self._queue.schedule(connection, [recheck_of(account.request, envelope.event_id, run_at)])

    async def _due(self, account_id: UUID) -> "Account | None":
        """The account that is to be looked at, unless it is gone or left alone."""
        async with self._pool.acquire() as connection:
            account = await repository.find(connection, account_id)
        return account if account and not account.suspended else None

    async def _open(self, request: VerificationRequest) -> Credential:
        binding = Binding(
            organization_id=request.organization_id,
            owner_id=request.account_id,
            credential_id=request.credential_ref.credential_id,
            version=request.credential_ref.version,
        )
        async with self._vault_pool.acquire() as connection:
            return await self._vault.read(connection, binding)

    async def _say(
        self, connection: "Connection", job: "Job", verified: Verified, kind: type[VerificationEvent]
    ) -> Envelope:
        request = verified.request
        event = kind(
            account_id=request.account_id,
            organization_id=request.organization_id,
            project_id=request.project_id,
            address=request.address,
            credential_ref=request.credential_ref,
            verification=verified.result.verification,
        )
        version = await self._store.version(connection, request.account_id)
        context = Context(
            correlation_id=request.correlation_id, causation_id=job.causation_id, traceparent=job.traceparent
        )
        [envelope] = await self._store.append(connection, request.account_id, version, [event], context)
        return envelope
