"""The projector: applies a topic's events to tables, exactly once, with the consumer's offset in the same transaction."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import structlog

from berth_events.contracts import Envelope, InvalidRecord, UnknownEvent, from_binary
from berth_events.runtime import metrics
from berth_events.runtime.bus import Bus, BusError, Consumer, Partition, Record
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_events.runtime.progress import ProgressWatch, Stuck
from berth_events.runtime.store import ConcurrencyConflict, EventStore

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.parking import Parking

__all__ = ["Projection", "Projector", "SequenceGap", "TooManyParked"]

_FETCH: Final = 500
_FETCH_WAIT_S: Final = 0.5
_FETCH_DEADLINE_S: Final = 30
_COMMIT_EVERY_S: Final = 1.0
_TRIES: Final = 3
_RETRY_PAUSE_S: Final = (0.1, 1.0)
_BACKOFF_S: Final = (0.1, 5.0)
#: Parking one event is an accident; so many in a row mean that the code is wrong.
_PARKED_IN_A_ROW: Final = 20

#: Roll back and try the same records again: the failure is not theirs.
_RETRY_ALL: Final = (*INFRASTRUCTURE_ERRORS, ConcurrencyConflict)

_log = structlog.get_logger(__name__)


class Projection(Protocol):
    """What becomes of the events. It writes tables, work rows or further events, and never touches the network."""

    @property
    def name(self) -> str:
        """The consumer group and the owner of offsets; never changed once it ran."""
        ...

    @property
    def topics(self) -> Sequence[str]:
        """What it reads."""
        ...

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Apply events of one partition in order, inside the projector's transaction. Unknown types are left alone."""
        ...


class SequenceGap(Exception):
    """An event of the stream is missing, which cannot be without loss. The consumer stops; compare store and topic."""


class TooManyParked(Exception):
    """Too many events in a row could not be applied. The consumer stops; mend the code, then replay what is parked."""


@dataclass(frozen=True, slots=True)
class Read:
    """A record and what it says; `content` is the error when it cannot be read."""

    record: Record
    content: Envelope | UnknownEvent | InvalidRecord

    @property
    def stream(self) -> tuple[UUID, int] | None:
        """Stream id and sequence, when they could be read."""
        if isinstance(self.content, Envelope):
            return self.content.data.aggregate_id, self.content.sequence
        if isinstance(self.content, UnknownEvent):
            return self.content.stream_id, self.content.sequence
        return None


def _read(record: Record) -> Read:
    try:
        return Read(record, from_binary(record.headers, record.value))
    except InvalidRecord as error:
        return Read(record, error)


