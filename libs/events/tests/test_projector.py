"""The projector: exactly once, in order, and what it does about records that cannot be applied."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import asyncpg
import pytest

from berth_events.contracts import Envelope
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime.bus import Bus, BusError, Consumer, Partition, Record
from berth_events.runtime.database import Connection, Pool
from berth_events.runtime.parking import Parking
from berth_events.runtime.progress import ProgressWatch, Stuck
from berth_events.runtime.projector import Projector, SequenceGap, TooManyParked
from berth_events.runtime.store import ConcurrencyConflict, Context, EventStore
from berth_testing.clocks import HeldClock, SteppingClock
from berth_testing.memory_bus import MemoryBus, MemoryConsumer
from berth_testing.streams import Counted, message, record, records, resumed
from berth_testing.waiting import until

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock

HERE = Partition(ACCOUNTS, 0)


class Seeks:
    """A consumer of which only `seek` is asked."""

    def __init__(self) -> None:
        self.sought: list[int] = []

    def seek(self, partition: Partition, offset: int) -> None:
        assert partition == HERE
        self.sought.append(offset)


class Driven:
    """A projector that owns one partition, and is handed batches."""

    def __init__(self, pool: Pool, projection: Counted, clock: "Clock | None" = None) -> None:
        clock = clock or SteppingClock()
        self.pool, self.projection, self.consumer = pool, projection, Seeks()
        self.projector = Projector(pool, cast("Bus", MemoryBus()), projection, Parking(clock), clock)

    async def apply(self, batch: Sequence[Record]) -> None:
        await self.projector.apply_records(cast("Consumer", self.consumer), HERE, batch)

    async def offset(self) -> int:
        offset: int = await self.pool.fetchval(
            "SELECT next_offset FROM consumer_offset WHERE consumer = $1", self.projector.name
        )
        return offset


@pytest.fixture
async def driven(pool: Pool) -> Driven:
    driven = Driven(pool, Counted())
    await driven.projector.assigned(frozenset({HERE}))
    return driven


async def counted(pool: Pool) -> dict[UUID, list[int]]:
    """The sequences that were applied of each stream."""
    rows = await pool.fetch("SELECT stream_id, events, sequences FROM counted")
    assert all(row["events"] == len(row["sequences"]) for row in rows)
    return {row["stream_id"]: row["sequences"] for row in rows}


async def parked(pool: Pool) -> dict[bytes, tuple[str, list[int]]]:
    """The parked keys: why, and which offsets wait."""
    rows = await pool.fetch(
        """SELECT key, error, array_agg("offset" ORDER BY "offset") AS offsets
             FROM parked_key JOIN parked_event USING (consumer, topic, key) GROUP BY key, error"""
    )
    return {row["key"]: (row["error"], row["offsets"]) for row in rows}


def key(stream: UUID) -> bytes:
    return str(stream).encode()


# -- order and duplicates


async def test_a_batch_its_offset_and_its_sequences_are_one_transaction(driven: Driven, pool: Pool) -> None:
    a, b = uuid4(), uuid4()
    await driven.apply(records((a, 1), (b, 1), (a, 2)))
    assert await counted(pool) == {a: [1, 2], b: [1]}
    assert await driven.offset() == 3
    assert driven.projection.calls == [[1, 1, 2]], "one call for the batch"

    driven.projection.raises[b] = OSError("the network has no place here")
    with pytest.raises(OSError, match="no place"):
        await driven.apply(records((a, 3), (b, 2), first=3))
    assert await counted(pool) == {a: [1, 2], b: [1]}
    assert await driven.offset() == 3
    assert await parked(pool) == {}


async def test_an_event_that_was_published_twice_is_applied_once(driven: Driven, pool: Pool) -> None:
    a, b = uuid4(), uuid4()
    await driven.apply(records((a, 1), (b, 1), (a, 2), (a, 1), (a, 2), (b, 1), (a, 3)))
    await driven.apply(records((a, 2), (a, 3), (b, 2), first=7))
    assert await counted(pool) == {a: [1, 2, 3], b: [1, 2]}
    assert await driven.offset() == 10


async def test_records_that_are_delivered_again_change_nothing(driven: Driven, pool: Pool) -> None:
    a = uuid4()
    batch = records((a, 1), (a, 2), (a, 3), (a, 4))
    await driven.apply(batch[:3])
    await driven.apply(batch)
    assert await counted(pool) == {a: [1, 2, 3]}
    assert driven.consumer.sought == [3], "it goes on where its offset is"
    await driven.apply(batch[3:])
    assert await counted(pool) == {a: [1, 2, 3, 4]}


async def test_a_consumer_that_was_left_behind_writes_nothing(driven: Driven, pool: Pool) -> None:
    """Both hold the partition for a moment, as they may in a rebalance of Kafka."""
    other = Driven(pool, Counted())
    await other.projector.assigned(frozenset({HERE}))
    a = uuid4()
    batch = records((a, 1), (a, 2), (a, 3))
    await driven.apply(batch[:2])
    await other.apply(batch)
    assert other.projection.calls == []
    assert other.consumer.sought == [2]
    await other.apply(batch[2:])
    await driven.apply(batch[2:])
    assert await counted(pool) == {a: [1, 2, 3]}
    assert driven.consumer.sought == [3]


async def test_two_consumers_at_the_same_moment_apply_a_batch_once(driven: Driven, pool: Pool) -> None:
    others = [driven, *(Driven(pool, Counted()) for _ in range(4))]
    for other in others[1:]:
        await other.projector.assigned(frozenset({HERE}))
    streams = [uuid4() for _ in range(5)]
    for step in range(10):
        batch = records(*((stream, step + 1) for stream in streams), first=step * 5)
        await asyncio.gather(*(other.apply(batch) for other in others))
    assert await counted(pool) == {stream: list(range(1, 11)) for stream in streams}
    assert await driven.offset() == 50


async def test_a_partition_that_was_revoked_is_not_written(driven: Driven, pool: Pool) -> None:
    await driven.projector.revoked(frozenset({HERE}))
    await driven.apply(records((uuid4(), 1)))
    assert await counted(pool) == {}
    assert driven.projection.calls == []


async def test_a_revocation_waits_for_the_batch_in_flight(driven: Driven, pool: Pool) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()
    apply = driven.projection.apply

    async def slowly(connection: Connection, envelopes: Sequence[Envelope]) -> None:
        entered.set()
        await leave.wait()
        await apply(connection, envelopes)

    driven.projection.apply = slowly  # type: ignore[method-assign]
    a = uuid4()
    applying = asyncio.create_task(driven.apply(records((a, 1))))
    await entered.wait()
    revoking = asyncio.create_task(driven.projector.revoked(frozenset({HERE})))
    await asyncio.sleep(0.05)
    assert not revoking.done()
    leave.set()
    await revoking
    assert await counted(pool) == {a: [1]}
    await applying


async def test_a_revocation_does_not_wait_until_all_poison_of_a_batch_was_tried(pool: Pool) -> None:
    """Otherwise the group would give the partition away while it is written."""
    clock = HeldClock()
    driven = Driven(pool, Counted(), clock)
    await driven.projector.assigned(frozenset({HERE}))
    a, b = uuid4(), uuid4()
    driven.projection.raises = dict.fromkeys((a, b), ValueError("poison"))
    applying = asyncio.create_task(driven.apply(records((a, 1), (b, 1))))
    await until(lambda: clock.sleeping)
    await asyncio.wait_for(driven.projector.revoked(frozenset({HERE})), 5)
    clock.advance(10)
    await applying
    assert await parked(pool) == {}
    assert await driven.offset() == 0


@pytest.mark.parametrize("ahead", [2, 9])
async def test_a_gap_in_a_stream_stops_the_consumer(driven: Driven, pool: Pool, ahead: int) -> None:
    a, b = uuid4(), uuid4()
    await driven.apply(records((a, 1)))
    with pytest.raises(SequenceGap, match=str(b)):
        await driven.apply(records((a, 2), (b, ahead), first=1))
    assert await counted(pool) == {a: [1]}, "nothing of the batch was written"
    assert await driven.offset() == 1


async def test_records_that_the_bus_has_dropped_stop_the_consumer(driven: Driven) -> None:
    a = uuid4()
    await driven.apply(records((a, 1)))
    with pytest.raises(SequenceGap, match="offset 1 is gone, the next is 5"):
        await driven.apply(records((a, 2), first=5))


# -- poison


def unreadable(stream: UUID, sequence: int, offset: int) -> Record:
    return replace(record(resumed(stream), sequence, offset), value=b"{}")


async def test_poison_is_parked_with_its_key_and_the_others_flow(driven: Driven, pool: Pool) -> None:
    a, b = uuid4(), uuid4()
    await driven.apply(records((a, 1), (b, 1)))
    await driven.apply(
        [unreadable(a, 2, 2), record(resumed(b), 2, 3), record(resumed(a), 3, 4), record(resumed(b), 3, 5)]
    )
    await driven.apply(records((a, 4), (b, 4), first=6))
    assert await counted(pool) == {a: [1], b: [1, 2, 3, 4]}
    error, offsets = (await parked(pool))[key(a)]
    assert offsets == [2, 4, 6], "what came later waits behind it"
    assert error.startswith("InvalidRecord: ")
    assert await driven.offset() == 8


async def test_a_bug_of_the_projection_is_tried_three_times_then_parked(driven: Driven, pool: Pool) -> None:
    a, b = uuid4(), uuid4()
    driven.projection.raises[a] = KeyError("secret of the handler")
    await driven.apply(records((b, 1), (a, 1), (b, 2), (a, 2)))
    assert await counted(pool) == {b: [1, 2]}, "nothing remains of the tries"
    assert await parked(pool) == {key(a): ("KeyError", [1, 3])}
    assert driven.projection.calls == [[1, 1, 2, 2], [1], [1], [1], [1], [2]], "the batch, b, three times a, b"


async def test_a_bug_that_passes_is_no_poison(driven: Driven, pool: Pool) -> None:
    a = uuid4()
    driven.projection.raises[a] = KeyError("for now")
    apply, tries = driven.projection.apply, 0

    async def mended_after_two(connection: Connection, envelopes: Sequence[Envelope]) -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            driven.projection.raises.clear()
        await apply(connection, envelopes)

    driven.projection.apply = mended_after_two  # type: ignore[method-assign]
    await driven.apply(records((a, 1)))
    assert await counted(pool) == {a: [1]}
    assert await parked(pool) == {}


async def test_the_database_refusing_a_value_is_the_records_failure(driven: Driven, pool: Pool) -> None:
    """An error of asyncpg or Postgres about the statement never means that the database is away."""
    a, b = uuid4(), uuid4()

    async def badly(connection: Connection, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            if envelope.data.aggregate_id == a:
                await connection.execute("SELECT $1::int", "no number")
            await connection.execute("INSERT INTO counted VALUES ($1, 1, '{1}')", envelope.data.aggregate_id)

    driven.projection.apply = badly  # type: ignore[method-assign]
    await driven.apply(records((a, 1), (b, 1)))
    assert await counted(pool) == {b: [1]}
    assert await parked(pool) == {key(a): ("DataError", [0])}


@pytest.mark.parametrize(
    "error",
    [
        OSError("refused"),
        TimeoutError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.CannotConnectNowError(),
        asyncpg.AdminShutdownError(),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.DiskFullError(),
        asyncpg.DeadlockDetectedError(),
        ConcurrencyConflict(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_not_the_records_failure_skips_nothing(driven: Driven, pool: Pool, error: Exception) -> None:
    a = uuid4()
    driven.projection.raises[a] = error
    with pytest.raises(type(error)):
        await driven.apply(records((a, 1), (uuid4(), 1)))
    assert await counted(pool) == {}
    assert await parked(pool) == {}
    assert await driven.offset() == 0


@pytest.mark.parametrize(
    "error", [ConcurrencyConflict(), asyncpg.DeadlockDetectedError(), asyncpg.SerializationError()]
)
async def test_who_was_in_the_way_is_waited_for(driven: Driven, pool: Pool, error: Exception) -> None:
    a = uuid4()
    driven.projection.raises[a] = error
    apply = driven.projection.apply

    async def once(connection: Connection, envelopes: Sequence[Envelope]) -> None:
        try:
            await apply(connection, envelopes)
        finally:
            driven.projection.raises.clear()

    driven.projection.apply = once  # type: ignore[method-assign]
    await driven.apply(records((a, 1), (a, 2)))
    assert await counted(pool) == {a: [1, 2]}


async def test_nothing_a_record_holds_can_keep_it_from_being_parked_and_replayed_as_it_was(
    driven: Driven, pool: Pool
) -> None:
    a = uuid4()
    strange = replace(
        unreadable(a, 1, 0), headers=(("n\0me", b"\0\xff"), ("", b"")), value=b"\0\xff{", key=key(a) + b"\xc3\xa4"
    )
    await driven.apply([strange])
    async with pool.acquire() as connection:
        parking = Parking(SteppingClock())
        [listed] = await parking.keys(connection)
        [shown] = await parking.show(connection, "counted", ACCOUNTS, listed.key)
    assert listed.key == f"{a}ä"
    assert shown["headers"] == {"n\0me": "\0\\xff", "": ""}
    assert shown["value"] == "\0\\xff{"


async def test_events_of_types_to_come_are_passed_over_and_counted_for_the_order(driven: Driven, pool: Pool) -> None:
    a, b = uuid4(), uuid4()

    def newer(sequence: int, offset: int, **attributes: str) -> Record:
        made = record(resumed(a), sequence, offset)
        headers = dict(made.headers) | {name: text.encode() for name, text in attributes.items()}
        return replace(made, headers=tuple(headers.items()))

    schema = "urn:berth:event:"
    await driven.apply(
        [
            newer(1, 0, ce_type="AccountPraised", ce_dataschema=f"{schema}AccountPraised:1"),
            newer(2, 1, ce_dataschema=f"{schema}AccountResumed:7"),
            record(resumed(a), 3, 2),
            newer(4, 3, ce_type="AccountPraised", ce_dataschema=f"{schema}AccountPraised:1"),
        ]
    )
    assert await counted(pool) == {a: [3]}
    with pytest.raises(SequenceGap):
        await driven.apply(records((a, 6), first=4))
    await driven.apply(records((a, 5), (b, 1), first=4))
    assert await counted(pool) == {a: [3, 5], b: [1]}


async def test_twenty_in_a_row_stop_the_consumer(driven: Driven, pool: Pool) -> None:
    await driven.apply([unreadable(uuid4(), 1, offset) for offset in range(19)])
    with pytest.raises(TooManyParked, match="20 events in a row"):
        await driven.apply([unreadable(uuid4(), 1, 19)])
    assert len(await parked(pool)) == 20
    assert await driven.offset() == 20, "after a restart it goes on behind them"


async def test_twenty_among_others_do_not(driven: Driven, pool: Pool) -> None:
    """In one batch, and over several, as long as something can be applied between them."""
    mixed = [
        unreadable(uuid4(), 1, offset) if offset % 3 else record(resumed(uuid4()), 1, offset) for offset in range(60)
    ]
    await driven.apply(mixed)
    await driven.apply([unreadable(uuid4(), 1, offset) for offset in range(60, 77)])
    await driven.apply(records((uuid4(), 1), first=77))
    await driven.apply([unreadable(uuid4(), 1, offset) for offset in range(78, 97)])
    assert len(await parked(pool)) == 40 + 17 + 19


async def test_what_waits_behind_poison_is_no_poison_itself(driven: Driven, pool: Pool) -> None:
    a = uuid4()
    await driven.apply([unreadable(a, 1, 0), *records(*((a, 2 + n) for n in range(100)), first=1)])
    assert len((await parked(pool))[key(a)][1]) == 101


async def test_twenty_bugs_of_the_projection_in_a_row_stop_the_consumer(driven: Driven, pool: Pool) -> None:
    streams = [uuid4() for _ in range(40)]
    driven.projection.raises = dict.fromkeys(streams, ValueError("the code is wrong"))
    with pytest.raises(TooManyParked):
        await driven.apply(records(*((stream, 1) for stream in streams)))
    assert len(await parked(pool)) == 20
    assert await driven.offset() == 20


# -- the loop


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


# -- the watchdog


class Ends:
    """A bus of which only the ends are asked."""

    def __init__(self, **ends: int) -> None:
        self.ends = {Partition(ACCOUNTS, int(number.removeprefix("p"))): end for number, end in ends.items()}

    async def end_offsets(self, topics: Sequence[str]) -> Mapping[Partition, int]:
        assert topics == [ACCOUNTS]
        return self.ends


class Watched:
    def __init__(self, pool: Pool, ends: Ends) -> None:
        self.pool, self.ends, self.clock = pool, ends, SteppingClock()
        self.watch = ProgressWatch(pool, cast("Bus", ends), [ACCOUNTS], "counted", self.clock)

    async def at(self, **offsets: int) -> None:
        await self.pool.executemany(
            """INSERT INTO consumer_offset VALUES ('counted', $1, $2, $3)
               ON CONFLICT (consumer, topic, partition) DO UPDATE SET next_offset = excluded.next_offset""",
            [(ACCOUNTS, int(number.removeprefix("p")), offset) for number, offset in offsets.items()],
        )

    async def check(self, *owned: int) -> None:
        self.clock.step(15)
        await self.watch.check([Partition(ACCOUNTS, number) for number in owned])


async def test_lag_that_does_not_move_is_noticed_at_the_second_look(pool: Pool) -> None:
    watched = Watched(pool, Ends(p0=5, p1=5))
    await watched.at(p0=5, p1=3)
    await watched.check(0, 1)
    with pytest.raises(Stuck, match=f"{ACCOUNTS}/1 "):
        await watched.check(0, 1)


async def test_a_partition_of_ours_is_noticed_even_if_others_move(pool: Pool) -> None:
    watched = Watched(pool, Ends(p0=50, p1=5))
    await watched.at(p0=10, p1=3)
    await watched.check(1)
    await watched.at(p0=20)
    with pytest.raises(Stuck):
        await watched.check(1)


async def test_the_slowness_of_another_member_is_not_ours(pool: Pool) -> None:
    watched = Watched(pool, Ends(p0=50, p1=5, p2=9))
    await watched.at(p0=10, p1=5, p2=1)
    await watched.check(1)
    await watched.at(p0=20)
    await watched.check(1)


async def test_a_group_of_which_nobody_moves_is_noticed_by_a_member_without_partitions(pool: Pool) -> None:
    watched = Watched(pool, Ends(p0=50))
    await watched.check()
    with pytest.raises(Stuck):
        await watched.check()


async def test_being_caught_up_is_progress_and_so_is_every_record(pool: Pool) -> None:
    watched = Watched(pool, Ends(p0=5))
    await watched.at(p0=5)
    for _ in range(3):
        await watched.check(0)
    watched.ends.ends[Partition(ACCOUNTS, 0)] = 6
    await watched.check(0)
    await watched.at(p0=6)
    watched.ends.ends[Partition(ACCOUNTS, 0)] = 9
    await watched.check(0)
    watched.clock.step(14)
    watched.watch.advanced()
    watched.clock.step(14)
    await watched.watch.check([Partition(ACCOUNTS, 0)])


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
