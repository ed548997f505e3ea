"""The IMAP exchange against servers that behave in every way but the expected one."""

import asyncio
import base64
import re
from typing import Any

import pytest

from berth_events.contracts import Step, Verification
from berth_testing.peers import CLOSE, START_TLS, STAY, Answer, Peer, Script, drip, flood

pytestmark = pytest.mark.usefixtures("no_leaks")

PASSWORD = "correct horse"
TLS_TEXT = (
    r"TLSv1\.3\. The certificate is for mail\.test\.example, remote\.test\.example, localhost, "
    r"issued by trustme v[\d.]+, valid until 3000-01-01\."
)
RESPONSE = base64.b64encode(f"\0me@test.example\0{PASSWORD}".encode()).decode()
CAPABILITIES = b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN ID\r\nTAG OK done\r\n"
GOOD = Script(
    greeting=b"* OK [CAPABILITY IMAP4rev1] ready.\r\n",
    answers=[
        (r"^\S+ CAPABILITY$", CAPABILITIES),
        (r"^\S+ ID ", b'* ID ("name" "Dovecot")\r\nTAG OK ID completed\r\n'),
        (r"^\S+ AUTHENTICATE PLAIN \S+$", b"* OK nearly\r\nTAG OK [CAPABILITY IMAP4rev1] Logged in\r\n"),
        (r"^\S+ AUTHENTICATE PLAIN$", b"+ \r\n"),
        (r"^\S+ EXAMINE INBOX$", b"* FLAGS ()\r\n* 0 EXISTS\r\nTAG OK [READ-ONLY] done\r\n"),
    ],
)


def capabilities(*words: str) -> bytes:
    return f"* CAPABILITY IMAP4rev1 {' '.join(words)}\r\nTAG OK done\r\n".encode()


def step(verification: Verification, name: str) -> Step:
    return next(step for step in verification.steps if step.name == name)


def outcomes(verification: Verification) -> dict[str, str]:
    return {step.name: step.outcome for step in verification.steps}


def failure(verification: Verification) -> tuple[str, str]:
    """The failed step and its code, after checking that everything agrees on them."""
    failed = [step for step in verification.steps if step.outcome == "failed"]
    assert len(failed) == 1
    names = [step.name for step in verification.steps]
    behind = names.index(failed[0].name) + 1
    assert {step.outcome for step in verification.steps[behind:]} <= {"skipped"}
    assert verification.outcome == "failed"
    assert verification.imap is False
    assert failed[0].diagnosis is not None
    assert failed[0].diagnosis == verification.diagnosis
    return failed[0].name, failed[0].diagnosis.code


async def test_a_working_account_is_proven(probe: Any, certificates: Any) -> None:
    async with Peer.run(GOOD, implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port)
    assert (found.outcome, found.imap, found.smtp, found.diagnosis) == ("connected", True, None, None)
    assert list(outcomes(found).items()) == [
        ("resolve", "ok"), ("vet", "ok"), ("connect", "ok"), ("tls", "ok"), ("greet", "ok"), ("capabilities", "ok"),
        ("authenticate", "ok"), ("select", "ok"),
    ]  # fmt: skip
    assert [line.partition(" ")[2] for line in peer.received] == [
        "CAPABILITY", 'ID ("name" "Berth")', f"AUTHENTICATE PLAIN {RESPONSE}", 'ID ("name" "Berth")', "EXAMINE INBOX",
        "LOGOUT",
    ]  # fmt: skip
    assert step(found, "authenticate").transcript == (
        "C: B3 AUTHENTICATE PLAIN ***", "S: * OK nearly", "S: B3 OK [CAPABILITY IMAP4rev1] Logged in"
    )  # fmt: skip
    assert re.fullmatch(TLS_TEXT, step(found, "tls").message)


