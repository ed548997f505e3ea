"""A bus in memory, for tests that want to see and to decide everything. It promises what `berth_events.runtime.bus` says."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from berth_events.runtime.bus import (
    BusError,
    Message,
    Partition,
    RebalanceListener,
    Record,
    refuse_too_large,
)
from berth_events.runtime.postgres_bus import partition_of

__all__ = ["MemoryBus", "MemoryConsumer", "MemoryProducer"]


class MemoryBus:
    """Topics and groups of one process.

    Args:
        session_timeout: seconds after which the group gives up a member that was abandoned.

    Attributes:
        records: everything that was published.
        away: while it is true, every call fails.
        producers: how many were made.
    """

    def __init__(self, *, session_timeout: float = 0.1) -> None:
        self.session_timeout = session_timeout
        self.records: dict[Partition, list[Record]] = {}
        self.away = False
        self.producers = 0
        self._groups: dict[str, _Group] = defaultdict(_Group)
        self._changed = asyncio.Event()

    async def create_topics(self, topics: Sequence[str], *, partitions: int) -> None:
        """See `berth_events.runtime.bus.Bus`."""
        self.check()
        known = {partition.topic for partition in self.records}
        for topic in set(topics) - known:
            self.records |= {Partition(topic, number): [] for number in range(partitions)}

    async def producer(self) -> "MemoryProducer":
        """See `berth_events.runtime.bus.Bus`."""
        self.check()
        self.producers += 1
        return MemoryProducer(self)

    async def consumer(self, *, group: str, topics: Sequence[str], listener: RebalanceListener) -> "MemoryConsumer":
        """See `berth_events.runtime.bus.Bus`."""
        self.check()
        return MemoryConsumer(self, self._groups[group], tuple(topics), listener)

    async def end_offsets(self, topics: Sequence[str]) -> Mapping[Partition, int]:
        """See `berth_events.runtime.bus.Bus`."""
        self.check()
        if missing := set(topics) - {partition.topic for partition in self.records}:
            raise BusError(f"there is no topic {', '.join(sorted(missing))}")
        return {p: len(records) for p, records in self.records.items() if p.topic in topics}

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        """See `berth_events.runtime.bus.Bus`."""
        self.check()
        return {p: offset for p, offset in self._groups[group].committed.items() if p.topic in topics}

    async def ping(self) -> None:
        """See `berth_events.runtime.bus.Bus`."""
        self.check()

    async def close(self) -> None:
        """See `berth_events.runtime.bus.Bus`."""

    def partition_of(self, topic: str, key: bytes) -> Partition:
        """Where the records of a key are.

        Raises:
            BusError: the topic does not exist.
        """
        count = sum(partition.topic == topic for partition in self.records)
        if not count:
            raise BusError(f"there is no topic {topic}")
        return Partition(topic, partition_of(key, count))

    def store(self, message: Message) -> Record:
        """Append a record, and wake who waits for one."""
        partition = self.partition_of(message.topic, message.key)
        record = Record(
            partition=partition,
            offset=len(self.records[partition]),
            key=message.key,
            value=message.value,
            headers=message.headers,
            timestamp=datetime.now(UTC),
        )
        self.records[partition].append(record)
        self.wake()
        return record

    def wake(self) -> None:
        """Let everybody who waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def change(self) -> asyncio.Event:
        """Set at the next change."""
        return self._changed

    def check(self) -> None:
        """Raise BusError while the bus is away."""
        if self.away:
            raise BusError("away")


class _Group:
    """Who is a member, who owns what, what was committed."""

    def __init__(self) -> None:
        self.members: list[MemoryConsumer] = []
        self.owners: dict[Partition, MemoryConsumer] = {}
        self.committed: dict[Partition, int] = {}

    def share(self, member: "MemoryConsumer", partitions: Sequence[Partition]) -> set[Partition]:
        """What the member should own: partitions are dealt out in turn."""
        return {p for n, p in enumerate(sorted(partitions)) if self.members[n % len(self.members)] is member}


