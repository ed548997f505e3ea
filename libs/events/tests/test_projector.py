"""The projector: exactly once, in order, and what it does about records that cannot be applied."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast
from uuid import UUID, uuid4

import asyncpg
import pytest

from berth_events.contracts import Envelope
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime.bus import Bus, Consumer, Partition, Record
from berth_events.runtime.database import Connection, Pool
from berth_events.runtime.parking import Parking
from berth_events.runtime.projection import SequenceGap, TooManyParked
from berth_events.runtime.projector import Projector
from berth_events.runtime.store import ConcurrencyConflict
from berth_testing.clocks import HeldClock, SteppingClock
from berth_testing.memory_bus import MemoryBus
from berth_testing.streams import Counted, counted, key, parked, record, records, resumed
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
