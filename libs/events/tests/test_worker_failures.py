"""What becomes of work whose run fails: a database that is away is waited for, a crash is tried again a few times."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from berth_events.runtime.database import Connection, Pool
from berth_events.runtime.store import EventStore
from berth_events.runtime.work import Job, WorkItem, WorkQueue
from berth_events.runtime.worker_pool import WorkerPool
from berth_testing.clocks import HeldClock


class Handler:
    """Fails so many times, then succeeds; then its result cannot be written so many times."""

    def __init__(self, error: Exception, times: int, unrecorded: int = 0) -> None:
        self.error, self.times, self.unrecorded = error, times, unrecorded
        self.runs = 0

    async def perform(self, job: Job) -> None:  # noqa: ARG002 - the signature of the protocol
        self.runs += 1
        if self.runs <= self.times:
            raise self.error

    async def record(self, connection: Connection, job: Job, result: None) -> None:  # noqa: ARG002 - as above
        if self.unrecorded:
            self.unrecorded -= 1
            raise self.error


@asynccontextmanager
async def running(pool: Pool, handler: Handler) -> AsyncIterator[HeldClock]:
    """One piece of work that is due, and workers on a clock of the test's."""
    clock = HeldClock()
    queue = WorkQueue(clock, default_limit=1, lease=timedelta(days=30))
    store = EventStore("/berth/connector", clock)
    async with pool.acquire() as connection:
        await queue.request(
            connection,
            [WorkItem(key=uuid4(), kind="verify", destination="imap.example", payload={}, event_id=uuid4())],
        )
    workers = WorkerPool(pool, queue, handler, store, clock, concurrency=1, rng=random.Random(1))
    task = asyncio.create_task(workers.run())
    try:
        yield clock
    finally:
        task.cancel()
        await asyncio.wait([task])


async def states_after(pool: Pool, clock: HeldClock, done: Callable[[], bool]) -> list[str]:
    """Let time pass until it is done and no run is under way."""
    while True:
        clock.advance(60)
        await asyncio.sleep(0.01)
        states = [row["state"] for row in await pool.fetch("SELECT state FROM work")]
        if done() and "leased" not in states and "ready" not in states:
            return states


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), asyncpg.CannotConnectNowError("starting")])
async def test_a_database_that_is_away_is_waited_for(pool: Pool, error: Exception) -> None:
    handler = Handler(error, times=20)
    async with asyncio.timeout(30), running(pool, handler) as clock:
        assert await states_after(pool, clock, lambda: handler.runs > handler.times) == []


async def test_what_was_done_is_written_when_the_database_is_back_and_not_done_again(pool: Pool) -> None:
    handler = Handler(asyncpg.CannotConnectNowError("starting"), times=0, unrecorded=5)
    async with asyncio.timeout(30), running(pool, handler) as clock:
        assert await states_after(pool, clock, lambda: handler.unrecorded == 0) == []
    assert handler.runs == 1


@pytest.mark.parametrize("error", [RuntimeError("a bug"), asyncpg.CheckViolationError("a value")])
async def test_a_run_that_crashes_is_set_aside_after_eight_times(pool: Pool, error: Exception) -> None:
    handler = Handler(error, times=100)
    async with asyncio.timeout(30), running(pool, handler) as clock:
        assert await states_after(pool, clock, lambda: handler.runs == 8) == ["failed"]
    assert handler.runs == 8
    assert await pool.fetchval("SELECT error FROM work") == type(error).__name__
