"""The ways to a name server: datagrams that may be forged, streams that break, TLS and HTTPS with their certificates."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from typing import cast

import pytest
import trustme
from dnslib import QTYPE, RR, A, DNSRecord
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded

from berth_dns_auditor.nameservers import Nameserver, NameserverResolver
from berth_dns_auditor.resolver import TemporaryDnsError
from berth_dns_auditor.transport import datagrams
from berth_net import Address, HostNotFound, parse_nameserver

TRUE, FORGED = "203.0.113.7", "192.0.2.66"


def answered(question: bytes, address: str = TRUE) -> DNSRecord:
    request = DNSRecord.parse(question)
    reply = request.reply()
    reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address)))
    return reply


def wire(question: bytes, address: str = TRUE) -> bytes:
    """An answer that repeats the question byte for byte."""
    section = question[12 : question.index(b"\0", 12) + 5]
    packed = answered(question, address).pack()
    return cast("bytes", packed[:12]) + section + packed[12 + len(section) :]


Script = Callable[[bytes], list[bytes]]


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram with those of a script.

    Attributes:
        questions: What came, with the port that it came from.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.questions: list[tuple[bytes, int]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.questions.append((data, addr[1]))
        for reply in self._script(data):
            self.transport.sendto(reply, addr)


@contextlib.asynccontextmanager
async def datagram_server(script: Script, port: int = 0) -> AsyncIterator[tuple[Datagrams, Nameserver]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: Datagrams(script), local_addr=("127.0.0.1", port))
    with contextlib.closing(transport):
        yield protocol, Nameserver("127.0.0.1", transport.get_extra_info("sockname")[1])


class Streams:
    """A server of TCP, with or without TLS.

    Attributes:
        connections: How many came.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.connections = 0
        self.questions: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(EOFError, OSError):
            while True:
                (size,) = struct.unpack(">H", await reader.readexactly(2))
                question = await reader.readexactly(size)
                self.questions.append(question)
                replies = self._script(question)
                if not replies:
                    break
                for reply in replies:
                    writer.write(struct.pack(">H", len(reply)) + reply)
        writer.close()


@contextlib.asynccontextmanager
async def stream_server(
    script: Script, context: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[tuple[Streams, int]]:
    streams = Streams(script)
    server = await asyncio.start_server(streams.serve, "127.0.0.1", port, ssl=context)
    try:
        yield streams, server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def ask(*servers: Nameserver, context: ssl.SSLContext | None = None, times: int = 1) -> tuple[str, ...]:
    async with NameserverResolver(servers, attempt=0.5, rounds=2, context=context) as resolver:
        answers = [await resolver.query(f"n{number}.example.com", "A") for number in range(times)]
    return answers[-1].records


async def test_what_a_forger_sends_is_dropped_and_the_true_answer_counts() -> None:
    def script(question: bytes) -> list[bytes]:
        truth, forged = wire(question), wire(question, FORGED)
        other_id = bytes((forged[0] ^ 1,)) + forged[1:]
        not_an_answer = forged[:2] + bytes((forged[2] & 0x7F,)) + forged[3:]
        no_question = forged[:4] + b"\0\0" + forged[6:]
        other_type = forged[: len(question) - 11 - 4] + b"\0\x1c\0\1" + forged[len(question) - 11 :]
        return [b"", b"x" * 11, b"\0" * 2000, other_id, not_an_answer, no_question, other_type, truth, forged]

    async with datagram_server(script) as (protocol, server):
        assert await ask(server, times=20) == (TRUE,)
    assert len(protocol.questions) == 20


async def test_another_address_is_not_the_server() -> None:
    async with datagram_server(lambda _: []) as (elsewhere, _):

        def script(question: bytes) -> list[bytes]:
            port = protocol.questions[-1][1]
            elsewhere.transport.sendto(wire(question, FORGED), ("127.0.0.1", port))
            return [wire(question)] if len(protocol.questions) > 1 else []

        async with datagram_server(script) as (protocol, server):
            assert await ask(server) == (TRUE,)


async def test_names_ports_and_ids_are_not_to_be_guessed() -> None:
    async with (
        datagram_server(lambda question: [wire(question)]) as (protocol, server),
        NameserverResolver([server]) as resolver,
    ):
        for _ in range(64):
            await resolver.query("letters-in-any-case.example.com", "A")

    assert len({question[12:] for question, _ in protocol.questions}) > 60
    assert len({question[:2] for question, _ in protocol.questions}) > 60
    assert len({port for _, port in protocol.questions}) == 8


async def test_a_socket_is_used_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "USES_MAX", 2)
    async with datagram_server(lambda question: [wire(question)]) as (protocol, server):
        assert await ask(server, times=64) == (TRUE,)

    assert len({port for _, port in protocol.questions}) >= 30


