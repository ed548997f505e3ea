"""What every bus still promises when its transport fails: nothing acknowledged is lost, a key stays in order, close ends."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

import pytest

from berth_events.runtime.bus import Bus, BusError, Message, Partition, Producer, Record
from berth_events.runtime.kafka_bus import KafkaBus
from berth_events.runtime.postgres_bus import PostgresBus
from berth_local.kafka import Cluster
from berth_local.postgres import Postgres
from berth_testing.bus import Starts, eventually, fetched, messages, read_all
from berth_testing.kafka import MakeCluster


@dataclass(frozen=True, slots=True)
class Breakable:
    """A transport of the test's own.

    Attributes:
        connect: makes a bus.
        kill: kill -9 of its server.
        start: starts it again, on the same data and address.
    """

    connect: Callable[[], Bus]
    kill: Callable[[], Awaitable[None]]
    start: Callable[[], Awaitable[None]]


@pytest.fixture(params=["postgres", pytest.param("kafka", marks=pytest.mark.kafka)])
async def breakable(request: pytest.FixtureRequest, make_cluster: MakeCluster) -> AsyncIterator[Breakable]:
    if request.param == "kafka":
        cluster = make_cluster(1)

        async def start() -> None:
            await asyncio.to_thread(cluster.start)
            await cluster.ready()

        await start()
        yield Breakable(
            lambda: KafkaBus(cluster.bootstrap, session_timeout=6), lambda: asyncio.to_thread(cluster.kill, 1), start
        )
        return
    directory = tempfile.mkdtemp(prefix="berth-pg-")
    os.chmod(directory, 0o755)  # noqa: PTH101 - as root the server runs as `nobody`, who has to enter it
    server = Postgres(f"{directory}/pg", fsync=True)

    def kill() -> None:
        assert server.process
        server.process.kill()
        server.process.wait(10)

    async def restart() -> None:
        await asyncio.to_thread(server.start)

    await restart()
    yield Breakable(lambda: PostgresBus(server.dsn), lambda: asyncio.to_thread(kill), restart)
    await asyncio.to_thread(server.stop)
    shutil.rmtree(directory)


class Publisher:
    """Publishes numbers on keys as the relay does: again from the first that was not acknowledged, with a new producer."""

    def __init__(self, bus: Bus, topic: str, *, keys: int = 10) -> None:
        self._bus, self._topic, self._keys = bus, topic, keys
        self.acknowledged: list[int] = []
        self.failures = 0

    async def publish_until(self, enough: Callable[[], bool], *, batch: int) -> None:
        producer: Producer | None = None
        waiting: list[Message] = []
        number = 0
        try:
            while not enough():
                try:
                    producer = producer or await self._bus.producer()
                    more = batch - len(waiting)
                    waiting += messages(self._topic, more, keys=self._keys, begin=number)
                    number += more
                    stored = await producer.publish(waiting)
                except BusError:
                    stored = [False] * len(waiting)
                self.acknowledged += [int(m.value) for m, ok in zip(waiting, stored, strict=True) if ok]
                waiting = [message for message, ok in zip(waiting, stored, strict=True) if not ok]
                if waiting:
                    self.failures += 1
                    if producer is not None:
                        await producer.close()
                    producer = None
                    await asyncio.sleep(0.1)
        finally:
            if producer is not None:
                await producer.close()


def check(acknowledged: Sequence[int], found: dict[Partition, list[Record]]) -> None:
    """Nothing acknowledged is lost, and a key's numbers ascend but for repetitions of what was sent again."""
    per_key: dict[bytes, list[int]] = defaultdict(list)
    for records in found.values():
        for record in records:
            per_key[record.key].append(int(record.value))
    assert set(acknowledged) <= {number for numbers in per_key.values() for number in numbers}
    for numbers in per_key.values():
        firsts = list(dict.fromkeys(numbers))
        assert firsts == sorted(firsts)


