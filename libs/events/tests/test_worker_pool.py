"""Workers: what becomes of a job when it ends well, crashes, takes long, is taken away, or the process has to stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg
import pytest

from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Connection, Pool
from berth_events.runtime.store import ConcurrencyConflict, Context, EventStore
from berth_events.runtime.work import Job, WorkItem, WorkQueue
from berth_events.runtime.worker_pool import WorkerPool
from berth_testing.clocks import HeldClock
from berth_testing.streams import resumed
from berth_testing.waiting import eventually, until

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock

LEASE_S = 30.0


class Handler:
    """Performs what the test says, and records an event.

    Attributes:
        performed: keys whose run came to its end.
        cancelled: keys whose run was cancelled.
        errors: raised by `record`, one after another.
    """

    def __init__(self, store: EventStore, perform: Callable[[Job], Awaitable[None]]) -> None:
        self._store, self._perform = store, perform
        self.started: list[UUID] = []
        self.performed: list[UUID] = []
        self.cancelled: list[UUID] = []
        self.errors: list[Exception] = []

    async def perform(self, job: Job) -> str:
        self.started.append(job.key)
        try:
            await self._perform(job)
        except asyncio.CancelledError:
            self.cancelled.append(job.key)
            raise
        self.performed.append(job.key)
        return job.kind

    async def record(self, connection: Connection, job: Job, result: str) -> None:
        assert result == job.kind
        version = await self._store.version(connection, job.key)
        await self._store.append(
            connection, job.key, version, [resumed(job.key)], Context(causation_id=job.causation_id)
        )
        if self.errors:
            raise self.errors.pop(0)


class Workers:
    """A worker pool that runs, and its surroundings."""

    def __init__(
        self, pool: Pool, clock: "Clock", perform: Callable[[Job], Awaitable[None]], concurrency: int, lease_s: float
    ) -> None:
        self.pool, self.clock = pool, clock
        self.store = EventStore("/berth/connector", clock)
        self.queue = WorkQueue(clock, default_limit=100, lease=timedelta(seconds=lease_s))
        self.handler = Handler(self.store, perform)
        self.workers = WorkerPool(pool, self.queue, self.handler, self.store, clock, concurrency=concurrency)
        self.task = asyncio.create_task(self.workers.run())

    async def ask(self, count: int = 1) -> list[UUID]:
        items = [
            WorkItem(key=uuid4(), kind="verify", destination="mx", payload={}, event_id=uuid4()) for _ in range(count)
        ]
        async with self.pool.acquire() as connection:
            await self.queue.request(connection, items)
        if isinstance(clock := self.clock, HeldClock) and not self.handler.started:
            await until(lambda: len(clock.sleeping) == 2)  # until the next poll, and the next renewal
            if not self.handler.started:
                clock.advance(0.5)
        return [each.key for each in items]

    async def stop(self, drain_s: float = 0) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await self.workers.drain(drain_s)

    async def rows(self) -> list[asyncpg.Record]:
        return await self.pool.fetch("SELECT * FROM work ORDER BY run_at")

    async def gone(self) -> None:
        """Wait until no work is left."""
        await eventually(self.rows, lambda rows: not rows, within=10, pause=0.01)

    async def events(self) -> list[UUID]:
        """What was said, by stream."""
        return [row["stream_id"] for row in await self.pool.fetch("SELECT stream_id FROM event ORDER BY position")]


@asynccontextmanager
async def working(
    pool: Pool,
    perform: Callable[[Job], Awaitable[None]],
    clock: "Clock | None" = None,
    *,
    concurrency: int = 10,
    lease_s: float = LEASE_S,
) -> AsyncIterator[Workers]:
    workers = Workers(pool, clock or SystemClock(), perform, concurrency, lease_s)
    try:
        yield workers
    finally:
        await workers.stop()


async def at_once(_: Job) -> None:
    """Nothing to do."""


class Gate:
    """Runs wait here."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, _: Job) -> None:
        await self.open.wait()


# -- the end of a run


async def test_a_result_is_recorded_and_the_relay_woken(pool: Pool) -> None:
    async with working(pool, at_once) as workers:
        keys = await workers.ask(25)
        await workers.gone()
        assert sorted(await workers.events()) == sorted(keys)
        assert workers.store.appended.is_set()
        assert workers.workers.problem is None


