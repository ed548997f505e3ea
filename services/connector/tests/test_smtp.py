"""The SMTP exchange against servers that behave in every way but the expected one."""

import base64
from typing import Any

import pytest

from berth_events.contracts import Verification
from berth_testing.peers import CLOSE, START_TLS, STAY, Answer, Peer, Script, drip, flood

pytestmark = pytest.mark.usefixtures("no_leaks")

PASSWORD = "correct horse"
RESPONSE = base64.b64encode(f"\0me@test.example\0{PASSWORD}".encode()).decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def ehlo(*extensions: str) -> bytes:
    lines = ["mail.test.example", "PIPELINING", *extensions]
    return "".join(f"250{'-' if n < len(lines) else ' '}{line}\r\n" for n, line in enumerate(lines, 1)).encode()


GOOD = Script(
    greeting=b"220 mail.test.example ESMTP Postfix\r\n",
    answers=[
        (r"^EHLO ", ehlo("AUTH PLAIN LOGIN")),
        (r"^AUTH PLAIN \S+$", b"235 2.7.0 Authentication successful\r\n"),
        (r"^AUTH (PLAIN|LOGIN)$", b"334 \r\n"),
        (r"^NOOP$", b"250 2.0.0 Ok\r\n"),
    ],
)


def failure(verification: Verification) -> tuple[str, str]:
    failed = [step for step in verification.steps if step.outcome == "failed"]
    assert len(failed) == 1
    assert (verification.outcome, verification.smtp, verification.imap) == ("failed", False, None)
    assert failed[0].diagnosis is not None
    assert failed[0].diagnosis == verification.diagnosis
    return failed[0].name, failed[0].diagnosis.code


async def test_a_working_account_is_proven(probe: Any, certificates: Any) -> None:
    async with Peer.run(GOOD, implicit=certificates.server()) as peer:
        found = await probe(smtp=peer.port)
    assert (found.outcome, found.imap, found.smtp, found.diagnosis) == ("connected", None, True, None)
    assert [(step.name, step.outcome) for step in found.steps] == [
        ("resolve", "ok"), ("vet", "ok"), ("connect", "ok"), ("tls", "ok"), ("greet", "ok"), ("ehlo", "ok"),
        ("authenticate", "ok"), ("noop", "ok"),
    ]  # fmt: skip
    assert peer.received == ["EHLO verify.test.example", f"AUTH PLAIN {RESPONSE}", "NOOP", "QUIT"]
    assert found.steps[6].transcript == ("C: AUTH PLAIN ***", "S: 235 2.7.0 Authentication successful")


async def test_with_starttls_ehlo_is_said_anew(probe: Any, certificates: Any) -> None:
    script = GOOD.but((r"^STARTTLS$", (b"220 go\r\n", START_TLS)), (r"^EHLO", ehlo("STARTTLS", "AUTH PLAIN")))
    async with Peer.run(script, starttls=certificates.server()) as peer:
        found = await probe(smtp=peer.port, security="starttls")
    assert found.smtp is True
    assert [step.name for step in found.steps][3:6] == ["greet", "starttls", "ehlo"]
    assert [line.split()[0] for line in peer.received] == ["EHLO", "STARTTLS", "EHLO", "AUTH", "NOOP", "QUIT"]


