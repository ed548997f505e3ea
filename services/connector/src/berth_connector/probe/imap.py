"""IMAP (RFC 3501) as far as a verification needs it.

Commands that do not depend on each other's answers are sent at once (section 5.5): each packet costs both sides.
"""

import asyncio
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from berth_connector.diagnosis import Origin
from berth_connector.origins import recognise
from berth_connector.probe.faults import Fault
from berth_connector.probe.login import Login
from berth_connector.probe.sasl import INLINE_LIMIT, acknowledgement, choose, cram_md5_response, initial_response
from berth_connector.probe.steplog import CONNECTION_ERRORS
from berth_connector.probe.wire import REPLY_LIMIT, Wire
from berth_connector.redaction import MARK

__all__ = ["ImapSession"]

_ID: Final = b'ID ("name" "Berth")'
#: After BYE a tagged reply may still come; some servers never close.
_BYE_GRACE_S: Final = 0.5
#: Longer strings are sent as literals: Dovecot drops a line with a quoted string of about 1,024 characters.
_QUOTED_LIMIT: Final = 500
_CAPABILITY: Final = "* CAPABILITY "
_LITERAL: Final = re.compile(r"\{(\d{1,12})\+?\}$")
_TOLD: Final = re.compile(r"\[CAPABILITY ([^\]]*)\]", re.IGNORECASE)
#: Servers say the same to everybody: their capabilities are kept once.
_REMEMBERED: Final = 128
_STATUSES: Final = frozenset({"ok", "no", "bad"})
_WELCOMES: Final = frozenset({"ok", "bye", "preauth"})
#: The folders for which a server may name a use (RFC 6154), without asking for all the others.
_SPECIAL_USE: Final = frozenset({"SPECIAL-USE", "LIST-EXTENDED"})
_LIST_SPECIAL: Final = b'LIST (SPECIAL-USE) "" "*"'
_SPECIAL: Final = re.compile(r"\\(All|Archive|Drafts|Flagged|Junk|Sent|Trash)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a command.

    Attributes:
        status: `ok`, `no` or `bad`; `+` when the server wants more.
        line: the decisive line.
        untagged: the lines before it.
    """

    status: str
    line: str
    untagged: tuple[str, ...]

    def refusal(self, message: str) -> Fault:
        """The answer as a fault. Untagged refusals and good-byes count when the decisive line says too little."""
        telling = [line for line in self.untagged if line.upper().startswith(("* NO", "* BAD", "* BYE"))]
        return Fault.refused("imap", message, self.line, *telling)


@lru_cache(_REMEMBERED)
def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


class ImapSession:
    """One IMAP connection. The server speaks first, and nothing is written before its greeting is known to be IMAP's."""

    __slots__ = ("_capabilities", "_commands", "_left", "_named", "_takes_id", "_told", "_wire")

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._commands = 0
        self._left = REPLY_LIMIT
        self._capabilities: frozenset[str] = frozenset()
        self._takes_id = False
        #: The greeting says which software it is, and none that is known by it wants ID.
        self._named = False
        #: What the server told unasked and cannot have been put into its mouth; empty when it has to be asked.
        self._told = ""

    async def greet(self) -> str:
        """Read the greeting. PREAUTH is refused: it rules out STARTTLS and proves no credential."""
        line = await self._wire.read_line(kept=False)
        first, _, rest = line.partition(" ")
        status = rest.partition(" ")[0].casefold()
        if first.casefold() == "+ok":
            raise Fault.refused("imap", "A POP3 server answers on this port.", line)
        if first != "*" or status not in _WELCOMES:
            raise Fault.found("NOT_MAIL", "What answers on this port is no IMAP server.")
        self._wire.keep(line)
        if status != "ok":
            raise Fault.refused("imap", "The server's greeting is no welcome.", line)
        self._named = recognise(Origin(), line).software is not None
        told = self._note_capabilities(line)
        if self._wire.tls is not None and any(word.startswith("AUTH=") for word in self._capabilities):
            self._told = told
        return line

    async def agree_on_tls(self) -> None:
        """Ask for STARTTLS, up to the server's agreement."""
        [tag] = self._send_together(b"CAPABILITY")
        await self._read_capabilities(tag)
        if "STARTTLS" not in self._capabilities:
            raise Fault.found("MISSING:STARTTLS", "The server does not offer STARTTLS on this port.")
        await self._done(self._send(b"STARTTLS", "STARTTLS"), "The server refused STARTTLS.")
        self._takes_id = False  # anybody may have said so

    async def capabilities(self) -> str:
        """What the server offers, and what it calls itself. What its greeting told is not asked for again."""
        unknown = [] if self._told else [b"CAPABILITY"]
        foretold = [_ID] if self._takes_id else []
        tags = self._send_together(*unknown, *foretold) if unknown or foretold else []
        offered = await self._read_capabilities(tags.pop(0)) if unknown else self._told
        if self._takes_id and not foretold:
            tags = self._send_together(_ID)
        names = [await self._read_name(tag) for tag in tags]
        return " ".join([offered, *names]).strip()

    async def authenticate(self, login: Login) -> str:
        """Sign in, with exactly one attempt. Returns the mechanism.

        AUTHENTICATE PLAIN comes first: it takes any user name and password, where LOGIN depends on quoting.
        """
        try:
            mechanism = choose(login, self._mechanisms())
        except Fault:
            if not self._told:
                raise
            [tag] = self._send_together(b"CAPABILITY")  # the greeting told only a part
            await self._read_capabilities(tag)
            mechanism = choose(login, self._mechanisms())
        if mechanism == "LOGIN":
            await self._login(login)
        elif mechanism == "CRAM-MD5":
            await self._cram_md5(login)
        else:
            await self._authenticate(mechanism, login)
        return mechanism

    async def finish(self, *, stay: bool = False) -> str:
        """Open the INBOX without changing a flag: EXAMINE, which is SELECT for reading. Then LOGOUT, unless we are to stay.

        Capabilities differ after login; they are asked for anew unless the server has told them by itself. ID is sent again
        where it was sent before, because NetEase wants it here.
        """
        if not self._told:
            [tag] = self._send_together(b"CAPABILITY")
            await self._read_capabilities(tag)
        identity = [_ID] if self._takes_id else []
        wanted = [] if stay or not self._capabilities.issuperset(_SPECIAL_USE) else [_LIST_SPECIAL]
        leave = [] if stay else [b"LOGOUT"]  # its answer is not worth waiting for
        tags = self._send_together(*identity, b"EXAMINE INBOX", *wanted, *leave)
        if identity:
            await self._read_name(tags.pop(0))
        await self._done(tags.pop(0), "Signed in, but the INBOX could not be opened.")
        return f"The INBOX can be opened.{await self._special_folders(tags[0]) if wanted else ''}"

    @property
    def offered(self) -> frozenset[str]:
        """The capabilities, in capitals, as they were told last."""
        return self._capabilities

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """Leave the signed-in connection to somebody else (`Wire.hand_over`)."""
        self._wire.hand_over(protocol)

    async def _read_capabilities(self, tag: bytes) -> str:
        answer = await self._done(tag, "The server does not tell its capabilities.")
        self._offer("")
        return self._take_capabilities(answer)

    def _take_capabilities(self, answer: Answer) -> str:
        lines = [line for line in map(str.upper, answer.untagged) if line.startswith(_CAPABILITY)]
        words = " ".join(line.removeprefix(_CAPABILITY) for line in lines)
        if words:
            self._offer(words)
        return words

    def _note_capabilities(self, line: str) -> str:
        """Take the capabilities that a server tells unasked; the words, none if it does not."""
        found = _TOLD.search(line)
        words = found[1].upper() if found else ""
        if words:
            self._offer(words)
        return words

    def _mechanisms(self) -> set[str]:
        offered = {word[5:] for word in self._capabilities if word.startswith("AUTH=") and word != "AUTH=LOGIN"}
        if "LOGINDISABLED" not in self._capabilities:
            offered.add("LOGIN")  # the command
        return offered

    def _offer(self, words: str) -> None:
        self._capabilities = _set_of(words)
        self._takes_id = self._takes_id or ("ID" in self._capabilities and not self._named)

    async def _special_folders(self, tag: bytes) -> str:
        """For which uses there are folders. A server that does not say does not fail for it."""
        try:
            answer = await self._answer(tag)
        except (Fault, *CONNECTION_ERRORS):
            return ""
        lists = [line for line in answer.untagged if line.upper().startswith("* LIST ")]
        uses = sorted({found[1].capitalize() for line in lists for found in _SPECIAL.finditer(line.partition(")")[0])})
        return f" There are folders for: {', '.join(uses)}." if uses else ""

    async def _read_name(self, tag: bytes) -> str:
        """The answer to ID; a server that minds is left alone."""
        answer = await self._answer(tag)
        return next((line[2:] for line in answer.untagged if line.upper().startswith("* ID ")), "")

    async def _authenticate(self, mechanism: str, login: Login) -> None:
        command = f"AUTHENTICATE {mechanism}"
        response = initial_response(mechanism, login)
        if "SASL-IR" in self._capabilities and len(response) <= INLINE_LIMIT:
            tag = self._send(command.encode() + b" " + response, f"{command} {MARK}")
        else:
            tag = self._send(command.encode(), command)
            await self._continue(tag)
            self._wire.write_line(response, MARK)
        await self._signed_in(tag, acknowledgement(mechanism))

    async def _cram_md5(self, login: Login) -> None:
        tag = self._send(b"AUTHENTICATE CRAM-MD5", "AUTHENTICATE CRAM-MD5")
        challenge = await self._continue(tag)
        self._wire.write_line(cram_md5_response(challenge, login), MARK)
        await self._signed_in(tag)

    async def _login(self, login: Login) -> None:
        command = b"LOGIN"
        shown = "LOGIN"
        tag = b""
        for argument in (login.server.username, login.password):
            raw = argument.encode()
            if len(raw) <= _QUOTED_LIMIT and argument.isascii() and argument.isprintable():
                command += b' "' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
                shown += f" {MARK}"
            else:
                command, shown = command + b" {%d}" % len(raw), f"{shown} {{{len(raw)}}}"
                tag = self._send_part(tag, command, shown)
                await self._continue(tag)
                command, shown = raw, MARK
        tag = self._send_part(tag, command, shown)
        await self._signed_in(tag)

    def _send_part(self, tag: bytes, part: bytes, shown: str) -> bytes:
        """Send a command, or its continuation when it has a tag already."""
        if not tag:
            return self._send(part, shown)
        self._wire.write_line(part, shown)
        return tag

    async def _signed_in(self, tag: bytes, ending: bytes = b"") -> None:
        answer = await self._answer(tag)
        challenge = ""
        if answer.status == "+":  # an error message to be acknowledged; then comes the refusal
            challenge = answer.line
            self._wire.write_line(ending, ending.decode())
            answer = await self._answer(tag)
        if answer.status == "+":
            raise Fault.found("MALFORMED", "The server asks for more than the mechanism has.")
        if answer.status != "ok":
            refusal = answer.refusal("The server refused the sign-in.")
            raise refusal.because("imap", challenge) if challenge else refusal
        self._told = self._note_capabilities(answer.line) or self._take_capabilities(answer)

    async def _done(self, tag: bytes, otherwise: str) -> Answer:
        """The answer to a command that has to succeed."""
        answer = await self._answer(tag)
        if answer.status != "ok":
            raise answer.refusal(otherwise)
        return answer

    async def _continue(self, tag: bytes) -> str:
        """Wait until the server wants more; what it says to that."""
        answer = await self._answer(tag)
        if answer.status != "+":
            raise answer.refusal("The server refused the sign-in.")
        return answer.line[1:].strip()

    def _next_tag(self) -> bytes:
        self._commands += 1
        return b"B%d" % self._commands

    def _send_together(self, *commands: bytes) -> list[bytes]:
        """Send commands that hold no secret; their tags."""
        lines = [(self._next_tag(), command) for command in commands]
        self._wire.write_lines([(line := b" ".join(tagged), line.decode()) for tagged in lines])
        return [tag for tag, _ in lines]

    def _send(self, command: bytes, shown: str) -> bytes:
        tag = self._next_tag()
        self._wire.write_line(tag + b" " + command, f"{tag.decode()} {shown}")
        return tag

    async def _answer(self, tag: bytes) -> Answer:
        """Read until the tagged line or a request for more."""
        self._left = REPLY_LIMIT
        untagged: list[str] = []
        answer = await self._read_answer(tag, untagged)
        if answer is not None:
            return answer
        try:
            async with asyncio.timeout(_BYE_GRACE_S):
                while answer is None:
                    answer = await self._read_answer(tag, untagged)
        except CONNECTION_ERRORS:
            good_bye = [line for line in untagged if line.upper().startswith("* BYE")]
            raise Fault.refused("imap", "The server said good-bye.", *good_bye) from None
        return answer

    async def _read_answer(self, tag: bytes, untagged: list[str]) -> Answer | None:
        """The answer to a command, or None at a good-bye."""
        expected = tag.decode().casefold()
        while True:
            line = self._wire.line_at_hand()
            if line is None:
                line = await self._wire.read_line()
            self._spend(len(line) + 2)
            if line.endswith("}"):
                line = await self._with_literals(line)
            first, _, rest = line.partition(" ")
            if first == "+":
                return Answer("+", line, tuple(untagged))
            status = rest.partition(" ")[0].casefold()
            if first == "*":
                untagged.append(line)
                if status == "bye":
                    return None
            elif first.casefold() == expected and status in _STATUSES:
                return Answer(status, line, tuple(untagged))
            else:
                raise Fault.found("MALFORMED", "The server's answer is no answer to the command.")

    async def _with_literals(self, part: str) -> str:
        """The response line that begins so, with the literals inside it."""
        line = part
        while part.endswith("}") and (found := _LITERAL.search(part)):
            size = int(found[1])
            self._spend(size)
            literal, part = await self._wire.read_exactly(size), await self._wire.read_line()
            self._spend(len(part) + 2)
            line += literal + part
        return line

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Fault.found("MALFORMED", f"The server's answer has more than {REPLY_LIMIT} bytes.")
