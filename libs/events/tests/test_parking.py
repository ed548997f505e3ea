"""What an operator does with parked keys, and how the consumer goes on."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast
from uuid import UUID, uuid4

import pytest

from berth_events.contracts import InvalidRecord
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime.bus import Bus, Consumer, Partition, Record
from berth_events.runtime.database import Pool
from berth_events.runtime.parking import NothingParked, ParkedKey, Parking
from berth_events.runtime.projection import SequenceGap
from berth_events.runtime.projector import Projector
from berth_testing.clocks import NOON, SteppingClock
from berth_testing.memory_bus import MemoryBus
from berth_testing.streams import Counted, record, records, resumed

HERE = Partition(ACCOUNTS, 0)


class Parked:
    """A stream whose second event could not be applied, and an operator."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.projection, self.clock = pool, Counted(), SteppingClock()
        self.parking = Parking(self.clock)
        self.projector = Projector(pool, cast("Bus", MemoryBus()), self.projection, self.parking, self.clock)
        self.stream, self.other = uuid4(), uuid4()
        self.offset = 0

    async def apply(self, *batch: tuple[UUID, int]) -> None:
        await self.take(records(*batch, first=self.offset))

    async def take(self, batch: Sequence[Record]) -> None:
        self.offset += len(batch)
        await self.projector.apply_records(cast("Consumer", None), HERE, batch)

    async def replay(self, consumer: str = "counted", topic: str = ACCOUNTS, key: str | None = None) -> int:
        async with self.pool.acquire() as connection, connection.transaction():
            return await self.parking.replay(connection, self.projection, consumer, topic, key or str(self.stream))

    async def discard(self, *, first_only: bool = False) -> int:
        async with self.pool.acquire() as connection, connection.transaction():
            return await self.parking.discard(connection, "counted", ACCOUNTS, str(self.stream), first_only=first_only)

    async def keys(self) -> list[ParkedKey]:
        async with self.pool.acquire() as connection:
            return await self.parking.keys(connection)

    async def applied(self, stream: UUID | None = None) -> list[int]:
        row = await self.pool.fetchrow("SELECT sequences FROM counted WHERE stream_id = $1", stream or self.stream)
        return list(row["sequences"]) if row else []


@pytest.fixture
async def parked(pool: Pool) -> Parked:
    parked = Parked(pool)
    await parked.projector.assigned(frozenset({HERE}))
    await parked.apply((parked.stream, 1))
    parked.projection.raises[parked.stream] = ValueError("a bug")
    await parked.apply((parked.stream, 2))
    await parked.apply((parked.other, 1), (parked.stream, 3))
    return parked


async def test_the_list_names_what_waits_and_why(parked: Parked) -> None:
    parked.clock.step(60)
    await parked.take([replace(record(resumed(parked.other), 2, parked.offset), value=b"no JSON")])
    first, second = await parked.keys()
    assert first == ParkedKey("counted", ACCOUNTS, str(parked.stream), "ValueError", 2, first.parked_at)
    assert NOON <= first.parked_at < second.parked_at
    assert second.key == str(parked.other)
    assert second.error.startswith("InvalidRecord: data")


async def test_the_events_are_shown_as_they_came(parked: Parked) -> None:
    async with parked.pool.acquire() as connection:
        shown = await parked.parking.show(connection, "counted", ACCOUNTS, str(parked.stream))
    assert [(each["partition"], each["offset"], each["headers"]["ce_type"]) for each in shown] == [
        (0, 1, "AccountResumed"),
        (0, 3, "AccountResumed"),
    ]
    assert shown[0]["value"] == resumed(parked.stream).model_dump_json()


async def test_a_replay_applies_in_order_and_the_stream_goes_on(parked: Parked) -> None:
    parked.projection.raises.clear()
    assert await parked.replay() == 2
    assert await parked.keys() == []
    await parked.apply((parked.stream, 4), (parked.other, 2))
    assert await parked.applied() == [1, 2, 3, 4]
    assert await parked.applied(parked.other) == [1, 2]


async def test_a_replay_that_fails_changes_nothing(parked: Parked) -> None:
    with pytest.raises(ValueError, match="a bug"):
        await parked.replay()
    assert await parked.applied() == [1]
    assert [key.events for key in await parked.keys()] == [2]
    await parked.apply((parked.stream, 4))
    assert [key.events for key in await parked.keys()] == [3]


async def test_an_event_that_was_parked_twice_is_replayed_once(parked: Parked) -> None:
    """The relay may publish it again, while its key is parked as well."""
    await parked.apply((parked.stream, 2), (parked.stream, 3), (parked.stream, 1), (parked.stream, 4))
    parked.projection.raises.clear()
    assert await parked.replay() == 3
    assert await parked.applied() == [1, 2, 3, 4]


