"""Whole audits against NSD with the domains of the test bed."""

import pytest

from berth_dns_auditor.audit import Audit, Auditor
from berth_dns_auditor.nameservers import Nameserver, NameserverResolver
from berth_testing.nsd import NameServer
from berth_testing.zones import DKIM_PUBLIC_KEY


async def audit(nsd: NameServer, domain: str) -> Audit:
    async with NameserverResolver([Nameserver(nsd.address, nsd.port)]) as resolver:
        return await Auditor(resolver, probe=lambda: "xq7d2").audit(domain)


async def test_a_sound_domain(nsd: NameServer) -> None:
    record = (await audit(nsd, "test.example")).record

    assert (record.mx.state, record.spf.state, record.dkim.state, record.dmarc.state) == ("pass",) * 4
    assert [(row.host, row.preference) for row in record.mx.records] == [("mail.test.example", 10)]
    assert record.spf.value == "v=spf1 mx -all"
    assert record.dkim.value == f"v=DKIM1; k=rsa; p={DKIM_PUBLIC_KEY}"
    assert record.dmarc.policy == "reject"
    assert {found.code for found in record.findings} == {
        "MX_PRIVATE_ADDRESS",
        "MX_SINGLE_ADDRESS",
        "NS_SINGLE",
        "MTASTS_MISSING",
        "TLSRPT_MISSING",
        "DNSSEC_UNSIGNED",
    }


@pytest.mark.parametrize(
    ("domain", "states", "code"),
    [
        ("nodmarc.example", ("pass", "pass", "pass", "fail"), "DMARC_MISSING"),
        ("brokenspf.example", ("pass", "fail", "pass", "pass"), "SPF_SYNTAX_ERROR"),
        ("nomail.example", ("fail", "pass", "fail", "pass"), "MX_NULL"),
        ("lame.example", ("unknown",) * 4, "DNS_TEMPFAIL"),
        ("nosuch.example", ("fail",) * 4, "DOMAIN_NXDOMAIN"),
    ],
)
async def test_domains_with_a_fault(nsd: NameServer, domain: str, states: tuple[str, ...], code: str) -> None:
    record = (await audit(nsd, domain)).record

    assert (record.mx.state, record.spf.state, record.dkim.state, record.dmarc.state) == states
    assert code in {found.code for found in record.findings}
