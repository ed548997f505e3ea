"""Parking by key: an event that cannot be applied, and every later event of its key, wait aside for an operator."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from berth_events.contracts import Envelope, Headers, InvalidRecord, from_binary
from berth_events.runtime import metrics
from berth_events.runtime.bus import Record
from berth_events.runtime.projection import Projection, SequenceGap, position_of

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection

__all__ = ["NothingParked", "ParkedKey", "Parking"]

#: Of the column.
_SEQUENCE_MAX: Final = 2**31 - 1


class NothingParked(LookupError):
    """Nothing is parked under this consumer, topic and key. `parked list` shows what is."""


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """A key that waits, with the error of its first event."""

    consumer: str
    topic: str
    key: str
    error: str
    events: int
    parked_at: datetime


class Parking:
    """Parks, shows, replays and discards, always in the caller's transaction."""

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock

    async def parked_keys(
        self, connection: "Connection", consumer: str, topic: str, keys: Sequence[bytes]
    ) -> set[bytes]:
        """Which of the keys are parked; their rows stay locked, so that no replay runs meanwhile."""
        rows = await connection.fetch(
            "SELECT key FROM parked_key WHERE consumer = $1 AND topic = $2 AND key = ANY($3::bytea[]) FOR SHARE",
            consumer,
            topic,
            keys,
        )
        return {row["key"] for row in rows}

    async def park(self, connection: "Connection", consumer: str, records: Sequence[Record], error: str) -> None:
        """Put records of one topic aside, behind those of the same key that are there."""
        now = self._clock.now()
        for record in records:
            place = record.partition
            await connection.execute(
                """INSERT INTO parked_key (consumer, topic, key, error, parked_at) VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT DO NOTHING""",
                consumer,
                place.topic,
                record.key,
                error,
                now,
            )
            await connection.execute(
                """INSERT INTO parked_event (consumer, topic, partition, "offset", key, headers, value)
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING""",
                consumer,
                place.topic,
                place.number,
                record.offset,
                record.key,
                _pack(record.headers),
                record.value,
            )
        metrics.EVENTS_PARKED.labels(consumer).inc(len(records))

    async def keys(self, connection: "Connection") -> list[ParkedKey]:
        """Everything that is parked, oldest first."""
        rows = await connection.fetch(
            """SELECT consumer, topic, key, error, parked_at,
                      (SELECT count(*) FROM parked_event e
                        WHERE (e.consumer, e.topic, e.key) = (k.consumer, k.topic, k.key)) AS events
                 FROM parked_key k ORDER BY parked_at"""
        )
        return [
            ParkedKey(
                row["consumer"],
                row["topic"],
                row["key"].decode("utf-8", "replace"),
                row["error"],
                row["events"],
                row["parked_at"],
            )
            for row in rows
        ]

    async def show(self, connection: "Connection", consumer: str, topic: str, key: str) -> list[dict[str, Any]]:
        """The parked events of a key, in order, as an operator reads them.

        Raises:
            NothingParked: the key is not parked.
        """
        return [
            {
                "partition": row["partition"],
                "offset": row["offset"],
                "headers": {name: raw.decode("utf-8", "backslashreplace") for name, raw in _unpack(row["headers"])},
                "value": row["value"].decode("utf-8", "backslashreplace"),
            }
            for row in await self._events(connection, consumer, topic, key)
        ]

    async def replay(
        self, connection: "Connection", projection: "Projection", consumer: str, topic: str, key: str
    ) -> int:
        """Apply the parked events of a key in order, duplicates once, then unblock it; all or nothing.

        Returns:
            How many were applied.

        Raises:
            NothingParked: the key is not parked.
            SequenceGap: an event between them is missing; the key stays parked.
            InvalidRecord: one of them is no event and never will be; discard the key.
            Exception: what the projection raised; the key stays parked.
        """
        applied = 0
        for row in await self._events(connection, consumer, topic, key):
            content = from_binary(_unpack(row["headers"]), row["value"])
            stream_id, sequence = position_of(content)
            last = await self._passed(connection, consumer, topic, stream_id)
            if sequence <= last:
                continue
            if sequence > last + 1:
                raise SequenceGap(f"{topic} {stream_id}: {sequence} after {last}")
            if isinstance(content, Envelope):
                await projection.apply(connection, [content])
            await self._pass(connection, consumer, topic, stream_id, sequence)
            applied += 1
        await self._unblock(connection, consumer, topic, key)
        return applied

    async def discard(
        self, connection: "Connection", consumer: str, topic: str, key: str, *, first_only: bool = False
    ) -> int:
        """Drop the parked events of a key for good and unblock it; later events are applied again.

        What is dropped counts as passed, so that the next event of the stream is no gap.

        Args:
            connection: in the caller's transaction.
            consumer: whose.
            topic: of the events.
            key: of the events.
            first_only: drop only the event that could not be applied; those behind it stay parked for `replay`.

        Returns:
            How many were dropped.

        Raises:
            NothingParked: the key is not parked.
        """
        rows = await self._events(connection, consumer, topic, key)
        dropped = rows[:1] if first_only else rows
        for row in dropped:
            if place := _place(_unpack(row["headers"]), row["value"]):
                await self._pass(connection, consumer, topic, *place)
            await connection.execute(
                'DELETE FROM parked_event WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4',
                consumer,
                topic,
                row["partition"],
                row["offset"],
            )
        if len(dropped) == len(rows):
            await self._unblock(connection, consumer, topic, key)
        return len(dropped)

    async def _events(self, connection: "Connection", consumer: str, topic: str, key: str) -> list[Any]:
        locked = await connection.fetchval(
            "SELECT true FROM parked_key WHERE consumer = $1 AND topic = $2 AND key = $3 FOR UPDATE",
            consumer,
            topic,
            key.encode(),
        )
        if not locked:
            raise NothingParked(f"{consumer} {topic} {key}")
        return await connection.fetch(
            """SELECT partition, "offset", headers, value FROM parked_event
                WHERE consumer = $1 AND topic = $2 AND key = $3 ORDER BY partition, "offset" """,
            consumer,
            topic,
            key.encode(),
        )

    async def _passed(self, connection: "Connection", consumer: str, topic: str, stream_id: UUID) -> int:
        """The last event of a stream that the consumer has behind it; 0 is none."""
        sequence: int = await connection.fetchval(
            """SELECT coalesce(max(sequence), 0) FROM consumer_sequence
                WHERE consumer = $1 AND topic = $2 AND stream_id = $3""",
            consumer,
            topic,
            stream_id,
        )
        return sequence

    async def _pass(self, connection: "Connection", consumer: str, topic: str, stream_id: UUID, sequence: int) -> None:
        await connection.execute(
            """INSERT INTO consumer_sequence (consumer, topic, stream_id, sequence) VALUES ($1, $2, $3, $4)
               ON CONFLICT (consumer, topic, stream_id)
               DO UPDATE SET sequence = greatest(consumer_sequence.sequence, excluded.sequence)""",
            consumer,
            topic,
            stream_id,
            sequence,
        )

    async def _unblock(self, connection: "Connection", consumer: str, topic: str, key: str) -> None:
        for statement in (
            "DELETE FROM parked_event WHERE consumer = $1 AND topic = $2 AND key = $3",
            "DELETE FROM parked_key WHERE consumer = $1 AND topic = $2 AND key = $3",
        ):
            await connection.execute(statement, consumer, topic, key.encode())


def _pack(headers: Headers) -> bytes:
    return json.dumps([[name, raw.decode("latin-1")] for name, raw in headers]).encode()


def _unpack(packed: bytes) -> Headers:
    return tuple((name, text.encode("latin-1")) for name, text in json.loads(packed))


def _place(headers: Headers, value: bytes) -> tuple[UUID, int] | None:
    """The record's place in its stream, also when its data is no event; None when not even that can be read."""
    try:
        stream_id, sequence = position_of(from_binary(headers, value))
    except InvalidRecord:
        named = dict(headers)
        try:
            stream_id, sequence = UUID(named["ce_subject"].decode()), int(named["ce_sequence"])
        except (KeyError, ValueError):
            return None
    return (stream_id, sequence) if 0 < sequence <= _SEQUENCE_MAX else None
