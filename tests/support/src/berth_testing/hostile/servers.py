"""What hostile servers do, and when."""

import asyncio
import base64
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from berth_testing.peers import CLOSE, START_TLS, STAY, Action, Answer, Script, drip, flood
from berth_testing.providers import UNKNOWN_SERVER

__all__ = ["HOSTILE", "Hostile"]


@dataclass(frozen=True, slots=True)
class Hostile:
    """A hostile server.

    Attributes:
        name: what it does.
        protocol: whom it pretends to be.
        script: what it says.
        tls: from the first byte, behind STARTTLS, or never.
        security: how the probe begins TLS.
    """

    name: str
    protocol: Literal["imap", "smtp"]
    script: Script
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    security: Literal["tls", "starttls", "auto"] = "tls"


async def _reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset."""
    writer.transport.abort()


def _slowly(words: bytes, pause: float = 0.02) -> Action:
    """The words again and again, one byte at a time."""

    async def action(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in itertools.cycle(words):
            if writer.is_closing():
                return
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(pause)

    return action


_NOISE: Final = random.Random(7).randbytes(4096)
#: What goes wrong at any place of an exchange.
_ANYWHERE: Final[dict[str, Answer]] = {
    "silence": STAY,
    "hang-up": CLOSE,
    "reset": _reset,
    "drip": drip(0.02),
    "drip of lines": _slowly(b"* OK still here\r\n"),
    "flood without lines": flood(b"x" * 4096),
    "flood of line ends": flood(b"\r\n" * 2048),
    "flood of noise": flood(_NOISE),
    "flood of NULs": flood(bytes(4096)),
    "half a line, then silence": b"* OK [CAPAB",
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", CLOSE),
}
#: Brackets in brackets in brackets, in base64: what a parser of JSON may not survive.
_NESTED: Final = base64.b64encode(b'{"a":' * 1000)
_IMAP_ANSWERS: Final[dict[str, Answer]] = {
    **_ANYWHERE,
    "flood of untagged lines": flood(b"* OK again\r\n" * 300),
    "flood of good-byes": flood(b"* BYE\r\n" * 300),
    "flood of literals": flood(b"* X {3}\r\nabc {3}\r\n" * 100),
    "endless literal": (b"* X {4294967295}\r\n", flood(b"x" * 4096)),
    "literal that never comes": b"* X {60000}\r\n",
    "literal of an unheard-of size": b"* X {999999999999}\r\n",
    "wrong tag": b"Z9 OK done\r\n",
    "tag of another case, no status": b"tag\r\n",
    "good-bye, then silence": b"* BYE leaving\r\n",
    "requests for more without end": flood(b"+ more\r\n" * 300),
    "a request for more": b"+ \r\n",
    "a challenge that is not ASCII": "+ größer\r\n".encode(),
    "a challenge that nests": b"+ " + _NESTED + b"\r\n",
}
_SMTP_ANSWERS: Final[dict[str, Answer]] = {
    **_ANYWHERE,
    "reply without end": flood(b"250-again\r\n" * 300),
    "greeting again": b"220 again\r\n",
    "a request for more": b"334 \r\n",
    "a challenge that is not ASCII": "334 größer\r\n".encode(),
    "a challenge that nests": b"334 " + _NESTED + b"\r\n",
    "requests for more without end": flood(b"334 \r\n" * 300),
    "codes that change": b"250-one\r\n535 two\r\n",
    "no code": b"OK\r\n",
    "a code of another alphabet": "٢٥٠ ok\r\n".encode(),
}
_TLS_GARBAGE: Final[dict[str, Answer]] = {
    "noise for a handshake": flood(_NOISE),
    "a drip for a handshake": drip(0.02),
    "silence for a handshake": STAY,
    "an alert for a handshake": (b"\x15\x03\x03\x00\x02\x02\x28", CLOSE),
    "half a ServerHello": b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(40),
    "a record of the longest length": b"\x16\x03\x03\xff\xff" + _NOISE,
    "records without content": flood(b"\x16\x03\x03\x00\x00" * 500),
    "a handshake message of 16 MB": (
        b"\x16\x03\x03\x40\x00\x02\xff\xff\xff",
        flood(b"\x16\x03\x03\x40\x00" + bytes(16384)),
    ),
    "a reset for a handshake": _reset,
}


def _hostile() -> Iterator[Hostile]:
    imap, smtp = UNKNOWN_SERVER.imap, UNKNOWN_SERVER.smtp
    for name, answer in _IMAP_ANSWERS.items():
        yield Hostile(f"imap greeting: {name}", "imap", Script(greeting=answer))
        for place, pattern in {
            "CAPABILITY": "CAPABILITY$",
            "AUTHENTICATE": "AUTHENTICATE ",
            "EXAMINE": "EXAMINE",
        }.items():
            yield Hostile(f"imap {place}: {name}", "imap", imap.but((rf" {pattern}", answer)))
        script = imap.but((r" STARTTLS$", answer))
        yield Hostile(f"imap STARTTLS: {name}", "imap", script, "starttls", "starttls")
    for name, answer in _SMTP_ANSWERS.items():
        yield Hostile(f"smtp greeting: {name}", "smtp", Script(greeting=answer))
        for place in ("EHLO", "AUTH", "NOOP"):
            yield Hostile(f"smtp {place}: {name}", "smtp", smtp.but((f"^{place}", answer)))
        yield Hostile(f"smtp STARTTLS: {name}", "smtp", smtp.but((r"^STARTTLS$", answer)), "starttls", "starttls")
    for name, answer in _TLS_GARBAGE.items():
        yield Hostile(f"tls: {name}", "imap", Script(greeting=answer), "none")
        yield Hostile(f"tls by auto: {name}", "smtp", Script(greeting=answer), "none", "auto")
        agreed = answer if isinstance(answer, tuple) else (b"", answer) if callable(answer) else (answer, STAY)
        yield Hostile(
            f"tls behind STARTTLS: {name}",
            "smtp",
            smtp.but((r"^STARTTLS$", (b"220 go\r\n" + agreed[0], agreed[1]))),
            "none",
            "starttls",
        )
    injected = {"imap": (imap, b"TAG OK go\r\n* PREAUTH injected\r\n"), "smtp": (smtp, b"220 go\r\n250 injected\r\n")}
    for protocol, (script, words) in injected.items():
        yield Hostile(
            f"{protocol} STARTTLS: injection",
            "imap" if protocol == "imap" else "smtp",
            script.but((r"STARTTLS$", (words, START_TLS))),
            "starttls",
            "starttls",
        )


#: All of them, each with a name of its own.
HOSTILE: Final = tuple(_hostile())
