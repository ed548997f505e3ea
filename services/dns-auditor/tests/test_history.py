"""What an audit says together with the one before it."""

from datetime import UTC, datetime
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from berth_dns_auditor.audit import Audit
from berth_dns_auditor.history import changes, known, settle
from berth_events.contracts import (
    BulkSenderCheck,
    DkimCheck,
    DmarcCheck,
    DnssecCheck,
    DomainRecord,
    Finding,
    MxCheck,
    Registration,
    SenderCheck,
    SpfCheck,
    WebCheck,
)

State = Literal["pass", "fail", "unknown"]
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def found(code: str, subject: str = "example.com") -> Finding:
    return Finding(code=code, subject=subject, severity="unknown" if code == "DNS_TEMPFAIL" else "high")


def unavailable(code: str) -> Finding:
    return Finding(code=code, subject="example.com", severity="unknown")


def record(*findings: Finding, spf: State = "pass", mx: State = "pass") -> DomainRecord:
    value = None if spf == "unknown" else f"v=spf1 {spf}"
    return DomainRecord(
        mx=MxCheck(state=mx),
        spf=SpfCheck(state=spf, value=value),
        dkim=DkimCheck(state="pass"),
        dmarc=DmarcCheck(state="pass"),
        findings=findings,
    )


def codes(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.code for finding in findings}


def test_the_first_audit_stands_for_itself() -> None:
    first = record(found("MX_CNAME"), found("DNS_TEMPFAIL"), spf="unknown")

    definite = settle(Audit(first, frozenset({"spf"})), None, patient=True)

    assert definite == record(found("MX_CNAME"), spf="unknown")


def test_an_open_check_keeps_its_last_answer_with_its_findings() -> None:
    before = record(found("SPF_LOOP"), found("MX_CNAME"), found("DOMAIN_NXDOMAIN"), spf="fail")
    now = record(found("DNS_TEMPFAIL"), found("DMARC_MISSING"), spf="unknown")

    for patient in (True, False):
        definite = settle(Audit(now, frozenset({"spf"})), before, patient=patient)

        assert definite.spf == before.spf
        assert codes(definite.findings) == {"SPF_LOOP", "DMARC_MISSING"}


def test_an_address_without_an_answer_keeps_its_last_one_with_its_findings() -> None:
    fails = SenderCheck(state="fail", address="192.0.2.1", spf="fail", spf_domain="example.com")
    new = SenderCheck(state="pass", address="192.0.2.2", spf="pass", spf_domain="example.com")
    before = record(found("SPF_SENDING_IP_NOT_PASS"), found("RDNS_MISSING")).model_copy(update={"senders": (fails,)})
    lost = fails.model_copy(update={"state": "unknown", "spf": "temperror"})
    now = record(found("DNS_TEMPFAIL"), found("SPF_NO_ALL")).model_copy(update={"senders": (lost, new)})

    definite = settle(Audit(now, frozenset({"senders"})), before, patient=False)

    assert definite.senders == (fails, new)
    assert codes(definite.findings) == {"SPF_SENDING_IP_NOT_PASS", "RDNS_MISSING", "SPF_NO_ALL"}


def test_a_decided_check_with_an_open_question_clears_nothing_until_patience_ends() -> None:
    before = record(found("MX_CNAME"), found("DOMAIN_NXDOMAIN"))
    now = Audit(record(found("DNS_TEMPFAIL", "mail.example.com")), frozenset({"mx"}))

    assert codes(settle(now, before, patient=True).findings) == {"MX_CNAME", "DOMAIN_NXDOMAIN"}
    assert codes(settle(now, before, patient=False).findings) == set()


def test_changes_go_by_code_and_subject() -> None:
    before = (found("MX_CNAME", "a"), found("MX_CNAME", "b"))
    after = (found("MX_CNAME", "b").model_copy(update={"evidence": ("new",)}), found("SPF_LOOP"))

    assert changes(before, after) == ((found("SPF_LOOP"),), (found("MX_CNAME", "a"),))


