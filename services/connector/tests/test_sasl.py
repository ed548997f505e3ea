"""Signing in with tokens and with CRAM-MD5, against servers that take the response in every way there is."""

import base64
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_connector.probe import Fault, Login
from berth_connector.probe.sasl import choose, cram_md5_response, initial_response
from berth_events.contracts import MailServer, Verification
from berth_testing.peers import Peer, Script

pytestmark = pytest.mark.usefixtures("no_leaks")

SHORT, LONG = "ya29." + "aB3-_x" * 20, "eyJ0eXAi." + "aB3-_x" * 400
CHALLENGE = base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}').decode()


def server(mechanism: str, user: str = "me@test.example") -> MailServer:
    return MailServer.model_validate(
        {"host": "mail.test.example", "port": 993, "security": "tls", "username": user, "mechanism": mechanism}
    )


def imap(*words: str) -> Script:
    offered = f"* CAPABILITY IMAP4rev1 {' '.join(words)}\r\nTAG OK done\r\n".encode()
    return Script(
        greeting=b"* OK ready\r\n", answers=[(r" CAPABILITY$", offered), (r" EXAMINE INBOX$", b"TAG OK done\r\n")]
    )


def smtp(mechanism: str) -> Script:
    return Script(
        greeting=b"220 ready\r\n",
        answers=[(r"^EHLO", f"250-mail\r\n250 AUTH {mechanism}\r\n".encode()), (r"^NOOP", b"250 ok\r\n")],
    )


def diagnosed(found: Verification) -> tuple[str, str]:
    assert found.diagnosis
    return found.diagnosis.code, found.diagnosis.retry_policy


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize(("token", "inline"), [(SHORT, True), (SHORT, False), (LONG, True), (LONG, False)])
async def test_imap_takes_a_token_at_once_or_when_it_asks(
    mechanism: str, token: str, inline: bool, probe: Any, certificates: Any
) -> None:
    words = [f"AUTH={mechanism}", "AUTH=PLAIN", *(["SASL-IR"] if inline else [])]
    script = imap(*words).but(
        (rf" AUTHENTICATE {mechanism} \S+$", b"TAG OK in\r\n"),
        (rf" AUTHENTICATE {mechanism}$", b"+ \r\n"),
        (r"^[A-Za-z0-9+/=]+$", b"B2 OK in\r\n"),
    )
    async with Peer.run(script, implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port, mechanism=mechanism.lower(), password=token)
    assert found.imap is True, found.diagnosis
    response = initial_response(mechanism, Login(server("xoauth2"), token)).decode()
    if mechanism == "XOAUTH2":
        expected = [f"B2 AUTHENTICATE {mechanism} {response}"]
        if not inline or token == LONG:
            expected = [f"B2 AUTHENTICATE {mechanism}", response]
        assert peer.received[1 : 1 + len(expected)] == expected
    assert token[:40] not in found.model_dump_json()


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("token", [SHORT, LONG])
async def test_smtp_takes_a_token_at_once_or_on_a_line_of_its_own(
    mechanism: str, token: str, probe: Any, certificates: Any
) -> None:
    script = smtp(mechanism).but(
        (rf"^AUTH {mechanism} \S+$", b"235 in\r\n"),
        (rf"^AUTH {mechanism}$", b"334 \r\n"),
        (r"^[A-Za-z0-9+/=]{600,}$", b"235 in\r\n"),
    )
    async with Peer.run(script, implicit=certificates.server()) as peer:
        found = await probe(smtp=peer.port, mechanism=mechanism.lower(), password=token)
    assert found.smtp is True, found.diagnosis
    assert any(line == f"AUTH {mechanism}" for line in peer.received) is (token == LONG)


