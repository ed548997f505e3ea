"""Reading usage: the ledger for now, the accounts' own times for any moment before."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["Usage", "UsageRepository"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Taken seats by kind, for the organization and for one project of it, and the limits; None: no subscription."""

    organization: dict[str, int]
    project: dict[str, int]
    limits: dict[str, int] | None


class UsageRepository:
    """Queries of one organization."""

    async def at(self, connection: "Connection", organization_id: UUID, project_id: UUID, moment: datetime) -> Usage:
        """The seats that were taken at a moment. Accounts keep their times when they are removed, so this is exact."""
        rows = await connection.fetch(
            """SELECT seat_kind, count(*) AS taken, count(*) FILTER (WHERE project_id = $2) AS of_project FROM account
                WHERE organization_id = $1 AND created_at <= $3 AND (removed_at IS NULL OR removed_at > $3)
                GROUP BY seat_kind""",
            organization_id,
            project_id,
            moment,
        )
        limits = await connection.fetchrow(
            """SELECT monitoring, spam_check, subscribed FROM subscription
                WHERE organization_id = $1 AND effective_at <= $2 ORDER BY sequence DESC LIMIT 1""",
            organization_id,
            moment,
        )
        return Usage(
            organization={row["seat_kind"]: row["taken"] for row in rows},
            project={row["seat_kind"]: row["of_project"] for row in rows},
            limits={kind: limits[kind] for kind in ("monitoring", "spam_check")}
            if limits and limits["subscribed"]
            else None,
        )
