"""Which accounts belong to which campaigns. The campaigns themselves are run elsewhere: any number may be one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection

__all__ = ["Campaigns", "Member"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An account of a campaign; `number` is that of the membership."""

    number: int
    account: int
    updated_at: datetime


class Campaigns:
    """The table `campaign_account`, inside the caller's transaction. Accounts that were removed are in no campaign.

    Args:
        clock: time.
    """

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock

    async def of(self, connection: "Connection", account_ids: Sequence[UUID]) -> dict[UUID, list[int]]:
        """The campaigns of accounts, in order; accounts without one are left out."""
        rows = await connection.fetch(
            """SELECT account_id, array_agg(campaign ORDER BY campaign) AS campaigns FROM campaign_account
                WHERE account_id = ANY($1::uuid[]) GROUP BY account_id""",
            account_ids,
        )
        return {row["account_id"]: row["campaigns"] for row in rows}

    async def accounts(self, connection: "Connection", project_id: UUID, campaign: int) -> list[UUID]:
        """The accounts of a campaign, by number."""
        rows = await connection.fetch(
            """SELECT account_id FROM campaign_account m JOIN account a USING (account_id, project_id)
                WHERE project_id = $1 AND campaign = $2 AND a.removed_at IS NULL ORDER BY a.number""",
            project_id,
            campaign,
        )
        return [row["account_id"] for row in rows]

    async def add(
        self, connection: "Connection", project_id: UUID, campaign: int, numbers: Sequence[int]
    ) -> list[Member]:
        """Put those of the accounts that exist into a campaign. Those that are in it already stay, and are named too."""
        rows = await connection.fetch(
            """WITH added AS (
                   INSERT INTO campaign_account (account_id, project_id, campaign, updated_at)
                   SELECT account_id, project_id, $2, $4 FROM account
                    WHERE project_id = $1 AND number = ANY($3::int[]) AND removed_at IS NULL ORDER BY account_id
                   ON CONFLICT (account_id, campaign) DO UPDATE SET updated_at = excluded.updated_at
                   RETURNING account_id, number, updated_at)
               SELECT m.number, a.number AS account, m.updated_at FROM added m JOIN account a USING (account_id)
                ORDER BY a.number""",
            project_id,
            campaign,
            numbers,
            self._clock.now(),
        )
        return [Member(**row) for row in rows]

    async def remove(self, connection: "Connection", project_id: UUID, campaign: int, numbers: Sequence[int]) -> int:
        """Take accounts out of a campaign. Returns how many were in it."""
        removed: int = await connection.fetchval(
            """WITH gone AS (
                   DELETE FROM campaign_account m USING account a
                    WHERE a.account_id = m.account_id AND a.removed_at IS NULL AND m.project_id = $1 AND m.campaign = $2
                      AND a.number = ANY($3::int[])
                   RETURNING true)
               SELECT count(*) FROM gone""",
            project_id,
            campaign,
            numbers,
        )
        return removed
