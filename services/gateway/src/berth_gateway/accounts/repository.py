"""Reading accounts back: the write model joined with what connector and auditor said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast
from uuid import UUID

from pydantic import BaseModel

from berth_events.contracts import (
    AccountSettings,
    Checkup,
    Diagnosis,
    DomainRecord,
    MailServer,
    OnFailure,
    Provider,
    SeatKind,
    Verification,
)

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.database import Connection
    from berth_gateway.accounts.schemas import AccountStatus

__all__ = ["AccountFilter", "AccountRepository", "AccountView", "Audit", "CheckDay", "Listed", "Proof", "Tag"]

TagMode = Literal["any", "all"]


class Proof(BaseModel):
    """A verification without its steps, which lists do not need."""

    verification_id: UUID
    started_at: datetime
    duration_ms: float
    outcome: Literal["connected", "failed"]
    imap: bool | None
    smtp: bool | None
    diagnosis: Diagnosis | None = None
    imap_diagnosis: Diagnosis | None = None
    smtp_diagnosis: Diagnosis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A label of a project; the number is its id in dialects."""

    number: int
    name: str
    color: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckDay:
    """The verifications of a day; `duration_ms` is that of all of them together."""

    day: date
    checks: int
    failures: int
    duration_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What the auditor last said of a domain."""

    audited_at: datetime
    record: DomainRecord
    definite: DomainRecord

    @property
    def health(self) -> int:
        """The auditor's score, 0 to 100; of a record from before there were scores, a quarter for each check that passes."""
        if self.definite.health_score is not None:
            return self.definite.health_score
        checks = (self.definite.mx, self.definite.spf, self.definite.dkim, self.definite.dmarc)
        return 25 * sum(check.state == "pass" for check in checks)


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
    signature: str
    time_zone: str
    settings: AccountSettings
    tags: tuple[Tag, ...]
    workspace_id: UUID | None
    import_id: UUID | None
    created_at: datetime
    updated_at: datetime
    removed_reason: str | None
    on_failure: OnFailure
    imap_guessed: bool
    status: "AccountStatus"
    verified_at: datetime | None
    proof: Proof | None
    checkup: Checkup | None
    domain_number: int
    domain_created_at: datetime
    audit: Audit | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter:
    """Which accounts of a project; None does not ask.

    Attributes:
        search: part of address or name, whatever its case.
        username: part of the SMTP user name.
        tags: names; `tag_mode` says whether one or all of them.
        oauth: signs in through an email workspace, or not.
        in_campaign: belongs to a campaign of the caller's, or not.
        min_health: of the domain, as `Audit.health`; a domain that was not audited yet is not found.
        max_health: likewise.
    """

    statuses: Sequence[str] | None = None
    providers: Sequence[str] | None = None
    domain: str | None = None
    seat_kind: str | None = None
    suspended: bool | None = None
    workspace_id: UUID | None = None
    import_id: UUID | None = None
    search: str | None = None
    username: str | None = None
    tags: Sequence[str] | None = None
    tag_mode: TagMode = "any"
    untagged: bool | None = None
    imap_works: bool | None = None
    smtp_works: bool | None = None
    client_number: int | None = None
    warmup_enabled: bool | None = None
    sending_enabled: bool | None = None
    oauth: bool | None = None
    in_campaign: bool | None = None
    on_failure: OnFailure | None = None
    warmup_paused: bool | None = None
    min_health: int | None = None
    max_health: int | None = None


_EVERY: Final = AccountFilter()

