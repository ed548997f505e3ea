"""The work table: slow work waits here, is leased by workers, and is finished in one transaction guarded by the lease."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import asyncpg

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection

__all__ = ["Job", "LeaseLost", "WorkItem", "WorkQueue"]

#: Serialises claims, so that the limits per destination are exact; a claim takes about a millisecond.
_CLAIM_LOCK: Final = 7_205_003


class LeaseLost(Exception):
    """The lease ran out and the work was given to somebody else. This result is dropped; the other one counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """Work to be done.

    Attributes:
        key: the aggregate; a key has one run at a time.
        kind: what to do, for the handler and the metrics.
        destination: what the limit of simultaneous runs is counted by, for example a mail host.
        payload: JSON; never a secret.
        event_id: the event that asked for it.
        run_at: not before; None is at once.
    """

    key: UUID
    kind: str
    destination: str
    payload: dict[str, Any]
    event_id: UUID
    run_at: datetime | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that this worker has leased. `attempts` counts this run too, but none that was given back without an error."""

    id: UUID
    key: UUID
    kind: str
    destination: str
    payload: dict[str, Any] = field(repr=False)
    causation_id: UUID
    traceparent: str | None
    attempts: int
    token: UUID


class WorkQueue:
    """The work table of one service.

    Args:
        clock: time.
        default_limit: runs at once for a destination that has no limit of its own.
        lease: how long a worker may be silent.
    """

    def __init__(self, clock: "Clock", *, default_limit: int, lease: timedelta) -> None:
        self._clock, self._default_limit, self.lease = clock, default_limit, lease

    async def request(self, connection: "Connection", items: Sequence[WorkItem]) -> None:
        """Somebody asked for it: each item replaces what waits under its key, whatever that was scheduled for."""
        await connection.executemany(
            """INSERT INTO work (id, key, kind, destination, payload, event_id, traceparent, run_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (key) WHERE state = 'ready' DO UPDATE
                  SET kind = excluded.kind, destination = excluded.destination, payload = excluded.payload,
                      event_id = excluded.event_id, traceparent = excluded.traceparent,
                      run_at = excluded.run_at, attempts = 0, error = NULL""",
            [self._row(item) for item in items],
        )

    async def schedule(self, connection: "Connection", items: Sequence[WorkItem]) -> None:
        """A follow-up: each item waits under its key unless something waits there already."""
        await connection.executemany(
            """INSERT INTO work (id, key, kind, destination, payload, event_id, traceparent, run_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (key) WHERE state = 'ready' DO NOTHING""",
            [self._row(item) for item in items],
        )

    def _row(self, item: WorkItem) -> tuple[Any, ...]:
        run_at = item.run_at or self._clock.now()
        return (
            uuid4(),
            item.key,
            item.kind,
            item.destination,
            item.payload,
            item.event_id,
            item.traceparent,
            run_at,
        )

    async def cancel(self, connection: "Connection", keys: Sequence[UUID]) -> None:
        """Nothing of these keys shall run any more; a run in flight ends with LeaseLost."""
        await connection.execute("DELETE FROM work WHERE key = ANY($1::uuid[])", keys)

    async def claim(self, connection: "Connection", limit: int) -> list[Job]:
        """Lease up to `limit` jobs, oldest first, within the limits of their destinations. Opens its own transaction."""
        now, token = self._clock.now(), uuid4()
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _CLAIM_LOCK)
            rows = await connection.fetch(_CLAIM, now, limit, self._default_limit, token, now + self.lease)
        return [
            Job(
                id=row["id"],
                key=row["key"],
                kind=row["kind"],
                destination=row["destination"],
                payload=row["payload"],
                causation_id=row["event_id"],
                traceparent=row["traceparent"],
                attempts=row["attempts"],
                token=token,
            )
            for row in rows
        ]

    async def renew(self, connection: "Connection", jobs: Sequence[Job]) -> set[UUID]:
        """Prolong leases. Returns the ids of the jobs that are still ours: a lease that ran out is lost, taken or not."""
        now = self._clock.now()
        rows = await connection.fetch(
            """UPDATE work w SET lease_until = $3
                 FROM unnest($1::uuid[], $2::uuid[]) AS held (id, token)
                WHERE w.id = held.id AND w.lease_token = held.token AND w.state = 'leased' AND w.lease_until > $4
            RETURNING w.id""",
            [job.id for job in jobs],
            [job.token for job in jobs],
            now + self.lease,
            now,
        )
        return {row["id"] for row in rows}

    async def finish(self, connection: "Connection", job: Job) -> None:
        """The first statement of the finishing transaction: the row goes, so only one result gets in.

        Raises:
            LeaseLost: roll back.
        """
        done = await connection.fetchval(
            "DELETE FROM work WHERE id = $1 AND lease_token = $2 AND state = 'leased' RETURNING id", job.id, job.token
        )
        if done is None:
            raise LeaseLost(f"{job.kind} {job.key}")

    async def release(self, connection: "Connection", job: Job, *, run_at: datetime, error: str | None = None) -> None:
        """Give a job back for `run_at`; if something newer waits under its key, that stands instead.

        Without an error the run does not count as an attempt.
        """
        try:
            async with connection.transaction():
                await connection.execute(
                    """UPDATE work SET state = 'ready', run_at = $3, error = $4, lease_token = NULL, lease_until = NULL,
                                       attempts = attempts - ($4::text IS NULL)::int
                        WHERE id = $1 AND lease_token = $2""",
                    job.id,
                    job.token,
                    run_at,
                    error,
                )
        except asyncpg.UniqueViolationError:  # of work_ready_key
            await connection.execute("DELETE FROM work WHERE id = $1 AND lease_token = $2", job.id, job.token)

    async def fail(self, connection: "Connection", job: Job, error: str) -> None:
        """Set a job aside after too many crashes of its handler; an operator looks at it."""
        await connection.execute(
            """UPDATE work SET state = 'failed', error = $3, lease_token = NULL, lease_until = NULL
                WHERE id = $1 AND lease_token = $2""",
            job.id,
            job.token,
            error,
        )


#: Of what is due only the first thousand of destinations with room are looked at: a backlog must not make claims slow.
_CLAIM: Final = """
    WITH busy AS (
        SELECT destination, count(*) AS runs FROM work
         WHERE state = 'leased' AND lease_until > $1 GROUP BY destination),
    closed AS (
        SELECT destination FROM busy FULL JOIN work_destination limits USING (destination)
         WHERE coalesce(busy.runs, 0) >= coalesce(limits.max_in_flight, $3) OR limits.blocked_until > $1),
    due AS (
        SELECT id, run_at, destination FROM work WHERE state = 'leased' AND lease_until <= $1
        UNION ALL
        (SELECT w.id, w.run_at, w.destination FROM work w
          WHERE w.state = 'ready' AND w.run_at <= $1
            AND NOT EXISTS (SELECT FROM closed WHERE closed.destination = w.destination)
            AND NOT EXISTS (SELECT FROM work r WHERE r.key = w.key AND r.state = 'leased')
          ORDER BY w.run_at LIMIT 1000)),
    waiting AS (
        SELECT id, run_at, destination, row_number() OVER (PARTITION BY destination ORDER BY run_at) AS place FROM due),
    chosen AS (
        SELECT waiting.id FROM waiting
          LEFT JOIN busy USING (destination)
          LEFT JOIN work_destination limits USING (destination)
         WHERE waiting.place + coalesce(busy.runs, 0) <= coalesce(limits.max_in_flight, $3)
           AND (limits.blocked_until IS NULL OR limits.blocked_until <= $1)
         ORDER BY waiting.run_at LIMIT $2)
    UPDATE work SET state = 'leased', lease_token = $4, lease_until = $5, attempts = attempts + 1
     WHERE id IN (SELECT w.id FROM work w JOIN chosen USING (id)
                   -- once more, on the row as it is when it is locked: its owner may have been quicker
                   WHERE (w.state = 'leased' AND w.lease_until <= $1) OR (w.state = 'ready' AND w.run_at <= $1)
                     FOR UPDATE OF w SKIP LOCKED)
    RETURNING id, key, kind, destination, payload, event_id, traceparent, attempts
"""
