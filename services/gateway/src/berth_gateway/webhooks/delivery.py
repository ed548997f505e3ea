"""The workers that empty the queue of deliveries, in every replica."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_gateway.webhooks import metrics
from berth_gateway.webhooks.queue import DeliveryQueue, Job, LeaseLost
from berth_gateway.webhooks.schedule import DISABLED_AFTER, Schedule
from berth_gateway.webhooks.secrets import SecretUnreadable

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_gateway.feed import FeedReader
    from berth_gateway.webhooks.attempts import Messenger, Outcome

__all__ = ["Deliveries"]

_CONCURRENCY: Final = 20
_POLL_S: Final = (0.02, 0.5)
_MEASURE_EVERY_S: Final = 15.0
_STOP_S: Final = 5.0
#: After a mistake of ours, which is no attempt.
_MISTAKE: Final = timedelta(minutes=1)

_log = structlog.get_logger(__name__)


class Deliveries:
    """Claims, sends and records, up to 20 at once. A receiver that fails is its owner's trouble, not this service's.

    Args:
        pool: the gateway's database.
        queue: what is to be sent.
        messenger: sends.
        feed: knows up to which position the order is decided.
        schedule: when to try again.
        clock: time.
    """

    def __init__(
        self,
        pool: "Pool",
        queue: DeliveryQueue,
        messenger: "Messenger",
        feed: "FeedReader",
        schedule: Schedule,
        clock: "Clock",
    ) -> None:
        self._pool, self._queue, self._messenger, self._feed = pool, queue, messenger, feed
        self._schedule, self._clock = schedule, clock
        self._running: dict[asyncio.Task[None], Job] = {}
        self._ended = asyncio.Event()
        self._measured_at = float("-inf")
        self.problem: str | None = None

    async def run(self) -> None:
        """Deliver until cancelled; then let what is on its way arrive for some seconds, and give the rest back."""
        try:
            await self._poll()
        finally:
            await self._drain()

    async def _poll(self) -> None:
        pause = _POLL_S[0]
        while True:
            self._ended.clear()
            free = _CONCURRENCY - len(self._running)
            found = bool(free) and await self._claim_some(free)
            pause = _POLL_S[0] if found else min(pause * 2, _POLL_S[1])
            try:
                async with asyncio.timeout(pause if free else None):
                    await self._ended.wait()  # the next of the same subject can go
            except TimeoutError:
                pass

    async def _claim_some(self, free: int) -> bool:
        """Claim and start; whether there was anything. A claim is not cancelled half-way: its deliveries would have no run."""
        claiming = asyncio.create_task(self._claim(free))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await asyncio.wait([claiming], timeout=_STOP_S)
            claiming.cancel()
            raise

    async def _claim(self, free: int) -> bool:
        try:
            async with self._pool.acquire() as connection:
                await self._measure(connection)
                if not await self._queue.due(connection):
                    return False
            decided = await self._feed.decided()
            async with self._pool.acquire() as connection:
                jobs = await self._queue.claim(connection, free, decided=decided)
        except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:
            _log.warning("webhooks.claim_failed", error=str(error) or type(error).__name__)
            return False
        self._start(jobs)
        return bool(jobs)

    def _start(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            task = asyncio.create_task(self._deliver(job))
            self._running[task] = job
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._ended.set()
        if not task.cancelled() and (error := task.exception()):
            _log.error("webhooks.lost", error=type(error).__name__, exc_info=error)

    async def _deliver(self, job: Job) -> None:
        structlog.contextvars.bind_contextvars(webhook_id=str(job.webhook_id), delivery_id=str(job.delivery_id))
        outcome = "cancelled"
        try:
            result = await self._messenger.attempt(job)
            metrics.ATTEMPT_SECONDS.observe(result.duration_s)
            async with self._pool.acquire() as connection, connection.transaction():
                await self._record(connection, job, result)
            outcome = result.error or "delivered"
        except LeaseLost:
            outcome = "lease_lost"
        except INFRASTRUCTURE_ERRORS as error:
            # it may have arrived: it is sent again when the lease has run out
            outcome = "interrupted"
            _log.warning("webhooks.interrupted", error=str(error) or type(error).__name__)
        except SecretUnreadable:
            outcome = "crashed"
            _log.error("webhooks.secret_unreadable")
            await self._give_back(job, _MISTAKE)
        except Exception:  # noqa: BLE001 - a mistake of ours must not end the others' deliveries
            outcome = "crashed"
            _log.exception("webhooks.crashed")
            await self._give_back(job, _MISTAKE)
        finally:
            metrics.ATTEMPTS.labels(outcome).inc()

    async def _record(self, connection: "Connection", job: Job, outcome: "Outcome") -> None:
        """What follows from an attempt. The webhook's row is changed before the delivery's (see `DeliveryQueue.delivered`)."""
        attempt = outcome.logged()
        if outcome.error is None:
            await self._queue.delivered(connection, job, attempt)
            return
        if job.event is None:  # a test says what it found out once, and proves nothing about the endpoint's events
            await self._queue.failed(connection, job, attempt, run_at=None)
            return
        now = self._clock.now()
        failures, since = await self._queue.count_failure(connection, job)
        patience = outcome.patience or timedelta()
        if hold := max(self._schedule.hold(failures) or timedelta(), patience):
            await self._queue.hold(connection, job, now + hold)
        if outcome.error == "gone" or now - since >= DISABLED_AFTER:
            reason = "gone" if outcome.error == "gone" else "failing"
            await self._queue.disable(connection, job, reason)
            _log.info("webhooks.disabled", reason=reason)
        pause = self._schedule.pause(job.tries + 1)
        if outcome.error == "gone" and pause is None:
            pause = timedelta()  # it is kept for the day on which the webhook is enabled again
        run_at = None if pause is None else now + max(pause, patience)
        await self._queue.failed(connection, job, attempt, run_at=run_at)

    async def _measure(self, connection: "Connection") -> None:
        if self._clock.monotonic() - self._measured_at < _MEASURE_EVERY_S:
            return
        self._measured_at = self._clock.monotonic()
        backlog = await self._queue.backlog(connection)
        metrics.PENDING.set(backlog.rows)
        metrics.OLDEST.set(backlog.oldest)

    async def _drain(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=_STOP_S)
        left = dict(self._running)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        for job in left.values():
            await self._give_back(job, timedelta())

    async def _give_back(self, job: Job, pause: timedelta) -> None:
        """Not an attempt. If this fails too the lease runs out by itself."""
        try:
            async with self._pool.acquire() as connection:
                await self._queue.release(connection, job, run_at=self._clock.now() + pause)
        except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:
            _log.warning("webhooks.not_released", error=str(error) or type(error).__name__)