@pytest.mark.parametrize(
    ("greeting", "code"),
    [
        (STAY, "GREETING_TIMEOUT"),
        (drip(), "GREETING_TIMEOUT"),
        (CLOSE, "PROVIDER_TEMPORARY"),
        (b"421 4.7.0 mail.test.example Error: too many connections from 192.0.2.1\r\n", "CONNECTION_LIMIT"),
        (b"421 try again\r\n", "PROVIDER_TEMPORARY"),
        (b"554 go away\r\n", "UNKNOWN"),
        (b"* OK IMAP ready\r\n", "WRONG_PROTOCOL"),
        (b"HTTP/1.1 200 OK\r\nServer: secret-banner\r\n", "WRONG_PROTOCOL"),
        (b"2200 secret-banner\r\n", "WRONG_PROTOCOL"),
        (b"220-hello\r\nsecret-banner\r\n", "WRONG_PROTOCOL"),
        (flood(b"220-again\r\n"), "PROTOCOL_ERROR"),
        (flood(b"2" * 1000), "PROTOCOL_ERROR"),
    ],
)
async def test_nothing_is_written_before_a_greeting_of_smtp(
    greeting: Answer, code: str, probe: Any, certificates: Any
) -> None:
    async with Peer.run(Script(greeting=greeting), implicit=certificates.server()) as peer:
        found = await probe(smtp=peer.port)
    assert failure(found) == ("greet", code)
    assert peer.received == []
    assert "secret-banner" not in found.model_dump_json()


@pytest.mark.parametrize(
    ("answer", "code", "policy"),
    [
        (b"535 5.7.8 Error: authentication failed: (reason unavailable)\r\n", "AUTH_BAD_CREDENTIALS", "never"),
        (b"535-5.7.8 Error: authentication\r\n535 5.7.8 failed: no\r\n", "AUTH_BAD_CREDENTIALS", "never"),
        (b"535 Nope\n", "AUTH_BAD_CREDENTIALS", "never"),
        (b"454 4.7.0 Temporary authentication failure: Connection lost\r\n", "PROVIDER_TEMPORARY", "exponential"),
        (b"525 5.7.13 Gone\r\n", "ACCOUNT_DISABLED", "recheck_slow"),
        (b"550 5.1.1 what\r\n", "UNKNOWN", "never"),
        (b"440 4.1.1 what\r\n", "UNKNOWN", "bounded"),
        (b"450 4.1.1 what\r\n", "PROVIDER_TEMPORARY", "exponential"),
        (b"421 4.4.0 bye\r\n", "PROVIDER_TEMPORARY", "exponential"),
        (CLOSE, "AUTH_AMBIGUOUS", "never"),
        (STAY, "PROVIDER_TEMPORARY", "exponential"),
        (b"hm\r\n", "PROTOCOL_ERROR", "never"),
        (b"334 eyJzdGF0dXMiOiI0MDAifQ==\r\n", "AUTH_BAD_CREDENTIALS", "never"),
    ],
)
async def test_a_refused_credential_is_tried_once_and_diagnosed(
    answer: Answer, code: str, policy: str, probe: Any, certificates: Any
) -> None:
    script = GOOD.but((r"^AUTH", answer), (r"^$", b"535 5.7.8 Error: authentication failed: no\r\n"))
    async with Peer.run(script, implicit=certificates.server()) as peer:
        found = await probe(smtp=peer.port)
    assert failure(found) == ("authenticate", code)
    assert found.diagnosis.retry_policy == policy
    assert (sum(line.startswith("AUTH") for line in peer.received), peer.connections) == (1, 1)


@pytest.mark.parametrize(
    ("mechanisms", "mechanism", "password", "sent"),
    [
        ("AUTH PLAIN LOGIN", "auto", PASSWORD, [f"AUTH PLAIN {RESPONSE}"]),
        ("AUTH=PLAIN LOGIN", "auto", PASSWORD, [f"AUTH PLAIN {RESPONSE}"]),
        ("auth login", "auto", PASSWORD, ["AUTH LOGIN", encoded("me@test.example"), encoded(PASSWORD)]),
        ("AUTH PLAIN LOGIN", "login", "sésame", ["AUTH LOGIN", encoded("me@test.example"), encoded("sésame")]),
        ("AUTH PLAIN", "plain", "x" * 2000, ["AUTH PLAIN", encoded("\0me@test.example\0" + "x" * 2000)]),
    ],
)
async def test_any_password_can_be_sent(
    mechanisms: str, mechanism: str, password: str, sent: list[str], probe: Any, certificates: Any
) -> None:
    user, last = encoded("me@test.example"), sent[-1].replace("+", "\\+")[-40:]
    script = GOOD.but((r"^EHLO", ehlo(mechanisms)), (f"^{user}$", b"334 UGFzc3dvcmQ6\r\n"), (f"{last}$", b"235 ok\r\n"))
    async with Peer.run(script, implicit=certificates.server()) as peer:
        found = await probe(smtp=peer.port, mechanism=mechanism, password=password)
    assert found.smtp is True
    assert peer.received[1 : 1 + len(sent)] == sent
    text = found.model_dump_json()
    assert password not in text
    assert encoded(password) not in text