@pytest.mark.parametrize("doubt", ["case", "length"])
async def test_a_doubtful_answer_is_asked_again_over_tcp(doubt: str) -> None:
    def forge(question: bytes) -> list[bytes]:
        forged = wire(question, FORGED)
        return [forged[:12] + forged[12:].swapcase() if doubt == "case" else forged + b"\0" * 1300]

    async with (
        stream_server(lambda question: [wire(question)]) as (streams, port),
        datagram_server(forge, port) as (_, server),
    ):
        assert await ask(server) == (TRUE,)
    assert streams.connections == 1


async def test_a_refused_port_is_not_waited_for() -> None:
    async with datagram_server(lambda _: []) as (_, closed):
        pass
    async with datagram_server(lambda question: [wire(question)]) as (_, server):
        began = asyncio.get_running_loop().time()
        assert await ask(closed, server) == (TRUE,)
        assert asyncio.get_running_loop().time() - began < 0.4


async def test_a_silent_server_is_asked_after_the_others() -> None:
    async with (
        datagram_server(lambda _: []) as (silent, first),
        datagram_server(lambda question: [wire(question)]) as (_, second),
        NameserverResolver([first, second], attempt=0.02) as resolver,
    ):
        for number in range(30):
            await resolver.query(f"n{number}.example", "A")

    assert len(silent.questions) == 8


async def test_a_malformed_answer_is_that_of_a_server_that_fails() -> None:
    async with datagram_server(lambda question: [wire(question)[:-1]]) as (_, broken):
        with pytest.raises(TemporaryDnsError, match="MalformedReply"):
            await ask(broken)
        async with datagram_server(lambda question: [wire(question)]) as (_, server):
            assert await ask(broken, server) == (TRUE,)


