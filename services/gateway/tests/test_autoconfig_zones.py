"""Autoconfiguration by a real name server: what zones say, in every shape that the DNS has, and what name servers fail to say."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from berth_gateway.autoconfig.findings import Findings
from berth_gateway.autoconfig.known import KnownServices
from berth_gateway.autoconfig.lookup import Autoconfig
from berth_net import DnsMailRecords, DnsResolver, HostGuard, Policy
from berth_testing.nsd import NameServer, name_server
from berth_testing.servers import require_root_and

AUTHORITY = """\
$TTL 60
@ IN SOA ns.root-servers.example. hostmaster.example. 1 60 60 60 60
@ IN NS ns.root-servers.example.
"""
ZONES = {
    ".": "",
    # priorities, weights, both kinds of TLS, a host that is an alias, IPv6 alone
    "acme.example": """
_imaps._tcp IN SRV 10 1 993 second
_imaps._tcp IN SRV 10 9 993 first
_imaps._tcp IN SRV 20 9 993 third
_imaps._tcp IN SRV 30 9 993 fourth
_imap._tcp IN SRV 0 0 143 IMAP.Six.acme.example.
_submissions._tcp IN SRV 0 0 0 .
_submission._tcp IN SRV 0 0 587 alias
first IN A 9.9.9.9
second IN A 9.9.9.9
third IN A 9.9.9.9
fourth IN A 9.9.9.9
imap.six IN AAAA 2620:fe::fe
alias IN CNAME alias2
alias2 IN CNAME first
""",
    # the owner itself an alias, and an MX of a service behind one
    "aliased.example": """
@ IN MX 20 backup.elsewhere.example.
@ IN MX 10 aspmx.l.google.com.
_imaps._tcp IN CNAME records
records IN SRV 0 0 993 imap
imap IN A 9.9.9.9
""",
    # whatever leads inside, one kind of record each
    "inside.example": """
_imaps._tcp IN SRV 0 0 993 chain
_imap._tcp IN SRV 0 0 143 mixed
_submissions._tcp IN SRV 0 0 465 six
_submission._tcp IN SRV 0 0 587 localhost.
chain IN CNAME chain2
chain2 IN CNAME private
private IN A 10.0.0.1
mixed IN A 9.9.9.9
mixed IN A 169.254.169.254
six IN A 9.9.9.9
six IN AAAA 64:ff9b::7f00:1
@ IN MX 10 127.0.0.1.
""",
    "literal.example": """
_imaps._tcp IN SRV 0 0 993 127.0.0.1.
_imap._tcp IN SRV 0 0 143 0x7f.1.
_submissions._tcp IN SRV 0 0 465 2130706433.
_submission._tcp IN SRV 0 0 6379 public
public IN A 9.9.9.9
""",
    "odd.example": """
_imaps._tcp IN SRV 0 0 993 a\\032b
_imap._tcp IN SRV 0 0 143 under_score
_submissions._tcp IN SRV 0 0 465 loop
_submission._tcp IN SRV 0 0 587 nowhere
loop IN CNAME loop2
loop2 IN CNAME loop
""",
    "null.example": "@ IN MX 0 .\n_imaps._tcp IN SRV 0 0 0 .\n_imap._tcp IN SRV 0 0 0 .\n",
    # the target's zone fails
    "broken.example": "_imaps._tcp IN SRV 0 0 993 imap.lame.example.\n_submissions._tcp IN SRV 0 0 465 smtp\nsmtp IN A 9.9.9.9\n",
    "lame.example": None,
}


@pytest.fixture(scope="module")
def zones() -> Iterator[NameServer]:
    require_root_and("nsd")
    with name_server({name: text if text is None else AUTHORITY + text for name, text in ZONES.items()}) as server:
        yield server


async def find(server: str, domain: str, *, deadline: float = 3.0, policy: Policy | None = None) -> Findings:
    guard = HostGuard(DnsResolver([server], deadline=deadline), policy)
    records = DnsMailRecords([server], deadline=deadline)
    return await Autoconfig(KnownServices.load(), records, guard, deadline=deadline).find(domain)


def outcomes(found: Findings) -> list[str]:
    """Of MX, _imaps, _imap, _submissions and _submission."""
    return [lookup.outcome for lookup in found.looked_up[2:]]


def places(found: Findings) -> list[str]:
    return [f"{place.host}:{place.port} {place.security}" for place in (*found.imap, *found.smtp)]


async def test_records_by_priority_and_weight(zones: NameServer) -> None:
    found = await find(zones.endpoint, "acme.example")
    assert places(found) == [
        "first.acme.example:993 tls",
        "second.acme.example:993 tls",
        "third.acme.example:993 tls",
        "imap.six.acme.example:143 starttls",
        "alias.acme.example:587 starttls",
    ]
    assert outcomes(found) == ["nothing", "found", "found", "not_offered", "found"]
    assert found.complete


async def test_a_record_behind_an_alias(zones: NameServer) -> None:
    found = await find(zones.endpoint, "aliased.example")
    assert places(found) == [
        "imap.gmail.com:993 tls",
        "imap.aliased.example:993 tls",
        "smtp.gmail.com:587 starttls",
        "smtp.gmail.com:465 tls",
    ]
    assert [place.source for place in found.imap] == ["mail_exchanger", "service_record"]


@pytest.mark.parametrize("domain", ["inside.example", "literal.example"])
async def test_nothing_inside_is_proposed(domain: str, zones: NameServer) -> None:
    found = await find(zones.endpoint, domain)
    assert places(found) == []
    assert outcomes(found)[1:] == ["refused"] * 4
    assert found.complete, "refused is an answer"


async def test_what_the_operator_allows_is_proposed(zones: NameServer) -> None:
    found = await find(zones.endpoint, "inside.example", policy=Policy.parse("10.0.0.0/8"))
    assert places(found) == ["chain.inside.example:993 tls"]


async def test_odd_names_and_loops(zones: NameServer) -> None:
    found = await find(zones.endpoint, "odd.example")
    assert places(found) == []
    assert outcomes(found)[1:3] == ["refused", "refused"]
    assert outcomes(found)[3] in {"refused", "unanswered"}, "a loop is no address"
    assert outcomes(found)[4] == "refused"


async def test_a_domain_without_mail_says_so(zones: NameServer) -> None:
    found = await find(zones.endpoint, "null.example")
    assert (places(found), found.complete) == ([], True)
    assert outcomes(found) == ["nothing", "not_offered", "not_offered", "nothing", "nothing"]


async def test_a_domain_that_does_not_exist(zones: NameServer) -> None:
    found = await find(zones.endpoint, "nowhere.example")
    assert (places(found), outcomes(found), found.complete) == ([], ["nothing"] * 5, True)


async def test_a_failure_is_not_that_it_does_not_exist(zones: NameServer) -> None:
    found = await find(zones.endpoint, "lame.example")
    assert (places(found), outcomes(found), found.complete) == ([], ["unanswered"] * 5, False)
    found = await find(zones.endpoint, "broken.example")
    assert places(found) == ["smtp.broken.example:465 tls"], "the others are none the worse"
    assert (outcomes(found), found.complete) == (["nothing", "unanswered", "nothing", "found", "nothing"], False)


async def test_name_servers_that_are_silent() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        began = loop.time()
        found = await find(f"127.0.0.1:{silent.getsockname()[1]}", "acme.example", deadline=0.3)
        assert loop.time() - began < 1.5
    assert (places(found), outcomes(found), found.complete) == ([], ["unanswered"] * 5, False)
