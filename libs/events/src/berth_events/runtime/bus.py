"""The bus as the runtime sees it: one small boundary with two real implementations (kafka_bus, postgres_bus).

What both promise, and the conformance suite checks:
- records of one key stay in order; a record is readable once `publish` said True for it;
- delivery is at least once: a record is delivered again to whoever owns the partition until an offset behind it was stored;
- a partition has one owner in a group; on a rebalance `revoked` returns before another member is assigned the partition,
  unless that takes longer than REBALANCE_TIMEOUT_S or the owner's session ended.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from berth_events.contracts import Headers

__all__ = [
    "MAX_MESSAGE_BYTES",
    "REBALANCE_TIMEOUT_S",
    "Bus",
    "BusError",
    "Consumer",
    "Message",
    "Partition",
    "Producer",
    "RebalanceListener",
    "Record",
    "RecordTooLarge",
    "acknowledgements",
    "drain",
    "refuse_too_large",
]

#: Largest value + headers of a message that every bus takes, in bytes (Kafka's max.message.bytes less its framing).
MAX_MESSAGE_BYTES: Final = 900_000

#: How long `revoked` may take, in seconds: after this the bus gives the partitions away all the same.
REBALANCE_TIMEOUT_S: Final = 45


class BusError(Exception):
    """The bus cannot be reached or refuses service for now. Wait, then try again with a new client."""


class RecordTooLarge(ValueError):
    """The message is larger than MAX_MESSAGE_BYTES. Nothing of it was stored; split the event."""


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Message:
    """What is published. The key decides the partition."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What is read."""

    partition: Partition
    offset: int
    key: bytes
    value: bytes
    headers: Headers
    timestamp: datetime


class RebalanceListener(Protocol):
    """Told by a consumer what it owns, from a task of the consumer's. What it raises comes out of the next `fetch`."""

    async def assigned(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        """New partitions are ours, none of them paused. Nothing of them is fetched before this returns.

        Returns:
            Where to start reading; a partition left out starts at its beginning.
        """
        ...

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        """Partitions go to another member, or were lost. Nothing more of them is fetched.

        Work in flight on them is ended before this returns, within REBALANCE_TIMEOUT_S. Kafka revokes all partitions at
        every rebalance and assigns most of them again; the embedded bus revokes only those that move.
        """
        ...


class Producer(Protocol):
    """Publishes. One task uses it at a time."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[bool]:
        """Publish in order.

        Returns:
            For each message whether it was acknowledged. After the first False of a key no later message of the key is True.

        Raises:
            RecordTooLarge: before anything was sent.
            BusError: nothing is known; the producer has to be replaced.
        """
        ...

    async def close(self) -> None:
        """Release the client within a few seconds, whatever the bus does."""
        ...


class Consumer(Protocol):
    """A member of a consumer group. One task uses it at a time; `fetch` is called again and again."""

    async def fetch(self, *, max_records: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:  # noqa: ASYNC109
        """The next records of the partitions owned, in order per partition; empty after `timeout` seconds without any.

        A bus that is away for a short time looks like one without records. Cancelling loses no record.

        Raises:
            BusError: the client is broken or an offset does not exist; make a new one.
            Exception: what the listener raised.
        """
        ...

    def seek(self, partition: Partition, offset: int) -> None:
        """Read the partition from `offset` next, also records that were fetched before; without effect when it is not owned."""
        ...

    def pause(self, partitions: frozenset[Partition]) -> None:
        """Deliver nothing of these partitions until `resume` or the next `assigned`; they stay owned."""
        ...

    def resume(self, partitions: frozenset[Partition]) -> None:
        """Deliver them again."""
        ...

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Tell the bus the next offset to read of each partition: for lag metrics and for groups without an offset row.

        A commit that fails because the partition was lost is not an error; the new owner decides. `revoked` may commit.

        Raises:
            BusError: the bus cannot be reached; nothing is lost by that.
        """
        ...

    async def end_offsets(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        """The offset that the next record of each partition will have."""
        ...

    @property
    def assignment(self) -> frozenset[Partition]:
        """The partitions owned now."""
        ...

    async def close(self) -> None:
        """Leave the group (after `revoked`) and release the client within a few seconds, whatever the bus does."""
        ...


class Bus(Protocol):
    """Makes clients. An application has one."""

    async def create_topics(self, topics: Sequence[str], *, partitions: int) -> None:
        """Create what does not exist; existing topics are left as they are."""
        ...

    async def producer(self) -> Producer:
        """A new, connected producer."""
        ...

    async def consumer(self, *, group: str, topics: Sequence[str], listener: RebalanceListener) -> Consumer:
        """A new member of the group, which begins to own partitions at its first `fetch`."""
        ...

    async def end_offsets(self, topics: Sequence[str]) -> Mapping[Partition, int]:
        """The end of every partition of the topics, without joining a group.

        Raises:
            BusError: the bus cannot be reached, or a topic does not exist.
        """
        ...

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        """What the group has committed; partitions without a commit are left out."""
        ...

    async def ping(self) -> None:
        """Reach the bus.

        Raises:
            BusError: it cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Release what all clients share."""
        ...


def refuse_too_large(messages: Sequence[Message]) -> None:
    """Check messages before any of them is sent.

    Raises:
        RecordTooLarge: one is larger than MAX_MESSAGE_BYTES.
    """
    for message in messages:
        size = len(message.value) + sum(len(name.encode()) + len(value) for name, value in message.headers)
        if size > MAX_MESSAGE_BYTES:
            raise RecordTooLarge(f"{size} bytes for {message.topic}, {MAX_MESSAGE_BYTES} at most")


def acknowledgements(messages: Sequence[Message], stored: Sequence[bool]) -> list[bool]:
    """What `publish` reports: after the first message of a key that was not stored, no later one of the key counts."""
    broken = set()
    result = []
    for message, ok in zip(messages, stored, strict=True):
        if not ok:
            broken.add((message.topic, message.key))
        result.append(ok and (message.topic, message.key) not in broken)
    return result


async def drain(listener: RebalanceListener, partitions: frozenset[Partition]) -> None:
    """Let the listener end its work in flight on partitions that are revoked.

    Raises:
        BusError: it took longer than REBALANCE_TIMEOUT_S.
    """
    try:
        async with asyncio.timeout(REBALANCE_TIMEOUT_S) as limit:
            await listener.revoked(partitions)
    except TimeoutError as error:
        if not limit.expired():
            raise  # the listener's own
        raise BusError(f"work in flight did not end within {REBALANCE_TIMEOUT_S} s") from error