class MemoryProducer:
    """See `berth_events.runtime.bus.Producer`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    async def publish(self, messages: Sequence[Message]) -> Sequence[bool]:
        """See `berth_events.runtime.bus.Producer`."""
        refuse_too_large(messages)
        self._bus.check()
        for message in messages:
            self._bus.partition_of(message.topic, message.key)
        for message in messages:
            self._bus.store(message)
        await asyncio.sleep(0)
        return [True] * len(messages)

    async def close(self) -> None:
        """See `berth_events.runtime.bus.Producer`."""


class MemoryConsumer:
    """See `berth_events.runtime.bus.Consumer`. A rebalance happens inside `fetch`, as each member comes by."""

    def __init__(self, bus: MemoryBus, group: _Group, topics: tuple[str, ...], listener: RebalanceListener) -> None:
        self._bus, self._group, self._topics, self._listener = bus, group, topics, listener
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._closed = False

    async def fetch(self, *, max_records: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:  # noqa: ASYNC109
        """See `berth_events.runtime.bus.Consumer`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while True:
            changed = self._bus.change()
            self._bus.check()
            if self._closed:
                raise BusError("this consumer is closed")
            await self._rebalance()
            if (found := self._take(max_records)) or loop.time() >= end:
                return found
            try:
                async with asyncio.timeout_at(end):
                    await changed.wait()
            except TimeoutError:
                pass

    def seek(self, partition: Partition, offset: int) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        if partition in self._positions:
            self._positions[partition] = offset
            self._bus.wake()

    def pause(self, partitions: frozenset[Partition]) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        self._paused |= partitions & self.assignment

    def resume(self, partitions: frozenset[Partition]) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        self._paused -= partitions
        self._bus.wake()

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        self._bus.check()
        self._group.committed |= {p: offset for p, offset in offsets.items() if self._group.owners.get(p) is self}

    async def end_offsets(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        """See `berth_events.runtime.bus.Consumer`."""
        self._bus.check()
        return {partition: len(self._bus.records[partition]) for partition in partitions}

    @property
    def assignment(self) -> frozenset[Partition]:
        """See `berth_events.runtime.bus.Consumer`."""
        return frozenset(self._positions)

    async def close(self) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._give_up(self.assignment)
        finally:
            if self in self._group.members:
                self._group.members.remove(self)
            self._bus.wake()

    async def abandon(self) -> None:
        """Release the consumer as a crash would: the group learns of it when the session is over."""
        self._closed = True
        asyncio.get_running_loop().call_later(self._bus.session_timeout, self.lose)

    def lose(self) -> None:
        """Be given up by the group without learning of it, as a member is whose machine stood still for too long."""
        if self in self._group.members:
            self._group.members.remove(self)
        for partition in self.assignment:
            if self._group.owners.get(partition) is self:
                del self._group.owners[partition]
        self._bus.wake()

    async def _rebalance(self) -> None:
        group = self._group
        if self not in group.members:
            if self._positions:  # lost meanwhile
                await self._give_up(self.assignment)
            group.members.append(self)
            self._bus.wake()
        share = group.share(self, [p for p in self._bus.records if p.topic in self._topics])
        await self._give_up(self.assignment - share)
        new = frozenset(p for p in share - self._positions.keys() if p not in group.owners)
        if new:
            group.owners |= dict.fromkeys(new, self)
            try:
                starts = await self._listener.assigned(new)
            except BaseException:
                for partition in new:
                    del group.owners[partition]
                raise
            for partition in new:
                start = starts.get(partition, 0)
                if start > len(self._bus.records[partition]):
                    raise BusError(f"{partition} has no offset {start}")
                self._positions[partition] = start

    async def _give_up(self, partitions: frozenset[Partition]) -> None:
        for partition in partitions:
            del self._positions[partition]
        self._paused -= partitions
        if partitions:
            await self._listener.revoked(partitions)
            for partition in partitions:
                if self._group.owners.get(partition) is self:
                    del self._group.owners[partition]
            self._bus.wake()

    def _take(self, max_records: int) -> dict[Partition, Sequence[Record]]:
        found: dict[Partition, Sequence[Record]] = {}
        for partition in self.assignment - self._paused:
            begin = self._positions[partition]
            if records := self._bus.records[partition][begin : begin + max_records]:
                found[partition] = records
                self._positions[partition] += len(records)
                max_records -= len(records)
            if not max_records:
                break
        return found
