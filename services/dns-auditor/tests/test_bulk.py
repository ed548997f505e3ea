"""Many domains at once, some without an answer: exact results for the others, and nothing stays behind."""

import asyncio

from berth_dns_auditor.audit import Audit, Auditor
from berth_dns_auditor.cache import AnswerCache
from berth_dns_auditor.nameservers import Nameserver, NameserverResolver
from berth_testing.bulk_dns import bulk_dns, kind_of, mail_address

DOMAINS = 200


async def test_healthy_domains_are_exact_and_the_others_unknown() -> None:
    before = asyncio.all_tasks()
    gate = asyncio.Semaphore(32)

    async def audit(auditor: Auditor, number: int) -> Audit:
        async with gate:
            return await auditor.audit(f"d{number}.example")

    with bulk_dns() as port:
        async with (
            NameserverResolver([Nameserver("127.0.0.1", port)], attempt=0.6, rounds=2) as resolver,
            AnswerCache(resolver, entries_max=500) as cache,
        ):
            auditor = Auditor(cache, probe=lambda: "probe")
            audits = await asyncio.gather(*(audit(auditor, number) for number in range(DOMAINS)))
            assert len(cache._entries) == 500

    assert asyncio.all_tasks() == before
    first = audits[3].record
    for number, (record, incomplete) in enumerate((done.record, done.incomplete) for done in audits):
        states = [getattr(record, name).state for name in ("mx", "spf", "dkim", "dmarc")]
        if kind_of(number) != "healthy":
            assert (number, states) == (number, ["unknown"] * 4)
            assert {found.code for found in record.findings} == {"DNS_TEMPFAIL"}
            assert incomplete >= {"mx", "spf", "dkim", "dmarc"}
            continue
        assert not incomplete, record.findings
        assert (number, states, incomplete) == (number, ["pass"] * 4, frozenset())
        assert [(row.host, row.address) for row in record.mx.records] == [
            (f"mx.d{number}.example", mail_address(number))
        ]
        assert (record.spf.value, record.dkim.selector) == ("v=spf1 mx -all", "default")
        assert record.dmarc.location == f"d{number}.example"
        assert [found.code for found in record.findings] == [found.code for found in first.findings]
