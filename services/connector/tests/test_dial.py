"""Resolving, vetting, connecting and TLS: what goes wrong before a server has said anything."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Any

import pytest

from berth_connector.origins import of_host, recognise
from berth_connector.probe import Limits
from berth_connector.probe.stream import connect
from berth_events.contracts import Verification
from berth_testing.peers import CLOSE, START_TLS, STAY, Answer, Peer, Script

pytestmark = pytest.mark.usefixtures("no_leaks")

GREETING = Script(greeting=b"* OK ready\r\n")
STARTTLS = Script(
    greeting=b"* OK ready\r\n",
    answers=[(r"CAPABILITY", b"* CAPABILITY STARTTLS\r\nTAG OK\r\n"), (r"STARTTLS", (b"TAG OK go\r\n", START_TLS))],
)


def failure(verification: Verification) -> tuple[str, str]:
    failed = next(step for step in verification.steps if step.outcome == "failed")
    assert failed.diagnosis is not None
    return failed.name, failed.diagnosis.code


def message(verification: Verification) -> str:
    return next(step.message for step in verification.steps if step.outcome == "failed")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that no further one is answered."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("host", "failed", "code"),
    [
        ("missing.test.example", "resolve", "DNS_NOT_FOUND"),
        ("lame.test.example", "resolve", "DNS_LOOKUP_FAILED"),
        ("mixed.test.example", "vet", "HOST_REFUSED"),
        ("169.254.169.254", "resolve", "HOST_REFUSED"),
        ("2130706433", "resolve", "HOST_REFUSED"),
        ("user@test.example", "resolve", "HOST_REFUSED"),
    ],
)
async def test_hosts_that_are_not_dialled(host: str, failed: str, code: str, probe: Any) -> None:
    async with Peer.run(GREETING) as peer:
        found = await probe(imap=peer.port, host=host)
        assert failure(found) == (failed, code)
        assert peer.connections == 0
    assert message(found)
    assert {step.outcome for step in found.steps if step.name in {"connect", "authenticate"}} == {"skipped"}


async def test_a_port_that_is_not_allowed_is_not_dialled(probe: Any) -> None:
    async with Peer.run(GREETING) as peer:
        found = await probe(imap=peer.port, allow_ports=[])
        assert failure(found) == ("vet", "PORT_REFUSED")
        assert peer.connections == 0
    assert "993" in message(found)


async def test_a_closed_port(probe: Any, closed_port: int) -> None:
    found = await probe(imap=closed_port)
    assert failure(found) == ("connect", "CONNECT_REFUSED")


async def test_a_port_without_an_answer(probe: Any, silent_port: int) -> None:
    found = await probe(imap=silent_port, limits=Limits(connect=0.3, look=0.2, total=3))
    assert failure(found) == ("connect", "CONNECT_TIMEOUT")


async def test_a_blocked_port_is_told_by_another_that_answers(
    probe: Any, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Peer.run(GREETING) as peer:
        monkeypatch.setattr("berth_connector.probe.dial._SIBLINGS", {"imap": (peer.port,)})
        found = await probe(imap=silent_port, limits=Limits(connect=0.3, look=0.5, total=3))
        assert failure(found) == ("connect", "PORT_BLOCKED")
        assert str(peer.port) in message(found)


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize(
    ("certificate", "code", "said"),
    [
        ("wronghost", "TLS_CERT_NAME", "for other.test.example"),
        ("expired", "TLS_CERT_EXPIRED", "to 2021-01-01"),
        ("untrusted", "TLS_CERT_UNTRUSTED", "issued by "),
    ],
)
async def test_a_refused_certificate_is_described(
    security: str, certificate: str, code: str, said: str, probe: Any, certificates: Any
) -> None:
    host = {"expired": "expired.test.example", "untrusted": "untrusted.test.example"}.get(
        certificate, "mail.test.example"
    )
    context = certificates.server(certificate)
    starting = {"implicit": context} if security == "tls" else {"starttls": context}
    async with Peer.run(GREETING if security == "tls" else STARTTLS, **starting) as peer:
        found = await probe(imap=peer.port, security=security, host=host)
    assert failure(found) == (security, code)
    assert said in message(found)
    assert not any("AUTH" in line or "LOGIN" in line for line in peer.received)


@pytest.mark.parametrize(
    ("greeting", "code", "said"),
    [
        (b"* OK ready\r\n", "TLS_MODE_MISMATCH", "STARTTLS"),
        (b"* BYE too many\r\n", "PROVIDER_TEMPORARY", "turned us away"),
        ((b"HTTP/1.1 400 secret-banner\r\n", CLOSE), "TLS_MODE_MISMATCH", "not speak TLS"),
    ],
)
async def test_plain_text_on_a_tls_port(greeting: Answer, code: str, said: str, probe: Any) -> None:
    async with Peer.run(Script(greeting=greeting)) as peer:
        found = await probe(imap=peer.port)
    assert failure(found) == ("tls", code)
    assert said in message(found)
    assert "secret-banner" not in found.model_dump_json()


async def test_a_server_that_turns_us_away_in_clear_is_not_called_misconfigured(probe: Any) -> None:
    greeting = (b"421 Too many concurrent SMTP connections; please try again later.\r\n", CLOSE)
    async with Peer.run(Script(greeting=greeting)) as peer:
        found = await probe(smtp=peer.port)
    assert failure(found) == ("tls", "CONNECTION_LIMIT")
    assert found.diagnosis.reply == "421 Too many concurrent SMTP connections; please try again later."


@pytest.mark.parametrize(("greeting", "code"), [(STAY, "GREETING_TIMEOUT"), (CLOSE, "PROVIDER_TEMPORARY")])
async def test_a_handshake_that_does_not_come_about(greeting: Answer, code: str, probe: Any) -> None:
    async with Peer.run(Script(greeting=greeting)) as peer:
        found = await probe(imap=peer.port, limits=Limits(tls=0.3, look=0.2, total=3))
    assert failure(found) == ("tls", code)


async def test_the_deadline_of_the_whole_is_kept_whatever_the_steps_may_take(probe: Any, certificates: Any) -> None:
    limits = Limits(total=0.6)
    started = asyncio.get_running_loop().time()
    async with Peer.run(Script(greeting=STAY), implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port, smtp=peer.port, limits=limits)
    assert asyncio.get_running_loop().time() - started < 2.5
    assert (found.outcome, found.imap, found.smtp) == ("failed", False, False)
    assert found.diagnosis.code == "GREETING_TIMEOUT"


async def test_imap_and_smtp_run_at_the_same_time(probe: Any, certificates: Any) -> None:
    async with Peer.run(Script(greeting=STAY), implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port, smtp=peer.port)
    waited = [step.duration_ms for step in found.steps if step.outcome == "failed"]
    assert len(waited) == 2
    assert found.duration_ms < sum(waited)


async def test_what_is_refused_for_good_is_mended_first(probe: Any, certificates: Any) -> None:
    """Else a retry for IMAP's sake would send the refused password again."""
    smtp = Script(
        greeting=b"220 ready\r\n",
        answers=[(r"EHLO", b"250-hi\r\n250 AUTH PLAIN\r\n"), (r"AUTH", b"535 5.7.8 no\r\n")],
    )
    async with (
        Peer.run(Script(greeting=b"* BYE busy\r\n"), implicit=certificates.server()) as busy,
        Peer.run(smtp, implicit=certificates.server()) as refusing,
    ):
        found = await probe(imap=busy.port, smtp=refusing.port)
    assert [step.diagnosis.code for step in found.steps if step.diagnosis] == [
        "PROVIDER_TEMPORARY",
        "AUTH_BAD_CREDENTIALS",
    ]
    assert found.diagnosis.code == "AUTH_BAD_CREDENTIALS"


