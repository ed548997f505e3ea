"""The work of the service: verify an account, say what came out, and come back."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID, uuid4

import structlog

from berth_connector import metrics, repository
from berth_connector.breaker import PAUSE, Breaker, refused
from berth_connector.lifecycle import decide
from berth_connector.oauth import (
    concerns_domain,
    concerns_workspace,
    lacks_role,
)
from berth_connector.outages import Outages
from berth_connector.policies import is_final
from berth_connector.politeness import Elsewhere, Places
from berth_connector.probe import Login, ProbeResult, TokenGrant
from berth_connector.requests import VerificationRequest, again, recheck_of
from berth_connector.sign_in import Erased, NotYet, Ready, SignIn, Via
from berth_connector.workspaces import repository as workspaces
from berth_connector.workspaces.requests import verification_of
from berth_connector.workspaces.worker import reject
from berth_events.contracts import AccountChecked, Envelope, VerificationEvent
from berth_events.runtime.store import Context
from berth_events.runtime.work import WorkItem
from berth_vault import CredentialErased

if TYPE_CHECKING:
    from berth_connector.repository import Account
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.store import EventStore
    from berth_events.runtime.work import Job, WorkQueue

__all__ = ["Mailboxes", "Verified", "VerifyHandler"]

#: How long a workspace waits for further accounts of it that somebody reconnects, to be asked for once.
_RECONNECT_PAUSE: Final = timedelta(seconds=2)

_log = structlog.get_logger(__name__)


class Mailboxes(Protocol):
    """Proves mailboxes (`berth_connector.probe.Prober`)."""

    async def verify(
        self, verification_id: UUID, imap: Login | None, smtp: Login | None, grant: TokenGrant | None = None
    ) -> ProbeResult:
        """Run all steps; failures are in the result."""
        ...


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified and what came out.

    Attributes:
        destination: where it counted.
        turned_away: that is to be left alone for a while.
        via: the workspace that the account signs in through.
        outage: the failure says nothing about the account.
    """

    request: VerificationRequest
    result: ProbeResult
    destination: str
    turned_away: bool
    via: Via | None = None
    outage: bool = False


