"""The addresses that send for a domain."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from berth_dns_auditor.checks.known import Sender
from berth_dns_auditor.checks.sending import _is_generic, check_senders
from berth_dns_auditor.resolver import Resolver
from berth_events.contracts import Finding, SenderCheck

Dns = Callable[[dict[str, list[str]]], Resolver]

ADDRESS = "8.8.4.4"
PTR = "4.4.8.8.in-addr.arpa PTR"
SOUND = {
    "example.com TXT": ["v=spf1 include:_spf.provider.example -all"],
    "_spf.provider.example TXT": [f"v=spf1 ip4:{ADDRESS} -all"],
    "_dmarc.example.com TXT": ["v=DMARC1; p=reject; rua=mailto:d@example.com"],
    PTR: ["out.provider.example"],
    "out.provider.example A": [ADDRESS],
}


class Outcome(NamedTuple):
    check: SenderCheck
    findings: tuple[Finding, ...]
    complete: bool


async def check(resolver: Resolver, sender: Sender | None = None) -> Outcome:
    outcome = await check_senders(resolver, "example.com", [sender or Sender(ADDRESS)])
    [check] = outcome.checks
    return Outcome(check, outcome.findings, outcome.complete)


def codes(outcome: Outcome) -> set[str]:
    return {found.code for found in outcome.findings}


async def test_a_sound_address(dns: Dns) -> None:
    outcome = await check(dns(SOUND), Sender(ADDRESS, return_path="example.com", signed_by=("Example.COM.",)))

    assert outcome.check == SenderCheck(
        state="pass",
        address=ADDRESS,
        reverse_dns="out.provider.example",
        spf="pass",
        spf_domain="example.com",
        spf_term="include:_spf.provider.example",
        aligned=True,
    )
    assert outcome.findings == ()


@pytest.mark.parametrize(
    ("change", "sender", "state", "expected"),
    [
        ({PTR: []}, Sender(ADDRESS), "fail", {"RDNS_MISSING"}),
        ({"out.provider.example A": ["9.9.9.9"]}, Sender(ADDRESS), "fail", {"RDNS_NOT_CONFIRMED"}),
        ({"example.com TXT": ["v=spf1 -all"]}, Sender(ADDRESS), "fail", {"SPF_SENDING_IP_NOT_PASS"}),
        ({"example.com TXT": []}, Sender(ADDRESS), "fail", {"SPF_SENDING_IP_NOT_PASS"}),
        ({}, Sender(ADDRESS, return_path="_spf.provider.example"), "fail", {"SPF_NOT_ALIGNED"}),
        ({}, Sender(ADDRESS, signed_by=("provider.example",)), "pass", {"DKIM_NOT_ALIGNED"}),
        ({}, Sender(ADDRESS, signed_by=("provider.example", "mail.example.com")), "pass", set()),
    ],
)
async def test_what_can_be_wrong(
    dns: Dns, change: dict[str, list[str]], sender: Sender, state: str, expected: set[str]
) -> None:
    outcome = await check(dns(SOUND | change), sender)

    assert (outcome.check.state, codes(outcome)) == (state, expected)


@pytest.mark.parametrize(("strict", "aligned"), [("r", True), ("s", False)])
async def test_strict_alignment_wants_the_very_domain(dns: Dns, strict: str, aligned: bool) -> None:
    zone = SOUND | {
        "bounce.example.com TXT": [f"v=spf1 ip4:{ADDRESS} -all"],
        "_dmarc.example.com TXT": [f"v=DMARC1; p=reject; aspf={strict}; adkim={strict}"],
    }

    outcome = await check(dns(zone), Sender(ADDRESS, "bounce.example.com", signed_by=("mail.example.com",)))

    assert outcome.check.aligned is aligned
    assert codes(outcome) == (set() if aligned else {"SPF_NOT_ALIGNED", "DKIM_NOT_ALIGNED"})


async def test_without_dmarc_the_registered_domain_decides(dns: Dns) -> None:
    zone = SOUND | {"_dmarc.example.com TXT": [], "bounce.example.com TXT": [f"v=spf1 ip4:{ADDRESS} -all"]}

    assert (await check(dns(zone), Sender(ADDRESS, "bounce.example.com"))).check.aligned is True
    assert (await check(dns(zone), Sender(ADDRESS, "_spf.provider.example"))).check.aligned is False


@pytest.mark.parametrize("failing", ["example.com TXT", "_spf.provider.example TXT", PTR, "out.provider.example A"])
async def test_a_temporary_error_never_fails_an_address(dns: Dns, fails: list[str], failing: str) -> None:
    outcome = await check(dns(SOUND | {failing: fails}))

    assert outcome.check.state == "unknown"
    assert codes(outcome) == {"DNS_TEMPFAIL"}
    assert not outcome.complete


async def test_who_the_organization_is_may_stay_open(dns: Dns, fails: list[str]) -> None:
    zone = SOUND | {"bounce.example.com TXT": [f"v=spf1 ip4:{ADDRESS} -all"], "_dmarc.com TXT": fails}

    outcome = await check(dns(zone), Sender(ADDRESS, return_path="bounce.example.com"))

    assert (outcome.check.state, outcome.check.aligned) == ("unknown", None)
    assert codes(outcome) == {"DNS_TEMPFAIL"}


async def test_what_is_wrong_whatever_the_open_answer_fails(dns: Dns, fails: list[str]) -> None:
    outcome = await check(dns(SOUND | {"example.com TXT": ["v=spf1 -all"], PTR: fails}))

    assert (outcome.check.state, outcome.check.spf) == ("fail", "fail")
    assert codes(outcome) == {"SPF_SENDING_IP_NOT_PASS", "DNS_TEMPFAIL"}


async def test_the_record_to_publish_lets_the_address_send(dns: Dns) -> None:
    outcome = await check(dns(SOUND | {"example.com TXT": ["v=spf1 mx ipv4:1.2.3.4 ~all"]}))

    [found] = outcome.findings
    [change] = found.publish
    assert (change.name, change.value) == ("example.com", f"v=spf1 ip4:{ADDRESS} mx ip4:1.2.3.4 ~all")


async def test_only_public_addresses_are_looked_at_and_each_once(dns: Dns) -> None:
    senders = [Sender(address) for address in ("10.0.0.1", "nonsense", ADDRESS, ADDRESS, "::1")]

    assert [one.address for one in (await check_senders(dns(SOUND), "example.com", senders)).checks] == [ADDRESS]


@pytest.mark.parametrize(
    ("name", "address", "generic"),
    [
        ("192-0-2-77.example.net", "192.0.2.77", True),
        ("host.77.2.0.192.example.net", "192.0.2.77", True),
        ("c000024d.example.net", "192.0.2.77", True),
        ("host192000002077.example.net", "192.0.2.77", True),
        ("dsl-12.example.net", "192.0.2.77", True),
        ("a.dynamic.example.net", "192.0.2.77", True),
        ("ec2-192-0-2-77.compute-1.amazonaws.com", "192.0.2.77", True),
        ("mail-oi1-f172.google.com", "209.85.167.172", False),
        ("a8-56.smtp-out.amazonses.com", "54.240.8.56", False),
        ("mail-bn8nam11on2101.outbound.protection.outlook.com", "40.107.236.101", False),
        ("mail.dynamics.example", "192.0.2.77", False),
        ("mx.pooled.example", "192.0.2.77", False),
        ("20010db8000000000000000000000001.example.net", "2001:db8::1", True),
        ("mail.example.net", "2001:db8::1", False),
    ],
)
def test_names_of_connections(name: str, address: str, generic: bool) -> None:
    assert _is_generic(name, ip_address(address)) is generic