@pytest.mark.parametrize(
    ("mechanisms", "mechanism"),
    [
        ("SIZE 1000", "auto"),
        ("AUTH XOAUTH2", "auto"),
        ("AUTH LOGIN", "plain"),
        ("AUTH PLAIN", "login"),
        ("AUTH PLAIN LOGIN OAUTHBEARER", "xoauth2"),
        ("AUTH PLAIN LOGIN", "cram_md5"),
    ],
)
async def test_without_a_mechanism_nothing_is_sent(
    mechanisms: str, mechanism: str, probe: Any, certificates: Any
) -> None:
    async with Peer.run(GOOD.but((r"^EHLO", ehlo(mechanisms))), implicit=certificates.server()) as peer:
        found = await probe(smtp=peer.port, mechanism=mechanism)
    assert failure(found) == ("authenticate", "MECHANISM_UNSUPPORTED")
    assert not any(line.startswith("AUTH") for line in peer.received)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (GOOD, "CAPABILITY_MISSING"),
        (GOOD.but((r"^EHLO", ehlo("STARTTLS")), (r"^STARTTLS", b"454 4.7.0 TLS not available due to local problem\r\n")),
         "TLS_UNAVAILABLE"),
        (GOOD.but((r"^EHLO", ehlo("STARTTLS")), (r"^STARTTLS", (b"220 go\r\n235 injected\r\n", START_TLS))), "PROTOCOL_ERROR"),
        (GOOD.but((r"^EHLO", ehlo("STARTTLS")), (r"^STARTTLS", b"220 go\r\n")), "GREETING_TIMEOUT"),
    ],
)  # fmt: skip
async def test_without_starttls_nothing_secret_is_sent(
    script: Script, code: str, probe: Any, certificates: Any
) -> None:
    async with Peer.run(script, starttls=certificates.server()) as peer:
        found = await probe(smtp=peer.port, security="starttls")
    assert failure(found) == ("starttls", code)
    assert not any("AUTH" in line for line in peer.received)


@pytest.mark.parametrize("answer", [STAY, CLOSE, (b"25", CLOSE)])
async def test_silence_after_the_sign_in_changes_nothing(answer: Answer, probe: Any, certificates: Any) -> None:
    async with Peer.run(GOOD.but((r"^NOOP", answer)), implicit=certificates.server()) as peer:
        found = await probe(smtp=peer.port)
    assert (found.outcome, found.smtp) == ("connected", True)
    assert found.steps[-1].outcome == "skipped"
    assert found.steps[-1].message


async def test_a_server_that_cannot_relay_is_a_failure(probe: Any, certificates: Any) -> None:
    answer = (b"421 4.4.0 Failed to connect to relay server\r\n", CLOSE)
    async with Peer.run(GOOD.but((r"^NOOP", answer)), implicit=certificates.server()) as peer:
        found = await probe(smtp=peer.port)
    assert failure(found) == ("noop", "PROVIDER_TEMPORARY")


async def test_a_refused_ehlo_stops_the_exchange(probe: Any, certificates: Any) -> None:
    async with Peer.run(GOOD.but((r"^EHLO", b"502 5.5.2 what\r\n")), implicit=certificates.server()) as peer:
        found = await probe(smtp=peer.port)
    assert failure(found) == ("ehlo", "UNKNOWN")
    assert found.diagnosis.reply == "502 5.5.2 what"
