"""`berth-dns-audit` and the settings, as an operator meets them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from berth_dns_auditor.assembly import EVERYTHING
from berth_dns_auditor.command_line import main
from berth_dns_auditor.settings import AuditorSettings
from berth_events.contracts import DomainRecord
from berth_testing.nsd import NameServer


def audit(*options: str, servers: str = "", stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run it, without anything that a platform has."""
    return subprocess.run(
        [sys.executable, "-m", "berth_dns_auditor", "audit", "--dns-only", *options],
        env={"PATH": os.environ["PATH"], "BERTH_DNS_SERVERS": servers},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_domains_of_every_source_as_lines_of_json(nsd: NameServer, tmp_path: Path) -> None:
    file = tmp_path / "domains.txt"
    file.write_text("# ours\nbrokenspf.example\n\nTest.Example  # twice\n")

    done = audit("test.example", "-", "--file", str(file), "--json", servers=nsd.endpoint, stdin="nodmarc.example\n")

    assert (done.returncode, done.stderr) == (1, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    records = {line["domain"]: DomainRecord.model_validate(line["record"]) for line in lines}
    assert len(lines) == len(records) == 3
    assert records["test.example"].dmarc.state == "pass"
    assert records["nodmarc.example"].dmarc.state == "fail"
    assert records["brokenspf.example"].spf.state == "fail"


def test_a_table_in_the_order_of_the_domains(nsd: NameServer) -> None:
    domains = ("nodmarc.example", "test.example", "lame.example")

    done = audit("--server", nsd.endpoint, "--concurrency", "2", *domains)

    rows = [line for line in done.stdout.splitlines() if ".example" in line]
    assert done.returncode == 1
    assert [row.split()[1] for row in rows] == list(domains)
    assert "DMARC_MISSING" in rows[0]
    assert rows[1].count("pass") == 4
    assert rows[2].count("unknown") == 4


def test_the_exit_status_tells_that_nothing_was_learnt(nsd: NameServer) -> None:
    assert audit("lame.example", servers=nsd.endpoint).returncode == 3


def test_advice_says_what_to_publish(nsd: NameServer) -> None:
    done = audit("brokenspf.example", "--advice", servers=nsd.endpoint)

    assert (done.returncode, done.stderr) == (1, "")
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


def test_senders_and_selectors_are_looked_at(nsd: NameServer) -> None:
    done = audit("test.example", "--json", "--sender", "8.8.4.4", "--selector", "default", servers=nsd.endpoint)

    record = DomainRecord.model_validate(json.loads(done.stdout)["record"])
    assert [(sender.address, sender.spf) for sender in record.senders] == [("8.8.4.4", "fail")]
    assert record.dkim.selector == "default"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "no domain was named"),
        (("192.0.2.1",), "192.0.2.1"),
        (("example.com", "--file", "/nowhere/domains.txt"), "/nowhere/domains.txt"),
        (("example.com", "--concurrency", "0"), "not a number from 1 to 256: 0"),
        (("example.com", "--sender", "mail"), "mail"),
        (("example.com", "--server", "dns.example"), "'dns.example' is not a name server"),
        (("example.com", "--json", "--advice"), "not allowed with"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_asked(
    options: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BERTH_DNS_SERVERS", raising=False)

    with pytest.raises(SystemExit) as stopped:
        main(options)

    said = capsys.readouterr()
    assert (stopped.value.code, said.out) == (2, "")
    assert says in said.err


def test_a_bad_setting_is_named() -> None:
    done = audit("nodmarc.example", servers="dns.example")

    assert done.returncode == 2
    assert done.stderr.startswith("BERTH_DNS_SERVERS: ")
    assert "'dns.example' is not a name server" in done.stderr


def test_help_explains() -> None:
    done = audit("--help")

    assert done.returncode == 0
    assert "exit status:" in done.stdout
    assert "examples:" in done.stdout


def test_the_environment_says_whom_to_ask_and_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/x")
    assert AuditorSettings().choice().asked == EVERYTHING

    monkeypatch.setenv("BERTH_DNS_SERVERS", "127.0.0.1:5353, 2001:db8::1,")
    monkeypatch.setenv("BERTH_AUDIT_ASKS", "mta-sts, web")
    monkeypatch.setenv("BERTH_BLOCK_LISTS_ADDRESSES", "Zen.Example.org")
    monkeypatch.setenv("BERTH_BLOCK_LISTS_DOMAINS", "dbl.example.org,other.example.org")

    settings = AuditorSettings()
    assert settings.berth_dns_servers == ("127.0.0.1:5353", "2001:db8::1")
    assert settings.choice().asked == ("mta-sts", "web")
    assert settings.choice().lists.addresses == ("zen.example.org",)
    assert settings.choice().lists.domains == ("dbl.example.org", "other.example.org")

    monkeypatch.setenv("BERTH_AUDIT_ASKS", "everything")
    with pytest.raises(ValidationError):
        AuditorSettings()
