"""A bus that fails and repeats itself, for the tests of every handler: what a real bus may do, only more often."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from berth_events.runtime.bus import (
    Bus,
    BusError,
    Consumer,
    Message,
    Partition,
    Producer,
    RebalanceListener,
    Record,
    acknowledgements,
)

__all__ = ["FaultyBus"]


@dataclass(frozen=True, slots=True)
class _Faults:
    rng: random.Random
    duplicate: float
    fail_randomly: float

    def repeats(self) -> bool:
        return self.rng.random() < self.duplicate

    def fails(self) -> bool:
        return self.rng.random() < self.fail_randomly


class FaultyBus:
    """Wraps a bus.

    Args:
        bus: does the work.
        rng: decides; the same seed and the same calls give the same faults.
        duplicate: how likely a batch is published twice, and how likely a batch read is delivered once more; below 1.
        fail_randomly: how likely a call fails: before it did anything, after it did everything but the answer, or halfway.
    """

    def __init__(self, bus: Bus, rng: random.Random, *, duplicate: float = 0, fail_randomly: float = 0) -> None:
        self._bus, self._faults = bus, _Faults(rng, duplicate, fail_randomly)

    async def create_topics(self, topics: Sequence[str], *, partitions: int) -> None:
        """See `berth_events.runtime.bus.Bus`."""
        await self._bus.create_topics(topics, partitions=partitions)

    async def producer(self) -> Producer:
        """See `berth_events.runtime.bus.Bus`."""
        if self._faults.fails():
            raise BusError("made up: no producer now")
        return _FaultyProducer(await self._bus.producer(), self._faults)

    async def consumer(self, *, group: str, topics: Sequence[str], listener: RebalanceListener) -> Consumer:
        """See `berth_events.runtime.bus.Bus`."""
        if self._faults.fails():
            raise BusError("made up: no consumer now")
        return _FaultyConsumer(await self._bus.consumer(group=group, topics=topics, listener=listener), self._faults)

    async def end_offsets(self, topics: Sequence[str]) -> Mapping[Partition, int]:
        """See `berth_events.runtime.bus.Bus`."""
        return await self._bus.end_offsets(topics)

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        """See `berth_events.runtime.bus.Bus`."""
        return await self._bus.committed(group, topics)

    async def ping(self) -> None:
        """See `berth_events.runtime.bus.Bus`."""
        await self._bus.ping()

    async def close(self) -> None:
        """See `berth_events.runtime.bus.Bus`."""
        await self._bus.close()


class _FaultyProducer:
    def __init__(self, producer: Producer, faults: _Faults) -> None:
        self._producer, self._faults = producer, faults
        self._broken = False

    async def publish(self, messages: Sequence[Message]) -> Sequence[bool]:
        if self._broken or self._faults.fails():
            self._broken = True
            raise BusError("made up: nothing was sent")
        if self._faults.fails():
            self._broken = True
            count = self._faults.rng.randrange(len(messages) + 1)
            stored = list(await self._producer.publish(messages[:count]))
            return acknowledgements(messages, stored + [False] * (len(messages) - count))
        result = await self._producer.publish(messages)
        if all(result) and self._faults.repeats():
            await self._producer.publish(messages)  # as a relay does that died before it deleted its rows
        if self._faults.fails():
            self._broken = True
            raise BusError("made up: the acknowledgement was lost")
        return result

    async def close(self) -> None:
        await self._producer.close()


class _FaultyConsumer:
    def __init__(self, consumer: Consumer, faults: _Faults) -> None:
        self._consumer, self._faults = consumer, faults
        self._latest: dict[Partition, int] = {}
        self._broken = False

    async def fetch(self, *, max_records: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:  # noqa: ASYNC109
        if self._broken or self._faults.fails():
            self._broken = True
            raise BusError("made up: the consumer broke")
        if self._faults.repeats():
            for partition, offset in self._latest.items():
                self._consumer.seek(partition, offset)
        found = await self._consumer.fetch(max_records=max_records, timeout=timeout)
        self._latest = {partition: records[0].offset for partition, records in found.items()}
        return found

    def seek(self, partition: Partition, offset: int) -> None:
        self._latest.pop(partition, None)
        self._consumer.seek(partition, offset)

    def pause(self, partitions: frozenset[Partition]) -> None:
        self._consumer.pause(partitions)

    def resume(self, partitions: frozenset[Partition]) -> None:
        self._consumer.resume(partitions)

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        if self._faults.fails():
            raise BusError("made up: nothing was committed")
        await self._consumer.commit(offsets)

    async def end_offsets(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        return await self._consumer.end_offsets(partitions)

    @property
    def assignment(self) -> frozenset[Partition]:
        return self._consumer.assignment

    async def close(self) -> None:
        await self._consumer.close()
