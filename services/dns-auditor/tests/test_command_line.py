"""`python -m berth_dns_auditor audit` and the settings, as an operator meets them."""

import os
import subprocess
import sys

import pytest

from berth_dns_auditor.settings import AuditorSettings
from berth_events.contracts import DomainRecord
from berth_testing.nsd import NameServer


def audit(domain: str, servers: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "berth_dns_auditor", "audit", domain, *options],
        env=os.environ | {"BERTH_DNS_SERVERS": servers},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_an_audit_by_hand_prints_the_record(nsd: NameServer) -> None:
    done = audit("nodmarc.example", nsd.endpoint)

    assert (done.returncode, done.stderr) == (0, "")
    record = DomainRecord.model_validate_json(done.stdout)
    assert (record.spf.state, record.dmarc.state) == ("pass", "fail")


def test_advice_says_what_to_publish(nsd: NameServer) -> None:
    done = audit("brokenspf.example", nsd.endpoint, "--advice")

    assert (done.returncode, done.stderr) == (0, "")
    assert (
        """\
critical: SPF_SYNTAX_ERROR brokenspf.example ipv4:192.0.2.1
  A term of the SPF record is not in the grammar, so the whole record is void. (RFC 7208 §4.6; RFC 7208 §12)
  Correct or remove the term.
  - brokenspf.example. IN TXT "v=spf1 ipv4:192.0.2.1 -all"
  + brokenspf.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"
"""
        in done.stdout
    )


def test_a_bad_setting_is_named() -> None:
    done = audit("nodmarc.example", "dns.example")

    assert done.returncode == 2
    assert done.stderr.startswith("BERTH_DNS_SERVERS: ")
    assert "'dns.example' is not a name server" in done.stderr


def test_servers_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_DNS_SERVERS", "127.0.0.1:5353, 2001:db8::1,")
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/x")

    assert AuditorSettings().berth_dns_servers == ("127.0.0.1:5353", "2001:db8::1")
