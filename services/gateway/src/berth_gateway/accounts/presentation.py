"""From what is known of an account to what the canonical API shows."""

from uuid import UUID

from berth_events.contracts import CheckState, MailServer, Verification
from berth_gateway.accounts.repository import AccountView, Audit
from berth_gateway.accounts.schemas import (
    Account,
    AccountStatus,
    Checks,
    Domain,
    Server,
    StepReport,
    VerificationReport,
    VerificationSummary,
)

__all__ = ["account_resource", "domain_resource", "validity", "verification_report"]


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
        domain=domain_resource(view.domain, view.audit),
        created_at=view.created_at,
    )


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
