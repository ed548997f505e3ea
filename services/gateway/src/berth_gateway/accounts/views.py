"""Accounts as they are read back: the write model joined with what connector and auditor said."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal
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
)

if TYPE_CHECKING:
    import asyncpg

    from berth_gateway.accounts.schemas import AccountStatus

__all__ = ["AccountView", "Audit", "CheckDay", "Proof", "Tag", "audit_of", "view_of"]


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
    audit: Audit | None


def view_of(row: "asyncpg.Record") -> AccountView:
    """The account in a row of the repository."""
    taken = (
        "account_id", "number", "address", "domain", "provider", "first_name", "last_name", "imap_issue", "seat_kind",
        "suspended", "signature", "time_zone", "workspace_id", "import_id", "created_at", "updated_at", "removed_reason",
        "on_failure", "imap_guessed", "status", "verified_at", "domain_number",
    )  # fmt: skip
    return AccountView(
        **{name: row[name] for name in taken},
        imap=_server(row["imap"]),
        smtp=_server(row["smtp"]),
        settings=AccountSettings.model_validate(row["settings"]),
        tags=tuple(Tag(**tag) for tag in row["tags"] or ()),
        proof=_proof(row),
        checkup=Checkup.model_validate(row["checkup"]) if row["checkup"] else None,
        audit=audit_of(row),
    )


def _proof(row: "asyncpg.Record") -> Proof | None:
    if row["proof"] is None:
        return None
    diagnoses = {name: row[name] for name in ("imap_diagnosis", "smtp_diagnosis")}
    return Proof.model_validate({**row["proof"], **diagnoses})


def _server(stored: Mapping[str, Any] | None) -> MailServer | None:
    return MailServer.model_validate(stored) if stored else None


def audit_of(row: "asyncpg.Record") -> Audit | None:
    """The audit in a row, when there was one."""
    if row["audited_at"] is None:
        return None
    return Audit(
        audited_at=row["audited_at"],
        record=DomainRecord.model_validate(row["record"]),
        definite=DomainRecord.model_validate(row["definite"]),
    )
