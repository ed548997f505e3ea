"""From what is known of an account to what the canonical API shows."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from berth_events.contracts import CheckState, MailServer, Verification
from berth_gateway.accounts.batch import Outcome
from berth_gateway.accounts.change_schemas import BatchItem, BatchReport, DayReport, ProbeReport, Statistics
from berth_gateway.accounts.mailboxes import Mailbox
from berth_gateway.accounts.schemas import (
    Account,
    AccountStatus,
    Checks,
    Domain,
    Server,
    StepReport,
    TagReference,
    VerificationReport,
    VerificationSummary,
)
from berth_gateway.accounts.views import AccountView, Audit, CheckDay

__all__ = [
    "account_resource",
    "batch_report",
    "domain_resource",
    "pending_probe",
    "probe_report",
    "statistics",
    "validity",
    "verification_report",
]


def account_resource(view: AccountView) -> Account:
    """The account as a resource."""
    return Account(
        id=view.account_id,
        number=view.number,
        email=view.address,
        first_name=view.first_name,
        last_name=view.last_name,
        provider=view.provider,
        status=view.status,
        seat_kind=view.seat_kind,
        suspended=view.suspended,
        imap=_server(view.imap),
        smtp=_server(view.smtp),
        diagnosis=view.proof.diagnosis if view.proof else None,
        verification=VerificationSummary.model_validate(view.proof.model_dump()) if view.proof else None,
        checkup=view.checkup,
        imap_issue=view.imap_issue,
        workspace_id=view.workspace_id,
        import_id=view.import_id,
        signature=view.signature,
        time_zone=view.time_zone,
        settings=view.settings,
        tags=[TagReference(id=tag.number, name=tag.name, color=tag.color) for tag in view.tags],
        domain=domain_resource(view.domain, view.audit),
        created_at=view.created_at,
        updated_at=view.updated_at,
    )


def pending_probe(subject: UUID, mailbox: Mailbox) -> dict[str, Any]:
    """The answer to whoever has a mailbox tried out."""
    shown = ProbeReport(id=subject, status="pending", filled_in=dict(mailbox.filled_in))
    return shown.model_dump(mode="json", exclude_defaults=True)


def probe_report(subject: UUID, found: Verification | Literal["pending"]) -> VerificationReport:
    """What trying out led to, step by step."""
    if found == "pending":
        return VerificationReport(account_id=subject, status="pending")
    return verification_report(subject, found.outcome, found)


def statistics(account_id: UUID, past_days: int, days: Sequence[CheckDay]) -> Statistics:
    """How an account did over some days."""
    checks, failures = sum(day.checks for day in days), sum(day.failures for day in days)
    return Statistics(
        account_id=account_id,
        past_days=past_days,
        checks=checks,
        failures=failures,
        availability=1 - failures / checks if checks else None,
        mean_duration_ms=sum(day.duration_ms for day in days) / checks if checks else None,
        days=[DayReport(day=day.day.isoformat(), checks=day.checks, failures=day.failures) for day in days],
    )


def batch_report(outcomes: Sequence[Outcome]) -> BatchReport:
    """What became of each account of a batch."""
    items = [
        BatchItem(
            account_id=found.account_id,
            outcome="failed" if found.error else "done" if found.changed else "unchanged",
            problem=found.error.type_uri() if found.error else None,
            detail=found.error.detail if found.error else None,
        )
        for found in outcomes
    ]
    counted = Counter(item.outcome for item in items)
    return BatchReport(done=counted["done"], unchanged=counted["unchanged"], failed=counted["failed"], items=items)


def domain_resource(domain: str, audit: Audit | None) -> Domain:
    """The domain: the last definite answers, and what the last audit saw."""
    if audit is None:
        return Domain(domain=domain)
    definite, record = audit.definite, audit.record
    return Domain(
        domain=domain,
        spf_valid=validity(definite.spf.state),
        spf_value=definite.spf.value,
        dkim_valid=validity(definite.dkim.state),
        dkim_selector=definite.dkim.selector,
        dkim_value=definite.dkim.value,
        dmarc_valid=validity(definite.dmarc.state),
        dmarc_value=definite.dmarc.value,
        mx_records=[(mx.host, mx.address, str(mx.preference)) for mx in definite.mx.records],
        last_check_at=audit.audited_at,
        checks=Checks(mx=record.mx.state, spf=record.spf.state, dkim=record.dkim.state, dmarc=record.dmarc.state),
        findings=list(record.findings),
    )


def validity(state: CheckState) -> bool | None:
    """True or false where the check has an answer; None where it has not."""
    return {"pass": True, "fail": False, "unknown": None}[state]


def verification_report(account_id: UUID, status: AccountStatus, found: Verification | None) -> VerificationReport:
    """The steps of the last verification."""
    if found is None:
        return VerificationReport(account_id=account_id, status=status)
    return VerificationReport(
        account_id=account_id,
        status=status,
        outcome=found.outcome,
        started_at=found.started_at,
        duration_ms=found.duration_ms,
        imap=found.imap,
        smtp=found.smtp,
        diagnosis=found.diagnosis,
        steps=[StepReport.model_validate(step.model_dump()) for step in found.steps],
    )


def _server(server: MailServer | None) -> Server | None:
    if server is None:
        return None
    return Server(host=server.host, port=server.port, security=server.security, username=server.username)
