import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from berth_events.runtime import postgres_consumer
from berth_events.runtime.bus import BusError, Message, Partition
from berth_events.runtime.postgres_bus import PostgresBus, partition_of
from berth_testing.bus import Starts, eventually, fetched, messages


@pytest.fixture
async def bus(database: str) -> AsyncIterator[PostgresBus]:
    bus = PostgresBus(database, session_timeout=1)
    yield bus
    await bus.close()


@pytest.mark.parametrize(
    ("key", "murmur2"),
    [  # from UtilsTest.java of Apache Kafka
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_keys_are_spread_as_kafka_spreads_them(key: str, murmur2: int) -> None:
    assert partition_of(key.encode(), 12) == (murmur2 & 0x7FFFFFFF) % 12


async def test_a_member_whose_session_ended_is_fenced(bus: PostgresBus, database: str) -> None:
    topic, group = f"test.{uuid4()}", str(uuid4())
    partition = Partition(topic, 0)
    await bus.create_topics([topic], partitions=1)
    await (await bus.producer()).publish(messages(topic, 10))
    old_listener, new_listener = Starts(), Starts()
    old = await bus.consumer(group=group, topics=[topic], listener=old_listener)
    await eventually(lambda: fetched(old))
    assert isinstance(old, postgres_consumer.PostgresConsumer)
    for task in old._tasks:  # it stalls: no sign of life, and it does not learn of what happens
        task.cancel()
    new = await bus.consumer(group=group, topics=[topic], listener=new_listener)
    await eventually(lambda: fetched(new))
    await new.commit({partition: 7})

    assert old.assignment == {partition}, "it still believes so"
    await old.commit({partition: 3})
    assert await bus.committed(group, [topic]) == {partition: 7}
    assert await old.fetch(max_records=10, timeout=0.1) == {}

    old._tasks = [asyncio.create_task(old._guard(old._keep_session()))]
    with pytest.raises(BusError, match="session"):
        await eventually(lambda: fetched(old))
    await old.close()
    assert old_listener.owned == set()
    await new.close()
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM bus.member") == 0
    assert await connection.fetchval("SELECT count(owner) FROM bus.assignment") == 0
    await connection.close()


async def test_a_publication_of_the_same_process_wakes_the_reader(
    bus: PostgresBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_consumer, "_POLL_S", (30, 30))
    topic = f"test.{uuid4()}"
    await bus.create_topics([topic], partitions=1)
    consumer = await bus.consumer(group="g", topics=[topic], listener=Starts())
    async with asyncio.timeout(10):
        while not consumer.assignment:
            await consumer.fetch(max_records=1, timeout=0.1)
        reading = asyncio.create_task(consumer.fetch(max_records=1, timeout=30))
        await asyncio.sleep(0.1)
        await (await bus.producer()).publish(messages(topic, 1))
        assert await reading
    await consumer.close()


async def test_a_topic_that_is_created_later_is_taken_up(bus: PostgresBus) -> None:
    early, late = f"test.{uuid4()}", f"test.{uuid4()}"
    await bus.create_topics([early], partitions=1)
    consumer = await bus.consumer(group="g", topics=[early, late], listener=Starts())
    async with asyncio.timeout(10):
        while not consumer.assignment:
            await consumer.fetch(max_records=1, timeout=0.1)
        await bus.create_topics([late], partitions=2)
        while len(consumer.assignment) < 3:
            await consumer.fetch(max_records=1, timeout=0.1)
    await consumer.close()


async def test_a_batch_has_a_limit_in_bytes(bus: PostgresBus) -> None:
    topic = f"test.{uuid4()}"
    await bus.create_topics([topic], partitions=1)
    producer = await bus.producer()
    await producer.publish([Message(topic, b"k", bytes([n]) * 400_000) for n in range(6)])
    consumer = await bus.consumer(group="g", topics=[topic], listener=Starts())
    sizes: list[int] = []
    async with asyncio.timeout(10):
        while sum(sizes) < 6:
            sizes += [len(rs) for rs in (await consumer.fetch(max_records=500, timeout=1)).values()]
    assert sizes == [3, 3]
    await consumer.close()


async def test_a_bus_without_its_schema_says_so(bus: PostgresBus) -> None:
    with pytest.raises(BusError, match="bus"):
        await (await bus.producer()).publish(messages("test.none", 1))
    consumer = await bus.consumer(group="g", topics=["test.none"], listener=Starts())
    with pytest.raises(BusError, match="bus"):
        await eventually(lambda: fetched(consumer))
    await consumer.close()
