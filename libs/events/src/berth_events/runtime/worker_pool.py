"""Workers: claim leased work, do it outside any transaction, record the result in one that the lease guards."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import asyncpg
import structlog

from berth_events.runtime import metrics
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_events.runtime.store import ConcurrencyConflict, EventStore
from berth_events.runtime.work import Job, LeaseLost, WorkQueue

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool

__all__ = ["WorkHandler", "WorkerPool"]

_POLL_S: Final = (0.02, 0.5)
#: A database that is away is waited for as long as it takes; a handler that crashes so often is not tried again.
_MAX_CRASHES: Final = 8
_MAX_PAUSE_S: Final = 300.0
_MAX_DOUBLINGS: Final = 16
_RECORD_TRIES: Final = 5
_RECORD_PAUSE_S: Final = 1.0
_STOP_S: Final = 5

_log = structlog.get_logger(__name__)
R = TypeVar("R")


class WorkHandler(Protocol[R]):
    """What a service does with its work."""

    async def perform(self, job: Job) -> R:
        """Do it: network I/O, with deadlines, outside any transaction."""
        ...

    async def record(self, connection: "Connection", job: Job, result: R) -> None:
        """Write the result: events, state, follow-up work. Runs in the finishing transaction; may run again on a conflict."""
        ...


class WorkerPool(Generic[R]):
    """Runs up to `concurrency` jobs at once.

    Args:
        pool: the service's database.
        queue: the work table.
        handler: what to do.
        store: whose relay is woken after a result.
        clock: time.
        concurrency: runs at once in this process.
    """

    def __init__(
        self,
        pool: "Pool",
        queue: WorkQueue,
        handler: WorkHandler[R],
        store: EventStore,
        clock: "Clock",
        *,
        concurrency: int,
        rng: random.Random | None = None,
    ) -> None:
        self._pool, self._queue, self._handler, self._store, self._clock = pool, queue, handler, store, clock
        self._concurrency = concurrency
        self._rng = rng or random.Random()  # noqa: S311 - jitter is no secret
        self._running: dict[asyncio.Task[None], Job] = {}
        self._finished = asyncio.Event()
        self.problem: str | None = None

    async def run(self) -> None:
        """Claim and run until cancelled; then give back what is not finished (see `drain`)."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew())
            group.create_task(self._claim())

    async def drain(self, seconds: float) -> None:
        """After `run` was cancelled: let runs in flight finish for some seconds, then give their leases back."""
        if self._running:
            renewing = asyncio.create_task(self._renew())
            await asyncio.wait(self._running, timeout=seconds)
            renewing.cancel()
            await asyncio.wait([renewing])
        left = dict(self._running)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        for job in left.values():
            try:
                async with self._pool.acquire() as connection:
                    await self._queue.release(connection, job, run_at=self._clock.now())
            except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:
                _log.warning("work.not_released", kind=job.kind, key=str(job.key), error=str(error))

    async def _claim(self) -> None:
        pause = _POLL_S[0]
        while True:
            free = self._concurrency - len(self._running)
            found = bool(free) and await self._claim_some(free)
            pause = _POLL_S[0] if found else min(pause * 2, _POLL_S[1])
            self._finished.clear()
            if not free:
                await self._finished.wait()
            else:
                await self._clock.sleep(pause)

    async def _claim_some(self, free: int) -> bool:
        """Claim and start; whether there was anything. A claim is not cancelled half-way: its jobs would have no run."""
        claiming = asyncio.create_task(self._claim_now(free))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await asyncio.wait([claiming], timeout=_STOP_S)
            claiming.cancel()
            raise

    async def _claim_now(self, free: int) -> bool:
        try:
            async with self._pool.acquire() as connection:
                jobs = await self._queue.claim(connection, free)
                self._start(jobs)
        except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:
            self.problem = f"work: {type(error).__name__}"
            _log.warning("work.claim_failed", error=str(error) or type(error).__name__)
            return False
        self.problem = None
        return bool(jobs)

    def _start(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            task = asyncio.create_task(self._run(job))
            self._running[task] = job
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._finished.set()
        if not task.cancelled() and (error := task.exception()):
            _log.error("work.lost", error=str(error), exc_info=error)

    async def _run(self, job: Job) -> None:
        structlog.contextvars.bind_contextvars(work_kind=job.kind, key=str(job.key))
        began = self._clock.monotonic()
        outcome = "cancelled"
        try:
            result = await self._handler.perform(job)
            await self._record(job, result)
            outcome = "done"
        except LeaseLost:
            outcome = "lease_lost"
            _log.warning("work.lease_lost")
        except INFRASTRUCTURE_ERRORS as error:
            outcome = "interrupted"
            _log.warning("work.interrupted", error=str(error) or type(error).__name__)
            await self._give_back(job, type(error).__name__)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; it is logged and tried again
            outcome = "crashed"
            _log.exception("work.crashed", attempts=job.attempts)
            await self._give_back(job, type(error).__name__, set_aside=job.attempts >= _MAX_CRASHES)
        finally:
            metrics.WORK_DURATION.labels(job.kind, outcome).observe(self._clock.monotonic() - began)

    async def _record(self, job: Job, result: R) -> None:
        """Write the result. For a database that is away it waits as long as a lease: what was done is not to be done again."""
        conflicts, began = 0, self._clock.monotonic()
        while True:
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    await self._queue.finish(connection, job)
                    await self._handler.record(connection, job, result)
            except ConcurrencyConflict:
                conflicts += 1
                if conflicts == _RECORD_TRIES:
                    raise
            except INFRASTRUCTURE_ERRORS as error:
                if self._clock.monotonic() - began >= self._queue.lease.total_seconds():
                    raise
                _log.warning("work.not_recorded", error=str(error) or type(error).__name__)
                await self._clock.sleep(_RECORD_PAUSE_S)
            else:
                self._store.notify()
                return

    async def _give_back(self, job: Job, error: str, *, set_aside: bool = False) -> None:
        """After a failure that is not the destination's. If this fails too the lease runs out by itself."""
        pause = min(2.0 ** min(job.attempts, _MAX_DOUBLINGS), _MAX_PAUSE_S) * self._rng.uniform(0.5, 1.5)
        try:
            async with self._pool.acquire() as connection:
                if set_aside:
                    await self._queue.fail(connection, job, error)
                else:
                    run_at = self._clock.now() + timedelta(seconds=pause)
                    await self._queue.release(connection, job, run_at=run_at, error=error)
        except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as failure:
            _log.warning("work.not_released", error=str(failure))

    async def _renew(self) -> None:
        every = self._queue.lease.total_seconds() / 3
        while True:
            await self._clock.sleep(every)
            held = dict(self._running)
            if not held:
                continue
            try:
                async with self._pool.acquire() as connection:
                    ours = await self._queue.renew(connection, list(held.values()))
            except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:
                _log.warning("work.renew_failed", error=str(error))
                continue
            for task, job in held.items():
                if job.id not in ours and not task.done():
                    task.cancel()
