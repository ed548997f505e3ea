"""The event feed: everything that happened to a project's accounts, readable with a cursor without missing anything.

A position is drawn before its transaction commits, so a reader that remembers "last position" would step over rows that
become visible later. Writers therefore hold a shared advisory lock from before the draw until they commit; a reader takes
the lock exclusively for a moment, after which every position up to the highest it has seen is decided.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

import asyncpg
import structlog

from berth_events.runtime.database import INFRASTRUCTURE_ERRORS

if TYPE_CHECKING:
    from berth_events.contracts import Envelope
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool

__all__ = ["Entry", "FeedEvent", "FeedReader", "FeedTail", "publish"]

#: An event and the project in whose feed it appears.
Entry: TypeAlias = "tuple[UUID, Envelope]"

_LOCK: Final = 7_205_101
_POLL_S: Final = 0.1
#: The lock is taken before a position is drawn: the rows wait for it.
_PUBLISH: Final = """
    WITH writing AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared($1)),
    told AS (
        INSERT INTO feed (project_id, event_id, source, type, subject, sequence, time, data)
        SELECT e.project_id, e.event_id, e.source, e.type, e.subject, e.sequence, e.time, e.data
          FROM writing,
               unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::int[], $8::timestamptz[], $9::jsonb[])
               WITH ORDINALITY AS e (project_id, event_id, source, type, subject, sequence, time, data, place)
         ORDER BY e.place
        ON CONFLICT (project_id, event_id) DO NOTHING
        RETURNING position, project_id, event_id, type, subject)
    INSERT INTO webhook_delivery (webhook_id, position, event_id, type, subject, run_at, created_at)
    SELECT w.webhook_id, told.position, told.event_id, told.type, told.subject, now(), now()
      FROM told JOIN webhook w ON w.project_id = told.project_id AND w.enabled
                              AND (w.types IS NULL OR told.type = ANY(w.types))
     ORDER BY told.position
       FOR KEY SHARE OF w  -- one that is removed just now is waited for, and left out
"""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent:
    """One entry of a project's feed."""

    position: int
    event_id: UUID
    source: str
    type: str
    subject: UUID
    sequence: int
    time: datetime
    data: Mapping[str, Any]


async def publish(connection: "Connection", entries: Sequence[Entry]) -> None:
    """Add events to the feeds of projects, and to the queues of their webhooks. A repeated event is left out.

    It is the last write of the caller's transaction.
    """
    columns = zip(
        *(
            (
                project_id,
                envelope.event_id,
                envelope.source,
                envelope.type,
                envelope.data.aggregate_id,
                envelope.sequence,
                envelope.time,
                envelope.data.model_dump(mode="json"),
            )
            for project_id, envelope in entries
        ),
        strict=True,
    )
    if entries:
        await connection.execute(_PUBLISH, _LOCK, *map(list, columns))


class FeedReader:
    """Reads feeds.

    Args:
        pool: the gateway's database.
    """

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._decided = 0

    async def decided(self) -> int:
        """The highest position up to which nothing can appear any more.

        Waits for the transactions that are writing now, about as long as one of them takes; when that takes too long, the
        answer is what was known before.
        """
        async with self._pool.acquire() as connection:
            highest: int = await connection.fetchval("SELECT coalesce(max(position), 0) FROM feed")
            if highest > self._decided:
                try:
                    async with connection.transaction():
                        # while this waits, new writers wait behind it: so it does not wait long
                        await connection.execute("SET LOCAL lock_timeout = '500ms'")
                        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                except asyncpg.LockNotAvailableError:
                    return self._decided
                self._decided = max(self._decided, highest)
        return self._decided

    async def grown(self, seen: int) -> tuple[int, set[UUID]]:
        """How far the feed is decided now, and the projects that have events behind `seen`."""
        decided = await self.decided()
        if decided <= seen:
            return seen, set()
        rows = await self._pool.fetch(
            "SELECT DISTINCT project_id FROM feed WHERE position > $1 AND position <= $2", seen, decided
        )
        return decided, {row["project_id"] for row in rows}

    async def read(
        self,
        project_id: UUID,
        *,
        after: int,
        limit: int,
        types: Sequence[str] | None = None,
        subject: UUID | None = None,
    ) -> list[FeedEvent]:
        """The next events of a project, in order.

        Args:
            project_id: whose.
            after: position of the last event that was read; 0 for the first.
            limit: how many at most.
            types: only these event types; None is all.
            subject: only events of this aggregate; None is all.
        """
        rows = await self._pool.fetch(
            """SELECT position, event_id, source, type, subject, sequence, time, data FROM feed
                WHERE project_id = $1 AND position > $2 AND position <= $3 AND ($5::text[] IS NULL OR type = ANY($5))
                  AND ($6::uuid IS NULL OR subject = $6)
                ORDER BY position LIMIT $4""",
            project_id,
            after,
            await self.decided(),
            limit,
            types,
            subject,
        )
        return [FeedEvent(**row) for row in rows]


class FeedTail:
    """Tells the streams of this replica that there is something to read: one poller, however many streams there are.

    Args:
        reader: finds out who has something to read.
        clock: time.
    """

    problem: str | None = None

    def __init__(self, reader: FeedReader, clock: "Clock") -> None:
        self._reader, self._clock = reader, clock
        self._wanted = asyncio.Event()
        self._listeners: dict[UUID, set[asyncio.Event]] = {}

    @property
    def listeners(self) -> int:
        """How many streams there are."""
        return sum(map(len, self._listeners.values()))

    @contextmanager
    def listen(self, project_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the project's feed has grown; the listener clears it before it reads."""
        grown = asyncio.Event()
        self._listeners.setdefault(project_id, set()).add(grown)
        self._wanted.set()
        try:
            yield grown
        finally:
            self._listeners[project_id].discard(grown)
            if not self._listeners[project_id]:
                del self._listeners[project_id]
            if not self._listeners:
                self._wanted.clear()

    async def run(self) -> None:
        """Poll until cancelled, as long as anybody listens."""
        seen: int | None = None
        while True:
            await self._wanted.wait()
            try:
                if seen is None:
                    # whoever listens by now may have read before this was decided: they look once more
                    seen, projects = await self._reader.decided(), set(self._listeners)
                else:
                    seen, projects = await self._reader.grown(seen)
            except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:
                _log.warning("feed.unreadable", error=type(error).__name__)
            else:
                for project_id in projects & self._listeners.keys():
                    for listener in self._listeners[project_id]:
                        listener.set()
            await self._clock.sleep(_POLL_S)
