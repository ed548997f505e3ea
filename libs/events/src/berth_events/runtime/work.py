"""The work table: slow work waits here, is leased by workers, and is finished in one transaction guarded by the lease."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import asyncpg

from berth_events.runtime import claims
from berth_events.runtime.budgets import NOBODY, REFUSAL_WINDOW, Candidate, Rules

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection

__all__ = ["Job", "LeaseLost", "WorkItem", "WorkQueue"]

#: Serialises claims, so that the limits are exact; a claim takes a few milliseconds.
_CLAIM_LOCK: Final = 7_205_003
#: Sign-ins that work are not counted further at a destination: it is trusted by then.
_TRUSTED: Final = 100
#: Of a destination that nothing has happened at for so long everything is forgotten.
_FORGOTTEN: Final = timedelta(days=30)


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
        organization_id: whose places it takes; NOBODY's are not limited.
    """

    key: UUID
    kind: str
    destination: str
    payload: dict[str, Any]
    event_id: UUID
    run_at: datetime | None = None
    traceparent: str | None = None
    organization_id: UUID = NOBODY


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
    organization_id: UUID = NOBODY


class WorkQueue:
    """The work table of one service.

    Args:
        clock: time.
        default_limit: runs at once for each destination, when there are no rules; None: any number.
        lease: how long a worker may be silent.
        rules: the limits that the service ships; an operator's decisions are in the table `work_limit`.
        egress: the address that this process's connections come from; processes with the same one share its limits.
    """

    def __init__(
        self,
        clock: "Clock",
        *,
        lease: timedelta,
        default_limit: int | None = None,
        rules: Rules | None = None,
        egress: str = "",
    ) -> None:
        self._clock, self.lease = clock, lease
        self._rules, self._egress = rules or Rules.of_all(default_limit), egress
        self._walked_to = claims.START

    async def request(self, connection: "Connection", items: Sequence[WorkItem]) -> None:
        """Somebody asked for it: each item replaces what waits under its key, whatever that was scheduled for."""
        await connection.executemany(
            """INSERT INTO work (id, key, kind, destination, payload, event_id, traceparent, run_at, organization_id)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
               ON CONFLICT (key) WHERE state = 'ready' DO UPDATE
                  SET kind = excluded.kind, destination = excluded.destination, payload = excluded.payload,
                      event_id = excluded.event_id, traceparent = excluded.traceparent,
                      run_at = excluded.run_at, organization_id = excluded.organization_id, due = false,
                      attempts = 0, error = NULL""",
            [self._row(item) for item in items],
        )

    async def schedule(self, connection: "Connection", items: Sequence[WorkItem]) -> None:
        """A follow-up: each item waits under its key unless something waits there already."""
        await connection.executemany(
            """INSERT INTO work (id, key, kind, destination, payload, event_id, traceparent, run_at, organization_id)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
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
            item.organization_id,
        )

    async def cancel(self, connection: "Connection", keys: Sequence[UUID]) -> None:
        """Nothing of these keys shall run any more; a run in flight ends with LeaseLost."""
        await connection.execute("DELETE FROM work WHERE key = ANY($1::uuid[])", keys)

    async def claim(self, connection: "Connection", limit: int) -> list[Job]:
        """Lease up to `limit` jobs within all limits, fairly between organizations. Opens its own transaction."""
        now, token = self._clock.now(), uuid4()
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _CLAIM_LOCK)
            await claims.mark_due(connection, now)
            budgets = await claims.read_budgets(connection, self._rules, self._egress, now)
            limit = min(limit, budgets.places())
            if not limit:
                return []
            found, self._walked_to = await claims.candidates(connection, budgets, self._walked_to, limit)
            await claims.know(connection, budgets, {one.destination for one in found})
            chosen = budgets.choose(found, limit)
            await claims.set_pace(connection, budgets)
            rows = await claims.lease(connection, chosen, token, self._egress, now, now + self.lease)
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
                organization_id=row["organization_id"],
            )
            for row in rows
        ]

    async def move(self, connection: "Connection", job: Job, destination: str) -> bool:
        """Count a job at the destination that it turned out to have. Opens its own transaction.

        What the organization has waiting at the old destination waits at the new one from now on.

        Returns:
            Whether there is room for it; if not, it still counts where it was, and is to be given up at once.
        """
        now = self._clock.now()
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _CLAIM_LOCK)
            await connection.execute(
                """UPDATE work SET destination = $3
                    WHERE state = 'ready' AND due AND organization_id = $1 AND destination = $2""",
                job.organization_id,
                job.destination,
                destination,
            )
            budgets = await claims.read_budgets(connection, self._rules, self._egress, now)
            await claims.know(connection, budgets, [destination])
            if not budgets.room_at(destination):
                return False
            budgets.begin(Candidate(job.id, job.organization_id, destination, now))
            await claims.set_pace(connection, budgets)
            await connection.execute(
                "UPDATE work SET destination = $3 WHERE id = $1 AND lease_token = $2", job.id, job.token, destination
            )
        return True

    async def leave_alone(self, connection: "Connection", destination: str, until: datetime) -> None:
        """Start no run for a destination from this egress address before a time; a later one that was set already stands."""
        await connection.execute(
            """INSERT INTO work_destination AS known (destination, egress, blocked_until, until) VALUES ($1, $2, $3, $3)
               ON CONFLICT (destination, egress) DO UPDATE
                  SET blocked_until = greatest(known.blocked_until, excluded.blocked_until),
                      until = greatest(known.until, excluded.until)""",
            destination,
            self._egress,
            until,
        )

    async def note_sign_in(self, connection: "Connection", destination: str, *, refused: bool) -> None:
        """Note that a destination has refused a sign-in, or let one in. Only where refusals are limited it matters.

        Call it late in a transaction: runs of one destination write the same row, until it is trusted.
        """
        now = self._clock.now()
        if not refused:
            await connection.execute(
                """INSERT INTO work_destination AS known (destination, egress, let_in, until)
                   SELECT $1, $2, 1, $3
                    WHERE NOT EXISTS (SELECT FROM work_destination WHERE destination = $1 AND egress = $2 AND let_in >= $4)
                   ON CONFLICT (destination, egress) DO UPDATE
                      SET let_in = known.let_in + 1, until = greatest(known.until, excluded.until)""",
                destination,
                self._egress,
                now,
                _TRUSTED,
            )
            return
        await connection.execute(
            """INSERT INTO work_destination AS known (destination, egress, refused_at, until)
               VALUES ($1, $2, ARRAY[$3::timestamptz], $4)
               ON CONFLICT (destination, egress) DO UPDATE
                  SET refused_at = ARRAY(SELECT at FROM unnest(known.refused_at) at WHERE at > $5) || excluded.refused_at,
                      let_in = 0, until = greatest(known.until, excluded.until)""",
            destination,
            self._egress,
            now,
            now + REFUSAL_WINDOW,
            now - REFUSAL_WINDOW,
        )
        await connection.execute("DELETE FROM work_destination WHERE until < $1", now - _FORGOTTEN)

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
                    """UPDATE work
                          SET state = 'ready', run_at = $3, error = $4, lease_token = NULL, lease_until = NULL,
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
