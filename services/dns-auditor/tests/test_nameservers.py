"""The resolver against a real server on loopback, over UDP and TCP, and against servers that misbehave."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest

from dnslib import A, CNAME, DNSError, DNSRecord, MX, QTYPE, RCODE, RR, SOA, TXT  # isort: skip
from dnslib.server import BaseResolver, DNSHandler, DNSServer

from berth_dns_auditor.nameservers import Nameserver, NameserverResolver
from berth_dns_auditor.resolver import Answer, TemporaryDnsError, exchanges

LONG = [f"{number:03d} " + "x" * 200 for number in range(20)]


RECORDS = {
    ("example.com", "MX"): [MX("B.example.com", 20), MX("a.example.com", 10)],
    ("null.example", "MX"): [MX(".", 0)],
    ("long.example", "TXT"): [TXT(text) for text in LONG],
    ("parts.example", "TXT"): [TXT([b"v=spf1 ip4:", b"192.0.2.1 \xe4\x00-all"])],
    ("target.other", "A"): [A("203.0.113.7")],
}
ALIASES = {
    "alias.example": "target.other",
    "empty-alias.example": "empty.other",
    "broken-alias.example": "gone.other",
    "loop.example": "pool.example",
    "pool.example": "loop.example",
}
FAILURES = {"servfail.example": RCODE.SERVFAIL, "refused.example": RCODE.REFUSED}


class Zone(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """Answers from the tables above, long answers in full over TCP only.

    Attributes:
        seen: The name and the transport of every question.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        name, rdtype = str(request.q.qname).lower().removesuffix("."), QTYPE[request.q.qtype]
        self.seen.append((name, handler.protocol))
        if name == "silent.example":
            raise DNSError("dropped")
        reply = request.reply()
        reply.header.ad = 0  # nothing was validated here
        if name == "long.example" and handler.protocol == "udp":
            reply.header.tc = 1
        elif (name, rdtype) in RECORDS:
            for rdata in RECORDS[name, rdtype]:
                reply.add_answer(RR(name, request.q.qtype, rdata=rdata, ttl=60))
        elif name in ALIASES:
            reply.add_answer(RR(name, QTYPE.CNAME, rdata=CNAME(ALIASES[name]), ttl=60))
            if name == "empty-alias.example":
                reply.add_auth(RR("other", QTYPE.SOA, rdata=SOA("ns.other", "h.other", (1, 2, 3, 4, 60)), ttl=60))
        else:
            reply.header.rcode = FAILURES.get(name, RCODE.NXDOMAIN)
        return reply


class Silence:
    def __getattr__(self, name: str) -> object:
        return lambda *_: None


@pytest.fixture(scope="module")
def zone() -> Zone:
    return Zone()


@pytest.fixture(scope="module")
def server(zone: Zone) -> Iterator[Nameserver]:
    udp = DNSServer(zone, "127.0.0.1", 0, logger=Silence())
    port = udp.server.server_address[1]
    tcp = DNSServer(zone, "127.0.0.1", port, tcp=True, logger=Silence())
    for one in (udp, tcp):
        one.start_thread()
    yield Nameserver("127.0.0.1", port)
    for one in (udp, tcp):
        one.stop()
        one.server.server_close()


@pytest.fixture
async def resolver(server: Nameserver) -> AsyncIterator[NameserverResolver]:
    async with NameserverResolver([server], attempt=0.2, rounds=2, deadline=1.0) as resolver:
        yield resolver


async def test_records_in_the_form_that_checks_read(resolver: NameserverResolver, server: Nameserver) -> None:
    answer = await resolver.query("Example.COM.", "MX")

    assert answer == Answer(
        name="example.com",
        rdtype="MX",
        records=("20 b.example.com", "10 a.example.com"),
        ttl=60,
        server=str(server),
    )
    assert exchanges(answer) == [(10, "a.example.com"), (20, "b.example.com")]
    assert answer.evidence == f"example.com MX: NOERROR, 2 record(s), ttl 60, from {server}"


async def test_a_null_mx_is_an_empty_host(resolver: NameserverResolver) -> None:
    assert exchanges(await resolver.query("null.example", "MX")) == [(0, "")]


async def test_strings_are_joined_and_bytes_kept(resolver: NameserverResolver) -> None:
    assert (await resolver.query("parts.example", "TXT")).records == ("v=spf1 ip4:192.0.2.1 \xe4\x00-all",)


async def test_a_truncated_answer_is_asked_again_over_tcp(resolver: NameserverResolver, zone: Zone) -> None:
    answer = await resolver.query("long.example", "TXT")

    assert sorted(answer.records) == LONG
    assert [transport for name, transport in zone.seen if name == "long.example"] == ["udp", "tcp"]


async def test_a_name_that_does_not_exist(resolver: NameserverResolver) -> None:
    answer = await resolver.query("gone.example", "TXT")

    assert (answer.rcode, answer.records) == ("NXDOMAIN", ())


