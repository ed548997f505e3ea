"""With every log at DEBUG, and asyncio telling of each callback what it was called with, no secret is in the log."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from berth_connector.bootstrap import make_tokens
from berth_testing.asker import ADA, Asker, settings_for
from berth_testing.canaries import Canaries
from berth_testing.clocks import SteppingClock
from berth_testing.peers import Answer, Peer, Script
from berth_testing.token_service import TokenService

USER = "me@test.example"
EHLO = b"250-smtp.test.example\r\n250 AUTH %s\r\n"


@pytest.fixture
async def everything(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What is logged, in full: each callback counts as a slow one."""
    loop = asyncio.get_running_loop()
    before = loop.get_debug(), loop.slow_callback_duration
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    with caplog.at_level(logging.DEBUG):
        yield caplog
    loop.set_debug(before[0])
    loop.slow_callback_duration = before[1]


def imap(mechanism: str, answer: bytes) -> Script:
    only = b"" if mechanism == "LOGIN" else b"LOGINDISABLED AUTH=" + mechanism.encode()
    offered = b"* CAPABILITY IMAP4rev1 " + only
    answers: list[tuple[str, Answer]] = [
        (r" CAPABILITY$", offered + b"\r\nTAG OK\r\n"),
        (r" AUTHENTICATE CRAM-MD5$", b"+ PDE4OTYuNjk3MTcwOTUyQHg+\r\n"),
        (r" AUTHENTICATE \S+$", b"+ \r\n"),
        (r" (?:LOGIN|EXAMINE) ", answer),
        (r"^[A-Za-z0-9+/=]{8,}$", answer.replace(b"TAG", b"B2")),
    ]
    return Script(greeting=b"* OK ready\r\n", answers=answers)


def smtp(mechanism: str, answer: bytes) -> Script:
    said: list[tuple[str, Answer]] = [
        (r"^EHLO ", EHLO % mechanism.encode()),
        (r"^AUTH LOGIN$", b"334 VXNlcm5hbWU6\r\n"),
        (r"^AUTH CRAM-MD5$", b"334 PDE4OTYuNjk3MTcwOTUyQHg+\r\n"),
        (r"^bWVAdGVzdC5leGFtcGxl$", b"334 UGFzc3dvcmQ6\r\n"),
        (r"^AUTH |^[A-Za-z0-9+/=]{8,}$", answer),
    ]
    return Script(greeting=b"220 ready\r\n", answers=said)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"])
@pytest.mark.parametrize("works", [True, False])
async def test_of_a_sign_in(
    mechanism: str, probe: Any, certificates: Any, everything: pytest.LogCaptureFixture, *, works: bool
) -> None:
    canaries = Canaries()
    password = canaries.plant("secret", between="y" * 150 if mechanism == "XOAUTH2" else '"\\ %+/=')
    tls = certificates.server()
    imap_answer = b"TAG OK\r\n" if works else b"TAG NO [AUTHENTICATIONFAILED] no\r\n"
    smtp_answer = b"235 ok\r\n" if works else b"535 5.7.8 no\r\n"
    async with (
        Peer.run(imap(mechanism, imap_answer), implicit=tls) as reading,
        Peer.run(smtp(mechanism, smtp_answer), implicit=tls) as sending,
    ):
        found = await probe(
            imap=reading.port,
            smtp=sending.port,
            username=USER,
            password=password,
            mechanism="xoauth2" if mechanism == "XOAUTH2" else "auto",
        )
    assert (found.imap, found.smtp) == (works, works), found.diagnosis
    canaries.in_text("result", found.model_dump_json())
    canaries.in_text("log", _ours(everything))
    assert canaries.leaks == []
    assert "Executing <" in everything.text


@pytest.mark.parametrize("provider", ["google", "microsoft"])
@pytest.mark.parametrize("works", [True, False])
async def test_of_an_access_token(
    provider: str, service: TokenService, everything: pytest.LogCaptureFixture, *, works: bool
) -> None:
    canaries = Canaries()
    with make_tokens(settings_for(service), SteppingClock(datetime.now(UTC))) as tokens:
        asker = Asker(service, tokens)
        if provider == "google":
            account = asker.google(ADA)
            canaries.add("key", asker.document["private_key"])
            if not works:
                account.keys.clear()
        else:
            application = asker.microsoft()
            [secret] = application.secrets
            canaries.add("secret", secret)
            if not works:
                application.secrets.clear()
        if works:
            token = await asker.token()
            for piece in (token[-12:], token[-24:-12]):
                canaries.add(f"token {piece}", piece)
        else:
            canaries.in_text("diagnosis", (await asker.diagnosis()).model_dump_json())
    canaries.in_text("log", _ours(everything))
    assert canaries.leaks == []
    assert "Executing <" in everything.text


def _ours(caplog: pytest.LogCaptureFixture) -> str:
    """What the scripted servers, which run in this process, have logged is theirs."""
    return "\n".join(record.getMessage() for record in caplog.records if "berth_testing" not in record.getMessage())
