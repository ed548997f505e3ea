"""The queue of deliveries: claimed by lease, one at a time for each webhook and subject, in the order of the feed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool

__all__ = ["Backlog", "DeliveryQueue", "Job", "LeaseLost", "SentEvent", "forget_deliveries"]

#: Serialises claims, so that the limits per webhook are exact; a claim takes about a millisecond.
_CLAIM_LOCK: Final = 7_205_201
#: Longer than an attempt can last.
_LEASE: Final = timedelta(seconds=30)
_KEPT_ATTEMPTS: Final = 20
_DELIVERED_FOR: Final = timedelta(days=7)
_FAILED_FOR: Final = timedelta(days=30)
_BATCH: Final = 1000
_BATCHES: Final = 50


class LeaseLost(Exception):
    """The delivery was removed, or its lease ran out and it was given to somebody else. What was found out here is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentEvent:
    """What the feed has of an event besides its id, type and subject."""

    source: str
    sequence: int
    time: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A delivery that this worker has leased.

    Attributes:
        event: None is a test.
        tries: failed attempts before this one, in the present round.
        attempts: the log so far.
        secrets: those that sign, the newest first, five at most: id and encrypted secret.
    """

    delivery_id: UUID
    token: UUID
    webhook_id: UUID
    url: str = field(repr=False)
    position: int
    event_id: UUID
    type: str
    subject: UUID
    event: SentEvent | None
    tries: int
    attempts: Sequence[Mapping[str, Any]] = field(repr=False)
    created_at: datetime
    secrets: Sequence[tuple[UUID, bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits at enabled webhooks, and how long the oldest has been due, in seconds."""

    rows: int
    oldest: float


