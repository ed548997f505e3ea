"""Block lists: a listing is told from everything that only looks like one."""

from collections.abc import Callable, Sequence

import pytest

from berth_dns_auditor.checks.block_lists import NO_LISTS, BlockLists, check_block_lists
from berth_dns_auditor.resolver import Resolver

Dns = Callable[[dict[str, Sequence[str]]], Resolver]

LISTS = BlockLists(addresses=("bl.example",), domains=("dbl.example",))
WORKING: dict[str, Sequence[str]] = {
    "2.0.0.127.bl.example A": ["127.0.0.2"],
    "test.dbl.example A": ["127.0.1.2"],
}
IPV4 = "4.4.8.8.bl.example"


async def found(dns: Dns, zone: dict[str, Sequence[str]], *senders: str) -> list[tuple[str, str]]:
    outcome = await check_block_lists(dns(zone), "example.com", senders, LISTS)
    assert outcome.complete == all(one.severity != "unknown" for one in outcome.findings)
    return [(one.code, one.subject) for one in outcome.findings]


async def test_who_is_not_listed(dns: Dns) -> None:
    assert await found(dns, WORKING, "8.8.4.4") == []


async def test_who_is_listed(dns: Dns) -> None:
    listed = {
        f"{IPV4} A": ["127.0.0.4"],
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example A": ["127.0.0.3"],
        "example.com.dbl.example A": ["127.0.1.2"],
        "example.com.dbl.example TXT": ["see the site"],
    }

    assert await found(dns, WORKING | listed, "8.8.4.4", "2001:db8::1") == [
        ("DNSBL_IP_LISTED", "8.8.4.4 bl.example"),
        ("DNSBL_IP_LISTED", "2001:db8::1 bl.example"),
        ("DNSBL_DOMAIN_LISTED", "example.com dbl.example"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {f"{IPV4} A": ["127.255.255.252"]},  # the name of the list is wrong
        {f"{IPV4} A": ["127.255.255.254"]},  # it does not serve public resolvers
        {f"{IPV4} A": ["127.0.0.2", "127.255.255.255"]},  # too many questions
        {f"{IPV4} A": ["9.9.9.9"]},  # the zone was given up, and sold
        {f"{IPV4} A": "SERVFAIL"},
        {"2.0.0.127.bl.example A": "SERVFAIL"},
        {"2.0.0.127.bl.example A": []},  # its own test is not listed
        {"1.0.0.127.bl.example A": ["127.0.0.2"]},  # everything is
    ],
)
async def test_what_is_no_listing(dns: Dns, change: dict[str, Sequence[str]]) -> None:
    assert await found(dns, WORKING | change, "8.8.4.4") == [("DNSBL_QUERY_REFUSED", "bl.example")]


async def test_no_list_is_asked_that_nobody_named(dns: Dns) -> None:
    resolver = dns({})

    assert (await check_block_lists(resolver, "example.com", ["8.8.4.4"], NO_LISTS)).findings == ()
    assert resolver.asked == []  # type: ignore[attr-defined]
    assert (await check_block_lists(resolver, "example.com", [], BlockLists(("bl.example",)))).findings == ()
    assert resolver.asked == []  # type: ignore[attr-defined]
