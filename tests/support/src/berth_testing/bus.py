"""What the conformance suite of the buses is driven by: a declaration of each transport, and members that keep a journal."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from berth_events.runtime.bus import Bus, BusError, Consumer, Message, Partition, Record

__all__ = ["Journal", "Member", "Promises", "Starts", "Transport", "eventually", "fetched", "messages", "read_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """Where the transports differ. What is not here all of them promise.

    Attributes:
        session_timeout: seconds after which the partitions of a member that crashed are given away.
        cooperative: a rebalance takes a partition only from a member that loses it.
    """

    session_timeout: float
    cooperative: bool


@dataclass(frozen=True, slots=True)
class Transport:
    """A running transport.

    Attributes:
        name: what it is.
        promises: what the suite holds it to.
        connect: makes a bus as a process of its own would.
    """

    name: str
    promises: Promises
    connect: Callable[[], Bus]


class Starts:
    """A listener that remembers what it was told.

    Args:
        starts: where to begin reading.
    """

    def __init__(self, starts: Mapping[Partition, int] | None = None) -> None:
        self.starts = dict(starts or {})
        self.owned: set[Partition] = set()

    async def assigned(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        """Own them."""
        self.owned |= partitions
        return {partition: offset for partition, offset in self.starts.items() if partition in partitions}

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        """Own them no longer."""
        self.owned -= partitions


@dataclass(slots=True)
class Journal:
    """What the members of one group did together. It plays the offset table of a service as well.

    Attributes:
        offsets: the next offset of each partition, moved on by whoever handled a record.
        handled: how often each record was handled to its end.
        by_member: how many records each member handled.
        revoked: what was ever taken from each member.
        owners: who owns a partition at this time.
        faults: what must not be.
    """

    offsets: dict[Partition, int] = field(default_factory=dict)
    handled: Counter[tuple[Partition, int]] = field(default_factory=Counter)
    by_member: Counter[str] = field(default_factory=Counter)
    owners: dict[Partition, str] = field(default_factory=dict)
    revoked: dict[str, set[Partition]] = field(default_factory=lambda: defaultdict(set))
    faults: list[str] = field(default_factory=list)


class Member:
    """A member of a group that handles records one by one and stores the offset behind each.

    Args:
        name: for the journal.
        journal: shared by the group.
        seconds: how long a record takes to handle.
    """

    def __init__(self, name: str, journal: Journal, *, seconds: float = 0) -> None:
        self.name, self._journal, self._seconds = name, journal, seconds
        self.owned: set[Partition] = set()
        self.go_on = asyncio.Event()  # cleared, a record in flight is not ended
        self.go_on.set()
        self._busy = asyncio.Lock()

    async def assigned(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        """Take partitions that nobody may have now."""
        for partition in partitions:
            if (other := self._journal.owners.get(partition)) is not None:
                self._journal.faults.append(f"{self.name} is given {partition}, which {other} still has")
            self._journal.owners[partition] = self.name
        self.owned |= partitions
        return {partition: self._journal.offsets.get(partition, 0) for partition in partitions}

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        """Wait for the record in flight."""
        async with self._busy:
            self.owned -= partitions
            self._journal.revoked[self.name] |= partitions
            for partition in partitions:
                del self._journal.owners[partition]

    async def handle(self, partition: Partition, record: Record) -> None:
        """Handle a record, unless the partition is another's by now."""
        async with self._busy:
            if partition not in self.owned:
                return
            if record.offset != self._journal.offsets.get(partition, 0):
                self._journal.faults.append(f"{self.name} reads {record.offset} of {partition}")
            await asyncio.sleep(self._seconds)
            await self.go_on.wait()
            self._journal.handled[partition, record.offset] += 1
            self._journal.by_member[self.name] += 1
            self._journal.offsets[partition] = record.offset + 1

    async def consume(self, consumer: Consumer) -> None:
        """Handle what comes, until cancelled."""
        while True:
            for partition, records in (await consumer.fetch(max_records=20, timeout=0.5)).items():
                for record in records:
                    await self.handle(partition, record)

    @asynccontextmanager
    async def joined(self, bus: Bus, group: str, topic: str) -> AsyncIterator[Consumer]:
        """Be a member of the group for a while; leaves it at the end."""
        consumer = await bus.consumer(group=group, topics=[topic], listener=self)
        task = asyncio.create_task(self.consume(consumer))
        try:
            yield consumer
        finally:
            task.cancel()
            try:
                await asyncio.gather(task, return_exceptions=True)
            finally:
                await consumer.close()


def messages(topic: str, count: int, *, keys: int = 10, begin: int = 0) -> list[Message]:
    """Messages that hold their number, on keys in turn."""
    return [
        Message(topic, f"key-{number % keys}".encode(), str(number).encode()) for number in range(begin, begin + count)
    ]


async def read_all(bus: Bus, topic: str, *, seconds: float = 20, tries: int = 5) -> dict[Partition, list[Record]]:
    """Everything that is in the topic now, by a group of its own; checks that the offsets have no gaps."""
    try:
        found = await _read_all(bus, topic, seconds)
    except BusError:  # as it may right after a broker came back: wait, then try again with new clients
        if tries == 1:
            raise
        await asyncio.sleep(0.5)
        return await read_all(bus, topic, seconds=seconds, tries=tries - 1)
    for partition, records in found.items():
        assert [record.offset for record in records] == list(range(len(records))), f"{partition} has gaps"
    return found


async def _read_all(bus: Bus, topic: str, seconds: float) -> dict[Partition, list[Record]]:
    ends = await bus.end_offsets([topic])
    found: dict[Partition, list[Record]] = {partition: [] for partition in ends}
    consumer = await bus.consumer(group=f"read-{uuid4()}", topics=[topic], listener=Starts())
    try:
        async with asyncio.timeout(seconds):
            while any(len(found[partition]) < end for partition, end in ends.items()):
                for partition, records in (await consumer.fetch(max_records=500, timeout=1)).items():
                    found[partition] += records
    finally:
        await consumer.close()
    return found


async def fetched(consumer: Consumer) -> bool:
    """Fetch once; whether something came."""
    return bool(await consumer.fetch(max_records=1, timeout=0.5))


async def eventually(condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 15) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(0.02)
