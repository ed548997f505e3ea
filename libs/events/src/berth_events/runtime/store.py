"""The event store: appends with optimistic concurrency, and the outbox row in the same statement."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

import asyncpg

from berth_events.contracts import Envelope, Event, to_binary
from berth_events.contracts.upcasting import read_event_data
from berth_events.runtime import metrics
from berth_events.runtime.bus import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection

__all__ = ["ConcurrencyConflict", "Context", "Decided", "EventStore", "EventTooLarge"]


class ConcurrencyConflict(Exception):
    """Another command appended to the stream first. Roll back, read the stream again and decide again."""


class EventTooLarge(ValueError):
    """The event does not fit into one record of the bus. Split it into parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Why an event is appended: the request it began with, the event that led to it, and the trace."""

    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    traceparent: str | None = None

    @classmethod
    def caused_by(cls, cause: Envelope) -> "Context":
        """The context of what follows from an event."""
        return cls(correlation_id=cause.correlation_id, causation_id=cause.event_id, traceparent=cause.traceparent)


_APPEND: Final = """
    WITH behind AS MATERIALIZED (
        SELECT NOT EXISTS (
            SELECT FROM unnest($13::uuid[], $14::int[]) AS s (stream_id, version)
             WHERE s.version > 0
               AND NOT EXISTS (SELECT FROM event e WHERE e.stream_id = s.stream_id AND e.version = s.version)) AS ok),
    appended AS (
        INSERT INTO event (stream_id, version, event_id, type, schema_version, data, metadata, recorded_at)
        SELECT e.stream_id, e.version, e.event_id, e.type, e.schema_version, e.data, $1::jsonb, $2
          FROM unnest($3::uuid[], $4::int[], $5::uuid[], $6::text[], $7::int[], $8::jsonb[]) WITH ORDINALITY
               AS e (stream_id, version, event_id, type, schema_version, data, place)
         WHERE (SELECT ok FROM behind)
         ORDER BY e.place)
    INSERT INTO outbox (topic, key, headers, value, added_at)
    SELECT o.topic, o.key, o.headers, o.value, $2
      FROM unnest($9::text[], $10::bytea[], $11::jsonb[], $12::bytea[]) WITH ORDINALITY
           AS o (topic, key, headers, value, place)
     WHERE (SELECT ok FROM behind)
     ORDER BY o.place