async def test_what_the_greeting_told_is_not_asked_for(probe: Any, certificates: Any) -> None:
    """A round trip each, at every sign-in. Nor does a server that is known by its greeting have to know us."""
    script = GOOD.but(greeting=b"* OK [CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN] Dovecot ready.\r\n")
    async with Peer.run(script, implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port)
    assert found.outcome == "connected"
    assert [line.partition(" ")[2] for line in peer.received] == [
        f"AUTHENTICATE PLAIN {RESPONSE}", "EXAMINE INBOX", "LOGOUT"
    ]  # fmt: skip
    assert step(found, "capabilities").message == "IMAP4REV1 SASL-IR ID AUTH=PLAIN"


FOLDERS = (
    b'* LIST (\\HasNoChildren \\Sent) "/" "Sent items"\r\n* LIST (\\junk) NIL {4}\r\nSpam\r\n'
    b'* LIST (\\Trash \\Sent) "/" "\\Flagged"\r\nTAG OK done\r\n'
)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (FOLDERS, " There are folders for: Junk, Sent, Trash."),
        (b"TAG OK none\r\n", ""),
        (b"TAG NO not today\r\n", ""),
        (b"* LIST () NIL {999999}\r\n", ""),
        (CLOSE, ""),
        (b"nonsense\r\n", ""),
    ],
)
async def test_special_folders_are_told_and_nothing_fails_for_them(
    probe: Any, certificates: Any, answer: Answer, told: str
) -> None:
    script = GOOD.but(
        (r" AUTHENTICATE PLAIN \S+$", b"* CAPABILITY IMAP4rev1 SPECIAL-USE LIST-EXTENDED\r\nTAG OK in\r\n"),
        (r' LIST \(SPECIAL-USE\) "" "\*"$', answer),
    )
    async with Peer.run(script, implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port)
    assert (found.outcome, step(found, "select").outcome) == ("connected", "ok")
    assert step(found, "select").message == f"The INBOX can be opened.{told}"
    assert [line.split()[1] for line in peer.received][-3:] == ["EXAMINE", "LIST", "LOGOUT"]


async def test_a_greeting_that_tells_too_little_is_not_believed(probe: Any, certificates: Any) -> None:
    script = GOOD.but(greeting=b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=GSSAPI] Dovecot ready.\r\n")
    async with Peer.run(script, implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port)
    assert found.outcome == "connected"
    assert [line.partition(" ")[2] for line in peer.received][:2] == ["CAPABILITY", f"AUTHENTICATE PLAIN {RESPONSE}"]


async def test_what_a_greeting_told_before_tls_does_not_count(probe: Any, certificates: Any) -> None:
    """Anybody on the way may have said so."""
    script = GOOD.but(
        (r" STARTTLS$", (b"TAG OK go\r\n", START_TLS)),
        (r" CAPABILITY$", capabilities("STARTTLS", "SASL-IR", "AUTH=PLAIN")),
        greeting=b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] Dovecot ready.\r\n",
    )
    async with Peer.run(script, starttls=certificates.server()) as peer:
        found = await probe(imap=peer.port, security="starttls")
    assert found.outcome == "connected"
    assert [line.partition(" ")[2] for line in peer.received][:3] == ["CAPABILITY", "STARTTLS", "CAPABILITY"]
    assert found.duration_ms >= max(one.duration_ms for one in found.steps)


async def test_with_starttls_the_exchange_starts_anew_inside_tls(probe: Any, certificates: Any) -> None:
    script = GOOD.but(
        (r"^B1 CAPABILITY", capabilities("STARTTLS", "LOGINDISABLED")), (r" STARTTLS$", (b"TAG OK go\r\n", START_TLS))
    )
    async with Peer.run(script, starttls=certificates.server()) as peer:
        found = await probe(imap=peer.port, security="starttls")
    assert found.imap is True
    assert list(outcomes(found))[2:6] == ["connect", "greet", "starttls", "capabilities"]
    assert re.fullmatch(TLS_TEXT, step(found, "starttls").message)
    assert peer.received[2] == "B3 CAPABILITY"