async def test_one_of_two_may_fail(probe: Any, certificates: Any) -> None:
    smtp = Script(
        greeting=b"220 ready\r\n",
        answers=[(r"EHLO", b"250-hi\r\n250 AUTH PLAIN\r\n"), (r"AUTH", b"235 in\r\n"), (r"NOOP", b"250 ok\r\n")],
    )
    async with (
        Peer.run(Script(greeting=b"* BYE busy\r\n"), implicit=certificates.server()) as busy,
        Peer.run(smtp, implicit=certificates.server()) as good,
    ):
        found = await probe(imap=busy.port, smtp=good.port)
    assert (found.outcome, found.imap, found.smtp) == ("failed", False, True)


def test_origins_are_told_by_host_and_words() -> None:
    assert of_host("imap.gmail.com").service == "google"
    assert of_host("outlook.office365.com").service == "microsoft"
    assert of_host("notgmail.com").service is None
    assert of_host("gmail.com.evil.example").service is None
    origin = recognise(of_host("mail.test.example"), "* OK Dovecot (Debian) ready.")
    assert (origin.service, origin.software) == (None, "sw:dovecot")
    assert recognise(origin, "* OK Gimap ready for requests").service == "google"
    assert recognise(origin, "Postfix").software == "sw:dovecot"


async def test_a_wait_that_ends_as_the_handshake_does_frees_the_socket(client_tls: Any, certificates: Any) -> None:
    """Else the transport would wait for a polite good-bye, by a number that is another connection's socket by then."""
    here = [ip_address("127.0.0.1")]
    async with Peer.run(Script(greeting=STAY), implicit=certificates.server()) as peer:
        for iterations in range(1, 1000):
            stream = await connect(here, peer.port, 1)
            task = asyncio.create_task(stream.start_tls(client_tls, "mail.test.example"))
            for _ in range(iterations):
                await asyncio.sleep(0)
            if task.done():
                stream.abort()
                break
            task.cancel()
            await asyncio.wait([task])
            stream.abort()
            (await connect(here, peer.port, 1)).abort()
    assert iterations > 3
