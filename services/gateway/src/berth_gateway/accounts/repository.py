"""Reading accounts back."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, cast
from uuid import UUID

from berth_events.contracts import Verification
from berth_gateway.accounts.listing import EVERY, PAGE, AccountFilter, Listed
from berth_gateway.accounts.views import AccountView, Audit, CheckDay, audit_of, view_of

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection
    from berth_gateway.accounts.schemas import AccountStatus

__all__ = ["AccountRepository"]


class AccountRepository:
    """Queries; each is limited to one project, so that accounts of others are not found."""

    async def find(
        self, connection: "Connection", project_id: UUID, account_id: UUID, *, removed: bool = False
    ) -> AccountView | None:
        """One account, or None; one that was removed only if it is asked for."""
        found = await self.views(connection, project_id, [account_id], removed=removed)
        return found[0] if found else None

    async def locked(self, connection: "Connection", project_id: UUID, account_id: UUID) -> AccountView | None:
        """One account, which nobody else changes until the transaction ends, or None."""
        await connection.execute(
            "SELECT FROM account WHERE account_id = $1 AND project_id = $2 FOR UPDATE", account_id, project_id
        )
        return await self.find(connection, project_id, account_id)

    async def views(
        self, connection: "Connection", project_id: UUID, account_ids: Sequence[UUID], *, removed: bool = False
    ) -> list[AccountView]:
        """The accounts of these ids that exist, by number."""
        rows = await connection.fetch(
            """SELECT a.account_id, a.number, a.address, a.domain, a.provider, a.first_name, a.last_name, a.imap, a.smtp,
                      a.imap_issue, a.seat_kind, a.suspended, a.signature, a.time_zone, a.settings, a.workspace_id, a.import_id,
                      a.created_at, greatest(a.updated_at, v.verified_at) AS updated_at, a.removed_reason, a.on_failure,
                      a.imap_guessed,
                      coalesce(v.status, 'pending') AS status, v.verified_at,
                      v.verification - 'steps' AS proof,
                      CASE WHEN v.status <> 'connected' THEN jsonb_path_query_first(v.verification,
                          '$.steps[*] ? (@.protocol != "smtp" && @.outcome == "failed").diagnosis') END AS imap_diagnosis,
                      CASE WHEN v.status <> 'connected' THEN jsonb_path_query_first(v.verification,
                          '$.steps[*] ? (@.protocol != "imap" && @.outcome == "failed").diagnosis') END AS smtp_diagnosis,
                      c.checkup, (SELECT json_agg(json_build_object('number', t.number, 'name', t.name, 'color', t.color)
                                                  ORDER BY t.number)::jsonb
                                    FROM account_tag l JOIN tag t USING (project_id, number)
                                   WHERE l.account_id = a.account_id) AS tags,
                      d.number AS domain_number, r.audited_at, r.record, r.definite
                 FROM account a
                 JOIN domain d ON d.domain = a.domain
                 LEFT JOIN domain_record r ON r.domain = a.domain
                 LEFT JOIN verification v ON v.account_id = a.account_id AND v.credential_id = a.credential_id
                 LEFT JOIN checkup c ON c.account_id = a.account_id
                WHERE a.project_id = $1 AND (a.removed_at IS NULL OR $3) AND a.account_id = ANY($2::uuid[])
                ORDER BY a.number""",
            project_id,
            account_ids,
            removed,
        )
        return [view_of(row) for row in rows]

    async def page(
        self,
        connection: "Connection",
        project_id: UUID,
        *,
        limit: int,
        after: int = 0,
        offset: int = 0,
        only: AccountFilter = EVERY,
        total: bool = False,
    ) -> Listed:
        """Accounts by number.

        Args:
            connection: to the gateway's database.
            project_id: whose.
            limit: how many at most.
            after: the number behind which the page begins.
            offset: how many to leave out, for callers who count pages.
            only: which accounts.
            total: count the accounts of all pages, too.
        """
        tags = None if only.tags is None else sorted({tag.lower() for tag in only.tags})
        rows = await connection.fetch(
            PAGE,
            project_id,
            after,
            limit,
            offset,
            total,
            only.statuses,
            only.providers,
            only.domain,
            only.seat_kind,
            only.suspended,
            only.workspace_id,
            only.import_id,
            only.search and only.search.lower(),
            only.username and only.username.lower(),
            tags,
            len(tags) if tags and only.tag_mode == "all" else 1,
            only.untagged,
            only.imap_works,
            only.smtp_works,
            only.client_number,
            only.warmup_enabled,
            only.sending_enabled,
            only.oauth,
            only.in_campaign,
            only.on_failure,
            only.warmup_paused,
            only.min_health,
            only.max_health,
        )
        found = [row["account_id"] for row in rows if row["account_id"]]
        return Listed(accounts=await self.views(connection, project_id, found), total=rows[0]["total"])

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

    async def by_numbers(self, connection: "Connection", project_id: UUID, numbers: Sequence[int]) -> dict[int, UUID]:
        """The ids of those of the numbers that accounts have."""
        rows = await connection.fetch(
            """SELECT number, account_id FROM account
                WHERE project_id = $1 AND number = ANY($2::int[]) AND removed_at IS NULL""",
            project_id,
            numbers,
        )
        return {row["number"]: row["account_id"] for row in rows}

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
                WHERE a.project_id = $1 AND a.account_id = $2 AND a.removed_at IS NULL""",
            project_id,
            account_id,
        )
        if row is None:
            return None
        return row["status"], Verification.model_validate(row["verification"]) if row["verification"] else None

    async def probe(
        self, connection: "Connection", project_id: UUID, subject: UUID
    ) -> Verification | Literal["pending"] | None:
        """The verification of a probe, or of an account that answers for one; None when there is no such probe."""
        row = await connection.fetchrow(
            """SELECT v.verification
                 FROM (SELECT probe_id AS subject, settled_at IS NOT NULL AS settled FROM probe
                        WHERE probe_id = $2 AND project_id = $1
                       UNION ALL
                       SELECT account_id, true FROM account WHERE account_id = $2 AND project_id = $1) AS tried
                 LEFT JOIN verification v ON v.account_id = tried.subject AND tried.settled""",
            project_id,
            subject,
        )
        if row is None:
            return None
        return Verification.model_validate(row["verification"]) if row["verification"] else "pending"

    async def aliases(
        self, connection: "Connection", project_id: UUID, account_id: UUID
    ) -> list[tuple[str, str]] | None:
        """Address and name of each alias of an account, by address; None when the account does not exist."""
        rows = await connection.fetch(
            """SELECT l.address, l.name FROM account a LEFT JOIN account_alias l USING (account_id)
                WHERE a.project_id = $1 AND a.account_id = $2 AND a.removed_at IS NULL ORDER BY l.address_key""",
            project_id,
            account_id,
        )
        return [(row["address"], row["name"]) for row in rows if row["address"]] if rows else None

    async def days(
        self, connection: "Connection", project_id: UUID, account_id: UUID, since: date
    ) -> list[CheckDay] | None:
        """The verifications of an account by day, oldest first; None when the account does not exist."""
        rows = await connection.fetch(
            """SELECT c.day, c.checks, c.failures, c.duration_ms FROM account a
                 LEFT JOIN check_day c ON c.account_id = a.account_id AND c.day >= $3
                WHERE a.project_id = $1 AND a.account_id = $2 AND a.removed_at IS NULL ORDER BY c.day""",
            project_id,
            account_id,
            since,
        )
        return [CheckDay(**row) for row in rows if row["day"]] if rows else None

    async def audit(self, connection: "Connection", domain: str) -> Audit | None:
        """The last audit of a domain, whoever it was for."""
        row = await connection.fetchrow(
            "SELECT audited_at, record, definite FROM domain_record WHERE domain = $1", domain
        )
        return audit_of(row) if row else None

    async def settled(self, connection: "Connection", subjects: Sequence[UUID]) -> dict[UUID, Verification]:
        """The verifications of accounts and probes of which everything that follows is done.

        An account that is kept only when it works has by then been kept or removed; a probe has been settled.
        """
        rows = await connection.fetch(
            """SELECT v.account_id, v.verification FROM verification v
                 LEFT JOIN account a ON a.account_id = v.account_id
                 LEFT JOIN probe p ON p.probe_id = v.account_id
                WHERE v.account_id = ANY($1::uuid[])
                  AND (p.settled_at IS NOT NULL
                       OR v.credential_id = a.credential_id AND (a.removed_at IS NOT NULL OR a.on_failure = 'keep'))""",
            subjects,
        )
        return {row["account_id"]: Verification.model_validate(row["verification"]) for row in rows}

    async def audited(self, connection: "Connection", domains: Sequence[str]) -> dict[str, datetime]:
        """When the domains were last audited; those that never were are left out."""
        rows = await connection.fetch(
            "SELECT domain, audited_at FROM domain_record WHERE domain = ANY($1::text[])", domains
        )
        return {row["domain"]: row["audited_at"] for row in rows}
