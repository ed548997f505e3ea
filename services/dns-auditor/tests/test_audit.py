"""The whole audit: one deadline, no question asked twice, tri-state, nothing hostile gets through."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_dns_auditor.audit import Auditor
from berth_dns_auditor.cache import AnswerCache
from berth_dns_auditor.checks.known import Known, Sender
from berth_dns_auditor.checks.spf import INVALIDATING
from berth_dns_auditor.findings import Severity, bounded, catalogue, change, finding
from berth_dns_auditor.resolver import Answer, Rdtype, Resolver
from berth_events.contracts import DomainRecord, Finding

Dns = Callable[[dict[str, list[str]]], Resolver]

ZONE = {
    "example.com MX": ["10 mail.example.com"],
    "mail.example.com A": ["8.8.4.4"],
    "4.4.8.8.in-addr.arpa PTR": ["mail.example.com"],
    "example.com TXT": ["v=spf1 mx -all"],
    "_dmarc.example.com TXT": ["v=DMARC1; p=reject; rua=mailto:d@example.com"],
}


def auditor(resolver: Resolver, deadline: float = 5.0) -> Auditor:
    return Auditor(resolver, probe=lambda: "probe", deadline=deadline)


#: What is to be said of a domain that has no more than these tests give it.
PLAIN = {"MTASTS_MISSING", "TLSRPT_MISSING", "DNSSEC_UNSIGNED", "BULK_SENDER_NOT_READY"}


def states(record: DomainRecord) -> tuple[str, str, str, str]:
    return record.mx.state, record.spf.state, record.dkim.state, record.dmarc.state


async def test_all_checks_in_one_record(dns: Dns) -> None:
    audit = await auditor(dns(ZONE)).audit("Example.COM.")

    assert states(audit.record) == ("pass", "pass", "fail", "pass")
    assert {found.code for found in audit.record.findings} == PLAIN | {"MX_SINGLE_ADDRESS", "DKIM_MISSING"}
    assert audit.incomplete == frozenset()


async def test_what_messages_showed_is_part_of_the_audit(dns: Dns) -> None:
    zone = ZONE | {"20251104._domainkey.example.com TXT": [f"v=DKIM1; k=ed25519; p={'A' * 43}="]}
    known = Known(selectors=("20251104",), senders=(Sender("8.8.4.4"), Sender("9.9.9.9")))

    record = (await auditor(dns(zone)).audit("example.com", known)).record

    assert (record.dkim.state, record.dkim.selector) == ("pass", "20251104")
    assert [(one.address, one.state, one.spf_term) for one in record.senders] == [
        ("8.8.4.4", "pass", "mx"),
        ("9.9.9.9", "fail", "-all"),
    ]
    assert {(found.code, found.subject) for found in record.findings} >= {
        ("SPF_SENDING_IP_NOT_PASS", "example.com 9.9.9.9"),
        ("RDNS_MISSING", "9.9.9.9"),
    }


async def test_a_domain_that_does_not_exist(dns: Dns) -> None:
    audit = await auditor(dns({"other.example A": ["8.8.4.4"]})).audit("example.com")

    assert states(audit.record) == ("fail", "fail", "fail", "fail")
    assert {found.code for found in audit.record.findings} == PLAIN | {
        "DOMAIN_NXDOMAIN",
        "MX_MISSING",
        "SPF_MISSING",
        "DKIM_MISSING",
        "DMARC_MISSING",
    }


async def test_no_question_is_asked_twice(dns: Dns) -> None:
    resolver = dns(ZONE)

    async with AnswerCache(resolver) as cache:
        await auditor(cache).audit("example.com")

    asked: Counter[tuple[str, Rdtype]] = Counter(resolver.asked)  # type: ignore[attr-defined]
    assert asked.most_common(1)[0][1] == 1


async def test_dead_servers_leave_everything_open(dns: Dns, fails: list[str]) -> None:
    names = ("example.com", "_domainkey.example.com", "_dmarc.example.com")

    audit = await auditor(dns(dict.fromkeys(names, fails))).audit("example.com")

    assert states(audit.record) == ("unknown", "unknown", "unknown", "unknown")
    assert audit.pressing == {"mx", "spf", "dkim", "dmarc"}
    assert audit.incomplete == audit.pressing | {"transport", "dnssec", "zone", "bulk"}
    assert audit.record.health_score is None
    assert {(found.code, found.subject) for found in audit.record.findings} == {
        *(("DNS_TEMPFAIL", name) for name in names),
        ("MTASTS_MISSING", "example.com"),
        ("TLSRPT_MISSING", "example.com"),
    }


class Silent:
    """Answers some names and never the others."""

    def __init__(self, resolver: Resolver, silent: str) -> None:
        self._resolver, self._silent = resolver, silent
        self.cancelled = 0

    async def query(self, name: str, rdtype: Rdtype) -> Answer:
        if name.endswith(self._silent):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return await self._resolver.query(name, rdtype)


async def test_a_check_that_is_late_is_unknown_and_leaves_nothing_running(dns: Dns) -> None:
    resolver = Silent(dns(ZONE), "_domainkey.example.com")
    before = asyncio.all_tasks()

    audit = await auditor(resolver, deadline=0.05).audit("example.com")

    assert states(audit.record) == ("pass", "pass", "unknown", "pass")
    assert audit.pressing == {"dkim"}
    assert resolver.cancelled == 1
    assert asyncio.all_tasks() == before


@given(
    st.text(st.characters(max_codepoint=255), max_size=40),
    st.sampled_from(["v=spf1 ", "v=DMARC1; ", "v=DKIM1; ", "v=STSv1; ", "v=TLSRPTv1; ", "v=BIMI1; "]),
)
async def test_whatever_a_zone_says_can_be_stored_and_printed(text: str, start: str) -> None:
    class Hostile:
        async def query(self, name: str, rdtype: Rdtype) -> Answer:
            records = {
                "TXT": start + text,
                "MX": f"10 {text.strip()}",
                "PTR": text,
                "NS": text,
                "A": "8.8.4.4",
                "DS": f"1 13 2 {'0' * 64}",
                "TLSA": "1 1 1 00",
            }
            return Answer(name, rdtype, records=(records[rdtype],) if rdtype in records else (), aliases=(text,))

    audit = await auditor(Hostile()).audit("example.com")

    assert all(" " <= char <= "~" for char in audit.record.model_dump_json())


async def test_a_hostile_zone_gives_a_bounded_record(dns: Dns) -> None:
    terms = " ".join(f"x{number}=y" for number in range(4000))
    exchanges = [f"10 {'x' * 60}_{number}.example" for number in range(1000)]

    audit = await auditor(dns({"example.com TXT": [f"v=spf1 {terms}"], "example.com MX": exchanges})).audit(
        "example.com"
    )

    assert max(Counter(found.code for found in audit.record.findings).values()) == 10
    assert len(audit.record.model_dump_json()) < 300_000


def test_all_proposals_together_are_bounded() -> None:
    def one(number: int, severity: Severity) -> Finding:
        publish = [change("example.com", "TXT", "x" * 1000, "y" * 1000)]
        return finding("SPF_PTR_USED", str(number), severity=severity, publish=publish)

    few = [one(number, "low") for number in range(3)]
    many = [found.model_copy(update={"code": f"C{number}"}) for number in range(10) for found in [*few, one(9, "high")]]

    assert bounded(few) == tuple(few)
    kept = bounded(many)
    assert len(kept) == 40
    assert [bool(found.publish) for found in kept] == [True] * 23 + [False] * 17
    assert finding("SPF_PTR_USED", "x", publish=[change("example.com", "TXT", "x" * 3000)]).publish == ()


def test_the_catalogue_is_whole() -> None:
    for entry in catalogue().values():
        assert entry.code.isupper()
        assert entry.severity in {"critical", "high", "medium", "low", "info", "unknown"}
        assert entry.meaning.endswith((".", "…"))
        assert entry.remedy
        assert entry.reference.startswith(("RFC ", "no RFC; "))
    assert catalogue().keys() >= INVALIDATING
    with pytest.raises(KeyError):
        finding("NO_SUCH_CODE", "example.com")