"""


@dataclass(frozen=True, slots=True)
class Decided:
    """Events that were decided on a stream at a version; 0: the stream is new."""

    stream_id: UUID
    expected_version: int
    events: Sequence[Event]


class EventStore:
    """Appends to the service's own event table, and reads streams back.

    Args:
        source: the service, as CloudEvents `source`: `/berth/gateway`.
        clock: gives `ce_time`.
    """

    def __init__(self, source: str, clock: "Clock") -> None:
        self._source, self._clock = source, clock
        #: Set after a commit, to wake the relay of this process at once.
        self.appended = asyncio.Event()

    async def append(
        self,
        connection: "Connection",
        stream_id: UUID,
        expected_version: int,
        events: Sequence[Event],
        context: Context,
    ) -> list[Envelope]:
        """Append events behind `expected_version` (0: the stream is new), inside the caller's transaction.

        An event's id is made of source, stream and version, so a command that is tried twice makes the same one.

        Returns:
            The events as they will be published.

        Raises:
            ConcurrencyConflict: the stream is at another version; the transaction has to be rolled back.
            EventTooLarge: before anything was written.
        """
        return await self.append_all(connection, [Decided(stream_id, expected_version, events)], context)

    async def append_all(
        self, connection: "Connection", streams: Sequence[Decided], context: Context
    ) -> list[Envelope]:
        """Append to many streams in one statement, each of them named once; see `append`.

        Hundreds of events at a time: all of them are in memory in several forms meanwhile.

        Returns:
            The events as they will be published, in the order given.

        Raises:
            ConcurrencyConflict: one of the streams is at another version; the transaction has to be rolled back.
            EventTooLarge: before anything was written.
        """
        now = self._clock.now()
        envelopes = [
            Envelope(
                event_id=uuid5(stream.stream_id, f"{self._source}:{version}"),
                source=self._source,
                sequence=version,
                time=now,
                data=event,
                correlation_id=context.correlation_id,
                causation_id=context.causation_id,
                traceparent=context.traceparent,
            )
            for stream in streams
            for version, event in enumerate(stream.events, stream.expected_version + 1)
        ]
        wire = [to_binary(envelope) for envelope in envelopes]
        for envelope, (headers, value) in zip(envelopes, wire, strict=True):
            if len(value) + sum(len(n) + len(v) for n, v in headers) > MAX_MESSAGE_BYTES:
                raise EventTooLarge(f"{envelope.type} has {len(value)} bytes, {MAX_MESSAGE_BYTES} at most")
        try:
            status = await connection.execute(
                _APPEND,
                _metadata(context),
                now,
                [stream.stream_id for stream in streams for _ in stream.events],
                [e.sequence for e in envelopes],
                [e.event_id for e in envelopes],
                [e.type for e in envelopes],
                [e.data.version for e in envelopes],
                [e.data.model_dump(mode="json") for e in envelopes],
                [e.topic for e in envelopes],
                [e.key for e in envelopes],
                # objects, because asyncpg takes a list in a list for one more dimension of the array
                [{name: raw.decode() for name, raw in headers} for headers, _ in wire],
                [value for _, value in wire],
                [stream.stream_id for stream in streams],
                [stream.expected_version for stream in streams],
            )
        except asyncpg.UniqueViolationError as error:
            metrics.APPEND_CONFLICTS.inc()
            raise ConcurrencyConflict(_named(streams, "is not at version")) from error
        if status != f"INSERT 0 {len(envelopes)}":  # behind a version that does not exist: a gap for every consumer
            metrics.APPEND_CONFLICTS.inc()
            raise ConcurrencyConflict(_named(streams, "has no version"))
        metrics.EVENTS_APPENDED.inc(len(envelopes))
        return envelopes

    def notify(self) -> None:
        """Wake the relay of this process; call it after the transaction has committed."""
        self.appended.set()

    async def version(self, connection: "Connection", stream_id: UUID) -> int:
        """The version of the stream; 0 when it has no event."""
        found: int = await connection.fetchval(
            "SELECT coalesce(max(version), 0) FROM event WHERE stream_id = $1", stream_id
        )
        return found

    async def read(self, connection: "Connection", stream_id: UUID) -> list[Envelope]:
        """All events of a stream in order, upcast to their newest versions."""
        rows = await connection.fetch(
            """SELECT version, event_id, type, schema_version, data, metadata, recorded_at
                 FROM event WHERE stream_id = $1 ORDER BY version""",
            stream_id,
        )
        return [
            Envelope(
                event_id=row["event_id"],
                source=self._source,
                sequence=row["version"],
                time=row["recorded_at"],
                data=read_event_data(row["type"], row["schema_version"], row["data"]),
                correlation_id=_uuid(row["metadata"].get("correlation_id")),
                causation_id=_uuid(row["metadata"].get("causation_id")),
                traceparent=row["metadata"].get("traceparent"),
            )
            for row in rows
        ]


def _named(streams: Sequence[Decided], fault: str) -> str:
    first = f"stream {streams[0].stream_id} {fault} {streams[0].expected_version}"
    return first if len(streams) == 1 else f"{first}, or another of {len(streams)} is not where it should be"


def _metadata(context: Context) -> dict[str, str]:
    named = {
        "correlation_id": context.correlation_id,
        "causation_id": context.causation_id,
        "traceparent": context.traceparent,
    }
    return {name: str(value) for name, value in named.items() if value is not None}


def _uuid(text: str | None) -> UUID | None:
    return UUID(text) if text else None
