"""What large mailbox providers ask of senders of bulk mail."""

import pytest

from berth_dns_auditor.checks.bulk_senders import MailChecks, check_bulk_sender
from berth_events.contracts import BulkSenderCheck, DkimCheck, DmarcCheck, Finding, SenderCheck, SpfCheck


def checks(*codes: str, sender: str = "pass", **states: str) -> MailChecks:
    kinds = {"spf": SpfCheck, "dkim": DkimCheck, "dmarc": DmarcCheck}
    made = {name: kind(state=states.get(name, "pass")) for name, kind in kinds.items()}
    findings = tuple(Finding(code=code, subject="example.com", severity="high") for code in codes)
    senders = (SenderCheck(state=sender, address="8.8.4.4", spf="pass", spf_domain="example.com"),)
    return MailChecks(**made, senders=senders, findings=findings)


def verdict(google: bool | None, yahoo: bool | None, microsoft: bool | None) -> BulkSenderCheck:
    return BulkSenderCheck(google=google, yahoo=yahoo, microsoft=microsoft)


@pytest.mark.parametrize(
    ("mail", "expected"),
    [
        (checks(), verdict(True, True, True)),
        (checks(spf="fail"), verdict(False, False, False)),
        (checks(dkim="fail"), verdict(False, False, False)),
        (checks(dmarc="fail"), verdict(False, False, False)),
        (checks("SPF_SENDING_IP_NOT_PASS"), verdict(False, False, False)),
        (checks("RDNS_MISSING"), verdict(False, False, True)),
        (checks("RDNS_NOT_CONFIRMED"), verdict(False, False, True)),
        (checks("RDNS_GENERIC"), verdict(True, True, True)),
        (checks("SPF_NOT_ALIGNED"), verdict(True, True, True)),
        (checks("DKIM_NOT_ALIGNED"), verdict(True, True, True)),
        (checks("SPF_NOT_ALIGNED", "DKIM_NOT_ALIGNED"), verdict(False, False, False)),
        (checks(dkim="unknown"), verdict(None, None, None)),
        (checks(dkim="unknown", spf="fail"), verdict(False, False, False)),
        (checks(sender="unknown"), verdict(None, None, None)),
        (checks("RDNS_MISSING", sender="unknown"), verdict(False, False, None)),
    ],
)
def test_each_provider(mail: MailChecks, expected: BulkSenderCheck) -> None:
    outcome = check_bulk_sender("example.com", mail)

    assert outcome.check == expected
    refused = {name for name in ("google", "yahoo", "microsoft") if getattr(expected, name) is False}
    assert {found.subject for found in outcome.findings} == {f"example.com {name}" for name in refused}
    assert all(found.evidence for found in outcome.findings)
