"""Reading accounts back: the write model joined with what connector and auditor said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import UUID

from pydantic import BaseModel

from berth_events.contracts import Diagnosis, DomainRecord, MailServer, Provider, SeatKind, Verification

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.database import Connection
    from berth_gateway.accounts.schemas import AccountStatus

__all__ = ["AccountRepository", "AccountView", "Audit", "Proof"]


class Proof(BaseModel):
    """A verification without its steps, which lists do not need."""

    verification_id: UUID
    started_at: datetime
    duration_ms: float
    outcome: Literal["connected", "failed"]
    imap: bool | None
    smtp: bool | None
    diagnosis: Diagnosis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What the auditor last said of a domain."""

    audited_at: datetime
    record: DomainRecord
    definite: DomainRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """Everything that is known of an account. `proof` belongs to the present credential, or there is none."""

    account_id: UUID
    number: int
    address: str
    domain: str
    provider: Provider
    first_name: str
    last_name: str
    imap: MailServer | None
    smtp: MailServer | None
    imap_issue: bool
    seat_kind: SeatKind
    suspended: bool
    created_at: datetime
    status: "AccountStatus"
    proof: Proof | None
    domain_number: int
    domain_created_at: datetime
    audit: Audit | None


class AccountRepository:
    """Queries; each is limited to one project, so that accounts of others are not found."""

    async def find(self, connection: "Connection", project_id: UUID, account_id: UUID) -> AccountView | None:
        """One account, or None."""
        found = await self.views(connection, project_id, [account_id])
        return found[0] if found else None

    async def views(self, connection: "Connection", project_id: UUID, account_ids: Sequence[UUID]) -> list[AccountView]:
        """The accounts of these ids that exist, by number."""
        rows = await connection.fetch(
            """SELECT a.account_id, a.number, a.address, a.domain, a.provider, a.first_name, a.last_name, a.imap, a.smtp,
                      a.imap_issue, a.seat_kind, a.suspended, a.created_at, coalesce(v.status, 'pending') AS status,
                      v.verification - 'steps' AS proof, d.number AS domain_number, d.created_at AS domain_created_at,
                      r.audited_at, r.record, r.definite
                 FROM account a
                 JOIN domain d ON d.domain = a.domain
                 LEFT JOIN domain_record r ON r.domain = a.domain
                 LEFT JOIN verification v ON v.account_id = a.account_id AND v.credential_id = a.credential_id
                                         AND v.credential_version = a.credential_version
                WHERE a.project_id = $1 AND a.removed_at IS NULL AND a.account_id = ANY($2::uuid[])
                ORDER BY a.number""",
            project_id,
            account_ids,
        )
        return [_view(row) for row in rows]

    async def page(
        self,
        connection: "Connection",
        project_id: UUID,
        *,
        after: int,
        limit: int,
        status: "AccountStatus | None" = None,
    ) -> list[AccountView]:
        """The next accounts behind the number `after`, by number; `limit` at most."""
        rows = await connection.fetch(
            """SELECT a.account_id FROM account a
                 LEFT JOIN verification v ON v.account_id = a.account_id AND v.credential_id = a.credential_id
                                         AND v.credential_version = a.credential_version
                WHERE a.project_id = $1 AND a.removed_at IS NULL AND a.number > $2
                  AND ($4::text IS NULL OR coalesce(v.status, 'pending') = $4)
                ORDER BY a.number LIMIT $3""",
            project_id,
            after,
            limit,
            status,
        )
        return await self.views(connection, project_id, [row["account_id"] for row in rows])

    async def by_number(self, connection: "Connection", project_id: UUID, number: int) -> UUID | None:
        """The id of the account with this number."""
        return cast(
            "UUID | None",
            await connection.fetchval(
                "SELECT account_id FROM account WHERE project_id = $1 AND number = $2 AND removed_at IS NULL",
                project_id,
                number,
            ),
        )

    async def by_address(self, connection: "Connection", project_id: UUID, address_key: str) -> UUID | None:
        """The id of the account with this address (`MailAddress.key`)."""
        return cast(
            "UUID | None",
            await connection.fetchval(
                "SELECT account_id FROM account WHERE project_id = $1 AND address_key = $2 AND removed_at IS NULL",
                project_id,
                address_key,
            ),
        )

    async def verification(
        self, connection: "Connection", project_id: UUID, account_id: UUID
    ) -> tuple["AccountStatus", Verification | None] | None:
        """Status and last verification with its steps; None when the account does not exist."""
        row = await connection.fetchrow(
            """SELECT coalesce(v.status, 'pending') AS status, v.verification FROM account a
                 LEFT JOIN verification v ON v.account_id = a.account_id AND v.credential_id = a.credential_id
                                         AND v.credential_version = a.credential_version
                WHERE a.project_id = $1 AND a.account_id = $2 AND a.removed_at IS NULL""",
            project_id,
            account_id,
        )
        if row is None:
            return None
        return row["status"], Verification.model_validate(row["verification"]) if row["verification"] else None

    async def audit(self, connection: "Connection", domain: str) -> Audit | None:
        """The last audit of a domain, whoever it was for."""
        row = await connection.fetchrow(
            "SELECT audited_at, record, definite FROM domain_record WHERE domain = $1", domain
        )
        return _audit(row) if row else None

    async def settled(self, connection: "Connection", subjects: Sequence[UUID]) -> dict[UUID, Verification]:
        """The verifications of accounts and probes of which everything that follows is done.

        An account that is kept only when it works has by then been kept or removed; a probe has been settled.
        """
        rows = await connection.fetch(
            """SELECT v.account_id, v.verification FROM verification v
                 LEFT JOIN account a ON a.account_id = v.account_id
                 LEFT JOIN probe p ON p.probe_id = v.account_id
                WHERE v.account_id = ANY($1::uuid[])
                  AND (p.settled_at IS NOT NULL OR a.removed_at IS NOT NULL OR a.on_failure = 'keep')""",
            subjects,
        )
        return {row["account_id"]: Verification.model_validate(row["verification"]) for row in rows}

    async def audited(self, connection: "Connection", domains: Sequence[str]) -> dict[str, datetime]:
        """When the domains were last audited; those that never were are left out."""
        rows = await connection.fetch(
            "SELECT domain, audited_at FROM domain_record WHERE domain = ANY($1::text[])", domains
        )
        return {row["domain"]: row["audited_at"] for row in rows}


def _view(row: "asyncpg.Record") -> AccountView:
    taken = (
        "account_id", "number", "address", "domain", "provider", "first_name", "last_name", "imap_issue", "seat_kind",
        "suspended", "created_at", "status", "domain_number", "domain_created_at",
    )  # fmt: skip
    return AccountView(
        **{name: row[name] for name in taken},
        imap=_server(row["imap"]),
        smtp=_server(row["smtp"]),
        proof=Proof.model_validate(row["proof"]) if row["proof"] else None,
        audit=_audit(row),
    )


def _server(stored: Mapping[str, Any] | None) -> MailServer | None:
    return MailServer.model_validate(stored) if stored else None


def _audit(row: "asyncpg.Record") -> Audit | None:
    if row["audited_at"] is None:
        return None
    return Audit(
        audited_at=row["audited_at"],
        record=DomainRecord.model_validate(row["record"]),
        definite=DomainRecord.model_validate(row["definite"]),
    )