@pytest.mark.parametrize(("mechanism", "answer"), [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")])
async def test_the_challenge_of_a_refusal_is_answered_and_decoded(
    mechanism: str, answer: str, probe: Any, certificates: Any
) -> None:
    on_imap = imap(f"AUTH={mechanism}", "SASL-IR").but(
        (r" AUTHENTICATE ", f"+ {CHALLENGE}\r\n".encode()), (rf"^{answer}$", b"B2 NO SASL authentication failed\r\n")
    )
    on_smtp = smtp(mechanism).but((r"^AUTH ", f"334 {CHALLENGE}\r\n".encode()), (rf"^{answer}$", b"535 5.7.8 no\r\n"))
    tls = certificates.server()
    async with Peer.run(on_imap, implicit=tls) as reading, Peer.run(on_smtp, implicit=tls) as sending:
        found = await probe(
            imap=reading.port,
            smtp=sending.port,
            mechanism=mechanism.lower(),
            password=SHORT,
            allow_ports=[reading.port, sending.port],
        )
    assert reading.received[-1] == sending.received[-1] == answer
    for one in found.steps:
        if one.name == "authenticate":
            assert one.diagnosis
            assert (one.diagnosis.code, one.diagnosis.retry_policy) == ("OAUTH_TOKEN_REJECTED", "once_fresh_token")
            assert '"scope":"https://mail.google.com/"' in one.diagnosis.reply


async def test_a_token_that_is_echoed_in_parts_is_gone(probe: Any, certificates: Any) -> None:
    response = initial_response("XOAUTH2", Login(server("xoauth2"), LONG)).decode()
    for echo in (LONG, LONG[:90], response, response[:120], base64.urlsafe_b64encode(LONG.encode()).decode()[:300]):
        script = smtp("XOAUTH2").but(
            (r"^AUTH XOAUTH2$", b"334 \r\n"), (r"^[A-Za-z0-9+/=]{600,}$", f"535 5.7.8 bad: {echo}\r\n".encode())
        )
        async with Peer.run(script, implicit=certificates.server()) as peer:
            found = await probe(smtp=peer.port, mechanism="xoauth2", password=LONG)
        text = found.model_dump_json()
        assert "***" in text
        for form in (LONG, response, base64.urlsafe_b64encode(LONG.encode()).decode()):
            assert not any(form[start : start + 30] in text for start in range(0, len(form) - 30, 7)), echo[:20]


async def test_cram_md5_is_used_where_there_is_nothing_else(probe: Any, certificates: Any) -> None:
    challenge = b"<1896.697170952@mail.test.example>"
    digest = hmac.new(b"correct horse", challenge, "md5").hexdigest()
    response = base64.b64encode(f"me@test.example {digest}".encode()).decode()
    escaped = response.replace("+", r"\+")
    on_imap = imap("LOGINDISABLED", "AUTH=CRAM-MD5").but(
        (r" AUTHENTICATE CRAM-MD5$", b"+ " + base64.b64encode(challenge) + b"\r\n"), (rf"^{escaped}$", b"B2 OK in\r\n")
    )
    on_smtp = smtp("CRAM-MD5").but(
        (r"^AUTH CRAM-MD5$", b"334 " + base64.b64encode(challenge) + b"\r\n"), (rf"^{escaped}$", b"235 in\r\n")
    )
    tls = certificates.server()
    async with Peer.run(on_imap, implicit=tls) as reading, Peer.run(on_smtp, implicit=tls) as sending:
        found = await probe(imap=reading.port, smtp=sending.port, allow_ports=[reading.port, sending.port])
    assert (found.imap, found.smtp) == (True, True), found.diagnosis


@pytest.mark.parametrize(
    ("username", "token"), [("me\1auth=Bearer x@test.example", SHORT), ("me@test.example", "a\1b")]
)
async def test_what_would_forge_a_response_is_not_sent(
    username: str, token: str, probe: Any, certificates: Any
) -> None:
    async with Peer.run(smtp("XOAUTH2"), implicit=certificates.server()) as peer:
        found = await probe(smtp=peer.port, mechanism="xoauth2", username=username, password=token)
    assert diagnosed(found) == ("AUTH_BAD_CREDENTIALS", "never")
    assert not any("AUTH" in line for line in peer.received)


async def test_a_challenge_that_is_none(probe: Any, certificates: Any) -> None:
    script = smtp("CRAM-MD5").but((r"^AUTH CRAM-MD5$", b"334 no base64!\r\n"))
    async with Peer.run(script, implicit=certificates.server()) as peer:
        found = await probe(smtp=peer.port)
    assert diagnosed(found) == ("PROTOCOL_ERROR", "never")


def test_the_best_that_both_sides_know() -> None:
    auto = Login(server("auto"), "x")
    assert choose(auto, {"LOGIN", "CRAM-MD5", "PLAIN", "XOAUTH2"}) == "PLAIN"
    assert choose(auto, {"LOGIN", "CRAM-MD5"}) == "LOGIN"
    assert choose(auto, {"CRAM-MD5"}) == "CRAM-MD5"
    with pytest.raises(Fault):
        choose(auto, {"XOAUTH2"})
    with pytest.raises(Fault):
        choose(Login(server("xoauth2"), "x"), {"PLAIN", "OAUTHBEARER"})


def test_the_examples_of_the_standards() -> None:
    bearer = Login(server("oauthbearer", "a,b=c@test.example"), "t0k")
    assert base64.b64decode(initial_response("OAUTHBEARER", bearer)) == (
        b"n,a=a=2Cb=3Dc@test.example,\1host=mail.test.example\1port=993\1auth=Bearer t0k\1\1"
    )
    tim = Login(server("cram_md5", "tim"), "tanstaaftanstaaf")  # RFC 2195, section 2
    challenge = base64.b64encode(b"<1896.697170952@postoffice.reston.mci.net>").decode()
    assert base64.b64decode(cram_md5_response(challenge, tim)) == b"tim b913a602c7eda7a495b4e6e7334d3890"


@given(token=st.text("abcdefABCDEF0123456789-._~+/=", min_size=1, max_size=3000))
def test_what_is_said_can_be_read_back(token: str) -> None:
    login = Login(server("xoauth2"), token)
    assert (
        base64.b64decode(initial_response("XOAUTH2", login)).decode()
        == f"user=me@test.example\1auth=Bearer {token}\1\1"
    )