def test_open_questions_are_said_too() -> None:
    tempfail = found("DNS_TEMPFAIL")

    assert known(record(tempfail, found("MX_CNAME")), record(found("SPF_LOOP"))) == (found("SPF_LOOP"), tempfail)


_states = st.sampled_from(["pass", "fail", "unknown"])
_findings = st.lists(
    st.builds(
        found, st.sampled_from(["MX_CNAME", "SPF_LOOP", "DOMAIN_NXDOMAIN", "DNS_TEMPFAIL"]), st.sampled_from("ab")
    ),
    max_size=6,
    unique_by=lambda finding: (finding.code, finding.subject),
)
_records = st.builds(lambda findings, spf, mx: record(*findings, spf=spf, mx=mx), _findings, _states, _states)


@given(first=_records, second=_records, incomplete=st.sets(st.sampled_from(["mx", "spf"])), patient=st.booleans())
def test_a_definite_answer_is_never_lost(
    first: DomainRecord, second: DomainRecord, incomplete: set[str], patient: bool
) -> None:
    before = settle(Audit(first, frozenset()), None, patient=True)
    after = settle(Audit(second, frozenset(incomplete)), before, patient=patient)

    for name in ("mx", "spf"):
        then, now, said = (getattr(one, name) for one in (before, second, after))
        assert said == (then if now.state == "unknown" else now)
    assert "DNS_TEMPFAIL" not in codes(after.findings)
    raised, cleared = changes(before.findings, after.findings)
    assert not codes(raised) & codes(cleared) or len({*raised, *cleared}) == len(raised) + len(cleared)
    assert set(after.findings) == (set(before.findings) - set(cleared)) | set(raised)


def test_what_is_not_pressing_keeps_its_last_answer_without_patience() -> None:
    registered = Registration(created_at=NOW, expires_at=None)
    before = record(found("DOMAIN_EXPIRED"), found("NS_LAME"), found("HTTPS_INVALID")).model_copy(
        update={
            "registration": registered,
            "web": WebCheck(http=True, https=False),
            "name_servers": ("ns1.example.com",),
            "dnssec": DnssecCheck(state="pass", signed=True),
            "bulk_sender": BulkSenderCheck(google=True, yahoo=True, microsoft=False),
        }
    )
    now = record(found("DNS_TEMPFAIL"), unavailable("RDAP_UNAVAILABLE"), unavailable("HTTPS_INVALID")).model_copy(
        update={
            "web": WebCheck(http=False, https=None),
            "dnssec": DnssecCheck(state="unknown"),
            "bulk_sender": BulkSenderCheck(google=False),
        }
    )

    incomplete = frozenset({"registration", "web", "zone", "dnssec", "bulk"})
    definite = settle(Audit(now, incomplete), before, patient=False)

    assert not Audit(now, incomplete).pressing
    assert definite.registration == registered
    assert definite.web == WebCheck(http=False, https=False)
    assert definite.name_servers == ("ns1.example.com",)
    assert definite.dnssec == DnssecCheck(state="pass", signed=True)
    assert definite.bulk_sender == BulkSenderCheck(google=False, yahoo=True, microsoft=False)
    assert [one.severity for one in definite.findings] == ["high"] * 3
    assert codes(definite.findings) == {"DOMAIN_EXPIRED", "NS_LAME", "HTTPS_INVALID"}
    assert changes(known(before, before), known(now, definite)) == (
        (found("DNS_TEMPFAIL"), unavailable("RDAP_UNAVAILABLE")),
        (),
    )


def test_what_is_switched_off_is_not_kept() -> None:
    before = record(found("DOMAIN_EXPIRED")).model_copy(update={"registration": Registration(created_at=NOW)})

    definite = settle(Audit(record(), frozenset()), before, patient=True)

    assert (definite.registration, definite.findings, definite.health_score) == (None, (), 100)
