"""Races and half failures that a real Kafka shows too rarely, against a stand-in for aiokafka's clients."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError

from berth_events.runtime.bus import BusError, Message, Partition
from berth_events.runtime.kafka_consumer import KafkaConsumer
from berth_events.runtime.kafka_producer import KafkaProducer

MINE = TopicPartition("t", 0)


class Network:
    """Has no connections."""

    _conns: Mapping[Any, Any] = {}

    async def close(self) -> None:
        """Nothing to do."""


class Rebalancing:
    """A consumer's client during whose getmany a rebalance happens."""

    def __init__(self, outcome: list[Any]) -> None:
        self.outcome, self.sought = outcome, list[int]()
        self._coordinator = self._fetcher = None
        self._client = Network()
        self.consumer: KafkaConsumer | None = None

    def subscribe(self, topics: list[str], listener: object) -> None:
        del topics, listener

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert partition == MINE
        self.sought.append(offset)

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Any]]:
        assert self.consumer
        if self.outcome:
            outcome = self.outcome.pop(0)
            await self.consumer.rebalance_begins()
            await self.consumer.rebalance_ends([MINE])
            if isinstance(outcome, Exception):
                raise outcome
        return {MINE: [record(5)]}


def record(offset: int) -> Any:
    return SimpleNamespace(topic="t", partition=0, offset=offset, key=b"k", value=b"v", headers=(), timestamp=0)


class FromFive:
    async def assigned(self, partitions: frozenset[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 5)

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        assert partitions == {Partition("t", 0)}


@pytest.mark.parametrize("outcome", [{}, NoOffsetForPartitionError(MINE)])
async def test_what_a_fetch_brings_across_a_rebalance_is_read_again(outcome: object) -> None:
    client = Rebalancing([outcome])
    consumer = client.consumer = KafkaConsumer(client, ["t"], FromFive())
    await consumer.rebalance_ends([MINE])
    client.sought.clear()
    assert await consumer.fetch(max_records=10, timeout=1) == {}
    assert client.sought == [5, 5], "once by the rebalance, once since records of after it were drained, perhaps"
    found = await consumer.fetch(max_records=10, timeout=1)
    assert [r.offset for r in found[Partition("t", 0)]] == [5]
    await consumer.abandon()


class Failing:
    """A producer's client that acknowledges what its script says; None is never answered."""

    def __init__(self, script: list[bool | None]) -> None:
        self.script, self.sent = script, 0
        self._message_accumulator = self._sender = object()
        self.client = Network()

    async def send(self, *_: object, **__: object) -> asyncio.Future[object]:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        answer = self.script[self.sent]
        self.sent += 1
        if answer:
            future.set_result(object())
        elif answer is False:
            future.set_exception(KafkaError("refused"))
        return future


def batch(*keys: str) -> list[Message]:
    return [Message("t", key.encode(), b"") for key in keys]


async def test_after_a_failure_no_later_message_of_the_key_counts() -> None:
    producer = KafkaProducer(Failing([True, False, True, True]))
    assert await producer.publish(batch("a", "b", "b", "a")) == [True, False, False, True]
    with pytest.raises(BusError, match="failed before"):
        await producer.publish(batch("a"))
    await producer.close()


async def test_without_any_acknowledgement_the_cause_is_said() -> None:
    producer = KafkaProducer(Failing([False, False]))
    with pytest.raises(BusError, match="refused"):
        await producer.publish(batch("a", "b"))


async def test_silence_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berth_events.runtime.kafka_producer._PUBLISH_S", 0.05)
    producer = KafkaProducer(Failing([True, None, True]))
    assert await producer.publish(batch("a", "b", "c")) == [True, False, True]
    producer = KafkaProducer(Failing([None]))
    with pytest.raises(BusError, match="TimeoutError"):
        await producer.publish(batch("a"))


async def test_after_a_cancelled_publish_the_producer_is_broken() -> None:
    producer = KafkaProducer(Failing([None]))
    publishing = asyncio.create_task(producer.publish(batch("a")))
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    with pytest.raises(BusError, match="failed before"):
        await producer.publish(batch("a"))
