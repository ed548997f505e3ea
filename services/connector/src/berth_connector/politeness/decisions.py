"""What an operator has decided about limits, and which destinations are left alone: the runtime's two tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from berth_events.runtime.budgets import REFUSAL_WINDOW, Limit

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["Watched", "decide", "decisions", "lift", "undo", "watched"]


@dataclass(frozen=True, slots=True)
class Watched:
    """A destination that turned us away, or has refused sign-ins in the last minutes."""

    destination: str
    egress: str
    blocked_until: datetime | None
    refusals: int


async def decisions(connection: "Connection") -> dict[tuple[str, str], Limit]:
    """All decisions, by scope and name."""
    rows = await connection.fetch("SELECT scope, name, max_in_flight, per_minute, max_refusals FROM work_limit")
    return {(row[0], row[1]): Limit(row[2], row[3], row[4]) for row in rows}


async def decide(connection: "Connection", scope: str, name: str, limit: Limit) -> None:
    """Set what the limit says; what it leaves out stays. Claims see it from the next one on."""
    await connection.execute(
        """INSERT INTO work_limit AS decided (scope, name, max_in_flight, per_minute, max_refusals) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (scope, name) DO UPDATE
              SET max_in_flight = coalesce(excluded.max_in_flight, decided.max_in_flight),
                  per_minute = coalesce(excluded.per_minute, decided.per_minute),
                  max_refusals = coalesce(excluded.max_refusals, decided.max_refusals)""",
        scope,
        name,
        limit.max_in_flight,
        limit.per_minute,
        limit.max_refusals,
    )


async def undo(connection: "Connection", scope: str, name: str) -> bool:
    """Go back to what is shipped; whether anything had been decided."""
    row = await connection.fetchrow("DELETE FROM work_limit WHERE scope = $1 AND name = $2 RETURNING 1", scope, name)
    return row is not None


async def watched(connection: "Connection", now: datetime) -> Sequence[Watched]:
    """What stands in the way now."""
    rows = await connection.fetch(
        """SELECT destination, egress, CASE WHEN blocked_until > $1 THEN blocked_until END,
                  (SELECT count(*) FROM unnest(refused_at) at WHERE at > $2)
             FROM work_destination WHERE until > $1 ORDER BY destination, egress""",
        now,
        now - REFUSAL_WINDOW,
    )
    return [one for one in (Watched(*row) for row in rows) if one.blocked_until or one.refusals]


async def lift(connection: "Connection", destination: str) -> bool:
    """Forget what is known of a destination, from every egress address; whether there was anything."""
    rows = await connection.fetch("DELETE FROM work_destination WHERE destination = $1 RETURNING 1", destination)
    return bool(rows)
