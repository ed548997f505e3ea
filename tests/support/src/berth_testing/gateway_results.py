"""What connector, auditor and billing say to the gateway, for tests that play them."""

from datetime import UTC, datetime
from uuid import uuid4

from berth_events.contracts import (
    AccountConnected,
    AccountConnectionFailed,
    AccountRequested,
    AccountVerificationRequested,
    CredentialRef,
    Diagnosis,
    DkimCheck,
    DmarcCheck,
    DomainAudited,
    DomainRecord,
    Event,
    Finding,
    MxCheck,
    MxRecord,
    SpfCheck,
    Step,
    Verification,
    domain_id,
)

__all__ = ["DIAGNOSIS", "audited", "verification", "verified"]

DIAGNOSIS = Diagnosis(
    code="AUTH_BAD_CREDENTIALS",
    rule_id="dovecot.imap.auth_failed",
    table_version="1",
    confidence="high",
    severity="error",
    action_by="user",
    meaning="The server refused user name or password.",
    remedy="Check the password.",
    retry_policy="never",
    reply="NO [AUTHENTICATIONFAILED] Authentication failed.",
)


def verification(*, works: bool, imap: bool | None = None, smtp: bool | None = None) -> Verification:
    moment = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
    step = Step(
        protocol="smtp",
        name="authenticate",
        outcome="ok" if works else "failed",
        started_at=moment,
        duration_ms=1.5,
        diagnosis=None if works else DIAGNOSIS,
        transcript=("C: AUTH PLAIN ***", "S: 235 ok" if works else "S: 535 no"),
    )
    return Verification(
        verification_id=uuid4(),
        started_at=moment,
        duration_ms=12.5,
        outcome="connected" if works else "failed",
        imap=works if imap is None else imap,
        smtp=works if smtp is None else smtp,
        steps=(step,),
        diagnosis=None if works else DIAGNOSIS,
    )


def verified(
    request: AccountRequested | AccountVerificationRequested, *, works: bool, reference: CredentialRef | None = None
) -> Event:
    """What the connector says of a request."""
    result = AccountConnected if works else AccountConnectionFailed
    return result(
        account_id=request.account_id,
        organization_id=request.organization_id,
        project_id=request.project_id,
        address=request.address,
        credential_ref=reference or request.credential_ref,
        verification=verification(works=works, imap=works if request.imap else None),
    )


def audited(domain: str) -> DomainAudited:
    record = DomainRecord(
        mx=MxCheck(state="pass", records=(MxRecord(host=f"mx.{domain}", address="203.0.113.7", preference=10),)),
        spf=SpfCheck(state="pass", value="v=spf1 -all"),
        dkim=DkimCheck(state="unknown"),
        dmarc=DmarcCheck(state="fail"),
        findings=(Finding(code="DMARC_MISSING", subject=f"_dmarc.{domain}", severity="high", evidence=("NXDOMAIN",)),),
    )
    definite = record.model_copy(update={"dkim": DkimCheck(state="pass", selector="s1", value="v=DKIM1; p=abc")})
    return DomainAudited(
        domain_id=domain_id(domain),
        domain=domain,
        audited_at=datetime(2026, 11, 21, 12, 0, 1, tzinfo=UTC),
        duration_ms=20,
        record=record,
        definite=definite,
    )
