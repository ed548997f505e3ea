"""The resolver against a name server in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import pytest_asyncio

from berth_net import DnsResolver, HostNotFound, LookupFailed

RECORDS = {
    ("both.test.", "A"): "192.0.2.1",
    ("both.test.", "AAAA"): "2001:db8::1",
    ("four.test.", "A"): "192.0.2.4",
    ("broken6.test.", "A"): "192.0.2.6",
    ("slow6.test.", "A"): "192.0.2.7",
    ("1.2.0.192.in-addr.arpa.", "PTR"): "Both.test.",
    ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "PTR"): "both6.test.",
}
RCODES = {
    ("broken6.test.", "AAAA"): dns.rcode.SERVFAIL,
    ("failing.test.", "A"): dns.rcode.SERVFAIL,
    ("failing.test.", "AAAA"): dns.rcode.SERVFAIL,
    ("66.2.0.192.in-addr.arpa.", "PTR"): dns.rcode.SERVFAIL,
}
SILENT = {("slow6.test.", "AAAA"), ("silent.test.", "A"), ("silent.test.", "AAAA")}


class NameServer(asyncio.DatagramProtocol):
    """Answers from the tables above."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        key = (question.name.to_text(), dns.rdatatype.to_text(question.rdtype))
        if key in SILENT:
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if key in RECORDS:
            response.answer.append(dns.rrset.from_text(key[0], 60, "IN", key[1], RECORDS[key]))
        elif key in RCODES:
            response.set_rcode(RCODES[key])
        elif not any(name == key[0] for name, _ in RECORDS) and key[0] != "empty.test.":
            response.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(response.to_wire(), addr)  # type: ignore[attr-defined]


Resolvers = Callable[[float], DnsResolver]


@pytest_asyncio.fixture(scope="session")
async def resolvers() -> AsyncIterator[Resolvers]:
    """Makes resolvers that ask the name server, with a deadline."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    yield lambda deadline: DnsResolver([f"127.0.0.1:{port}"], deadline=deadline)
    transport.close()


async def test_both_families_are_found(resolvers: Resolvers) -> None:
    assert await resolvers(2).addresses("both.test") == (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
    assert await resolvers(2).addresses("four.test") == (ip_address("192.0.2.4"),)


async def test_a_failing_question_leaves_the_other_familys_addresses(resolvers: Resolvers) -> None:
    assert await resolvers(2).addresses("broken6.test") == (ip_address("192.0.2.6"),)
    assert await resolvers(0.2).addresses("slow6.test") == (ip_address("192.0.2.7"),)


@pytest.mark.parametrize("host", ["missing.test", "empty.test"])
async def test_a_host_without_addresses_is_not_found(resolvers: Resolvers, host: str) -> None:
    with pytest.raises(HostNotFound, match=host):
        await resolvers(2).addresses(host)


@pytest.mark.parametrize("host", ["failing.test", "silent.test"])
async def test_no_answer_is_not_the_same_as_no_host(resolvers: Resolvers, host: str) -> None:
    started = asyncio.get_running_loop().time()
    with pytest.raises(LookupFailed, match=host):
        await resolvers(0.3).addresses(host)
    assert asyncio.get_running_loop().time() - started < 2


async def test_search_domains_play_no_part(resolvers: Resolvers) -> None:
    resolver = resolvers(2)
    with pytest.raises(HostNotFound):
        await resolver.addresses("both")


@pytest.mark.parametrize("host", ["localhost", "mail.localhost"])
async def test_localhost_is_this_machine_whatever_a_server_says(host: str) -> None:
    resolver = DnsResolver(["192.0.2.1:53"], deadline=0.1)
    assert await resolver.addresses(host) == (ip_address("127.0.0.1"), ip_address("::1"))


async def test_the_names_of_an_address(resolvers: Resolvers) -> None:
    resolver = resolvers(1)
    assert await resolver.names(ip_address("192.0.2.1")) == ("both.test",)
    assert await resolver.names(ip_address("2001:db8::1")) == ("both6.test",)
    assert await resolver.names(ip_address("192.0.2.99")) == ()
    with pytest.raises(LookupFailed):
        await resolver.names(ip_address("192.0.2.66"))
