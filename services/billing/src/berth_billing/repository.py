"""Billing's tables."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_events.contracts import SeatCount, SeatKind
from berth_events.runtime.bus import Partition

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = [
    "NO_SEATS",
    "Subscription",
    "Watch",
    "close_day",
    "everything_counted",
    "limits",
    "lock_organizations",
    "peak",
    "save_subscription",
    "save_watches",
    "seats_used",
    "subscription",
    "unclosed",
    "watches",
]

NO_SEATS: Final = SeatCount(monitoring=0, spam_check=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """An organization's plan."""

    organization_id: UUID
    plan: str | None
    limits: SeatCount
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The process manager's own count of a kind of seat, and whether that is all the limit allows."""

    used: int
    reached: bool


async def lock_organizations(connection: "Connection", organization_ids: Collection[UUID]) -> None:
    """Nobody else decides anything about these organizations before the transaction ends.

    The first statement of every transaction that appends to their streams. Always in the same order, so that two such
    transactions never wait for each other.
    """
    await connection.execute(
        """SELECT pg_advisory_xact_lock(place)
             FROM (SELECT DISTINCT hashtextextended(id::text, 0) AS place FROM unnest($1::uuid[]) AS id ORDER BY place) l""",
        list(organization_ids),
    )


async def subscription(connection: "Connection", organization_id: UUID) -> Subscription | None:
    """The organization's subscription, or None when it never had one."""
    row = await connection.fetchrow(
        "SELECT plan, monitoring_limit, spam_check_limit, active FROM subscription WHERE organization_id = $1",
        organization_id,
    )
    if row is None:
        return None
    allowed = SeatCount(monitoring=row["monitoring_limit"], spam_check=row["spam_check_limit"])
    return Subscription(organization_id=organization_id, plan=row["plan"], limits=allowed, active=row["active"])


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


async def limits(connection: "Connection", organization_ids: Collection[UUID]) -> dict[UUID, SeatCount]:
    """What each organization may take; nothing without an active subscription."""
    rows = await connection.fetch(
        """SELECT organization_id, monitoring_limit, spam_check_limit FROM subscription
            WHERE active AND organization_id = ANY($1::uuid[])""",
        list(organization_ids),
    )
    found = {
        row["organization_id"]: SeatCount(monitoring=row["monitoring_limit"], spam_check=row["spam_check_limit"])
        for row in rows
    }
    return dict.fromkeys(organization_ids, NO_SEATS) | found


async def watches(connection: "Connection", organization_ids: Collection[UUID]) -> dict[tuple[UUID, SeatKind], Watch]:
    """What the process manager knows of the organizations."""
    rows = await connection.fetch(
        "SELECT organization_id, seat_kind, used, reached FROM limit_watch WHERE organization_id = ANY($1::uuid[])",
        list(organization_ids),
    )
    return {(row["organization_id"], row["seat_kind"]): Watch(used=row["used"], reached=row["reached"]) for row in rows}


async def save_watches(connection: "Connection", watches: Mapping[tuple[UUID, SeatKind], Watch]) -> None:
    """Write them back."""
    await connection.execute(
        """INSERT INTO limit_watch (organization_id, seat_kind, used, reached)
           SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::boolean[])
           ON CONFLICT (organization_id, seat_kind) DO UPDATE SET used = excluded.used, reached = excluded.reached""",
        [organization_id for organization_id, _ in watches],
        [seat_kind for _, seat_kind in watches],
        [watch.used for watch in watches.values()],
        [watch.reached for watch in watches.values()],
    )


async def seats_used(connection: "Connection", organization_id: UUID) -> SeatCount:
    """The seats taken now, from the active seats projection."""
    rows = await connection.fetch(
        """SELECT seat_kind, count(*) AS used FROM seat
            WHERE organization_id = $1 AND freed_at IS NULL GROUP BY seat_kind""",
        organization_id,
    )
    counts = {row["seat_kind"]: row["used"] for row in rows}
    return SeatCount(monitoring=counts.get("monitoring", 0), spam_check=counts.get("spam_check", 0))


async def peak(connection: "Connection", organization_id: UUID, day: date) -> SeatCount:
    """The most seats taken at once on a day (UTC), beginning with what the day before left.

    To the second: what is freed and taken within one second was not taken at the same time. The gateway gives a seat that
    was freed to the next account at once, and the clocks of its replicas differ by some milliseconds.
    """
    rows = await connection.fetch(
        """WITH day AS (
               SELECT $2::date::timestamp AT TIME ZONE 'UTC' AS begins, ($2::date + 1)::timestamp AT TIME ZONE 'UTC' AS ends),
           change AS (
               SELECT seat_kind, '-infinity'::timestamptz AS at, count(*) AS change FROM seat, day
                WHERE organization_id = $1 AND taken_at < begins AND (freed_at IS NULL OR freed_at >= begins)
                GROUP BY seat_kind
               UNION ALL
               SELECT seat_kind, date_trunc('second', taken_at), 1 FROM seat, day
                WHERE organization_id = $1 AND taken_at >= begins AND taken_at < ends
               UNION ALL
               SELECT seat_kind, date_trunc('second', freed_at), -1 FROM seat, day
                WHERE organization_id = $1 AND freed_at >= begins AND freed_at < ends),
           taken AS (
               SELECT seat_kind,
                      sum(change) OVER (PARTITION BY seat_kind ORDER BY at, change ROWS UNBOUNDED PRECEDING) AS seats
                 FROM change)
           SELECT seat_kind, max(seats)::int AS seats FROM taken GROUP BY seat_kind""",
        organization_id,
        day,
    )
    counts = {row["seat_kind"]: row["seats"] for row in rows}
    return SeatCount(monitoring=counts.get("monitoring", 0), spam_check=counts.get("spam_check", 0))


async def everything_counted(connection: "Connection", ends: Mapping[Partition, int]) -> bool:
    """Whether the active seats projection has applied all records before `ends`, and none of them is parked."""
    counted: bool = await connection.fetchval(
        """WITH active AS (
               SELECT name || '_v' || version AS consumer FROM projection
                WHERE name = 'billing_seats' AND state = 'active')
           SELECT NOT EXISTS (SELECT FROM parked_key JOIN active USING (consumer))
              AND NOT EXISTS (
                  SELECT FROM unnest($1::text[], $2::int[], $3::bigint[]) AS e (topic, partition, next_offset)
                   CROSS JOIN active
                    LEFT JOIN consumer_offset o USING (consumer, topic, partition)
                   WHERE e.next_offset > coalesce(o.next_offset, 0))""",
        [partition.topic for partition in ends],
        [partition.number for partition in ends],
        list(ends.values()),
    )
    return counted


async def unclosed(connection: "Connection", last: date, limit: int) -> list[tuple[UUID, date]]:
    """Days up to `last` whose usage was not published, oldest first, from each organization's first seat on."""
    rows = await connection.fetch(
        """SELECT o.organization_id, d::date AS day
             FROM (SELECT organization_id, (min(taken_at) AT TIME ZONE 'UTC')::date AS first
                     FROM seat GROUP BY organization_id) o
             CROSS JOIN LATERAL generate_series(
                 coalesce((SELECT max(c.day) + 1 FROM closed_day c WHERE c.organization_id = o.organization_id),
                          o.first)::timestamp,
                 $1::date::timestamp, interval '1 day') AS d
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