async def test_a_gap_among_the_parked_is_found_when_they_are_replayed(parked: Parked) -> None:
    await parked.apply((parked.stream, 5))
    parked.projection.raises.clear()
    with pytest.raises(SequenceGap, match="5 after 3"):
        await parked.replay()
    assert await parked.applied() == [1]
    await parked.apply((parked.stream, 6))
    assert [key.events for key in await parked.keys()] == [4]


async def test_unknown_types_are_passed_over_in_a_replay_too(parked: Parked) -> None:
    newer = record(resumed(parked.stream), 4, parked.offset)
    headers = dict(newer.headers) | {"ce_type": b"Later", "ce_dataschema": b"urn:berth:event:Later:1"}
    await parked.take([replace(newer, headers=tuple(headers.items()))])
    await parked.apply((parked.stream, 5))
    parked.projection.raises.clear()
    assert await parked.replay() == 4
    await parked.apply((parked.stream, 6))
    assert await parked.applied() == [1, 2, 3, 5, 6]


async def test_after_a_discard_the_next_event_is_no_gap(parked: Parked) -> None:
    parked.projection.raises.clear()
    assert await parked.discard() == 2
    assert await parked.keys() == []
    await parked.apply((parked.stream, 3), (parked.stream, 4))
    assert await parked.applied() == [1, 4], "what was discarded stays discarded, also when it comes again"


async def test_what_is_no_event_cannot_be_replayed_and_its_discard_lets_the_stream_go_on(parked: Parked) -> None:
    poison = replace(record(resumed(parked.other), 2, parked.offset), value=b"no JSON")
    await parked.take([poison])
    await parked.apply((parked.other, 3))
    parked.stream = parked.other
    with pytest.raises(InvalidRecord):
        await parked.replay()
    assert await parked.discard() == 2
    await parked.apply((parked.other, 4))
    assert await parked.applied() == [1, 4]


async def test_the_first_is_discarded_alone_and_those_behind_it_are_applied(parked: Parked) -> None:
    parked.projection.raises.clear()
    assert await parked.discard(first_only=True) == 1
    [key] = await parked.keys()
    assert key.events == 1, "the key stays parked, so that nothing overtakes what is behind"
    await parked.apply((parked.stream, 4))
    assert await parked.replay() == 2
    assert await parked.keys() == []
    assert await parked.applied() == [1, 3, 4]


async def test_a_key_without_further_events_is_unblocked_by_the_discard_of_the_first(parked: Parked) -> None:
    assert await parked.discard(first_only=True) == 1
    assert await parked.discard(first_only=True) == 1
    assert await parked.keys() == []


@pytest.mark.parametrize(
    "headers", [(), (("ce_sequence", b"999999999999"), ("ce_subject", b"x" * 36)), (("\0", b"\0"),)]
)
async def test_whatever_was_parked_can_be_discarded(parked: Parked, headers: tuple[tuple[str, bytes], ...]) -> None:
    await parked.take([replace(record(resumed(parked.other), 2, parked.offset), headers=headers)])
    parked.stream = parked.other
    assert await parked.discard() == 1
    await parked.apply((parked.other, 2))
    assert await parked.applied() == [1, 2]


@pytest.mark.parametrize(
    "place",
    [("other", ACCOUNTS, None), ("counted", "berth.domains.v1", None), ("counted", ACCOUNTS, str(uuid4()))],
)
async def test_what_is_not_parked_is_not_replayed(parked: Parked, place: tuple[str, str, str | None]) -> None:
    with pytest.raises(NothingParked):
        await parked.replay(*place)


async def test_a_replay_and_the_consumer_do_not_cross(parked: Parked) -> None:
    """An event of the key that comes while the operator replays waits for the end of it, then is applied, not parked."""
    parked.projection.raises.clear()
    connection = await parked.pool.acquire()
    transaction = connection.transaction()
    await transaction.start()
    await parked.parking.replay(connection, parked.projection, "counted", ACCOUNTS, str(parked.stream))
    consuming = asyncio.create_task(parked.apply((parked.stream, 4)))
    await asyncio.sleep(0.1)
    assert not consuming.done()
    await transaction.commit()
    await parked.pool.release(connection)
    await consuming
    assert await parked.applied() == [1, 2, 3, 4]
    assert await parked.keys() == []


async def test_the_consumer_and_a_replay_do_not_cross_either(parked: Parked) -> None:
    """What the consumer is parking just now is replayed too, or stays parked; it is never passed over."""
    parked.projection.raises.clear()
    for sequence in range(4, 30):
        replayed, _ = await asyncio.gather(
            parked.replay(), parked.apply((parked.stream, sequence)), return_exceptions=True
        )
        assert isinstance(replayed, int | NothingParked), replayed
    if await parked.keys():
        await parked.replay()
    assert await parked.applied() == list(range(1, 30))
