"""What became of the rows of imports: written once, whatever happens to the account later."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from berth_events.contracts import AccountConnected, AccountConnectionFailed

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["abandon", "settle"]


async def settle(
    connection: "Connection", results: Mapping[UUID, AccountConnected | AccountConnectionFailed], now: datetime
) -> None:
    """Record the first result of each account; one that has a result keeps it, one that came with no import has no row."""
    rows = await connection.fetch(
        """SELECT account_id FROM account WHERE account_id = ANY($1::uuid[]) AND import_id IS NOT NULL AND removed_at IS NULL
            ORDER BY account_id FOR NO KEY UPDATE""",  # first accounts, then rows: as whoever removes accounts
        list(results),
    )
    if not rows:
        return
    ordered = [results[row["account_id"]] for row in rows]
    diagnoses = [event.verification.diagnosis for event in ordered]
    await connection.execute(
        """UPDATE import_row r
              SET state = s.state, code = s.code, detail = s.detail, remedy = s.remedy, diagnosis = s.diagnosis, settled_at = $7
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[])
                  AS s (account_id, state, code, detail, remedy, diagnosis)
            WHERE r.account_id = s.account_id AND r.state = 'pending'""",
        [event.account_id for event in ordered],
        ["connected" if isinstance(event, AccountConnected) else "failed" for event in ordered],
        [found and found.code for found in diagnoses],
        [found and found.meaning for found in diagnoses],
        [found and found.remedy for found in diagnoses],
        [found and found.model_dump(mode="json") for found in diagnoses],
        now,
    )


async def abandon(connection: "Connection", account_ids: Collection[UUID], now: datetime) -> None:
    """Record that accounts were removed before they had a result: none will come."""
    await connection.execute(
        """UPDATE import_row SET state = 'removed', settled_at = $2 WHERE account_id = ANY($1::uuid[]) AND state = 'pending'""",
        list(account_ids),
        now,
    )
