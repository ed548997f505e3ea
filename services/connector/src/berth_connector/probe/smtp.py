"""SMTP submission (RFC 6409, RFC 4954) as far as verifications and checkups need it. Only a checkup sends mail."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from berth_connector.probe.faults import Fault
from berth_connector.probe.login import Login
from berth_connector.probe.sasl import (
    INLINE_LIMIT,
    acknowledgement,
    choose,
    cram_md5_response,
    encoded,
    initial_response,
)
from berth_connector.probe.wire import REPLY_LIMIT, Wire
from berth_connector.redaction import MARK

__all__ = ["SmtpSession"]

_LINE: Final = re.compile(r"(?P<code>[0-9]{3})(?P<more>[ -]|$)(?P<text>.*)")
#: Servers say the same to everybody: what they offer is kept once.
_REMEMBERED: Final = 128
_READY, _DONE, _SIGNED_IN, _CONTINUE, _GO_ON, _FORWARDED = 220, 250, 235, 334, 354, 251


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: its code, the lines as they came, and their texts."""

    code: int
    raw: str
    texts: tuple[str, ...]

    def refusal(self, message: str) -> Fault:
        """The answer as a fault."""
        return Fault.refused("smtp", message, self.raw)


@lru_cache(_REMEMBERED)
def _offer_of(texts: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """The extensions and the mechanisms that EHLO's answer offers."""
    offered = [text.upper().replace("AUTH=", "AUTH ").split() for text in texts]
    extensions = frozenset(words[0] for words in offered if words)
    return extensions, frozenset(word for words in offered if words[:1] == ["AUTH"] for word in words[1:])


class SmtpSession:
    """One submission connection. The server speaks first, and nothing is written before its greeting is known to be SMTP's.

    Args:
        wire: the connection.
        local_hostname: what EHLO says; looking it up would give away and wait for the machine's name.
    """

    __slots__ = ("_extensions", "_local_hostname", "_mechanisms", "_wire")

    def __init__(self, wire: Wire, local_hostname: str) -> None:
        self._wire, self._local_hostname = wire, local_hostname
        self._extensions: frozenset[str] = frozenset()
        self._mechanisms: frozenset[str] = frozenset()

    async def greet(self) -> str:
        """Read the greeting."""
        answer = await self._answer(greeting=True)
        if answer.code != _READY:
            raise answer.refusal("The server's greeting is no welcome.")
        return answer.raw

    async def agree_on_tls(self) -> None:
        """Ask for STARTTLS, up to the server's agreement."""
        await self._ehlo()
        if "STARTTLS" not in self._extensions:
            raise Fault.found("MISSING:STARTTLS", "The server does not offer STARTTLS on this port.")
        await self._expect(_READY, b"STARTTLS", "The server refused STARTTLS.")

    async def capabilities(self) -> str:
        """What the server offers, and what it calls itself."""
        return await self._ehlo()

    async def authenticate(self, login: Login) -> str:
        """Sign in, with exactly one attempt. Returns the mechanism."""
        mechanism = choose(login, self._mechanisms)
        if mechanism == "LOGIN":
            await self._authenticate_login(login)
        elif mechanism == "CRAM-MD5":
            await self._cram_md5(login)
        else:
            await self._authenticate(mechanism, login)
        return mechanism

    async def finish(self) -> str:
        """NOOP: some servers accept the password, and then have nobody to hand a mail to. Then QUIT."""
        await self._expect(_DONE, b"NOOP", "Signed in, but the server takes no commands.")
        self.part()
        return "The server takes commands."

    async def send(self, sender: str, recipient: str, message: bytes) -> None:
        """Send one message (RFC 5321, section 3.3). A refusal's fault names the table's step: `mail_from`, `rcpt_to` or `data`.

        Args:
            sender: an address that holds neither blanks nor angle brackets.
            recipient: likewise.
            message: header and body, lines ended by CRLF.
        """
        parameters = "" if (sender + recipient).isascii() else " SMTPUTF8"
        if parameters and "SMTPUTF8" not in self._extensions:
            lacking = "The server takes no addresses with other letters than ASCII's."
            raise _in_step("mail_from", Fault.found("MISSING:SMTPUTF8", lacking))
        await self._transact("mail_from", f"MAIL FROM:<{sender}>{parameters}".encode(), "The sender was refused.")
        await self._transact("rcpt_to", f"RCPT TO:<{recipient}>".encode(), "The recipient was refused.")
        await self._transact("data", b"DATA", "The server wants no message.", _GO_ON)
        stuffed = message.replace(b"\r\n.", b"\r\n..").removesuffix(b"\r\n")
        self._wire.write_line(stuffed + b"\r\n.", f"({len(message)} bytes)")
        answer = await self._answer()
        if answer.code != _DONE:
            raise _in_step("data", answer.refusal("The message was refused."))

    def part(self) -> None:
        """QUIT, whose answer is not worth waiting for."""
        self._wire.part(b"QUIT")

    async def _ehlo(self) -> str:
        command = f"EHLO {self._local_hostname}"
        answer = await self._expect(_DONE, command.encode(), "The server does not tell its capabilities.")
        self._extensions, self._mechanisms = _offer_of(answer.texts[1:])
        return ", ".join(answer.texts)

    async def _authenticate(self, mechanism: str, login: Login) -> None:
        command = f"AUTH {mechanism}"
        response = initial_response(mechanism, login)
        if len(response) <= INLINE_LIMIT:
            answer = await self._command(command.encode() + b" " + response, f"{command} {MARK}")
        else:
            await self._expect(_CONTINUE, command.encode(), "The server refused the sign-in.")
            answer = await self._command(response, MARK)
        await self._signed_in(answer, acknowledgement(mechanism))

    async def _cram_md5(self, login: Login) -> None:
        challenge = await self._expect(_CONTINUE, b"AUTH CRAM-MD5", "The server refused the sign-in.")
        await self._signed_in(await self._command(cram_md5_response(challenge.texts[0], login), MARK))

    async def _authenticate_login(self, login: Login) -> None:
        await self._expect(_CONTINUE, b"AUTH LOGIN", "The server refused the sign-in.")
        answer = await self._command(encoded(login.server.username), MARK)
        if answer.code == _CONTINUE:
            answer = await self._command(encoded(login.password), MARK)
        await self._signed_in(answer)

    async def _signed_in(self, answer: Answer, ending: bytes = b"") -> None:
        challenge = ""
        if answer.code == _CONTINUE:  # an error message to be acknowledged; then comes the refusal
            challenge = answer.raw
            answer = await self._command(ending, ending.decode())
        if answer.code == _CONTINUE:
            raise Fault.found("MALFORMED", "The server asks for more than the mechanism has.")
        if answer.code != _SIGNED_IN:
            refusal = answer.refusal("The server refused the sign-in.")
            raise refusal.because("smtp", challenge) if challenge else refusal

    async def _transact(self, table_step: str, command: bytes, otherwise: str, code: int = _DONE) -> None:
        answer = await self._command(command, command.decode())
        if answer.code != code and (code, answer.code) != (_DONE, _FORWARDED):
            raise _in_step(table_step, answer.refusal(otherwise))

    async def _expect(self, code: int, command: bytes, otherwise: str) -> Answer:
        answer = await self._command(command, command.decode())
        if answer.code != code:
            raise answer.refusal(otherwise)
        return answer

    async def _command(self, command: bytes, shown: str) -> Answer:
        self._wire.write_line(command, shown)
        return await self._answer()

    async def _answer(self, *, greeting: bool = False) -> Answer:
        """Read a reply of one or more lines."""
        lines: list[str] = []
        texts: list[str] = []
        left = REPLY_LIMIT
        while True:
            line = self._wire.line_at_hand(kept=not greeting)
            if line is None:
                line = await self._wire.read_line(kept=not greeting)
            found = _LINE.fullmatch(line)
            if found is None:
                message = (
                    "What answers on this port is no SMTP server." if greeting else "The server's answer has no code."
                )
                raise Fault.found("NOT_MAIL" if greeting else "MALFORMED", message)
            if greeting:
                self._wire.keep(line)
            if lines and not lines[0].startswith(found["code"]):  # RFC 5321, section 4.2.1: which one would decide?
                raise Fault.found("MALFORMED", "The lines of the server's answer have different codes.")
            lines.append(line)
            texts.append(found["text"].strip())
            left -= len(line) + 2
            if left < 0:
                raise Fault.found("MALFORMED", f"The server's answer has more than {REPLY_LIMIT} bytes.")
            if found["more"] != "-":
                return Answer(int(found["code"]), "\n".join(lines), tuple(texts))


def _in_step(table_step: str, fault: Fault) -> Fault:
    fault.table_step = table_step
    return fault