@pytest.mark.parametrize("name", ["a..example", f"{'x' * 64}.example", ".".join(["x" * 60] * 5), "\u0142.example"])
async def test_a_name_that_cannot_exist_is_not_asked(resolver: NameserverResolver, zone: Zone, name: str) -> None:
    before = len(zone.seen)

    assert (await resolver.query(name, "A")).rcode == "NXDOMAIN"
    assert len(zone.seen) == before


async def test_an_alias_that_the_server_leaves_open_is_followed(resolver: NameserverResolver) -> None:
    answer = await resolver.query("alias.example", "A")

    assert (answer.name, answer.aliases, answer.records) == ("alias.example", ("target.other",), ("203.0.113.7",))


async def test_an_alias_whose_end_is_known_is_not_asked_again(resolver: NameserverResolver, zone: Zone) -> None:
    answer = await resolver.query("empty-alias.example", "A")

    assert (answer.rcode, answer.aliases, answer.records) == ("NOERROR", ("empty.other",), ())
    assert "empty.other" not in [name for name, _ in zone.seen]


async def test_an_alias_to_nowhere(resolver: NameserverResolver) -> None:
    answer = await resolver.query("broken-alias.example", "TXT")

    assert (answer.rcode, answer.aliases) == ("NXDOMAIN", ("gone.other",))


async def test_a_circle_of_aliases_is_no_answer(resolver: NameserverResolver) -> None:
    with pytest.raises(TemporaryDnsError, match="more than 8 aliases"):
        await resolver.query("loop.example", "A")


@pytest.mark.parametrize(
    ("name", "reason", "questions"),
    [
        ("servfail.example", "answered SERVFAIL", 1),
        ("refused.example", "answered REFUSED", 1),
        ("silent.example", "timed out", 2),
    ],
)
async def test_servers_that_fail(
    resolver: NameserverResolver, zone: Zone, name: str, reason: str, questions: int
) -> None:
    with pytest.raises(TemporaryDnsError, match=reason):
        await resolver.query(name, "A")

    assert [seen for seen, _ in zone.seen].count(name) == questions


async def test_the_next_server_is_asked(server: Nameserver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        servers = [Nameserver("127.0.0.1", mute.getsockname()[1]), server]

        async with NameserverResolver(servers, attempt=0.1) as resolver:
            assert (await resolver.query("example.com", "MX")).server == str(server)


async def test_the_deadline_ends_all_tries() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        servers = [Nameserver("127.0.0.1", mute.getsockname()[1])]

        async with NameserverResolver(servers, attempt=5, deadline=0.1) as resolver:
            with pytest.raises(TemporaryDnsError, match=r"no answer within 0\.1 s"):
                await resolver.query("example.com", "MX")


class Forger(asyncio.DatagramProtocol):
    """Sends an answer with another id, then one to another question, then the true one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        question = DNSRecord.parse(data)
        wrong_id = question.reply()
        wrong_id.header.id ^= 0xFFFF
        wrong_id.add_answer(RR(question.q.qname, QTYPE.A, rdata=A("192.0.2.66")))
        wrong_name = DNSRecord.question("evil.example", "A").reply()
        wrong_name.header.id = question.header.id
        wrong_name.add_answer(RR("evil.example", QTYPE.A, rdata=A("192.0.2.66")))
        right = question.reply()
        right.add_answer(RR(question.q.qname, QTYPE.A, rdata=A("203.0.113.7")))
        for reply in (b"garbage", wrong_id.pack(), wrong_name.pack(), right.pack()):
            self._transport.sendto(reply, addr)


async def test_answers_to_other_questions_are_dropped() -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Forger, local_addr=("127.0.0.1", 0))
    with contextlib.closing(transport):
        servers = [Nameserver("127.0.0.1", transport.get_extra_info("sockname")[1])]

        async with NameserverResolver(servers, attempt=1) as resolver:
            assert (await resolver.query("example.com", "A")).records == ("203.0.113.7",)


class Counting(asyncio.DatagramProtocol):
    """Never answers; remembers how many questions came."""

    def __init__(self) -> None:
        self.questions = 0

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the protocol's signature
        self.questions += 1


async def test_questions_under_way_are_bounded() -> None:
    transport, counting = await asyncio.get_running_loop().create_datagram_endpoint(
        Counting, local_addr=("127.0.0.1", 0)
    )
    with contextlib.closing(transport):
        server = Nameserver("127.0.0.1", transport.get_extra_info("sockname")[1])
        async with NameserverResolver([server], attempt=0.2, rounds=1, in_flight=3) as resolver:
            asking = [asyncio.create_task(resolver.query(f"n{number}.example", "A")) for number in range(10)]
            await asyncio.sleep(0.1)
            under_way = counting.questions
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    assert under_way == 3
