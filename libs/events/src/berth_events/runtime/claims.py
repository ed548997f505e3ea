"""What a claim reads and writes: a walk from one destination with due work to the next, not through all that is due."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_events.runtime.budgets import NOBODY, Budgets, Candidate, Limit, Limits, Rules, Standing

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.database import Connection

__all__ = ["START", "Place", "candidates", "know", "lease", "mark_due", "read_budgets", "set_pace"]

#: An organization's work at a destination, as the place where a walk is.
Place = tuple[UUID, str]
START: Final[Place] = (NOBODY, "")

#: A claim looks at so many places, at so many rows of each, and at so many rows altogether. The next one goes on from there.
_PLACES: Final = 128
_EACH: Final = 32
_ROWS: Final = 500
_MARKED: Final = 1000


async def mark_due(connection: "Connection", now: datetime) -> None:
    """What has become due enters the index that claims walk through; the oldest thousand of it."""
    await connection.execute(
        """UPDATE work SET due = true
            WHERE id IN (SELECT id FROM work WHERE state = 'ready' AND NOT due AND run_at <= $1
                          ORDER BY run_at LIMIT $2 FOR UPDATE SKIP LOCKED)""",
        now,
        _MARKED,
    )


async def read_budgets(connection: "Connection", rules: Rules, egress: str, now: datetime) -> Budgets:
    """What is running, what holds, and what stands in the way. A lease that ran out takes no place."""
    decided = await connection.fetch("SELECT scope, name, max_in_flight, per_minute, max_refusals FROM work_limit")
    limits = Limits(rules, {(row[0], row[1]): Limit(row[2], row[3], row[4]) for row in decided})
    budgets = Budgets(limits, egress, now)
    running = await connection.fetch(
        """SELECT organization_id, destination, egress, count(*) FROM work
            WHERE state = 'leased' AND lease_until > $1 GROUP BY organization_id, destination, egress""",
        now,
    )
    for row in running:
        budgets.count(*row)
    watched = await connection.fetch(
        "SELECT * FROM work_destination WHERE egress = $1 AND (until > $2 OR destination = ANY($3::text[]))",
        egress,
        now,
        [row["destination"] for row in running],
    )
    budgets.know(_standings(watched))
    return budgets


async def know(connection: "Connection", budgets: Budgets, destinations: Collection[str]) -> None:
    """Read what is known of destinations."""
    rows = await connection.fetch(
        "SELECT * FROM work_destination WHERE egress = $1 AND destination = ANY($2::text[])",
        budgets.egress,
        list(destinations),
    )
    budgets.know(_standings(rows))


async def candidates(
    connection: "Connection", budgets: Budgets, after: Place, most: int
) -> tuple[list[Candidate], Place]:
    """Due rows for which there is room, with those whose lease ran out.

    Args:
        connection: in the claim's transaction.
        budgets: what is running.
        after: where the last walk ended.
        most: how many are wanted; no place needs to give more.

    Returns:
        The rows, and where this walk ended; START when it came to the end.
    """
    full = budgets.full()
    found, place = await _walk(connection, full, after, most)
    if place == START != after:  # around the end
        begun, place = await _walk(connection, full, START, most)
        found |= begun
    expired = await connection.fetch(
        """SELECT id, organization_id, destination, run_at FROM work
            WHERE state = 'leased' AND lease_until <= $1 ORDER BY lease_until LIMIT $2""",
        budgets.now,
        _ROWS,
    )
    return [*(Candidate(*row) for row in expired), *found.values()], place


async def _walk(
    connection: "Connection", full: tuple[list[str], list[UUID]], after: Place, most: int
) -> tuple[dict[UUID, Candidate], Place]:
    destinations, organizations = full
    rows = await connection.fetch(_WALK, *after, _PLACES, organizations, destinations, min(most, _EACH), _ROWS)
    found = {
        row["id"]: Candidate(row["id"], row["organization_id"], row["destination"], row["run_at"])
        for row in rows
        if row["id"]
    }
    if not rows or (len(rows) < _ROWS and rows[-1]["number"] < _PLACES):
        return found, START
    return found, (rows[-1]["organization_id"], rows[-1]["destination"])


async def lease(
    connection: "Connection", chosen: Sequence[Candidate], token: UUID, egress: str, now: datetime, until: datetime
) -> "list[asyncpg.Record]":
    """Lease the rows, in this order, but for those that somebody changes at this moment."""
    leased = await connection.fetch(
        """WITH held AS (SELECT id, state, due, run_at, lease_until AS lapses FROM work WHERE id = ANY($1::uuid[])
                          FOR UPDATE SKIP LOCKED)
           UPDATE work SET state = 'leased', due = false, egress = $4, lease_token = $2, lease_until = $3, attempts = attempts + 1
             FROM held
            WHERE work.id = held.id
              -- of the row as it is when it is locked: its owner may have been quicker
              AND ((held.state = 'leased' AND lapses <= $5) OR (held.state = 'ready' AND held.due AND held.run_at <= $5))
        RETURNING work.id, key, kind, destination, payload, event_id, traceparent, attempts, organization_id""",
        [one.id for one in chosen],
        token,
        until,
        egress,
        now,
    )
    by_id = {row["id"]: row for row in leased}
    return [by_id[one.id] for one in chosen if one.id in by_id]


async def set_pace(connection: "Connection", budgets: Budgets) -> None:
    """Keep when the next run is in time where runs are limited per minute."""
    await connection.executemany(
        """INSERT INTO work_destination (destination, egress, next_at, until) VALUES ($1, $2, $3, $3)
           ON CONFLICT (destination, egress) DO UPDATE
              SET next_at = excluded.next_at, until = greatest(work_destination.until, excluded.until)""",
        [(destination, budgets.egress, next_at) for destination, next_at in budgets.paced().items()],
    )


def _standings(rows: "Sequence[asyncpg.Record]") -> Mapping[str, Standing]:
    return {
        row["destination"]: Standing(row["blocked_until"], row["next_at"], tuple(row["refused_at"]), row["let_in"])
        for row in rows
    }


#: Each step of the walk is one look into the index: from a place to the next one that has due work, from an organization
#: without room to the next organization. Bytewise '~' is behind every destination.
_WALK: Final = """
    WITH RECURSIVE place AS (
        (SELECT organization_id, destination, 1 AS number FROM work
          WHERE state = 'ready' AND due AND (organization_id, destination) > ($1, $2)
          ORDER BY organization_id, destination LIMIT 1)
        UNION ALL
        SELECT next.organization_id, next.destination, place.number + 1
          FROM place CROSS JOIN LATERAL (
               SELECT w.organization_id, w.destination FROM work w
                WHERE w.state = 'ready' AND w.due
                  AND (w.organization_id, w.destination) > (place.organization_id,
                      CASE WHEN place.organization_id = ANY($4::uuid[]) THEN '~' ELSE place.destination END)
                ORDER BY w.organization_id, w.destination LIMIT 1) next
         WHERE place.number < $3)
    SELECT place.organization_id, place.destination, place.number, found.id, found.run_at
      FROM place LEFT JOIN LATERAL (
           SELECT w.id, w.run_at FROM work w
            WHERE w.state = 'ready' AND w.due
              AND w.organization_id = place.organization_id AND w.destination = place.destination
              AND place.organization_id <> ALL($4::uuid[]) AND place.destination <> ALL($5::text[])
              -- a look into the index for each row: NOT EXISTS is planned as a join with all that is leased
              AND (SELECT r.id FROM work r WHERE r.key = w.key AND r.state = 'leased') IS NULL
            ORDER BY w.run_at LIMIT $6) found ON true
     LIMIT $7
"""
