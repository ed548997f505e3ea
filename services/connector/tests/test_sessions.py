"""A host that is asked again resumes its TLS session, and never fares worse for it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from berth_connector.diagnosis import DiagnosisTable
from berth_connector.probe import Limits, Login, Prober
from berth_connector.probe.tls import Sessions
from berth_events.contracts import MailServer, Verification
from berth_events.runtime.clock import SystemClock
from berth_net import Address, HostGuard, Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LIMITS = Limits(resolve=1, connect=1, tls=1, reply=1, authenticate=1, look=1, total=4)


class Loopback:
    async def addresses(self, host: str) -> tuple[Address, ...]:  # noqa: ARG002 - every name
        return (ip_address("127.0.0.1"),)


class Server:
    """SMTP over TLS that greets and says no more, and can be told to be rude.

    Attributes:
        context: the certificate that is shown from the next connection on.
        rude: how many of the next connections are closed before TLS.
        resumed: for each handshake, whether a session was resumed.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context, self.rude, self.resumed = context, 0, list[bool]()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.rude:
                self.rude -= 1
                return
            await writer.start_tls(self.context)
            self.resumed.append(writer.get_extra_info("ssl_object").session_reused)
            writer.write(b"220 hello\r\n")
            await reader.read(1)
        except OSError:
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
def ask(client_tls: ssl.SSLContext) -> "Callable[[int], Awaitable[Verification]]":
    """Ask the server at a port, each time with the same prober."""
    made: list[Prober] = []

    async def run(port: int) -> Verification:
        if not made:
            policy = Policy(allow_networks=(ip_network("127.0.0.0/8"),), allow_ports=frozenset({port}))
            made.append(
                Prober(
                    HostGuard(Loopback(), policy), client_tls, DiagnosisTable.load(), SystemClock(),
                    local_hostname="verify.test.example", limits=LIMITS,
                )
            )  # fmt: skip
        server = MailServer(host="mail.test.example", port=port, security="tls", username="me@test.example")
        return (await made[0].verify(uuid4(), None, Login(server, "correct horse"))).verification

    return run


async def test_the_second_time_the_session_is_resumed(ask: Any, certificates: Any) -> None:
    server = Server(certificates.server())
    async with server.run() as port:
        found = [await ask(port) for _ in range(3)]
    assert server.resumed == [False, True, True]
    assert [step.outcome for step in found[2].steps[:4]] == ["ok"] * 4
    assert "certificate is for mail.test.example" in found[0].steps[3].message
    assert len({verification.steps[3].message for verification in found}) == 1


async def test_a_server_that_does_not_like_it_is_asked_without(ask: Any, certificates: Any) -> None:
    server = Server(certificates.server())
    async with server.run() as port:
        await ask(port)
        server.rude = 1
        found = await ask(port)
        assert found.steps[3].outcome == "ok"
        server.rude = 2
        found = await ask(port)
    assert server.resumed == [False, False]
    assert (found.steps[3].name, found.diagnosis and found.diagnosis.rule_id) == ("tls", "net.connection.lost")


async def test_a_certificate_that_went_bad_is_noticed(ask: Any, certificates: Any) -> None:
    server = Server(certificates.server())
    async with server.run() as port:
        await ask(port)
        server.context = certificates.server("expired")  # for another name
        found = await ask(port)
    assert found.diagnosis is not None
    assert found.diagnosis.code == "TLS_CERT_NAME"


def connected(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLObject:
    """The client's end of a connection, whose tickets have not been read."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_tls.wrap_bio(incoming, outgoing, server_hostname="mail.test.example", session=session)
    server_in, server_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_tls.wrap_bio(server_in, server_out, server_side=True)
    for end in (client, server, client, server):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
        server_in.write(outgoing.read())
        incoming.write(server_out.read())
    return client


async def test_what_was_resumed_is_not_kept_for_longer(certificates: Any, client_tls: Any) -> None:
    sessions, server_tls, session = Sessions(), certificates.server(), None
    for now in (0.0, 299.0):
        client = connected(client_tls, server_tls, session)
        with pytest.raises(ssl.SSLWantReadError):
            client.read(1)
        sessions.keep("a.example", 993, now, client)
        session = sessions.find("a.example", 993, now)
    assert client.session_reused
    assert sessions.find("a.example", 993, 301.0) is None


async def test_a_session_is_kept_for_a_short_time_and_for_few_hosts(certificates: Any, client_tls: Any) -> None:
    client = connected(client_tls, certificates.server())
    sessions = Sessions()
    sessions.keep("a.example", 993, 0.0, client)
    assert sessions.find("a.example", 993, 1.0) is None  # its tickets have not been read
    with pytest.raises(ssl.SSLWantReadError):
        client.read(1)
    sessions.keep("a.example", 993, 0.0, client)
    assert sessions.find("a.example", 993, 299.0) is not None
    assert sessions.find("a.example", 993, 300.0) is None
    assert sessions.find("a.example", 465, 1.0) is None
    for number in range(600):
        sessions.keep(f"{number}.example", 993, 0.0, client)
    assert [sessions.find(f"{number}.example", 993, 1.0) is not None for number in (0, 87, 88, 599)] == [
        False,
        False,
        True,
        True,
    ]
    sessions.forget("599.example", 993)
    assert sessions.find("599.example", 993, 1.0) is None