def truncated(question: bytes) -> list[bytes]:
    reply = answered(question)
    reply.rr.clear()
    reply.header.tc = 1
    packed = wire(question)
    return [packed[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + question[12:-11]]


async def test_one_connection_carries_many_questions() -> None:
    async with (
        stream_server(lambda question: [wire(question, FORGED)[:5], wire(question)]) as (streams, port),
        datagram_server(truncated, port) as (_, server),
    ):
        assert await ask(server, times=10) == (TRUE,)
    assert streams.connections == 1


async def test_a_connection_that_breaks_is_made_again() -> None:
    def script(question: bytes) -> list[bytes]:
        return [] if len(streams.questions) % 2 else [wire(question)]

    async with stream_server(script) as (streams, port), datagram_server(truncated, port) as (_, server):
        assert await ask(server, times=3) == (TRUE,)
    assert streams.connections > 1


async def test_a_connection_on_which_nothing_comes_is_given_up() -> None:
    def script(question: bytes) -> list[bytes]:
        return [wire(question) if len(streams.questions) > 1 else b"\0\0"]

    async with stream_server(script) as (streams, port), datagram_server(truncated, port) as (_, server):
        assert await ask(server) == (TRUE,)
    assert streams.connections == 2


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def identity(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize(("certificate", "entry"), [("127.0.0.1", ""), ("dns.example", "#dns.example")])
async def test_over_tls(authority: trustme.CA, trusting: ssl.SSLContext, certificate: str, entry: str) -> None:
    async with stream_server(lambda question: [wire(question)], identity(authority, certificate)) as (streams, port):
        server = parse_nameserver(f"tls://127.0.0.1:{port}{entry}")
        assert await ask(server, context=trusting, times=5) == (TRUE,)
    assert streams.connections == 1


async def test_a_certificate_of_another_name_is_no_name_server(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    async with stream_server(lambda question: [wire(question)], identity(authority, "evil.example")) as (streams, port):
        with pytest.raises(TemporaryDnsError, match="SSLCertVerificationError"):
            await ask(parse_nameserver(f"tls://127.0.0.1:{port}"), context=trusting)
    assert streams.questions == []


class Https:
    """A server of HTTP/1.1 with one kind of answer.

    Attributes:
        heads: What was asked for, with the headers.
    """

    def __init__(self, status: int = 200, kind: str = "application/dns-message", body: bytes | None = None) -> None:
        self._status, self._kind, self._body = status, kind, body
        self.heads: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                self.heads.append(head)
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                question = await reader.readexactly(length)
                body = wire(question) if self._body is None else self._body
                writer.write(
                    f"HTTP/1.1 {self._status} X\r\nContent-Type: {self._kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
        writer.close()


class Https2:
    """The same over HTTP/2 alone, as some name servers want it.

    Attributes:
        connections: How many came.
    """

    def __init__(self) -> None:
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        bodies: dict[int, bytes] = {}
        with contextlib.suppress(OSError):
            while True:
                writer.write(connection.data_to_send())
                if not (data := await reader.read(65_536)):
                    break
                for event in connection.receive_data(data):
                    if isinstance(event, DataReceived):
                        bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                    elif isinstance(event, StreamEnded):
                        headers = [(":status", "200"), ("content-type", "application/dns-message")]
                        connection.send_headers(event.stream_id, headers)
                        connection.send_data(event.stream_id, wire(bodies.pop(event.stream_id)), end_stream=True)
        writer.close()


class Names:
    """Resolves one name to loopback.

    Attributes:
        asked: How often.
    """

    def __init__(self) -> None:
        self.asked = 0

    async def addresses(self, host: str) -> tuple[Address, ...]:
        self.asked += 1
        if host != "dns.example":
            raise HostNotFound(host)
        return (ip_address("127.0.0.1"),)


@contextlib.asynccontextmanager
async def https_server(https: Https | Https2, context: ssl.SSLContext) -> AsyncIterator[int]:
    server = await asyncio.start_server(https.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr("berth_dns_auditor.transport.upstream.DnsResolver", lambda: names)
    return names


async def test_over_https_to_one_address(authority: trustme.CA, trusting: ssl.SSLContext, names: Names) -> None:
    https = Https()
    async with https_server(https, identity(authority, "dns.example")) as port:
        server = parse_nameserver(f"https://dns.example:{port}/dns-query")
        assert await ask(server, context=trusting, times=3) == (TRUE,)

    assert names.asked == 1
    assert https.heads[0].startswith("post /dns-query http/1.1\r\n")
    assert f"\r\nhost: dns.example:{port}\r\n" in https.heads[0]
    assert "\r\ncontent-type: application/dns-message\r\n" in https.heads[0]


async def test_over_http_2_many_questions_share_a_connection(
    authority: trustme.CA, trusting: ssl.SSLContext, names: Names
) -> None:
    https, context = Https2(), identity(authority, "dns.example")
    context.set_alpn_protocols(["h2"])
    async with https_server(https, context) as port:
        server = parse_nameserver(f"https://dns.example:{port}/dns-query")
        async with NameserverResolver([server], context=trusting) as resolver:
            answers = await asyncio.gather(*(resolver.query(f"n{number}.example", "A") for number in range(20)))

    assert {answer.records for answer in answers} == {(TRUE,)}
    assert (https.connections, names.asked) == (1, 1)


@pytest.mark.parametrize(
    "https",
    [
        Https(status=500),
        Https(kind="text/html"),
        Https(body=b"x" * 70_000),
        Https(body=b""),
        Https(body=wire(DNSRecord.question("evil.example", "A").pack(), FORGED)),
    ],
    ids=["status", "type", "length", "nothing", "another question"],
)
async def test_what_is_no_answer_over_https(
    authority: trustme.CA, trusting: ssl.SSLContext, names: Names, https: Https
) -> None:
    assert names
    async with https_server(https, identity(authority, "dns.example")) as port:
        with pytest.raises(TemporaryDnsError, match="HttpsFailed"):
            await ask(parse_nameserver(f"https://dns.example:{port}/dns-query"), context=trusting)


async def test_https_wants_the_certificate_of_the_name(
    authority: trustme.CA, trusting: ssl.SSLContext, names: Names
) -> None:
    https = Https()
    async with https_server(https, identity(authority, "evil.example")) as port:
        for host in ("dns.example", "gone.example"):
            with pytest.raises(TemporaryDnsError, match="HttpsFailed"):
                await ask(parse_nameserver(f"https://{host}:{port}/dns-query"), context=trusting)
    assert (https.heads, names.asked) == ([], 4), "an address that fails is looked up again"