async def test_no_more_run_at_once_than_allowed_and_a_free_place_is_used(pool: Pool) -> None:
    gate = Gate()
    async with working(pool, gate, concurrency=3) as workers:
        await workers.ask(7)
        await until(lambda: len(workers.handler.started) == 3)
        await asyncio.sleep(0.1)
        assert len(workers.handler.started) == 3
        gate.open.set()
        await workers.gone()
    assert len(workers.handler.performed) == 7


async def test_no_transaction_is_open_while_a_run_is_in_flight(pool: Pool) -> None:
    gate = Gate()
    async with working(pool, gate) as workers:
        await workers.ask()
        await until(lambda: workers.handler.started)
        assert not await pool.fetchval(
            """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                  AND xact_start IS NOT NULL AND state LIKE 'idle in transaction%'"""
        )
        gate.open.set()
        await workers.gone()


async def test_a_record_that_met_a_conflict_is_tried_again_without_a_second_run(pool: Pool) -> None:
    async with working(pool, at_once) as workers:
        workers.handler.errors = [ConcurrencyConflict(), ConcurrencyConflict()]
        [key] = await workers.ask()
        await workers.gone()
        assert await workers.events() == [key]
        assert workers.handler.started == [key]


async def test_a_record_that_fails_leaves_no_trace_and_the_job_waits(pool: Pool) -> None:
    clock = HeldClock()
    async with working(pool, at_once, clock) as workers:
        workers.handler.errors = [ValueError("a bug in record")]
        await workers.ask()
        [row] = await eventually(workers.rows, lambda rows: rows[0]["error"] is not None, within=5, pause=0.01)
        assert (row["state"], row["error"], row["attempts"]) == ("ready", "ValueError", 1)
        assert await workers.events() == []


# -- crashes


async def test_a_handler_that_crashes_is_tried_again_later_each_time_and_set_aside_after_eight(pool: Pool) -> None:
    async def crash(_: Job) -> None:
        raise ValueError("secret")

    clock = HeldClock()
    async with working(pool, crash, clock) as workers:

        async def idle() -> None:
            """The run is over, and all that is left to do is to wait for the next poll and the next renewal."""
            await until(lambda: not workers.workers._running and len(clock.sleeping) == 2)

        async def started(count: int) -> None:
            await until(lambda: len(workers.handler.started) == count)

        await workers.ask()
        for attempt in range(1, 8):
            await started(attempt)
            began = clock.now()
            await idle()
            [row] = await workers.rows()
            assert (row["state"], row["attempts"], row["error"]) == ("ready", attempt, "ValueError")
            pause = (row["run_at"] - began).total_seconds()
            assert 0.5 * min(2**attempt, 300) <= pause <= 1.5 * min(2**attempt, 300)
            clock.advance(pause - 0.01)
            await idle()
            assert len(workers.handler.started) == attempt
            clock.advance(0.5)
        await started(8)
        await idle()
        [row] = await workers.rows()
        assert (row["state"], row["attempts"], row["error"]) == ("failed", 8, "ValueError")
        clock.advance(3600)
        await asyncio.sleep(0.05)
        assert len(workers.handler.started) == 8
        assert await workers.events() == []


@pytest.mark.parametrize("error", [OSError("network"), TimeoutError(), asyncpg.DeadlockDetectedError("deadlock")])
async def test_an_interrupted_run_is_given_back(pool: Pool, error: Exception) -> None:
    async def interrupted(_: Job) -> None:
        raise error

    async with working(pool, interrupted, HeldClock()) as workers:
        await workers.ask()
        [row] = await eventually(workers.rows, lambda rows: rows[0]["error"] is not None, within=5, pause=0.01)
        assert (row["state"], row["error"]) == ("ready", type(error).__name__)


async def test_the_workers_survive_a_server_that_drops_its_connections(pool: Pool) -> None:
    gate = Gate()
    async with working(pool, gate, lease_s=1) as workers:
        keys = await workers.ask(3)
        await until(lambda: len(workers.handler.started) == 3)
        for _ in range(3):
            await pool.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
            )
            await asyncio.sleep(0.05)
        gate.open.set()
        await workers.gone()
        assert sorted(await workers.events()) == sorted(keys)
        await until(lambda: workers.workers.problem is None)


# -- leases


