"""Billing's tables."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

from berth_events.contracts import SeatCount, SeatKind

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = [
    "Subscription",
    "close_day",
    "count_watched",
    "mark_reached",
    "peak",
    "save_subscription",
    "seats_used",
    "subscription",
    "unclosed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """An organization's plan; `version` is that of its stream when it was last changed."""

    organization_id: UUID
    plan: str | None
    limits: SeatCount
    active: bool


async def subscription(connection: "Connection", organization_id: UUID, *, lock: bool = False) -> Subscription | None:
    """The organization's subscription, or None; with `lock` nobody changes it before the transaction ends."""
    row = await connection.fetchrow(
        """SELECT plan, monitoring_limit, spam_check_limit, active FROM subscription WHERE organization_id = $1
           FOR UPDATE"""
        if lock
        else "SELECT plan, monitoring_limit, spam_check_limit, active FROM subscription WHERE organization_id = $1",
        organization_id,
    )
    if row is None:
        return None
    limits = SeatCount(monitoring=row["monitoring_limit"], spam_check=row["spam_check_limit"])
    return Subscription(organization_id=organization_id, plan=row["plan"], limits=limits, active=row["active"])


async def save_subscription(connection: "Connection", subscription: Subscription, version: int) -> None:
    """Insert or replace the organization's subscription, and let a raised limit be reached anew."""
    await connection.execute(
        """INSERT INTO subscription (organization_id, plan, monitoring_limit, spam_check_limit, active, version)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (organization_id) DO UPDATE
              SET plan = excluded.plan, monitoring_limit = excluded.monitoring_limit,
                  spam_check_limit = excluded.spam_check_limit, active = excluded.active, version = excluded.version""",
        subscription.organization_id,
        subscription.plan,
        subscription.limits.monitoring,
        subscription.limits.spam_check,
        subscription.active,
        version,
    )
    await connection.execute(
        """UPDATE limit_watch SET reached = used >= CASE seat_kind WHEN 'monitoring' THEN $2::int ELSE $3::int END
            WHERE organization_id = $1""",
        subscription.organization_id,
        subscription.limits.monitoring,
        subscription.limits.spam_check,
    )


async def count_watched(
    connection: "Connection", organization_id: UUID, seat_kind: SeatKind, change: int
) -> tuple[int, bool]:
    """The process manager's own count after a change, and whether reaching the limit was said."""
    row = await connection.fetchrow(
        """INSERT INTO limit_watch AS w (organization_id, seat_kind, used) VALUES ($1, $2, $3)
           ON CONFLICT (organization_id, seat_kind) DO UPDATE SET used = w.used + $3
           RETURNING used, reached""",
        organization_id,
        seat_kind,
        change,
    )
    if row is None:  # an upsert always returns its row
        raise LookupError(organization_id)
    return row["used"], row["reached"]


async def mark_reached(connection: "Connection", organization_id: UUID, seat_kind: SeatKind, *, reached: bool) -> None:
    """Remember whether the limit is reached."""
    await connection.execute(
        "UPDATE limit_watch SET reached = $3 WHERE organization_id = $1 AND seat_kind = $2",
        organization_id,
        seat_kind,
        reached,
    )


async def seats_used(connection: "Connection", organization_id: UUID) -> SeatCount:
    """The seats taken now, from the active seats projection."""
    rows = await connection.fetch("SELECT seat_kind, used FROM seat_count WHERE organization_id = $1", organization_id)
    counts = {row["seat_kind"]: row["used"] for row in rows}
    return SeatCount(monitoring=counts.get("monitoring", 0), spam_check=counts.get("spam_check", 0))


async def peak(connection: "Connection", organization_id: UUID, day: date) -> SeatCount:
    """The most seats taken at once on a day (UTC); on a day without a change what the day before left."""
    rows = await connection.fetch(
        """SELECT DISTINCT ON (seat_kind) seat_kind, CASE WHEN day = $2 THEN peak ELSE closing END AS seats
             FROM seat_day WHERE organization_id = $1 AND day <= $2 ORDER BY seat_kind, day DESC""",
        organization_id,
        day,
    )
    counts = {row["seat_kind"]: row["seats"] for row in rows}
    return SeatCount(monitoring=counts.get("monitoring", 0), spam_check=counts.get("spam_check", 0))


async def unclosed(connection: "Connection", last: date, limit: int) -> list[tuple[UUID, date]]:
    """Days up to `last` whose usage was not published, oldest first, from each organization's first change on."""
    rows = await connection.fetch(
        """SELECT o.organization_id, d::date AS day
             FROM (SELECT organization_id, min(day) AS first FROM seat_day GROUP BY organization_id) o
             CROSS JOIN LATERAL generate_series(
                 coalesce((SELECT max(c.day) + 1 FROM closed_day c WHERE c.organization_id = o.organization_id), o.first),
                 $1::date, interval '1 day') AS d
            ORDER BY day, organization_id LIMIT $2""",
        last,
        limit,
    )
    return [(row["organization_id"], row["day"]) for row in rows]


async def close_day(connection: "Connection", organization_id: UUID, day: date) -> bool:
    """Mark a day as published; False when another replica did."""
    return bool(
        await connection.fetchval(
            "INSERT INTO closed_day (organization_id, day) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true",
            organization_id,
            day,
        )
    )