@pytest.mark.parametrize(
    ("greeting", "code"),
    [
        (STAY, "GREETING_TIMEOUT"),
        (drip(), "GREETING_TIMEOUT"),
        (CLOSE, "PROVIDER_TEMPORARY"),
        ((b"* BYE Too busy\r\n", CLOSE), "PROVIDER_TEMPORARY"),
        (b"* BYE Too busy\r\n", "PROVIDER_TEMPORARY"),
        (b"* PREAUTH come in\r\n", "MECHANISM_UNSUPPORTED"),
        (b"+OK POP3 ready\r\n", "WRONG_PROTOCOL"),
        (b"220 mail.test.example ESMTP\r\n", "WRONG_PROTOCOL"),
        (b"HTTP/1.1 400 Bad Request\r\nServer: secret-banner\r\n\r\n", "WRONG_PROTOCOL"),
        (b"SSH-2.0-secret-banner\r\n", "WRONG_PROTOCOL"),
        (b"\x00\xff\xfe\n", "WRONG_PROTOCOL"),
        (b"* OKAY\r\n", "WRONG_PROTOCOL"),
        (flood(b"x" * 1000), "PROTOCOL_ERROR"),
        ((b"* OK ready", CLOSE), "PROVIDER_TEMPORARY"),
    ],
)
async def test_nothing_is_written_before_a_greeting_of_imap(
    greeting: Answer, code: str, probe: Any, certificates: Any
) -> None:
    async with Peer.run(Script(greeting=greeting), implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port)
        assert failure(found) == ("greet", code)
        assert peer.received == []
    assert "secret-banner" not in found.model_dump_json()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (STAY, "PROVIDER_TEMPORARY"),
        (CLOSE, "PROVIDER_TEMPORARY"),
        ((b"* BYE out of memory\r\n", CLOSE), "PROVIDER_TEMPORARY"),
        (b"TAG BAD unknown command\r\n", "UNKNOWN"),
        (b"X1 OK wrong tag\r\n", "PROTOCOL_ERROR"),
        (b"TAG\r\n", "PROTOCOL_ERROR"),
        (b"TAG MAYBE\r\n", "PROTOCOL_ERROR"),
        (b"* CAPABILITY {4294967295}\r\n", "PROTOCOL_ERROR"),
        (b"* X {70000}\r\n", "PROTOCOL_ERROR"),
        (flood(b"* OK again\r\n" * 300), "PROTOCOL_ERROR"),
        (flood(b"* X {3}\r\nabc {3}\r\n"), "PROTOCOL_ERROR"),
        (flood(b"* BYE\r\n" * 300), "PROTOCOL_ERROR"),
        (flood(b"A" * 4096), "PROTOCOL_ERROR"),
    ],
)
async def test_answers_are_bounded_and_have_to_fit(answer: Answer, code: str, probe: Any, certificates: Any) -> None:
    async with Peer.run(GOOD.but((" CAPABILITY$", answer)), implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port)
        assert failure(found) == ("capabilities", code)
        assert not any("AUTH" in line for line in peer.received)


@pytest.mark.parametrize(
    "script",
    [
        GOOD.but(greeting=b"* ok ready\n"),
        GOOD.but((r" CAPABILITY$", b"* capability imap4rev1 auth=plain sasl-ir\ntag ok\n".replace(b"tag", b"TAG"))),
        GOOD.but((r"^B3 AUTH", b"b3 ok\r\n")),
        GOOD.but((r"^B3 AUTH", b"* OK caf\xe9\r\nTAG OK caf\xe9\r\n"), greeting=b"* OK caf\xe9\r\n"),
        GOOD.but((r" CAPABILITY$", b"* X {5}\r\n{9}\r\n tail\r\n" + CAPABILITIES)),
        GOOD.but((r" ID ", b"TAG BAD no\r\n")),
        GOOD.but((r" EXAMINE", (b"* 5 EXISTS\r\n", STAY))),
        GOOD.but((r" EXAMINE", CLOSE)),
        GOOD.but((r"^B4 CAPABILITY", STAY)),
    ],
)
async def test_unusual_but_sufficient_answers_are_taken(script: Script, probe: Any, certificates: Any) -> None:
    async with Peer.run(script, implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port)
    assert (found.outcome, found.imap) == ("connected", True)
    assert step(found, "select").outcome in {"ok", "skipped"}