class Projector:
    """Runs one projection.

    Args:
        pool: the service's database, which also holds the offsets.
        bus: where the topics are.
        projection: what to do.
        parking: where poison goes.
        clock: time.
        consumer: name of group and offsets; default: the projection's name.
        schema: where the projection's tables are, put in front of the search path; default public.
        store: what a process manager appends to; its relay is woken after a batch.
    """

    def __init__(
        self,
        pool: "Pool",
        bus: Bus,
        projection: Projection,
        parking: "Parking",
        clock: "Clock",
        *,
        consumer: str | None = None,
        schema: str | None = None,
        store: EventStore | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._pool, self._bus, self._projection, self._parking, self._clock = pool, bus, projection, parking, clock
        self.name = consumer or projection.name
        self._schema, self._store = schema, store
        self._rng = rng or random.Random()  # noqa: S311 - jitter is no secret
        self._owned: set[Partition] = set()
        self._next: dict[Partition, int] = {}
        self._applying = asyncio.Lock()
        self._parked_in_a_row = 0
        #: Why the consumer is not ready, or None.
        self.problem: str | None = "not started"

    async def run(self) -> None:
        """Project until cancelled. A gap or too much poison ends the projecting, but not the process: an operator decides."""
        backoff = _BACKOFF_S[0]
        while True:
            try:
                await self._consume()
            except (SequenceGap, TooManyParked) as error:
                self.problem = f"{self.name} stopped: {type(error).__name__}: {error}"
                _log.critical("consumer.stopped", consumer=self.name, error=self.problem)
                await asyncio.Event().wait()
            except (*_RETRY_ALL, BusError, Stuck) as error:
                self.problem = f"{self.name}: {type(error).__name__}"
                metrics.CONSUMER_RESTARTS.labels(self.name).inc()
                _log.warning("consumer.restarted", consumer=self.name, error=str(error) or type(error).__name__)
                await self._clock.sleep(backoff * self._rng.uniform(0.5, 1.5))
                backoff = min(backoff * 2, _BACKOFF_S[1])
            else:
                backoff = _BACKOFF_S[0]

    # -- RebalanceListener

    async def assigned(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        """Start at our own offsets, not at the bus's."""
        await self._pool.executemany(
            """INSERT INTO consumer_offset (consumer, topic, partition, next_offset) VALUES ($1, $2, $3, 0)
               ON CONFLICT DO NOTHING""",
            [(self.name, p.topic, p.number) for p in partitions],
        )
        rows = await self._pool.fetch(
            "SELECT topic, partition, next_offset FROM consumer_offset WHERE consumer = $1", self.name
        )
        stored = {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        starts = {partition: stored[partition] for partition in partitions}
        self._owned |= partitions
        self._next.update(starts)
        self.problem = None
        return starts

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        """Let the batch in flight commit, then forget the partitions."""
        async with self._applying:
            self._owned -= partitions
            for partition in partitions:
                self._next.pop(partition, None)

    # -- the loop

    async def _consume(self) -> None:
        self._owned.clear()
        self._next.clear()
        consumer = await self._bus.consumer(group=self.name, topics=self._projection.topics, listener=self)
        watch = ProgressWatch(self._pool, self._bus, self._projection.topics, self.name, self._clock)
        committed_at = self._clock.monotonic()
        try:
            while True:
                async with asyncio.timeout(_FETCH_DEADLINE_S):
                    batches = await consumer.fetch(max_records=_FETCH, timeout=_FETCH_WAIT_S)
                for partition, records in batches.items():
                    await self.apply_records(consumer, partition, records)
                self.problem = None
                if batches:
                    watch.advanced()
                else:
                    await watch.check()
                if self._clock.monotonic() - committed_at >= _COMMIT_EVERY_S:
                    committed_at = self._clock.monotonic()
                    await consumer.commit(dict(self._next))
        finally:
            await consumer.close()

    async def apply_records(self, consumer: Consumer, partition: Partition, records: Sequence[Record]) -> None:
        """Apply one partition's batch: as a whole if possible, else one by one, parking what cannot be applied."""
        async with self._applying:
            if partition not in self._owned:
                return
            reads = [_read(record) for record in records]
            try:
                await self._transact(consumer, partition, reads)
            except (*_RETRY_ALL, SequenceGap, TooManyParked):
                raise
            except Exception:  # noqa: BLE001 - a projection may raise anything: then one by one
                _log.exception("consumer.batch_failed", consumer=self.name, records=len(reads))
                for read in reads:
                    if partition in self._owned:
                        await self._apply_one(consumer, partition, read)

    async def _apply_one(self, consumer: Consumer, partition: Partition, read: Read) -> None:
        pause = _RETRY_PAUSE_S[0]
        for attempt in range(1, _TRIES + 1):
            try:
                await self._transact(consumer, partition, [read])
            except (*_RETRY_ALL, SequenceGap, TooManyParked):
                raise
            except Exception as error:  # noqa: BLE001 - logged, tried again, then parked
                if attempt == _TRIES:
                    _log.exception("consumer.parked", consumer=self.name, offset=read.record.offset)
                    await self._transact(consumer, partition, [read], park_because=type(error).__name__)
                    return
                await self._clock.sleep(pause)
                pause = min(pause * 4, _RETRY_PAUSE_S[1])
            else:
                return

    async def _transact(
        self, consumer: Consumer, partition: Partition, reads: Sequence[Read], *, park_because: str | None = None
    ) -> None:
        """One transaction: fence, drop duplicates, park, apply, advance."""
        parked = 0
        async with self._pool.acquire() as connection, connection.transaction():
            if self._schema:
                await connection.execute("SELECT set_config('search_path', $1, true)", f"{self._schema}, public")
            next_offset: int = await connection.fetchval(
                """SELECT next_offset FROM consumer_offset
                    WHERE consumer = $1 AND topic = $2 AND partition = $3 FOR UPDATE""",
                self.name,
                *partition,
            )
            if next_offset != reads[0].record.offset:
                await self._left_behind(consumer, partition, next_offset, reads[0].record.offset)
                return
            wanted, poison = await self._sort_out(connection, partition, reads, park_because)
            for read, error in poison:
                await self._parking.park(connection, self.name, [read.record], error)
                parked += error != _BEHIND
            envelopes = [read.content for read in wanted if isinstance(read.content, Envelope)]
            if envelopes:
                await self._projection.apply(connection, envelopes)
            await self._advance(connection, partition, wanted, reads[-1].record.offset + 1)
        if self._store:
            self._store.notify()
        self._next[partition] = reads[-1].record.offset + 1
        metrics.RECORDS_APPLIED.labels(self.name).inc(len(wanted))
        self._parked_in_a_row = self._parked_in_a_row + parked if parked and not wanted else parked
        if self._parked_in_a_row >= _PARKED_IN_A_ROW:
            raise TooManyParked(f"{self._parked_in_a_row} events in a row")

    async def _left_behind(self, consumer: Consumer, partition: Partition, next_offset: int, first: int) -> None:
        """Somebody else has moved the offset on, or the bus has dropped records that we had not read."""
        if first > next_offset and self._next.get(partition) == next_offset:
            raise SequenceGap(
                f"{partition.topic}/{partition.number}: offset {next_offset} is gone, the next is {first}"
            )
        metrics.RECORDS_SKIPPED.labels(self.name, "fenced").inc()
        self._next[partition] = next_offset
        consumer.seek(partition, next_offset)

    async def _sort_out(
        self, connection: "Connection", partition: Partition, reads: Sequence[Read], park_because: str | None
    ) -> tuple[list[Read], list[tuple[Read, str]]]:
        """Split the batch into what is to be applied and what is to be parked; duplicates are in neither."""
        keys = list({read.record.key for read in reads})
        blocked = await self._parking.parked_keys(connection, self.name, partition.topic, keys)
        last = await self._sequences(connection, partition.topic, reads)
        wanted: list[Read] = []
        poison: list[tuple[Read, str]] = []
        for read in reads:
            key = read.record.key
            if read.stream and read.stream[1] <= last.get(read.stream[0], 0):
                metrics.RECORDS_SKIPPED.labels(self.name, "duplicate").inc()
            elif key in blocked:
                poison.append((read, _BEHIND))
            elif isinstance(read.content, InvalidRecord) or park_because:
                poison.append((read, park_because or f"InvalidRecord: {read.content}"))
                blocked.add(key)
            elif read.stream:
                stream_id, sequence = read.stream
                if sequence > last.get(stream_id, 0) + 1:
                    raise SequenceGap(f"{partition.topic} {stream_id}: {sequence} after {last.get(stream_id, 0)}")
                last[stream_id] = sequence
                wanted.append(read)
                if isinstance(read.content, UnknownEvent):
                    metrics.RECORDS_SKIPPED.labels(self.name, "unknown_type").inc()
        return wanted, poison

    async def _sequences(self, connection: "Connection", topic: str, reads: Sequence[Read]) -> dict[UUID, int]:
        streams = list({read.stream[0] for read in reads if read.stream})
        rows = await connection.fetch(
            """SELECT stream_id, sequence FROM consumer_sequence
                WHERE consumer = $1 AND topic = $2 AND stream_id = ANY($3::uuid[])""",
            self.name,
            topic,
            streams,
        )
        return {row["stream_id"]: row["sequence"] for row in rows}

    async def _advance(
        self, connection: "Connection", partition: Partition, applied: Sequence[Read], next_offset: int
    ) -> None:
        newest = dict(read.stream for read in applied if read.stream)
        await connection.execute(
            """INSERT INTO consumer_sequence (consumer, topic, stream_id, sequence)
               SELECT $1, $2, s.stream_id, s.sequence FROM unnest($3::uuid[], $4::int[]) AS s (stream_id, sequence)
               ON CONFLICT (consumer, topic, stream_id) DO UPDATE SET sequence = excluded.sequence""",
            self.name,
            partition.topic,
            list(newest),
            list(newest.values()),
        )
        await connection.execute(
            "UPDATE consumer_offset SET next_offset = $4 WHERE consumer = $1 AND topic = $2 AND partition = $3",
            self.name,
            *partition,
            next_offset,
        )


_BEHIND: Final = "behind a parked event"
