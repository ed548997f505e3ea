"""Reading domains: those of a project's accounts, with what the auditor last said of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from berth_events.contracts import DomainRecord
from berth_gateway.accounts.views import Audit

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.database import Connection

__all__ = ["DomainRepository", "DomainView"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainView:
    """A domain as one project sees it."""

    domain: str
    accounts: int
    audit: Audit | None


class DomainRepository:
    """Queries; each is limited to one project: a domain that none of its accounts has is not found."""

    async def page(
        self, connection: "Connection", project_id: UUID, *, after: str, limit: int, finding: str | None = None
    ) -> list[DomainView]:
        """The next domains behind `after`, by name; only those with a finding of this code, if one is given."""
        rows = await connection.fetch(
            """SELECT a.domain, a.accounts, r.audited_at, r.record, r.definite
                 FROM (SELECT domain, count(*) AS accounts FROM account
                        WHERE project_id = $1 AND removed_at IS NULL AND domain > $2 GROUP BY domain) a
                 LEFT JOIN domain_record r ON r.domain = a.domain
                WHERE $4::text IS NULL OR r.record -> 'findings' @> jsonb_build_array(jsonb_build_object('code', $4::text))
                ORDER BY a.domain LIMIT $3""",
            project_id,
            after,
            limit,
            finding,
        )
        return [_view(row) for row in rows]

    async def find(self, connection: "Connection", project_id: UUID, domain: str) -> DomainView | None:
        """One domain, or None."""
        row = await connection.fetchrow(
            """SELECT a.domain, a.accounts, r.audited_at, r.record, r.definite
                 FROM (SELECT domain, count(*) AS accounts FROM account
                        WHERE project_id = $1 AND domain = $2 AND removed_at IS NULL GROUP BY domain) a
                 LEFT JOIN domain_record r ON r.domain = a.domain""",
            project_id,
            domain,
        )
        return _view(row) if row else None


def _view(row: "asyncpg.Record") -> DomainView:
    audit = None
    if row["audited_at"] is not None:
        audit = Audit(
            audited_at=row["audited_at"],
            record=DomainRecord.model_validate(row["record"]),
            definite=DomainRecord.model_validate(row["definite"]),
        )
    return DomainView(domain=row["domain"], accounts=row["accounts"], audit=audit)