class VerifyHandler:
    """Performs verifications and records them.

    Args:
        pool: the connector's database.
        sign_in: opens credentials, and gets access tokens.
        places: looks servers up, and sees whether there is room.
        mailboxes: does the verifying.
        store: where the events go.
        queue: where the next look waits.
        breaker: sees every result.
        outages: sees every result that says how a mail service is.
        clock: time.
        rng: spreads the next looks, so that a bulk import does not come back in one heap.
        recheck: how often a mailbox that works is looked at.
    """

    def __init__(
        self,
        *,
        pool: "Pool",
        sign_in: SignIn,
        places: Places,
        mailboxes: Mailboxes,
        store: "EventStore",
        queue: "WorkQueue",
        breaker: Breaker,
        outages: Outages,
        clock: "Clock",
        rng: random.Random,
        recheck: timedelta,
    ) -> None:
        self._pool, self._sign_in, self._places, self._mailboxes = pool, sign_in, places, mailboxes
        self._store, self._queue, self._breaker, self._outages = store, queue, breaker, outages
        self._clock, self._rng, self._recheck = clock, rng, recheck

    async def perform(self, job: "Job") -> Verified | Elsewhere | Erased | NotYet | None:
        """Open the credential and verify. None: there is nothing to verify any more.

        Raises:
            CannotOpen, MissingSecret: the credential is not what the request says; an operator has to look at it.
        """
        imap_too, fresh, worked = True, False, False
        if job.payload["reason"] == "schedule" and await self._due(job.key) is None:
            return None
        if job.payload["reason"] == "recheck":
            account = await self._due(job.key)
            if account is None:
                return None
            request, imap_too = account.request, not account.imap_issue
            fresh = account.standing.retry_policy == "once_fresh_token"
            worked = account.standing.state == "connected"
            if account.standing.state == "unknown":  # put off before, or failed with its workspace
                domain_refused = job.payload.get("domain_refused", False)
                request = request.model_copy(update={"may_wait": True, "domain_refused": domain_refused})
        else:
            request = VerificationRequest.model_validate(job.payload)
        try:
            ready = await self._sign_in.prepare(request, imap_too=imap_too, fresh=fresh)
        except CredentialErased:
            # the account was removed, or has another credential: the event that says so is on its way
            _log.info("verification.obsolete", account_id=str(request.account_id), because="credential erased")
            return None
        if not isinstance(ready, Ready):
            return ready
        destination = await self._places.settle(job, ready)
        if isinstance(destination, Elsewhere):
            return destination
        result = await self._mailboxes.verify(uuid4(), ready.imap, ready.smtp, ready.grant)
        failure = result.verification.diagnosis
        code = failure.code if failure else None
        asked = ready.via is None or not ready.via.paused  # else the result says nothing of the mail service
        turned_away = asked and self._breaker.trips(destination, request.account_id, code)
        tells = asked and (worked or failure is None)
        outage = tells and self._outages.explains(destination, request.account_id, code)
        return Verified(ready.request, result, destination, turned_away, ready.via, outage)

    async def record(
        self, connection: "Connection", job: "Job", result: Verified | Elsewhere | Erased | NotYet | None
    ) -> None:
        """Say what came out, once, and wait for the next look. What the account no longer has is not spoken of."""
        if result is None:
            return
        if isinstance(result, Elsewhere):
            await self._queue.schedule(connection, [again(job, self._clock.now(), result.destination)])
            return
        if isinstance(result, NotYet):
            await self._queue.schedule(connection, [again(job, self._clock.now() + result.pause)])
            return
        if isinstance(result, Erased):
            await workspaces.forget(connection, result.via.workspace_id, result.via.key.credential_ref.version)
            await self._queue.schedule(connection, [again(job, self._clock.now())])
            return
        await self._tell(connection, job, result)
        # the destination last: all of its runs write the same row
        if result.turned_away:
            until = self._clock.now() + max(PAUSE, result.result.wait or PAUSE)
            metrics.LEFT_ALONE.inc()
            _log.warning("destination.left_alone", destination=result.destination, until=until.isoformat())
            await self._queue.leave_alone(connection, result.destination, until)
        was_refused = refused(result.result.verification.steps)
        if was_refused is not None:
            await self._queue.note_sign_in(connection, result.destination, refused=was_refused)
        if was_refused:
            metrics.REFUSED.inc()
            _log.info("destination.refused", destination=result.destination)

    async def _tell(self, connection: "Connection", job: "Job", result: Verified) -> None:
        """The result, as far as it still holds."""
        request = result.request
        if result.via is not None and not await self._settle(connection, job, result, result.via):
            return
        if request.reason == "dry_run":
            await self._say(connection, job, result, AccountChecked)
            return
        account = await repository.lock(connection, request.account_id)
        if account is None or account.request.settings != request.settings:
            _log.info("verification.obsolete", account_id=str(request.account_id), because="settings replaced")
            return
        if account.suspended and not request.asked_for:
            _log.info("verification.obsolete", account_id=str(request.account_id), because="suspended")
            return  # when it is resumed it is looked at
        decision = decide(
            account.standing,
            result.result.verification.diagnosis,
            result.result.wait,
            asked_for=request.asked_for,
            recheck=self._recheck,
            random=self._rng,
            outage=result.outage,
        )
        envelope = await self._say(connection, job, result, decision.event)
        await repository.save_standing(connection, request.account_id, decision.standing)
        left_to_workspace = result.via is not None and result.via.paused
        if decision.next_look is not None and not account.suspended and not left_to_workspace:
            run_at = self._clock.now() + decision.next_look
            await self._queue.schedule(
                connection, [recheck_of(account.request, envelope.event_id, run_at, result.destination)]
            )

    async def _settle(self, connection: "Connection", job: "Job", verified: Verified, via: Via) -> bool:
        """What the result means for the workspace; whether it still holds for the account.

        Workspaces are locked before accounts, and only when there is something to say of them.
        """
        waits = verified.request.may_wait
        look = workspaces.hold if via.paused and waits else workspaces.find
        workspace = await look(connection, via.workspace_id)
        if workspace is None:
            _log.info("verification.obsolete", account_id=str(verified.request.account_id), because="workspace removed")
            return False
        if workspace.usable != via.key or (via.paused and workspace.paused is None):
            await self._queue.schedule(connection, [again(job, self._clock.now())])
            return False
        diagnosis = verified.result.no_token
        if via.paused and verified.request.reason == "reconnect":  # perhaps it was mended: nobody tells us of a consent
            await self._queue.request(connection, [self._proof_of(job, via, _RECONNECT_PAUSE)])
        if diagnosis is None or via.paused:
            return not (via.paused and waits)  # put off: when the workspace works, it is looked at (`resumable`)
        if concerns_workspace(via.key.provider, diagnosis):
            await reject(self._store, connection, job, workspace, via.key, diagnosis)
            if via.key != workspace.newest or waits:
                # the old secret has ended before the new one was proven: go on with that one. Or find it paused, and wait
                await self._queue.schedule(connection, [again(job, self._clock.now())])
                return False
        elif lacks_role(diagnosis) and workspace.state != "rejected":
            # which finds out whether all of its accounts need the role
            await self._queue.schedule(connection, [self._proof_of(job, via, timedelta())])
        elif concerns_domain(diagnosis) and workspace.state != "rejected":
            # which finds out whether it works for any domain
            server = verified.request.imap or verified.request.smtp
            too_early = waits and server is not None and not verified.request.domain_refused
            subjects = [server.username] if server and too_early else []
            await self._queue.schedule(connection, [self._proof_of(job, via, timedelta(), subjects)])
            if too_early:  # after the proof
                once_more = replace(again(job, self._clock.now()), payload={**job.payload, "domain_refused": True})
                await self._queue.schedule(connection, [once_more])
                return False
        return True

    def _proof_of(self, job: "Job", via: Via, wait: timedelta, subjects: Sequence[str] = ()) -> WorkItem:
        """To prove the workspace itself, with these mailboxes too."""
        return verification_of(
            via.workspace_id,
            via.key.provider,
            job.causation_id,
            subjects=subjects,
            run_at=self._clock.now() + wait,
            traceparent=job.traceparent,
        )

    async def _due(self, account_id: UUID) -> "Account | None":
        """The account that is to be looked at unasked: not when it is gone, left alone, or its credential was refused."""
        async with self._pool.acquire() as connection:
            account = await repository.find(connection, account_id)
        if account is None or account.suspended or is_final(account.standing.retry_policy):
            return None
        return account

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