class DeliveryQueue:
    """The deliveries of all projects.

    Args:
        clock: time.
        per_webhook: requests at once to one webhook, by all replicas together.
    """

    def __init__(self, clock: "Clock", *, per_webhook: int) -> None:
        self._clock, self._per_webhook = clock, per_webhook

    async def due(self, connection: "Connection") -> bool:
        """Whether anything is due, be it behind an event that has to go first."""
        found: bool = await connection.fetchval(
            """SELECT EXISTS (
                   SELECT FROM webhook w JOIN webhook_delivery d USING (webhook_id)
                    WHERE w.enabled AND (w.held_until IS NULL OR w.held_until <= $1)
                      AND d.state = 'pending' AND d.run_at <= $1)""",
            self._clock.now(),
        )
        return found

    async def claim(self, connection: "Connection", limit: int, *, decided: int) -> list[Job]:
        """Lease up to `limit` deliveries, the longest due first. Opens its own transaction.

        Args:
            connection: without a transaction.
            limit: how many at most.
            decided: the position up to which nothing can appear in the feed any more: what is behind it might be overtaken.
        """
        now, token = self._clock.now(), uuid4()
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _CLAIM_LOCK)
            claimed = await connection.fetch(_CLAIM, now, decided, self._per_webhook, limit, token, now + _LEASE)
            rows = await connection.fetch(_DETAILS, [row["delivery_id"] for row in claimed], now)
        return [_job(row, token) for row in rows]

    async def release(self, connection: "Connection", job: Job, *, run_at: datetime) -> None:
        """Give a delivery back for `run_at`, as if it had not been tried."""
        await connection.execute(
            "UPDATE webhook_delivery SET lease_token = NULL, run_at = $3 WHERE delivery_id = $1 AND lease_token = $2",
            job.delivery_id,
            job.token,
            run_at,
        )

    async def delivered(self, connection: "Connection", job: Job, attempt: Mapping[str, Any]) -> None:
        """It arrived.

        Raises:
            LeaseLost: roll back.
        """
        if job.event is not None:
            # the webhook before the delivery, as in a removal, which would otherwise wait for us while we wait for it
            await connection.execute(
                """UPDATE webhook SET failures = 0, failing_since = NULL, held_until = NULL
                    WHERE webhook_id = $1 AND failures > 0""",
                job.webhook_id,
            )
        await self._finish(connection, job, attempt, state="delivered", run_at=self._clock.now())

    async def failed(
        self, connection: "Connection", job: Job, attempt: Mapping[str, Any], *, run_at: datetime | None
    ) -> None:
        """It did not arrive.

        Args:
            connection: inside a transaction.
            job: the delivery.
            attempt: for the log.
            run_at: when it is tried again; None: not any more.

        Raises:
            LeaseLost: roll back.
        """
        if run_at is None:
            await self._finish(connection, job, attempt, state="failed", run_at=self._clock.now())
            return
        await self._finish(connection, job, attempt, state="pending", run_at=run_at)
        # what waits behind it is not due before: else each claim would look at it
        await connection.execute(
            """UPDATE webhook_delivery SET run_at = $4
                WHERE webhook_id = $1 AND subject = $2 AND state = 'pending' AND position > $3 AND lease_token IS NULL
                  AND run_at < $4""",
            job.webhook_id,
            job.subject,
            job.position,
            run_at,
        )

    async def count_failure(self, connection: "Connection", job: Job) -> tuple[int, datetime]:
        """Note that the endpoint failed: how often in a row by now, and since when.

        Raises:
            LeaseLost: the webhook is gone.
        """
        row = await connection.fetchrow(
            """UPDATE webhook SET failures = failures + 1, failing_since = coalesce(failing_since, $2)
                WHERE webhook_id = $1 RETURNING failures, failing_since""",
            job.webhook_id,
            self._clock.now(),
        )
        if row is None:
            raise LeaseLost
        return row["failures"], row["failing_since"]

    async def hold(self, connection: "Connection", job: Job, until: datetime) -> None:
        """Send the endpoint nothing before `until`."""
        await connection.execute(
            "UPDATE webhook SET held_until = greatest(held_until, $2) WHERE webhook_id = $1", job.webhook_id, until
        )

    async def disable(self, connection: "Connection", job: Job, reason: str) -> None:
        """Send the endpoint nothing until it is enabled again; its queue stays."""
        await connection.execute(
            """UPDATE webhook SET enabled = false, disabled_reason = $2, updated_at = $3
                WHERE webhook_id = $1 AND enabled""",
            job.webhook_id,
            reason,
            self._clock.now(),
        )

    async def backlog(self, connection: "Connection") -> Backlog:
        """For the metrics."""
        row = await connection.fetchrow(
            """SELECT count(*) AS rows, extract(epoch FROM $1 - min(d.run_at))::float AS oldest
                 FROM webhook_delivery d JOIN webhook w USING (webhook_id) WHERE d.state = 'pending' AND w.enabled""",
            self._clock.now(),
        )
        return Backlog(row["rows"], max(row["oldest"] or 0.0, 0.0)) if row else Backlog(0, 0.0)

    async def _finish(
        self, connection: "Connection", job: Job, attempt: Mapping[str, Any], *, state: str, run_at: datetime
    ) -> None:
        finished = await connection.fetchval(
            """UPDATE webhook_delivery
                  SET state = $3, tries = $4, attempts = $5, run_at = $6, lease_token = NULL,
                      finished_at = CASE WHEN $3 = 'pending' THEN NULL ELSE $7::timestamptz END
                WHERE delivery_id = $1 AND lease_token = $2 RETURNING true""",
            job.delivery_id,
            job.token,
            state,
            job.tries + 1,
            [*job.attempts, attempt][-_KEPT_ATTEMPTS:],
            run_at,
            self._clock.now(),
        )
        if not finished:
            raise LeaseLost
        if state != "pending":
            await connection.execute(
                """UPDATE webhook_delivery SET run_at = $3
                    WHERE run_at > $3 AND lease_token IS NULL AND delivery_id = (
                          SELECT delivery_id FROM webhook_delivery
                           WHERE webhook_id = $1 AND subject = $2 AND state = 'pending' ORDER BY position LIMIT 1)""",
                job.webhook_id,
                job.subject,
                self._clock.now(),
            )


async def forget_deliveries(pool: "Pool", now: datetime) -> None:
    """Delete what was delivered a week ago, or given up or held back a month ago, and secrets that have expired.

    In short transactions, so that a large log is no long lock; what is left is for the next time.
    """
    for _ in range(_BATCHES):
        result = await pool.execute(_FORGET, now - _DELIVERED_FOR, now - _FAILED_FOR, _BATCH)
        if result == "DELETE 0":
            break
    await pool.execute("DELETE FROM webhook_secret WHERE expires_at < $1", now)


