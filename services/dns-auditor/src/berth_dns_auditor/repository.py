"""The auditor's tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from berth_events.contracts import DomainRecord, domain_id

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["LastAudit", "add_account", "is_needed", "last_audit", "remove_account", "save_audit", "settled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAudit:
    """What is known of a domain.

    Attributes:
        record: What the last audit found.
        definite: The same with the last definite answer in place of each open one.
        incomplete: How many audits in a row left a question open.
    """

    domain: str
    audited_at: datetime
    record: DomainRecord
    definite: DomainRecord
    incomplete: int


async def add_account(connection: "Connection", account_id: UUID, domain: UUID) -> None:
    """An account needs the domain."""
    await connection.execute(
        """INSERT INTO domain_account (account_id, domain_id) VALUES ($1, $2)
           ON CONFLICT (account_id) DO UPDATE SET domain_id = excluded.domain_id""",
        account_id,
        domain,
    )


async def remove_account(connection: "Connection", account_id: UUID) -> None:
    """An account is gone."""
    await connection.execute("DELETE FROM domain_account WHERE account_id = $1", account_id)


async def is_needed(connection: "Connection", domain: UUID) -> bool:
    """Whether an account needs the domain."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT 1 FROM domain_account WHERE domain_id = $1)", domain))


async def settled(connection: "Connection", domains: Sequence[UUID], *, since: datetime, now: datetime) -> set[UUID]:
    """Those of the domains that were audited since a time, are being audited, or are due."""
    rows = await connection.fetch(
        """SELECT domain_id FROM domain WHERE domain_id = ANY($1::uuid[]) AND audited_at > $2
           UNION
           SELECT key FROM work
            WHERE key = ANY($1::uuid[]) AND (state = 'leased' OR (state = 'ready' AND run_at <= $3))""",
        domains,
        since,
        now,
    )
    return {row["domain_id"] for row in rows}


async def last_audit(connection: "Connection", domain: UUID) -> LastAudit | None:
    """The last audit of a domain, or None."""
    row = await connection.fetchrow(
        "SELECT domain, audited_at, record, definite, incomplete FROM domain WHERE domain_id = $1", domain
    )
    if row is None:
        return None
    return LastAudit(
        domain=row["domain"],
        audited_at=row["audited_at"],
        record=DomainRecord.model_validate(row["record"]),
        definite=DomainRecord.model_validate(row["definite"]),
        incomplete=row["incomplete"],
    )


async def save_audit(connection: "Connection", audit: LastAudit) -> None:
    """Remember an audit in place of the one before."""
    await connection.execute(
        """INSERT INTO domain (domain_id, domain, audited_at, record, definite, incomplete)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (domain_id) DO UPDATE
              SET audited_at = excluded.audited_at, record = excluded.record, definite = excluded.definite,
                  incomplete = excluded.incomplete""",
        domain_id(audit.domain),
        audit.domain,
        audit.audited_at,
        audit.record.model_dump(mode="json"),
        audit.definite.model_dump(mode="json"),
        audit.incomplete,
    )
