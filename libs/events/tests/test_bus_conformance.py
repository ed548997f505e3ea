"""What every bus promises, checked on each of them. Failures of the transport itself are in test_bus_failures.py."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from berth_events.runtime.bus import MAX_MESSAGE_BYTES, Bus, BusError, Message, Partition, Record, RecordTooLarge
from berth_events.runtime.kafka_bus import KafkaBus
from berth_events.runtime.postgres_bus import PostgresBus, partition_of
from berth_testing.bus import Journal, Member, Promises, Starts, Transport, eventually, fetched, messages, read_all
from berth_testing.memory_bus import MemoryBus

MEMORY = Promises(session_timeout=0.2, cooperative=True)
POSTGRES = Promises(session_timeout=1.5, cooperative=True)
KAFKA = Promises(session_timeout=6, cooperative=False)


@pytest.fixture(params=["memory", "postgres", pytest.param("kafka", marks=pytest.mark.kafka)])
def transport(request: pytest.FixtureRequest) -> Transport:
    if request.param == "memory":
        shared = MemoryBus(session_timeout=MEMORY.session_timeout)
        return Transport("memory", MEMORY, lambda: shared)
    if request.param == "postgres":
        dsn = request.getfixturevalue("database")
        return Transport("postgres", POSTGRES, lambda: PostgresBus(dsn, session_timeout=POSTGRES.session_timeout))
    bootstrap = request.getfixturevalue("kafka").bootstrap
    return Transport("kafka", KAFKA, lambda: KafkaBus(bootstrap, session_timeout=KAFKA.session_timeout))


@pytest.fixture
async def bus(transport: Transport) -> AsyncIterator[Bus]:
    bus = transport.connect()
    yield bus
    await bus.close()


@pytest.fixture
async def other(transport: Transport) -> AsyncIterator[Bus]:
    """The bus of another process."""
    bus = transport.connect()
    yield bus
    await bus.close()


@pytest.fixture
async def topic(bus: Bus) -> str:
    """A topic of two partitions."""
    return await make_topic(bus, 2)


@pytest.fixture(autouse=True)
async def nothing_leaks() -> AsyncIterator[None]:
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    yield
    assert asyncio.all_tasks() - tasks <= {asyncio.current_task()}
    assert open_sockets() <= sockets


def open_sockets() -> int:
    """How many sockets this process has (Linux; elsewhere 0)."""
    return sum("socket:" in str(fd.readlink()) for fd in Path("/proc/self/fd").glob("*") if fd.is_symlink())


async def make_topic(bus: Bus, partitions: int) -> str:
    topic = f"test.{uuid4()}"
    await bus.create_topics([topic], partitions=partitions)
    return topic


async def publish(bus: Bus, batch: list[Message]) -> None:
    producer = await bus.producer()
    try:
        assert all(await producer.publish(batch))
    finally:
        await producer.close()


async def test_a_key_stays_in_order_whoever_publishes(bus: Bus, other: Bus) -> None:
    topic = await make_topic(bus, 3)
    tail: dict[Partition, list[int]] = defaultdict(list)

    async def publisher(publisher_bus: Bus, name: int) -> None:
        producer = await publisher_bus.producer()
        for batch in range(10):
            assert all(
                await producer.publish(
                    [Message(topic, f"key-{n % 4}".encode(), f"{name}:{batch * 25 + n}".encode()) for n in range(25)]
                )
            )
        await producer.close()

    async def follow() -> None:
        consumer = await bus.consumer(group=str(uuid4()), topics=[topic], listener=Starts())
        while sum(map(len, tail.values())) < 1000:
            for partition, records in (await consumer.fetch(max_records=100, timeout=1)).items():
                tail[partition] += [record.offset for record in records]
        await consumer.close()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(follow())
        for name in range(4):
            group.create_task(publisher((bus, other)[name % 2], name))

    assert all(offsets == list(range(len(offsets))) for offsets in tail.values()), "read while others wrote: no gap"
    per_key: dict[tuple[bytes, str], list[int]] = defaultdict(list)
    partitions: dict[bytes, set[Partition]] = defaultdict(set)
    for partition, records in (await read_all(bus, topic)).items():
        for record in records:
            publisher_name, _, number = record.value.decode().partition(":")
            per_key[record.key, publisher_name].append(int(number))
            partitions[record.key].add(partition)
    assert sum(map(len, per_key.values())) == 1000
    assert all(numbers == sorted(set(numbers)) for numbers in per_key.values())
    assert all(len(where) == 1 for where in partitions.values())


async def test_the_partition_of_a_key_is_the_same_on_every_bus(bus: Bus) -> None:
    topic = await make_topic(bus, 12)
    await publish(bus, [Message(topic, f"account-{n}".encode(), b"") for n in range(12)])
    found = {record.key: partition.number for partition, rs in (await read_all(bus, topic)).items() for record in rs}
    assert found == {key: partition_of(key, 12) for key in found}


async def test_what_is_not_stored_is_delivered_again(bus: Bus, topic: str) -> None:
    await publish(bus, messages(topic, 20))
    seen = []
    for _ in range(2):
        consumer = await bus.consumer(group="again", topics=[topic], listener=Starts())
        read: list[tuple[Partition, int]] = []
        while len(read) < 20:
            for records in (await consumer.fetch(max_records=7, timeout=1)).values():
                read += [(record.partition, record.offset) for record in records]
        seen.append(sorted(read))
        await consumer.close()
    assert seen[0] == seen[1]


async def test_a_group_resumes_from_what_it_committed(bus: Bus, topic: str) -> None:
    await publish(bus, messages(topic, 40))
    group = str(uuid4())
    assert await bus.committed(group, [topic]) == {}
    ends = await bus.end_offsets([topic])
    half = {partition: end // 2 for partition, end in ends.items()}
    consumer = await bus.consumer(group=group, topics=[topic], listener=Starts())
    await eventually(lambda: fetched(consumer))
    await consumer.commit(half)
    await consumer.close()

    assert await bus.committed(group, [topic]) == half
    consumer = await bus.consumer(group=group, topics=[topic], listener=Starts(await bus.committed(group, [topic])))
    first: dict[Partition, int] = {}
    while len(first) < 2:
        for partition, records in (await consumer.fetch(max_records=100, timeout=1)).items():
            first.setdefault(partition, records[0].offset)
    await consumer.close()
    assert first == half


async def test_seek_goes_back_and_forth(bus: Bus) -> None:
    topic = await make_topic(bus, 1)
    partition = Partition(topic, 0)
    await publish(bus, messages(topic, 30))
    consumer = await bus.consumer(group=str(uuid4()), topics=[topic], listener=Starts({partition: 25}))

    async def next_offset() -> int:
        while not (found := await consumer.fetch(max_records=4, timeout=1)):
            pass
        return found[partition][0].offset

    assert await next_offset() == 25
    consumer.seek(partition, 3)
    assert await next_offset() == 3
    assert await next_offset() == 7
    consumer.seek(partition, 20)
    assert await next_offset() == 20
    consumer.seek(Partition(topic, 9), 3)  # of another member: no effect
    assert await next_offset() == 24
    await consumer.close()


async def test_an_offset_that_does_not_exist_is_an_error(bus: Bus) -> None:
    topic = await make_topic(bus, 1)
    await publish(bus, messages(topic, 3))
    consumer = await bus.consumer(group=str(uuid4()), topics=[topic], listener=Starts({Partition(topic, 0): 4}))
    with pytest.raises(BusError, match="4"):
        await eventually(lambda: fetched(consumer))
    await consumer.close()


async def test_paused_partitions_deliver_nothing_until_they_are_resumed(bus: Bus, topic: str) -> None:
    listener = Starts()
    consumer = await bus.consumer(group=str(uuid4()), topics=[topic], listener=listener)
    while len(listener.owned) < 2:
        await consumer.fetch(max_records=10, timeout=0.2)
    assert consumer.assignment == listener.owned
    stopped, flowing = sorted(listener.owned)
    await publish(bus, messages(topic, 40))  # both have some; what is prefetched counts as well
    await asyncio.sleep(0.2)
    consumer.pause(frozenset({stopped}))
    found: dict[Partition, list[Record]] = defaultdict(list)
    while not (batch := await consumer.fetch(max_records=5, timeout=0.7)) or len(found[flowing]) < 5:
        for partition, records in batch.items():
            found[partition] += records
    assert stopped not in found
    consumer.resume(frozenset({stopped}))
    while stopped not in (batch := await consumer.fetch(max_records=500, timeout=1)):
        pass
    assert batch[stopped][0].offset == 0
    assert consumer.assignment == {stopped, flowing}
    await consumer.close()


async def test_headers_are_kept_as_they_are(bus: Bus, topic: str) -> None:
    headers = (("ce_id", b"1"), ("binary", bytes(range(256))), ("ce_id", b"2"), ("empty", b""), ("ünï", b"x"))
    await publish(bus, [Message(topic, b"\x00key", b"\x00value", headers), Message(topic, b"", b"")])
    records = [record for rs in (await read_all(bus, topic)).values() for record in rs]
    full = next(record for record in records if record.key)
    assert (full.key, full.value, full.headers) == (b"\x00key", b"\x00value", headers)
    assert next(record for record in records if not record.key).headers == ()
    assert full.timestamp.tzinfo is not None


async def test_large_records_pass_and_too_large_ones_are_refused_before_anything_is_stored(
    bus: Bus, topic: str
) -> None:
    large = Message(topic, b"k", bytes(800_000))
    limit = Message(topic, b"k", bytes(MAX_MESSAGE_BYTES - 4), (("a", b"123"),))
    producer = await bus.producer()
    with pytest.raises(RecordTooLarge):
        await producer.publish([large, Message(topic, b"k", bytes(MAX_MESSAGE_BYTES - 4), (("a", b"1234"),))])
    assert sum((await bus.end_offsets([topic])).values()) == 0
    assert await producer.publish([large, limit, large]) == [True] * 3
    assert await producer.publish([]) == []
    await producer.close()
    records = [record for rs in (await read_all(bus, topic)).values() for record in rs]
    assert [len(record.value) for record in records] == [800_000, MAX_MESSAGE_BYTES - 4, 800_000]


async def test_end_offsets_are_where_the_next_record_goes(bus: Bus, topic: str) -> None:
    empty = await bus.end_offsets([topic])
    assert empty == {Partition(topic, 0): 0, Partition(topic, 1): 0}
    await publish(bus, messages(topic, 21))
    ends = await bus.end_offsets([topic])
    assert sum(ends.values()) == 21
    consumer = await bus.consumer(group=str(uuid4()), topics=[topic], listener=Starts())
    await eventually(lambda: fetched(consumer))
    assert await consumer.end_offsets(frozenset(ends)) == ends
    await consumer.close()


async def test_topics_are_created_once(bus: Bus, other: Bus) -> None:
    topics = [f"test.{uuid4()}" for _ in range(3)]
    await asyncio.gather(*(each.create_topics(topics, partitions=3) for each in (bus, other)))
    await bus.create_topics([*topics, f"test.{uuid4()}"], partitions=5)
    assert len(await bus.end_offsets(topics)) == 9
    with pytest.raises(BusError, match=r"topic"):
        await bus.end_offsets(["test.missing"])
    await bus.ping()


async def test_a_cancelled_fetch_loses_nothing(bus: Bus, topic: str) -> None:
    consumer = await bus.consumer(group=str(uuid4()), topics=[topic], listener=Starts())
    found: dict[Partition, list[int]] = defaultdict(list)
    publishing = asyncio.create_task(publish_slowly(bus, topic, 300))
    async with asyncio.timeout(30):
        while sum(map(len, found.values())) < 300:
            try:
                async with asyncio.timeout(0.005):
                    batch = await consumer.fetch(max_records=3, timeout=1)
            except TimeoutError:
                continue
            for partition, records in batch.items():
                found[partition] += [record.offset for record in records]
    await publishing
    await consumer.close()
    assert all(offsets == list(range(len(offsets))) for offsets in found.values())


async def publish_slowly(bus: Bus, topic: str, count: int) -> None:
    producer = await bus.producer()
    for begin in range(0, count, 10):
        assert all(await producer.publish(messages(topic, 10, begin=begin)))
        await asyncio.sleep(0.01)
    await producer.close()


@pytest.mark.parametrize("failing", ["assigned", "revoked"])
async def test_what_the_listener_raises_comes_out(bus: Bus, topic: str, failing: str) -> None:
    class Failing(Starts):
        async def assigned(self, partitions: frozenset[Partition]) -> dict[Partition, int]:
            if failing == "assigned":
                raise ZeroDivisionError
            return dict(await super().assigned(partitions))

        async def revoked(self, partitions: frozenset[Partition]) -> None:
            await super().revoked(partitions)
            raise ZeroDivisionError

    consumer = await bus.consumer(group=str(uuid4()), topics=[topic], listener=Failing())
    if failing == "assigned":
        with pytest.raises(ZeroDivisionError):
            await eventually(lambda: fetched(consumer))
        await consumer.close()
    else:
        while not consumer.assignment:
            await consumer.fetch(max_records=1, timeout=0.1)
        with pytest.raises(ZeroDivisionError):
            await consumer.close()
    with pytest.raises((BusError, ZeroDivisionError)):
        await consumer.fetch(max_records=1, timeout=1)


async def test_a_rebalance_waits_for_work_in_flight(bus: Bus, other: Bus, transport: Transport) -> None:
    topic = await make_topic(bus, 4)
    await publish(bus, messages(topic, 150, keys=40))
    group, journal = str(uuid4()), Journal()
    first, second = Member("first", journal, seconds=0.02), Member("second", journal, seconds=0.02)
    async with first.joined(bus, group, topic):
        await eventually(lambda: journal.by_member["first"] > 10)
        first.go_on.clear()
        async with second.joined(other, group, topic):
            await asyncio.sleep(1)
            assert second.owned == set()
            first.go_on.set()
            await eventually(lambda: len(first.owned) == len(second.owned) == 2)
            await eventually(lambda: journal.by_member["second"] > 10)
        assert second.owned == set()
        await eventually(lambda: len(first.owned) == 4)
        await eventually(lambda: sum(journal.handled.values()) >= 150)
    assert journal.faults == []
    assert set(journal.handled.values()) == {1}, "drained before it was given away, so nothing is handled twice"
    assert len(journal.handled) == 150
    if transport.promises.cooperative:
        assert len(journal.revoked["first"]) == 4  # two when the second came, four at its own end
    assert journal.owners == {}


async def test_the_partitions_of_a_crashed_member_go_to_the_survivor(
    bus: Bus, other: Bus, transport: Transport
) -> None:
    topic = await make_topic(bus, 2)
    await publish(bus, messages(topic, 40, keys=20))
    group = str(uuid4())
    crashed = await bus.consumer(group=group, topics=[topic], listener=Starts())
    held: set[tuple[Partition, int]] = set()
    while len({partition for partition, _ in held}) < 2:
        for partition, records in (await crashed.fetch(max_records=5, timeout=1)).items():
            held |= {(partition, record.offset) for record in records}
    await crashed.abandon()  # type: ignore[attr-defined]

    journal = Journal()
    began = asyncio.get_running_loop().time()
    async with Member("survivor", journal).joined(other, group, topic):
        await eventually(lambda: len(journal.handled) == 40)
    assert held <= set(journal.handled), "what was in flight is delivered again"
    assert asyncio.get_running_loop().time() - began < transport.promises.session_timeout + 4
    assert journal.faults == []
