"""Where the domain takes mail."""

from collections.abc import Callable

import pytest

from berth_dns_auditor.checks.basics import check_basics
from berth_dns_auditor.checks.mx import check_mx
from berth_dns_auditor.checks.outcome import Outcome
from berth_dns_auditor.resolver import Resolver
from berth_events.contracts import MxCheck, MxRecord

Dns = Callable[[dict[str, list[str]]], Resolver]

#: Addresses that are globally routable, with their reverse names.
FOUR, SIX = "8.8.4.4", "2606:4700::1111"
FOUR_PTR = "4.4.8.8.in-addr.arpa PTR"
SIX_PTR = "1.1.1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.4.6.0.6.2.ip6.arpa PTR"
SOUND = {
    "example.com MX": ["20 b.example.com", "10 a.example.com"],
    "a.example.com A": [FOUR],
    "b.example.com AAAA": [SIX],
    FOUR_PTR: ["a.example.com"],
    SIX_PTR: ["b.example.com"],
}


def codes(outcome: Outcome[MxCheck]) -> set[str]:
    return {found.code for found in outcome.findings}


async def test_a_row_for_each_address_best_first(dns: Dns) -> None:
    outcome = await check_mx(dns(SOUND), "example.com")

    assert outcome.check == MxCheck(
        state="pass",
        records=(
            MxRecord(host="a.example.com", address=FOUR, preference=10),
            MxRecord(host="b.example.com", address=SIX, preference=20),
        ),
    )
    assert outcome.findings == ()


@pytest.mark.parametrize(
    ("change", "state", "expected"),
    [
        ({"example.com MX": []}, "fail", {"MX_MISSING"}),
        ({"example.com MX": ["0 "]}, "fail", {"MX_NULL"}),
        ({"example.com MX": ["5 "]}, "fail", {"MX_NULL", "MX_NULL_WITH_OTHERS"}),
        (
            {"example.com MX": ["0 ", "10 a.example.com"]},
            "pass",
            {"MX_NULL_WITH_OTHERS", "MX_SINGLE_ADDRESS"},
        ),
        ({"example.com MX": ["10 a.example.com", "20 a.example.com"]}, "pass", {"MX_DUPLICATE", "MX_SINGLE_ADDRESS"}),
        ({"example.com MX": ["10 gone.example.org"]}, "fail", {"MX_DANGLING_REGISTRABLE"}),
        ({"example.com MX": ["10 gone.example.org"], "example.org A": [FOUR]}, "fail", {"MX_NXDOMAIN"}),
        ({"example.com MX": ["10 gone.internal"]}, "fail", {"MX_NXDOMAIN"}),
        ({"example.com MX": ["10 example.com"]}, "fail", {"MX_NO_ADDRESS"}),
        ({"example.com MX": ["10 8.8.4.4"]}, "fail", {"MX_IP_LITERAL"}),
        (
            {"b.example.com AAAA": [], "b.example.com CNAME": ["a.example.com"]},
            "pass",
            {"MX_CNAME", "MX_SINGLE_ADDRESS"},
        ),
        (
            {"example.com MX": ["10 a.example.com", "10 m_x.example.com"], "m_x.example.com A": [FOUR]},
            "pass",
            {"MX_BAD_HOSTNAME", "MX_SINGLE_ADDRESS"},
        ),
        ({"b.example.com AAAA": ["fd00::1"]}, "pass", {"MX_PRIVATE_ADDRESS"}),
        ({SIX_PTR: []}, "pass", {"MX_PTR_MISSING"}),
        ({SIX_PTR: ["a.example.com", "elsewhere.example"]}, "pass", {"MX_PTR_MISMATCH"}),
        ({"example.com MX": [f"{n} x{n}.example.com" for n in range(20)]}, "fail", {"MX_TOO_MANY", "MX_NXDOMAIN"}),
    ],
)
async def test_what_can_be_wrong(dns: Dns, change: dict[str, list[str]], state: str, expected: set[str]) -> None:
    outcome = await check_mx(dns(SOUND | change), "example.com")

    assert outcome.check.state == state
    assert codes(outcome) == expected


async def test_one_dead_exchange_is_high_and_all_dead_are_critical(dns: Dns) -> None:
    one = await check_mx(dns(SOUND | {"b.example.com AAAA": []}), "example.com")
    both = await check_mx(dns(SOUND | {"a.example.com A": [], "b.example.com AAAA": []}), "example.com")

    assert [found.severity for found in one.findings if found.code == "MX_NO_ADDRESS"] == ["high"]
    assert [found.severity for found in both.findings if found.code == "MX_NO_ADDRESS"] == ["critical", "critical"]


async def test_no_answer_to_mx_leaves_it_open(dns: Dns, fails: list[str]) -> None:
    outcome = await check_mx(dns(SOUND | {"example.com MX": fails}), "example.com")

    assert outcome.check == MxCheck(state="unknown")
    assert codes(outcome) == {"DNS_TEMPFAIL"}


async def test_an_exchange_without_an_answer_does_not_fail_the_domain(dns: Dns, fails: list[str]) -> None:
    one = await check_mx(dns(SOUND | {"b.example.com AAAA": fails}), "example.com")
    both = await check_mx(dns(SOUND | {"b.example.com AAAA": fails, "a.example.com A": fails}), "example.com")

    assert (one.check.state, both.check.state) == ("pass", "unknown")
    assert codes(one) == codes(both) == {"DNS_TEMPFAIL"}


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (SOUND, set()),
        ({"other.example A": [FOUR]}, {"DOMAIN_NXDOMAIN"}),
        ({"example.com CNAME": ["web.example"], "web.example A": [FOUR]}, {"APEX_CNAME"}),
    ],
)
async def test_the_domain_itself(dns: Dns, zone: dict[str, list[str]], expected: set[str]) -> None:
    assert {found.code for found in await check_basics(dns(zone), "example.com")} == expected