@pytest.mark.parametrize(
    ("answer", "code", "policy", "reply"),
    [
        (b"TAG NO [AUTHENTICATIONFAILED] Authentication failed.\r\n", "AUTH_BAD_CREDENTIALS", "never", "B3 NO"),
        (b"TAG NO [UNAVAILABLE] Temporary authentication failure.\r\n", "PROVIDER_TEMPORARY", "exponential", "B3 NO"),
        (
            b"TAG NO [LIMIT] Maximum number of connections from user+IP exceeded\r\n",
            "CONNECTION_LIMIT",
            "honour_hint",
            "",
        ),
        (b"TAG NO [CONTACTADMIN] Ask Bob\r\n", "ACCOUNT_DISABLED", "recheck_slow", "Ask Bob"),
        (b"TAG NO\r\n", "UNKNOWN", "never", "B3 NO"),
        (b"TAG BAD what\r\n", "UNKNOWN", "never", "what"),
        (b"* NO [ALERT] Please hold the line\r\nTAG NO hm\r\n", "UNKNOWN", "never", "hold the line"),
        ((b"* BYE Account locked\r\n", CLOSE), "ACCOUNT_LOCKED", "recheck_slow", "* BYE Account locked"),
        (b"* BYE Account locked\r\n", "ACCOUNT_LOCKED", "recheck_slow", "* BYE Account locked"),
        (b"* BYE Sayonara\r\n", "AUTH_AMBIGUOUS", "never", "* BYE Sayonara"),
        (b"TAG NO [AUTHENTICATIONFAILED] no\r\n* BYE\r\n", "AUTH_BAD_CREDENTIALS", "never", ""),
        (CLOSE, "AUTH_AMBIGUOUS", "never", ""),
        (STAY, "PROVIDER_TEMPORARY", "exponential", ""),
        # a challenge is answered with an empty line, and the refusal behind it read
        (b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n", "AUTH_BAD_CREDENTIALS", "never", "B3 NO"),
    ],
)
async def test_a_refused_credential_is_tried_once_and_diagnosed(
    answer: Answer, code: str, policy: str, reply: str, probe: Any, certificates: Any
) -> None:
    script = GOOD.but((r"^B3 AUTH", answer), (r"^$", b"B3 NO [AUTHENTICATIONFAILED] no\r\n"))
    async with Peer.run(script, implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port)
        assert peer.connections == 1
    assert failure(found) == ("authenticate", code)
    assert found.diagnosis.retry_policy == policy
    assert reply in found.diagnosis.reply
    assert sum("AUTHENTICATE" in line or "LOGIN" in line for line in peer.received) == 1


async def test_a_mailbox_that_does_not_open_is_a_failure(probe: Any, certificates: Any) -> None:
    async with Peer.run(
        GOOD.but((r" EXAMINE", b"TAG NO Mailbox is broken\r\n")), implicit=certificates.server()
    ) as peer:
        found = await probe(imap=peer.port)
    assert failure(found) == ("select", "MAILBOX_NOT_REACHABLE")
    assert step(found, "authenticate").outcome == "ok"


async def test_an_echoed_password_is_in_no_part_of_the_result(probe: Any, certificates: Any) -> None:
    echo = f'* OK you said {PASSWORD} and {RESPONSE}\r\nTAG NO "{PASSWORD.upper()}" {RESPONSE} is wrong\r\n'.encode()
    async with Peer.run(GOOD.but((r"^B3 AUTH", echo)), implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port)
    text = found.model_dump_json().lower()
    assert PASSWORD not in text
    assert RESPONSE.lower() not in text
    assert found.diagnosis.reply == 'B3 NO "***" *** is wrong'


@pytest.mark.parametrize(
    ("username", "password", "words", "sent"),
    [
        ("me", "secret", ["AUTH=PLAIN"], ["AUTHENTICATE PLAIN", base64.b64encode(b"\0me\0secret").decode()]),
        ("me", "p" * 2000, ["AUTH=PLAIN", "SASL-IR"],
         ["AUTHENTICATE PLAIN", base64.b64encode(b"\0me\0" + b"p" * 2000).decode()]),
        ("me", "sésame", ["AUTH=PLAIN", "SASL-IR"],
         ["AUTHENTICATE PLAIN " + base64.b64encode("\0me\0sésame".encode()).decode()]),
        ('a"b c', 'se\\cr"et', [], ['LOGIN "a\\"b c" "se\\\\cr\\"et"']),
        ("me", "sésame", [], ['LOGIN "me" {7}', "sésame"]),
        ("mé", "x" * 1200, [], ["LOGIN {3}", "mé {1200}", "x" * 1200]),
    ],
)  # fmt: skip
async def test_any_user_name_and_password_can_be_sent(
    username: str, password: str, words: list[str], sent: list[str], probe: Any, certificates: Any
) -> None:
    last = sent[-1].replace("\\", "\\\\").replace("+", "\\+").replace("{", "\\{")
    script = GOOD.but(
        (r"CAPABILITY$", capabilities(*words)), (r"(PLAIN|\{\d+\})$", b"+ go on\r\n"), (last[-40:] + "$", b"B2 OK\r\n")
    )
    async with Peer.run(script, implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port, username=username, password=password)
    assert found.imap is True
    assert [line.removeprefix("B2 ") for line in peer.received[1 : 1 + len(sent)]] == sent
    assert all(password not in line for one in found.steps for line in one.transcript)


@pytest.mark.parametrize(
    ("words", "mechanism"),
    [(["LOGINDISABLED"], "auto"), (["AUTH=PLAIN", "LOGINDISABLED"], "login"), (["AUTH=CRAM-MD5"], "plain")],
)
async def test_a_password_is_not_sent_where_it_is_not_wanted(
    words: list[str], mechanism: str, probe: Any, certificates: Any
) -> None:
    async with Peer.run(GOOD.but((r"CAPABILITY$", capabilities(*words))), implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port, mechanism=mechanism)
    assert failure(found) == ("authenticate", "MECHANISM_UNSUPPORTED")
    assert peer.received == ["B1 CAPABILITY"]


async def test_a_password_with_nul_is_refused_here(probe: Any, certificates: Any) -> None:
    async with Peer.run(GOOD, implicit=certificates.server()) as peer:
        found = await probe(imap=peer.port, password="a\0b")
    assert failure(found) == ("authenticate", "AUTH_BAD_CREDENTIALS")
    assert not any("AUTH" in line for line in peer.received)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (GOOD, "CAPABILITY_MISSING"),
        (GOOD.but((r"CAPABILITY$", capabilities("STARTTLS")), (r"STARTTLS", b"TAG BAD no\r\n")), "TLS_UNAVAILABLE"),
        (GOOD.but((r"CAPABILITY$", capabilities("STARTTLS")),
                  (r"STARTTLS", (b"TAG OK go\r\n* PREAUTH injected\r\n", START_TLS))), "PROTOCOL_ERROR"),
        (GOOD.but((r"CAPABILITY$", capabilities("STARTTLS")), (r"STARTTLS", b"TAG OK go\r\n")), "GREETING_TIMEOUT"),
        (GOOD.but((r"CAPABILITY$", capabilities("STARTTLS")), (r"STARTTLS", (b"TAG OK go\r\n", CLOSE))), "PROVIDER_TEMPORARY"),
    ],
)  # fmt: skip
async def test_without_starttls_nothing_secret_is_sent(
    script: Script, code: str, probe: Any, certificates: Any
) -> None:
    async with Peer.run(script, starttls=certificates.server()) as peer:
        found = await probe(imap=peer.port, security="starttls")
    assert failure(found) == ("starttls", code)
    assert not any("AUTH" in line or "LOGIN" in line for line in peer.received)


async def test_cancelling_leaves_nothing_behind(probe: Any, certificates: Any) -> None:
    async with Peer.run(GOOD.but((r"^B3 AUTH", STAY)), implicit=certificates.server()) as peer:
        task = asyncio.create_task(probe(imap=peer.port))
        while len(peer.received) < 3:  # noqa: ASYNC110 - the peer has no event for it
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
