"""Performs checkups and says what they showed."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import structlog

from berth_connector import metrics, repository
from berth_connector.breaker import PAUSE, Breaker
from berth_connector.checkup.requests import CHECKUP, CheckupRequest
from berth_connector.politeness import Elsewhere, Places
from berth_connector.probe import Login, TokenGrant
from berth_connector.requests import again
from berth_connector.sign_in import Erased, NotYet, SignIn
from berth_connector.workspaces import repository as workspaces
from berth_events.contracts import AccountCheckedUp, Checkup
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_events.runtime.store import Context
from berth_vault import CredentialErased

if TYPE_CHECKING:
    from berth_connector.repository import Account
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.store import EventStore
    from berth_events.runtime.work import Job, WorkQueue

__all__ = ["CheckupHandler", "Errand", "Examination", "Examines"]

#: How long a checkup waits for the event about the account's credential or workspace that is on its way.
_PAUSE: Final = timedelta(seconds=2)
#: Checkups at once of one mail service or host, over all replicas: each may wait for minutes, and counts with the verifications.
_AT_ONCE: Final = 5
#: How long a checkup waits when there are so many already, at least.
_QUEUE_PAUSE: Final = timedelta(seconds=10)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Examination:
    """What a checkup showed, and the wait that a server asked for, or None."""

    checkup: Checkup
    wait: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Errand:
    """The message that a checkup sends, once.

    Attributes:
        checkup_id: names the run, and the message.
        sent_at: when a run that was killed has sent it; None: nobody has.
        note_sent: remembers when it was sent, for the run that takes over when this one is killed.
    """

    checkup_id: UUID
    sent_at: datetime | None
    note_sent: Callable[[datetime], Awaitable[None]]


class Examines(Protocol):
    """Checks up on mailboxes (`berth_connector.checkup.examiner.Examiner`)."""

    async def examine(
        self, errand: Errand, address: str, imap: Login | None, smtp: Login | None, grant: TokenGrant | None = None
    ) -> Examination:
        """Run a checkup; failures are in the result."""
        ...


@dataclass(frozen=True, slots=True)
class _Later:
    """It cannot be done yet, or not where its server was found."""

    wait: timedelta
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class _Done:
    """Whose checkup, what came out, where it counted, and whether that is to be left alone for a while."""

    account: "Account"
    examination: Examination
    destination: str
    turned_away: bool


class CheckupHandler:
    """Performs checkups and records them.

    A checkup does not change where the account stands: that is the verifications' matter.

    Args:
        pool: the connector's database.
        sign_in: opens credentials, and gets access tokens.
        places: looks servers up, and sees whether there is room.
        examiner: does it.
        store: where the events go.
        queue: where a checkup waits that cannot be done yet.
        breaker: sees every result.
        clock: time.
        rng: spreads those that wait.
    """

    def __init__(
        self,
        *,
        pool: "Pool",
        sign_in: SignIn,
        places: Places,
        examiner: Examines,
        store: "EventStore",
        queue: "WorkQueue",
        breaker: Breaker,
        clock: "Clock",
        rng: random.Random,
    ) -> None:
        self._pool, self._sign_in, self._places, self._examiner = pool, sign_in, places, examiner
        self._store, self._queue, self._breaker, self._clock, self._rng = store, queue, breaker, clock, rng

    async def perform(self, job: "Job") -> _Done | _Later | Erased | None:
        """Send, wait and read. None: the account is gone.

        Raises:
            CannotOpen, MissingSecret: the credential is not what the account says; an operator has to look at it.
        """
        request = CheckupRequest.model_validate(job.payload)
        async with self._pool.acquire() as connection:
            account = await repository.find(connection, request.account_id)
        if account is None:
            return None
        try:
            # a fresh token outlives the wait, and is not one that was revoked meanwhile
            ready = await self._sign_in.prepare(account.request, imap_too=not account.imap_issue, fresh=True)
        except CredentialErased:  # removed, or replaced: the event that says so is on its way
            return _Later(_PAUSE)
        if isinstance(ready, NotYet | Erased):
            return ready if isinstance(ready, Erased) else _Later(_PAUSE)
        destination = await self._places.settle(job, ready)
        if isinstance(destination, Elsewhere):
            return _Later(timedelta(), destination.destination)
        async with self._pool.acquire() as connection:
            before = await _running_before(connection, job, destination, self._clock.now())
        if before >= _AT_ONCE:
            return _Later(_QUEUE_PAUSE * self._rng.uniform(1, 2), destination)
        examination = await self._examiner.examine(
            self._errand(job, request), account.request.address, ready.imap, ready.smtp, ready.grant
        )
        diagnosis = examination.checkup.diagnosis
        turned_away = not (ready.via and ready.via.paused) and self._breaker.trips(
            destination, request.account_id, diagnosis.code if diagnosis else None
        )
        return _Done(account, examination, destination, turned_away)

    async def record(self, connection: "Connection", job: "Job", result: _Done | _Later | Erased | None) -> None:
        """Say what it showed, once. Of an account that is gone nothing is said."""
        request = CheckupRequest.model_validate(job.payload)
        if isinstance(result, Erased):
            await workspaces.forget(connection, result.via.workspace_id, result.via.key.credential_ref.version)
        if isinstance(result, Erased | _Later):
            later = result if isinstance(result, _Later) else _Later(timedelta())
            await self._queue.schedule(connection, [again(job, self._clock.now() + later.wait, later.destination)])
            return
        if result is None:
            _log.info("checkup.obsolete", account_id=str(request.account_id), because="account removed")
            return
        await self._tell(connection, job, request, result)
        # the destination last: all of its runs write the same row
        if result.turned_away:
            until = self._clock.now() + max(PAUSE, result.examination.wait or PAUSE)
            metrics.LEFT_ALONE.inc()
            _log.warning("destination.left_alone", destination=result.destination, until=until.isoformat())
            await self._queue.leave_alone(connection, result.destination, until)
        diagnosis = result.examination.checkup.diagnosis
        was_refused = diagnosis is not None and diagnosis.code.startswith("AUTH_")
        if was_refused or diagnosis is None:
            await self._queue.note_sign_in(connection, result.destination, refused=was_refused)

    async def _tell(self, connection: "Connection", job: "Job", request: CheckupRequest, result: _Done) -> None:
        """What it showed, unless the account is gone."""
        if await repository.lock(connection, request.account_id) is None:
            _log.info("checkup.obsolete", account_id=str(request.account_id), because="account removed")
            return
        whose = result.account.request
        event = AccountCheckedUp(
            account_id=whose.account_id,
            organization_id=whose.organization_id,
            project_id=whose.project_id,
            address=whose.address,
            checkup_id=request.checkup_id,
            checkup=result.examination.checkup,
        )
        version = await self._store.version(connection, whose.account_id)
        context = Context(
            correlation_id=request.correlation_id, causation_id=job.causation_id, traceparent=job.traceparent
        )
        await self._store.append(connection, whose.account_id, version, [event], context)

    def _errand(self, job: "Job", request: CheckupRequest) -> Errand:
        return Errand(request.checkup_id, request.sent_at, partial(self._note_sent, job))

    async def _note_sent(self, job: "Job", at: datetime) -> None:
        """Without it a run that takes over might send a second message while the first one is on its way."""
        try:
            async with self._pool.acquire() as connection:
                await connection.execute(
                    "UPDATE work SET payload = payload || $3 WHERE id = $1 AND lease_token = $2",
                    job.id,
                    job.token,
                    {"sent_at": at.isoformat()},
                )
        except INFRASTRUCTURE_ERRORS as error:
            _log.warning("checkup.not_noted", key=str(job.key), error=type(error).__name__)


async def _running_before(connection: "Connection", job: "Job", destination: str, now: datetime) -> int:
    """How many checkups of a destination are running that were due before the job."""
    count: int = await connection.fetchval(
        """SELECT count(*) FROM work other JOIN work mine ON mine.id = $1
            WHERE other.kind = $2 AND other.destination = $3 AND other.state = 'leased' AND other.lease_until > $4
              AND (other.run_at, other.id) < (mine.run_at, mine.id)""",
        job.id,
        CHECKUP,
        destination,
        now,
    )
    return count
