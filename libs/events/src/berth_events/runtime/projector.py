"""The projector: applies a topic's events to tables, exactly once, with the consumer's offset in the same transaction."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg
import structlog

from berth_events.contracts import Envelope, InvalidRecord, UnknownEvent
from berth_events.runtime import metrics
from berth_events.runtime.bus import Bus, BusError, Consumer, Partition, Record
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_events.runtime.progress import ProgressWatch, Stuck
from berth_events.runtime.projection import Projection, Read, SequenceGap, Superseded, TooManyParked, read_record
from berth_events.runtime.store import ConcurrencyConflict, EventStore

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.parking import Parking

__all__ = ["Projector"]

_FETCH: Final = 500
_FETCH_WAIT_S: Final = 0.5
_FETCH_DEADLINE_S: Final = 30
_COMMIT_EVERY_S: Final = 1.0
_TRIES: Final = 3
_RETRY_PAUSE_S: Final = (0.1, 1.0)
_BACKOFF_S: Final = (0.1, 5.0)
#: Parking one event is an accident; so many in a row mean that the code is wrong.
_PARKED_IN_A_ROW: Final = 20

#: Others were in the way of the transaction: roll back, and try the same records again.
_IN_THE_WAY: Final = (ConcurrencyConflict, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
#: The failure is not the records'.
_NOT_THEIRS: Final = (*INFRASTRUCTURE_ERRORS, ConcurrencyConflict)

_log = structlog.get_logger(__name__)


class _CannotApply(Exception):
    """The projection raised what is the records' failure or its own; it is the cause of this."""


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
        self._backoff = _BACKOFF_S[0]
        #: Why the consumer is not ready, or None.
        self.problem: str | None = "not started"
        #: Whether it will not go on by itself.
        self.stopped = False

    async def run(self) -> None:
        """Project until cancelled, or until a rebuild has put another version in the place of this one.

        A gap or too much poison ends the projecting, but not the process: an operator decides.
        """
        while True:
            try:
                await self._consume()
            except Superseded:
                return
            except (SequenceGap, TooManyParked) as error:
                self.problem, self.stopped = f"{self.name} stopped: {type(error).__name__}: {error}", True
                _log.critical("consumer.stopped", consumer=self.name, error=self.problem)
                await asyncio.Event().wait()
            except (*_NOT_THEIRS, asyncpg.PostgresError, BusError, Stuck) as error:
                self.problem = f"{self.name}: {type(error).__name__}"
                metrics.CONSUMER_RESTARTS.labels(self.name).inc()
                _log.warning("consumer.restarted", consumer=self.name, error=str(error) or type(error).__name__)
                await self._clock.sleep(self._backoff * self._rng.uniform(0.5, 1.5))
                self._backoff = min(self._backoff * 2, _BACKOFF_S[1])

    # -- RebalanceListener

    async def assigned(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        """Start at our own offsets, not at the bus's."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._enter_schema(connection)
            await connection.executemany(
                """INSERT INTO consumer_offset (consumer, topic, partition, next_offset) VALUES ($1, $2, $3, 0)
                   ON CONFLICT DO NOTHING""",
                sorted((self.name, p.topic, p.number) for p in partitions),
            )
            rows = await connection.fetch(
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
                self.problem, self._backoff = None, _BACKOFF_S[0]
                if batches:
                    watch.advanced()
                else:
                    await watch.check(self._owned)
                if self._clock.monotonic() - committed_at >= _COMMIT_EVERY_S:
                    committed_at = self._clock.monotonic()
                    await consumer.commit(dict(self._next))
        finally:
            await consumer.close()

    async def apply_records(self, consumer: Consumer, partition: Partition, records: Sequence[Record]) -> None:
        """Apply one partition's batch: as a whole if possible, else one by one, parking what cannot be applied."""
        reads = [read_record(record) for record in records]
        try:
            await self._transact(consumer, partition, reads)
        except _CannotApply as error:
            _log.warning("consumer.batch_failed", consumer=self.name, records=len(reads), exc_info=error.__cause__)
            for read in reads:
                await self._apply_one(consumer, partition, read)

    async def _apply_one(self, consumer: Consumer, partition: Partition, read: Read) -> None:
        pause = _RETRY_PAUSE_S[0]
        for attempt in range(1, _TRIES + 1):
            try:
                await self._transact(consumer, partition, [read])
            except _CannotApply as error:
                if attempt == _TRIES:
                    offset, cause = read.record.offset, error.__cause__
                    _log.error("consumer.parked", consumer=self.name, offset=offset, exc_info=cause)
                    await self._transact(consumer, partition, [read], park_because=type(cause).__name__)
                    return
                await self._clock.sleep(pause)
                pause = min(pause * 4, _RETRY_PAUSE_S[1])
            else:
                return

    async def _transact(
        self, consumer: Consumer, partition: Partition, reads: Sequence[Read], *, park_because: str | None = None
    ) -> None:
        """One transaction, unless the partition was revoked meanwhile; tried again when others were in its way."""
        for attempt in range(1, _TRIES + 1):
            try:
                async with self._applying:
                    if partition in self._owned:
                        await self._transaction(consumer, partition, reads, park_because)
            except _IN_THE_WAY:
                if attempt == _TRIES:
                    raise
                await self._clock.sleep(_RETRY_PAUSE_S[0] * self._rng.uniform(0.5, 1.5))
            else:
                return

    async def _transaction(
        self, consumer: Consumer, partition: Partition, reads: Sequence[Read], park_because: str | None
    ) -> None:
        """Fence, drop duplicates, park, apply, advance."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._enter_schema(connection)
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
            envelopes = [read.content for read in wanted if isinstance(read.content, Envelope)]
            if envelopes:
                await self._project(connection, envelopes)
            await self._advance(connection, partition, wanted, reads[-1].record.offset + 1)
        if self._store:
            self._store.notify()
        self._next[partition] = reads[-1].record.offset + 1
        metrics.RECORDS_APPLIED.labels(self.name).inc(len(envelopes))
        self._stop_at_too_many(wanted, [read for read, error in poison if error != _BEHIND])

    async def _enter_schema(self, connection: "Connection") -> None:
        """Hold this version of the projection, so that its tables are not dropped meanwhile, and find them first."""
        if self._schema is None:
            return
        held = await connection.fetchval(
            "SELECT true FROM public.projection WHERE name || '_v' || version = $1 FOR KEY SHARE", self._schema
        )
        if not held:
            raise Superseded(self._schema)
        await connection.execute("SELECT set_config('search_path', $1, true)", f"{self._schema}, public")

    async def _project(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        try:
            await self._projection.apply(connection, envelopes)
        except _NOT_THEIRS:
            raise
        except Exception as error:
            raise _CannotApply from error

    def _stop_at_too_many(self, applied: Sequence[Read], parked: Sequence[Read]) -> None:
        longest = 0
        for _, is_parked in sorted(
            [(r.record.offset, False) for r in applied] + [(r.record.offset, True) for r in parked]
        ):
            self._parked_in_a_row = self._parked_in_a_row + 1 if is_parked else 0
            longest = max(longest, self._parked_in_a_row)
        if longest >= _PARKED_IN_A_ROW:
            raise TooManyParked(f"{longest} events in a row")

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
