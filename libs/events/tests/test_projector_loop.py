"""The projector in its loop: members that come and go, what is away for a while, and what stops it."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest

from berth_events.contracts import Envelope
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime.bus import BusError, Partition
from berth_events.runtime.database import Connection, Pool
from berth_events.runtime.parking import Parking
from berth_events.runtime.projector import Projector
from berth_events.runtime.store import Context, EventStore
from berth_testing.clocks import HeldClock, SteppingClock
from berth_testing.memory_bus import MemoryBus, MemoryConsumer
from berth_testing.streams import Counted, counted, message, parked, resumed
from berth_testing.waiting import until

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock

HERE = Partition(ACCOUNTS, 0)


class Running:
    """A projector in its loop, on a bus in memory."""

    def __init__(self, projector: Projector, bus: MemoryBus, projection: Counted, task: "asyncio.Task[None]") -> None:
        self.projector, self.bus, self.projection, self.task = projector, bus, projection, task
        self.consumers: list[MemoryConsumer] = []


@asynccontextmanager
async def running(
    pool: Pool, bus: MemoryBus, *, clock: "Clock | None" = None, store: EventStore | None = None
) -> AsyncIterator[Running]:
    projection, clock = Counted(), clock or SteppingClock()
    projector = Projector(pool, bus, projection, Parking(clock), clock, store=store)
    run = Running(projector, bus, projection, asyncio.create_task(projector.run()))
    try:
        yield run
    finally:
        run.task.cancel()
        await asyncio.wait([run.task])


@pytest.fixture
async def bus() -> MemoryBus:
    bus = MemoryBus()
    await bus.create_topics([ACCOUNTS], partitions=4)
    return bus


async def applied(pool: Pool, total: int) -> None:
    """Wait until so many events were applied."""
    async with asyncio.timeout(10):
        while await pool.fetchval("SELECT coalesce(sum(events), 0) FROM counted") < total:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_members_come_and_go_and_the_bus_repeats_itself_and_everything_is_applied_once(
    pool: Pool, bus: MemoryBus
) -> None:
    """Also when a member is taken for dead, goes on for a while, and comes back."""
    rng, streams = random.Random(4), [uuid4() for _ in range(12)]
    made: list[MemoryConsumer] = []
    consumer = bus.consumer

    async def remember(**arguments: Any) -> MemoryConsumer:
        made.append(await consumer(**arguments))
        return made[-1]

    bus.consumer = remember  # type: ignore[method-assign]
    for step in range(1, 41):
        for stream in rng.sample(streams, len(streams)):
            for sequence in range(max(1, step - rng.randrange(3)), step + 1):
                bus.store(message(resumed(stream), sequence))
    async with running(pool, bus) as first, running(pool, bus), running(pool, bus):
        for turn in range(8):
            await asyncio.sleep(0.03)
            if turn == 5:
                first.task.cancel()
            lost = rng.choice(made)
            if lost.assignment and not lost._closed and lost in lost._group.members:
                lost.lose()
        await applied(pool, 480)
    assert await counted(pool) == {stream: list(range(1, 41)) for stream in streams}
    assert await pool.fetchval("SELECT sum(next_offset) FROM consumer_offset") == sum(map(len, bus.records.values()))


async def test_it_begins_where_its_own_offset_is_whatever_the_bus_remembers(pool: Pool, bus: MemoryBus) -> None:
    a = uuid4()
    bus.store(message(resumed(a), 1))
    async with running(pool, bus):
        await applied(pool, 1)
    bus.store(message(resumed(a), 2))
    bus._groups["counted"].committed.clear()
    async with running(pool, bus) as again:
        await applied(pool, 2)
    assert again.projection.calls == [[2]]


async def test_the_offset_is_told_to_the_bus_for_whoever_measures_the_lag(pool: Pool, bus: MemoryBus) -> None:
    for _ in range(20):
        bus.store(message(resumed(uuid4()), 1))
    clock = HeldClock()
    async with running(pool, bus, clock=clock):
        await applied(pool, 20)
        assert await bus.committed("counted", [ACCOUNTS]) == {}
        clock.advance(1)
        bus.wake()
        await until(lambda: sum(bus._groups["counted"].committed.values()) == 20)


async def test_a_gap_makes_the_service_not_ready_and_leaves_the_group(pool: Pool, bus: MemoryBus) -> None:
    a = uuid4()
    bus.store(message(resumed(a), 1))
    async with running(pool, bus) as run:
        await applied(pool, 1)
        assert run.projector.problem is None
        bus.store(message(resumed(a), 3))
        await until(lambda: run.projector.stopped)
        assert run.projector.problem == f"counted stopped: SequenceGap: {ACCOUNTS} {a}: 3 after 1"
        assert bus._groups["counted"].members == []
        bus.store(message(resumed(uuid4()), 1))
        await asyncio.sleep(0.05)
        assert not run.task.done()
    assert await counted(pool) == {a: [1]}


async def test_too_much_poison_makes_the_service_not_ready(pool: Pool, bus: MemoryBus) -> None:
    for _ in range(200):
        bus.store(replace(message(resumed(uuid4()), 1), value=b"?"))
    async with running(pool, bus) as run:
        await until(lambda: run.projector.stopped)
        assert run.projector.problem is not None
        assert "TooManyParked" in run.projector.problem


async def test_a_bus_or_database_that_is_away_is_waited_for_and_nothing_is_skipped(pool: Pool, bus: MemoryBus) -> None:
    a, clock = uuid4(), HeldClock()
    async with running(pool, bus, clock=clock) as run:

        async def pauses(seconds: float, problem: str) -> None:
            await until(lambda: clock.sleeping)
            assert 0.5 * seconds <= clock.sleeping[0] <= 1.5 * seconds
            assert run.projector.problem == problem
            clock.advance(2 * seconds)

        await until(lambda: run.projector.problem is None)
        bus.away = True
        bus.wake()
        for seconds in (0.1, 0.2, 0.4):
            await pauses(seconds, "counted: BusError")
        bus.away = False
        bus.store(message(resumed(uuid4()), 1))
        await applied(pool, 1)
        await until(lambda: run.projector.problem is None)

        run.projection.raises[a] = asyncpg.AdminShutdownError("for maintenance")
        bus.store(message(resumed(a), 1))
        for seconds in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5):
            await pauses(seconds, "counted: AdminShutdownError")
        run.projection.raises.clear()
        await applied(pool, 2)
        await until(lambda: run.projector.problem is None)
        assert await parked(pool) == {}


async def test_the_whole_server_may_drop_its_connections(pool: Pool, bus: MemoryBus) -> None:
    a = uuid4()
    async with running(pool, bus):
        for sequence in range(1, 6):
            bus.store(message(resumed(a), sequence))
            await applied(pool, sequence)
            await pool.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
            )
            bus.store(message(resumed(a), sequence))
    assert await counted(pool) == {a: [1, 2, 3, 4, 5]}


async def test_what_a_projection_appends_wakes_the_relay(pool: Pool, bus: MemoryBus) -> None:
    store = EventStore("/berth/other", SteppingClock())
    a = uuid4()
    async with running(pool, bus, store=store) as run:
        apply = run.projection.apply

        async def and_say_so(connection: Connection, envelopes: Sequence[Envelope]) -> None:
            await apply(connection, envelopes)
            await store.append(connection, a, 0, [resumed(a)], Context.caused_by(envelopes[0]))

        run.projection.apply = and_say_so  # type: ignore[method-assign]
        bus.store(message(resumed(uuid4()), 1))
        async with asyncio.timeout(5):
            await store.appended.wait()
    async with pool.acquire() as connection:
        assert await store.version(connection, a) == 1


async def test_a_stuck_client_is_replaced(pool: Pool, bus: MemoryBus) -> None:
    a, clock = uuid4(), SteppingClock()
    bus.store(message(resumed(a), 1))
    consumer = bus.consumer
    made: list[MemoryConsumer] = []

    async def deaf_at_first(**arguments: Any) -> MemoryConsumer:
        made.append(await consumer(**arguments))
        if len(made) == 1:
            made[0]._take = lambda max_records: {}  # type: ignore[method-assign]  # noqa: ARG005
        return made[-1]

    bus.consumer = deaf_at_first  # type: ignore[method-assign]
    async with running(pool, bus, clock=clock) as run:
        async with asyncio.timeout(20):
            while not await pool.fetchval("SELECT count(*) FROM counted"):
                await asyncio.sleep(0.05)
                clock.step(8)
        assert len(made) == 2
        await until(lambda: run.projector.problem is None)


async def test_a_bus_that_is_away_at_the_start_is_a_problem_that_passes(pool: Pool, bus: MemoryBus) -> None:
    bus.away = True
    clock = HeldClock()
    async with running(pool, bus, clock=clock) as run:
        await until(lambda: clock.sleeping)
        assert run.projector.problem == f"counted: {BusError.__name__}"
        bus.away = False
        clock.advance(1)
        await until(lambda: run.projector.problem is None)