async def test_a_long_run_keeps_its_lease(pool: Pool) -> None:
    gate, clock = Gate(), HeldClock()
    async with working(pool, gate, clock) as workers:
        [key] = await workers.ask()
        await until(lambda: workers.handler.started)
        for _ in range(12):
            before = (await workers.rows())[0]["lease_until"]
            clock.advance(LEASE_S / 3)

            def renewed(rows: list[asyncpg.Record], before: object = before) -> bool:
                return bool(rows[0]["lease_until"] != before)

            await eventually(workers.rows, renewed, within=5, pause=0.005)
            async with pool.acquire() as connection:
                assert await workers.queue.claim(connection, 10) == []
        gate.open.set()
        await workers.gone()
        assert await workers.events() == [key]


async def test_a_run_whose_lease_was_lost_is_cancelled(pool: Pool) -> None:
    gate, clock = Gate(), HeldClock()
    async with working(pool, gate, clock) as workers:
        lost, kept = await workers.ask(2)
        await until(lambda: len(workers.handler.started) == 2)
        async with pool.acquire() as connection:
            await workers.queue.cancel(connection, [lost])
        clock.advance(LEASE_S / 3)
        await until(lambda: workers.handler.cancelled == [lost])
        gate.open.set()
        await workers.gone()
        assert await workers.events() == [kept]


async def test_the_result_of_a_run_whose_lease_was_lost_is_dropped(pool: Pool) -> None:
    gate, clock = Gate(), HeldClock()
    async with working(pool, gate, clock) as workers:
        await workers.ask()
        await until(lambda: workers.handler.started)
        later = HeldClock()
        later.advance(LEASE_S + 1)
        async with pool.acquire() as connection:
            [stolen] = await WorkQueue(later, default_limit=9, lease=timedelta(seconds=LEASE_S)).claim(connection, 1)
        gate.open.set()
        await until(lambda: workers.handler.performed)
        await asyncio.sleep(0.05)
        assert await workers.events() == []
        [row] = await workers.rows()
        assert row["lease_token"] == stolen.token


# -- the stop


async def test_a_stop_lets_runs_finish_for_a_while_and_gives_back_the_rest_unharmed(pool: Pool) -> None:
    gate, never = Gate(), Gate()
    seen: list[UUID] = []

    async def first_waits_for_the_gate(job: Job) -> None:
        seen.append(job.key)
        await (gate if len(seen) == 1 else never)(job)

    workers = Workers(pool, SystemClock(), first_waits_for_the_gate, 10, LEASE_S)
    await workers.ask(3)
    await until(lambda: len(seen) == 3)
    workers.task.cancel()
    await asyncio.wait([workers.task])
    draining = asyncio.create_task(workers.workers.drain(0.5))
    await asyncio.sleep(0.05)
    late = await workers.ask()
    gate.open.set()
    await draining
    assert await workers.events() == seen[:1]
    assert sorted(workers.handler.cancelled) == sorted(seen[1:])
    rows = await workers.rows()
    assert sorted(row["key"] for row in rows) == sorted(seen[1:] + late), "nothing new was begun"
    assert {(row["state"], row["attempts"], row["error"]) for row in rows} == {("ready", 0, None)}
    async with working(pool, at_once) as others:
        await others.gone()


async def test_a_stop_that_takes_longer_than_a_lease_keeps_the_leases(pool: Pool) -> None:
    async def slowly(_: Job) -> None:
        await asyncio.sleep(1)

    workers = Workers(pool, SystemClock(), slowly, 10, 0.3)
    [key] = await workers.ask()
    await until(lambda: workers.handler.started)
    async with working(pool, at_once, lease_s=0.3) as others:
        await workers.stop(drain_s=5)
        assert others.handler.started == []
    assert await workers.events() == [key]


async def test_a_stop_in_the_middle_of_a_claim_leaves_no_lease_behind(pool: Pool) -> None:
    for turn in range(40):
        workers = Workers(pool, SystemClock(), Gate(), 10, LEASE_S)
        await workers.ask(3)
        await asyncio.sleep(0.001 * (turn % 10))
        await workers.stop()
        assert {row["state"] for row in await workers.rows()} == {"ready"}


async def test_a_stop_while_the_database_is_away_ends_all_the_same(pool: Pool) -> None:
    workers = Workers(pool, SystemClock(), Gate(), 10, LEASE_S)
    await workers.ask(2)
    await until(lambda: len(workers.handler.started) == 2)

    class Away:
        async def release(self, *_: object, **__: object) -> None:
            raise asyncpg.CannotConnectNowError("starting up")

    workers.workers._queue.release = Away().release  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        await workers.stop()
    assert len(workers.handler.cancelled) == 2