def _job(row: "asyncpg.Record", token: UUID) -> Job:
    taken = (
        "delivery_id", "webhook_id", "url", "position", "event_id", "type", "subject", "tries", "attempts", "created_at",
    )  # fmt: skip
    event = None
    if row["position"] > 0:
        event = SentEvent(source=row["source"], sequence=row["sequence"], time=row["time"], data=row["data"])
    return Job(
        **{name: row[name] for name in taken},
        token=token,
        event=event,
        secrets=list(zip(row["secret_ids"], row["sealed"], strict=True)),
    )


#: Of each enabled webhook with room: what is due and has neither an earlier event of its subject before it nor one in flight.
_CLAIM: Final = """
    WITH busy AS (
        SELECT webhook_id, count(*) AS runs FROM webhook_delivery
         WHERE lease_token IS NOT NULL AND run_at > $1 GROUP BY webhook_id),
    chosen AS (
        SELECT due.delivery_id FROM webhook w
          LEFT JOIN busy ON busy.webhook_id = w.webhook_id
         CROSS JOIN LATERAL (
               SELECT d.delivery_id, d.run_at FROM webhook_delivery d
                WHERE d.webhook_id = w.webhook_id AND d.state = 'pending' AND d.run_at <= $1 AND d.position <= $2
                  AND d.position = (SELECT min(e.position) FROM webhook_delivery e
                                     WHERE e.webhook_id = d.webhook_id AND e.subject = d.subject AND e.state = 'pending')
                  AND NOT EXISTS (SELECT FROM webhook_delivery e
                                   WHERE e.webhook_id = d.webhook_id AND e.subject = d.subject
                                     AND e.lease_token IS NOT NULL AND e.run_at > $1)
                ORDER BY d.run_at, d.position LIMIT greatest($3 - coalesce(busy.runs, 0), 0)) AS due
         WHERE w.enabled AND (w.held_until IS NULL OR w.held_until <= $1)
         ORDER BY due.run_at LIMIT $4)
    UPDATE webhook_delivery SET lease_token = $5, run_at = $6
     WHERE delivery_id IN (SELECT d.delivery_id FROM webhook_delivery d JOIN chosen USING (delivery_id)
                            -- once more, on the row as it is when it is locked: its owner may have been quicker
                            WHERE d.state = 'pending' AND d.run_at <= $1
                              FOR UPDATE OF d SKIP LOCKED)
    RETURNING delivery_id
"""
_DETAILS: Final = """
    SELECT d.delivery_id, d.webhook_id, w.url, d.position, d.event_id, d.type, d.subject, d.tries, d.attempts, d.created_at,
           f.source, f.sequence, f.time, f.data, s.ids AS secret_ids, s.sealed
      FROM webhook_delivery d
      JOIN webhook w USING (webhook_id)
      LEFT JOIN feed f ON f.position = d.position
      CROSS JOIN LATERAL (
          SELECT coalesce(array_agg(secret_id ORDER BY created_at DESC), '{}') AS ids,
                 coalesce(array_agg(sealed ORDER BY created_at DESC), '{}') AS sealed
            FROM (SELECT secret_id, sealed, created_at FROM webhook_secret
                   WHERE webhook_id = d.webhook_id AND (expires_at IS NULL OR expires_at > $2)
                   ORDER BY created_at DESC LIMIT 5) AS valid) AS s
     WHERE d.delivery_id = ANY($1::uuid[])
"""
_FORGET: Final = """
    DELETE FROM webhook_delivery WHERE delivery_id IN (
        (SELECT delivery_id FROM webhook_delivery WHERE state = 'delivered' AND finished_at < $1 LIMIT $3)
        UNION ALL
        (SELECT delivery_id FROM webhook_delivery WHERE state = 'failed' AND finished_at < $2 LIMIT $3)
        UNION ALL
        (SELECT d.delivery_id FROM webhook w JOIN webhook_delivery d USING (webhook_id)
          WHERE NOT w.enabled AND d.state = 'pending' AND d.created_at < $2 LIMIT $3))
"""