_PAGE: Final = """
WITH matching AS NOT MATERIALIZED (
    SELECT a.account_id, a.number
      FROM account a
      LEFT JOIN verification v ON v.account_id = a.account_id AND v.credential_id = a.credential_id
     WHERE a.project_id = $1 AND a.removed_at IS NULL
       AND ($6::text[] IS NULL OR coalesce(v.status, 'pending') = ANY($6))
       AND ($7::text[] IS NULL OR a.provider = ANY($7))
       AND ($8::text IS NULL OR a.domain = $8)
       AND ($9::text IS NULL OR a.seat_kind = $9)
       AND ($10::boolean IS NULL OR a.suspended = $10)
       AND ($11::uuid IS NULL OR a.workspace_id = $11)
       AND ($12::uuid IS NULL OR a.import_id = $12)
       AND ($13::text IS NULL OR strpos(a.address_key, $13) > 0 OR strpos(lower(a.first_name || ' ' || a.last_name), $13) > 0)
       AND ($14::text IS NULL OR strpos(lower(a.smtp ->> 'username'), $14) > 0)
       AND ($15::text[] IS NULL OR $16 <= (
               SELECT count(*) FROM account_tag l JOIN tag t USING (project_id, number)
                WHERE l.account_id = a.account_id AND lower(t.name) = ANY($15)))
       AND ($17::boolean IS NULL OR $17 <> EXISTS (SELECT FROM account_tag l WHERE l.account_id = a.account_id))
       AND ($18::boolean IS NULL OR $18 = coalesce((v.verification ->> 'imap')::boolean, v.status = 'connected', false))
       AND ($19::boolean IS NULL OR $19 = coalesce((v.verification ->> 'smtp')::boolean, v.status = 'connected', false))
       AND ($20::int IS NULL OR (a.settings ->> 'client_number')::int = $20)
       AND ($21::boolean IS NULL OR $21 = coalesce((a.settings ->> 'warmup_enabled')::boolean, false))
       AND ($22::boolean IS NULL OR $22 = (coalesce((a.settings ->> 'sending_enabled')::boolean, true)
                                           AND coalesce(v.status = 'connected', false) AND NOT a.suspended))
       AND ($23::boolean IS NULL OR $23 = (a.workspace_id IS NOT NULL))
       AND ($24::boolean IS NULL OR $24 = EXISTS (SELECT FROM campaign_account m WHERE m.account_id = a.account_id))
       AND ($25::text IS NULL OR a.on_failure = $25)
       AND ($26::boolean IS NULL OR $26 = coalesce((a.settings ->> 'warmup_paused')::boolean, false))
       AND (($27::int IS NULL AND $28::int IS NULL) OR a.domain IN (
               SELECT r.domain FROM domain_record r
                WHERE r.domain IN (SELECT o.domain FROM account o WHERE o.project_id = $1 AND o.removed_at IS NULL)
                  AND coalesce((r.definite ->> 'health_score')::int,
                               25 * ((r.definite #>> '{mx,state}' = 'pass')::int + (r.definite #>> '{spf,state}' = 'pass')::int
                                     + (r.definite #>> '{dkim,state}' = 'pass')::int
                                     + (r.definite #>> '{dmarc,state}' = 'pass')::int))
                      BETWEEN coalesce($27, 0) AND coalesce($28, 100))))
SELECT counted.total, shown.account_id
  FROM (SELECT CASE WHEN $5::boolean THEN (SELECT count(*) FROM matching) END AS total) counted
  LEFT JOIN LATERAL (SELECT account_id, number FROM matching WHERE number > $2 ORDER BY number LIMIT $3 OFFSET $4) shown ON true
 ORDER BY shown.number
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A page of accounts; `total` of all pages only when it was asked for."""

    accounts: list[AccountView]
    total: int | None


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
                      d.number AS domain_number, d.created_at AS domain_created_at, r.audited_at, r.record, r.definite
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
        return [_view(row) for row in rows]

    async def page(
        self,
        connection: "Connection",
        project_id: UUID,
        *,
        limit: int,
        after: int = 0,
        offset: int = 0,
        only: AccountFilter = _EVERY,
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
            _PAGE,
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


def _view(row: "asyncpg.Record") -> AccountView:
    taken = (
        "account_id", "number", "address", "domain", "provider", "first_name", "last_name", "imap_issue", "seat_kind",
        "suspended", "signature", "time_zone", "workspace_id", "import_id", "created_at", "updated_at", "removed_reason",
        "on_failure", "imap_guessed", "status", "verified_at", "domain_number", "domain_created_at",
    )  # fmt: skip
    return AccountView(
        **{name: row[name] for name in taken},
        imap=_server(row["imap"]),
        smtp=_server(row["smtp"]),
        settings=AccountSettings.model_validate(row["settings"]),
        tags=tuple(Tag(**tag) for tag in row["tags"] or ()),
        proof=_proof(row),
        checkup=Checkup.model_validate(row["checkup"]) if row["checkup"] else None,
        audit=_audit(row),
    )


def _proof(row: "asyncpg.Record") -> Proof | None:
    if row["proof"] is None:
        return None
    diagnoses = {name: row[name] for name in ("imap_diagnosis", "smtp_diagnosis")}
    return Proof.model_validate({**row["proof"], **diagnoses})


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