async def test_clients_live_through_a_kill_and_restart_of_the_transport(breakable: Breakable) -> None:
    bus = breakable.connect()
    topic, group = f"test.{uuid4()}", str(uuid4())
    await bus.create_topics([topic], partitions=3)
    publisher, listener = Publisher(bus, topic), Starts()
    consumed: dict[Partition, list[Record]] = defaultdict(list)
    everything = asyncio.Event()

    async def consume() -> None:
        while not everything.is_set():
            consumer = await bus.consumer(group=group, topics=[topic], listener=listener)
            try:
                while not everything.is_set():
                    for partition, records in (await consumer.fetch(max_records=100, timeout=0.5)).items():
                        consumed[partition] += records
                        listener.starts[partition] = records[-1].offset + 1
            except BusError:
                await asyncio.sleep(0.2)
            finally:
                await consumer.close()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(consume())
        goal = 300
        publishing = tasks.create_task(publisher.publish_until(lambda: len(publisher.acknowledged) >= goal, batch=10))
        await eventually(lambda: len(publisher.acknowledged) > 150)
        goal = 10**9
        await breakable.kill()
        await asyncio.sleep(0.5)
        await breakable.start()
        goal = len(publisher.acknowledged) + 300
        await publishing
        ends = await bus.end_offsets([topic])
        await eventually(lambda: all(len(consumed[p]) >= end for p, end in ends.items()), seconds=30)
        everything.set()

    assert all([r.offset for r in rs] == list(range(len(rs))) for rs in consumed.values()), "each record once, in order"
    check(publisher.acknowledged, consumed)
    check(publisher.acknowledged, await read_all(bus, topic))
    await bus.close()


async def test_clients_end_while_the_transport_is_away(breakable: Breakable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berth_events.runtime.kafka_consumer._CALL_S", 1)
    tasks = asyncio.all_tasks()
    bus = breakable.connect()
    topic = f"test.{uuid4()}"
    await bus.create_topics([topic], partitions=2)
    producer = await bus.producer()
    await producer.publish(messages(topic, 10))
    listener = Starts()
    consumer = await bus.consumer(group=str(uuid4()), topics=[topic], listener=listener)
    await eventually(lambda: fetched(consumer))
    publishing = asyncio.create_task(producer.publish(messages(topic, 10)))
    await breakable.kill()
    await asyncio.sleep(0.1)
    publishing.cancel()  # in flight
    await asyncio.gather(publishing, return_exceptions=True)

    with pytest.raises(BusError):
        await bus.ping()
    with pytest.raises(BusError):
        await consumer.end_offsets(frozenset({Partition(topic, 0)}))
    began = asyncio.get_running_loop().time()
    await producer.close()
    await consumer.close()
    await bus.close()
    assert asyncio.get_running_loop().time() - began < 10
    assert listener.owned == set()
    await eventually(lambda: asyncio.all_tasks() <= tasks | {asyncio.current_task()}, seconds=1)


@pytest.mark.kafka
async def test_clients_end_although_kafka_hangs(make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berth_events.runtime.kafka_client.CLOSE_S", 1)
    tasks = asyncio.all_tasks()
    cluster = make_cluster(1)
    await asyncio.to_thread(cluster.start)
    await cluster.ready()
    bus = KafkaBus(cluster.bootstrap, session_timeout=6)
    topic = f"test.{uuid4()}"
    await bus.create_topics([topic], partitions=2)
    producer = await bus.producer()
    await producer.publish(messages(topic, 10))
    consumer = await bus.consumer(group=str(uuid4()), topics=[topic], listener=Starts())
    await eventually(lambda: fetched(consumer))
    pid = cluster._processes[1].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        publishing = asyncio.create_task(producer.publish(messages(topic, 10)))
        await asyncio.sleep(0.2)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(producer.close(), consumer.close())
        assert asyncio.get_running_loop().time() - began < 8
        await eventually(lambda: asyncio.all_tasks() <= tasks | {asyncio.current_task()}, seconds=1)
        with pytest.raises(BusError, match="failed before"):
            await producer.publish(messages(topic, 1))
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.kafka
async def test_kill_9_of_one_kafka_node_of_three_loses_and_reorders_nothing(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(3)
    await asyncio.to_thread(cluster.start)
    await cluster.ready()
    bus = KafkaBus(cluster.bootstrap)
    topic = f"test.{uuid4()}"
    await bus.create_topics([topic], partitions=6)
    publisher = Publisher(bus, topic, keys=50)
    stop = False
    publishing = asyncio.create_task(publisher.publish_until(lambda: stop, batch=200))
    await eventually(lambda: len(publisher.acknowledged) > 3_000, seconds=60)
    await asyncio.to_thread(cluster.kill, 2)  # leads two of the partitions, at least at first
    before = len(publisher.acknowledged)
    await eventually(lambda: len(publisher.acknowledged) > before + 3_000, seconds=60)
    await _restart(cluster, 2)
    before = len(publisher.acknowledged)
    await eventually(lambda: len(publisher.acknowledged) > before + 1_000, seconds=60)
    stop = True
    await publishing

    found = await read_all(bus, topic, seconds=40)
    check(publisher.acknowledged, found)
    if not publisher.failures:  # one producer lived through it all: then nothing is there twice either
        assert sum(map(len, found.values())) == len(publisher.acknowledged)


async def _restart(cluster: Cluster, node: int) -> None:
    await asyncio.to_thread(cluster.start, node)
    await cluster.ready()
