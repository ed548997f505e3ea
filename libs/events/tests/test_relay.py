"""The relay: what it publishes in which order, what it deletes, and who may do it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from berth_events.contracts import Envelope, from_binary
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime import relay as relay_module
from berth_events.runtime.bus import Bus, BusError, Message
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Connection, Pool
from berth_events.runtime.relay import Relay
from berth_events.runtime.store import Context, EventStore
from berth_testing.clocks import HeldClock
from berth_testing.memory_bus import MemoryBus
from berth_testing.streams import resumed, suspended
from berth_testing.waiting import eventually, until

Publish = Callable[[Sequence[Message]], Awaitable[Sequence[bool]]]
Said = tuple[UUID, int]


def said(message: Message) -> Said:
    envelope = from_binary(message.headers, message.value)
    assert isinstance(envelope, Envelope)
    return envelope.data.aggregate_id, envelope.sequence


class ScriptedBus:
    """A bus whose producers do what the test says.

    Attributes:
        batches: what was published, producer by producer.
        script: answers to the next calls; then everything is acknowledged.
    """

    def __init__(self, *script: Publish) -> None:
        self.script = list(script)
        self.batches: list[list[list[Said]]] = []
        self.closed = 0

    async def producer(self) -> "ScriptedProducer":
        self.batches.append([])
        return ScriptedProducer(self, self.batches[-1])

    def published(self) -> list[Said]:
        return [each for producer in self.batches for batch in producer for each in batch]


class ScriptedProducer:
    def __init__(self, bus: ScriptedBus, batches: list[list[Said]]) -> None:
        self._bus, self._batches = bus, batches

    async def publish(self, messages: Sequence[Message]) -> Sequence[bool]:
        self._batches.append([said(message) for message in messages])
        if self._bus.script:
            return await self._bus.script.pop(0)(messages)
        return [True] * len(messages)

    async def close(self) -> None:
        self._bus.closed += 1


@asynccontextmanager
async def relaying(
    dsn: str, bus: object, store: EventStore, clock: Any = None
) -> AsyncIterator[tuple[Relay, "asyncio.Task[None]"]]:
    relay = Relay(dsn, cast("Bus", bus), store.appended, clock or SystemClock())
    task = asyncio.create_task(relay.run())
    try:
        yield relay, task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def append(pool: Pool, store: EventStore, stream: UUID, count: int = 1) -> None:
    async with pool.acquire() as connection, connection.transaction():
        version = await store.version(connection, stream)
        await store.append(connection, stream, version, [resumed(stream)] * count, Context())


async def waiting(pool: Pool) -> list[Said]:
    """What is in the outbox."""
    rows = await pool.fetch("SELECT headers FROM outbox ORDER BY position")
    return [(UUID(row["headers"]["ce_subject"]), int(row["headers"]["ce_sequence"])) for row in rows]


async def is_empty(pool: Pool) -> None:
    await eventually(lambda: waiting(pool), lambda rows: not rows, within=10, pause=0.01)


async def test_everything_is_published_in_order_and_gone(
    dsn: str, pool: Pool, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_BATCH", 7)
    a, b = uuid4(), uuid4()
    expected = []
    for _ in range(10):
        for stream in (a, b):
            await append(pool, store, stream, 2)
    expected = await waiting(pool)
    bus = MemoryBus()
    await bus.create_topics([ACCOUNTS], partitions=1)
    async with relaying(dsn, bus, store) as (relay, _):
        await is_empty(pool)
        assert relay.problem is None
    [records] = bus.records.values()
    published = [from_binary(record.headers, record.value) for record in records]
    envelopes = [each for each in published if isinstance(each, Envelope)]
    assert [(e.data.aggregate_id, e.sequence) for e in envelopes] == expected
    assert len(expected) == 40
    assert [record.key for record in records] == [e.key for e in envelopes]


async def test_a_row_stays_until_the_bus_has_acknowledged_it(dsn: str, pool: Pool, store: EventStore) -> None:
    arrived, acknowledge = asyncio.Event(), asyncio.Event()

    async def slowly(messages: Sequence[Message]) -> Sequence[bool]:
        arrived.set()
        await acknowledge.wait()
        return [True] * len(messages)

    stream = uuid4()
    await append(pool, store, stream)
    async with relaying(dsn, ScriptedBus(slowly), store):
        await arrived.wait()
        idle = await pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
        assert await waiting(pool) == [(stream, 1)]
        assert idle == 0, "a transaction is open during network I/O"
        acknowledge.set()
        await is_empty(pool)


async def test_what_was_not_acknowledged_of_a_key_stays_and_is_sent_again_in_order(
    dsn: str, pool: Pool, store: EventStore
) -> None:
    a, b = uuid4(), uuid4()
    for _ in range(3):
        await append(pool, store, a)
        await append(pool, store, b)
    left: list[Said] = []

    async def lose_a_from_two_on(messages: Sequence[Message]) -> Sequence[bool]:
        return [said(message) not in {(a, 2), (a, 3)} for message in messages]

    async def look(messages: Sequence[Message]) -> Sequence[bool]:
        left.extend(await waiting(pool))
        return [True] * len(messages)

    bus = ScriptedBus(lose_a_from_two_on, look)
    async with relaying(dsn, bus, store):
        await is_empty(pool)
    assert bus.batches == [[[(a, 1), (b, 1), (a, 2), (b, 2), (a, 3), (b, 3)]], [[(a, 2), (a, 3)]]]
    assert left == [(a, 2), (a, 3)]
    assert bus.closed == 2


@pytest.mark.parametrize("error", [BusError("gone"), OSError("gone"), TimeoutError()])
async def test_a_producer_that_failed_is_replaced_and_nothing_is_lost(
    dsn: str, pool: Pool, store: EventStore, error: Exception
) -> None:
    async def fail(_: Sequence[Message]) -> Sequence[bool]:
        raise error

    stream = uuid4()
    await append(pool, store, stream, 2)
    bus = ScriptedBus(fail, fail)
    async with relaying(dsn, bus, store) as (relay, _):
        await is_empty(pool)
        await append(pool, store, stream)
        store.notify()
        await is_empty(pool)
        assert relay.problem is None
        assert len(bus.batches) == 3, "the third producer works and is kept"
    assert bus.published() == [(stream, 1), (stream, 2)] * 3 + [(stream, 3)]
    assert bus.closed == 3


async def test_while_the_bus_is_away_the_relay_says_so_and_waits_longer_each_time(
    dsn: str, pool: Pool, store: EventStore
) -> None:
    bus, clock = MemoryBus(), HeldClock()
    await bus.create_topics([ACCOUNTS], partitions=1)
    bus.away = True
    await append(pool, store, uuid4())
    async with relaying(dsn, bus, store, clock) as (relay, _):

        async def pauses(seconds: float) -> None:
            """The relay is asleep for about so long."""
            await until(lambda: clock.sleeping)
            assert 0.5 * seconds <= clock.sleeping[0] <= 1.5 * seconds
            assert relay.problem == "relay: BusError"
            clock.advance(2 * seconds)

        for seconds in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5):
            await pauses(seconds)
        bus.away = False
        await is_empty(pool)
        await until(lambda: relay.problem is None)
        bus.away = True  # an accident of another day begins with the shortest pause again
        await append(pool, store, uuid4())
        await pauses(0.1)


async def test_only_one_relays_and_another_takes_over_when_its_connection_dies(
    dsn: str, pool: Pool, store: EventStore
) -> None:
    first, second, clock = ScriptedBus(), ScriptedBus(), HeldClock()
    stream = uuid4()
    async with relaying(dsn, first, store):
        await append(pool, store, stream)
        await is_empty(pool)
        async with relaying(dsn, second, EventStore("/berth/gateway", clock), clock) as (standing_by, _):
            await until(lambda: clock.sleeping)
            await append(pool, store, stream)
            await is_empty(pool)
            assert second.batches == [], "the second relays beside the first"
            assert standing_by.problem is None, "to stand by is no problem"

            stuck = asyncio.Event()

            async def while_it_publishes(messages: Sequence[Message]) -> Sequence[bool]:
                await pool.execute(
                    """SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
                          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
                )
                await eventually(locks, lambda count: count == 0, within=5, pause=0.01)
                clock.advance(1)
                await until(second.published)
                await stuck.wait()
                return [True] * len(messages)

            async def locks() -> int:
                held: int = await pool.fetchval(
                    """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
                          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
                )
                return held

            first.script.append(while_it_publishes)
            await append(pool, store, stream)
            await is_empty(pool)
            assert second.published() == [(stream, 3)]

            # the old leader learns of it when it wants to delete; then it stands by, and takes over when the new one fails
            async def fail(_: Sequence[Message]) -> Sequence[bool]:
                stuck.set()
                await until(lambda: first.closed == 1)
                assert await waiting(pool) == [(stream, 4)]
                raise BusError

            second.script.append(fail)
            await append(pool, store, stream)
            await is_empty(pool)
            assert second.published() == [(stream, 3), (stream, 4)]
            assert first.published() == [(stream, sequence) for sequence in (1, 2, 3, 4)]


async def test_a_commit_of_this_process_wakes_the_relay_at_once(
    dsn: str, pool: Pool, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_POLL_S", (30, 30))
    bus = ScriptedBus()
    async with relaying(dsn, bus, store):
        for count in range(1, 20):
            await append(pool, store, uuid4())
            store.notify()
            await until(lambda: len(bus.published()) == count, within=2)  # noqa: B023 - asked in this turn


async def test_what_another_process_committed_is_found_by_polling(dsn: str, pool: Pool, store: EventStore) -> None:
    bus = ScriptedBus()
    async with relaying(dsn, bus, store):
        await append(pool, store, uuid4())
        await is_empty(pool)
    assert len(bus.published()) == 1


async def test_large_events_are_taken_in_small_batches_and_the_largest_alone(
    dsn: str, pool: Pool, store: EventStore, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_BATCH_BYTES", 10_000)
    stream = uuid4()
    sizes = [100, 100, 20_000, 6_000, 6_000, 100, 100]
    await store.append(connection, stream, 0, [suspended(stream, "x" * size) for size in sizes], Context())
    bus = ScriptedBus()
    async with relaying(dsn, bus, store):
        await is_empty(pool)
    [batches] = bus.batches
    assert [len(batch) for batch in batches] == [3, 2, 2]
    assert [sequence for batch in batches for _, sequence in batch] == list(range(1, 8))


async def test_the_relay_survives_a_postgres_that_ends_all_its_connections(
    dsn: str, pool: Pool, store: EventStore
) -> None:
    bus, stream = ScriptedBus(), uuid4()
    async with relaying(dsn, bus, store):
        for _ in range(3):
            await append(pool, store, stream)
            await is_empty(pool)
            await pool.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'berth-relay'"
            )
        await append(pool, store, stream)
        await is_empty(pool)
    assert {sequence for _, sequence in bus.published()} == {1, 2, 3, 4}
