"""From a server's raw words to what the table of diagnoses looks at: code tokens, and text without variable parts."""

import base64
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["Reply", "fold", "parse_reply"]

#: No more of a reply is looked at: what matters stands at its beginning, and the rest is a flood.
_MAX_RAW: Final = 8000
_MAX_LINES: Final = 24
_MAX_TEXT: Final = 600
#: Host, session and trace: more suffixes than so many are not stacked.
_MAX_SUFFIXES: Final = 4
#: Host, session and time at the end of a text, which differ from reply to reply.
_SUFFIXES: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\s*\[[a-z0-9]+\.[a-z0-9.-]*outlook\.com(?:\s[^\]]*)?\]\s*$",  # Microsoft: [host time id]
        r"\s*\[[a-z0-9.-]+:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]\s*$",  # Dovecot: [host:time]
        r"(?:\s+(?=\S*\d)[^\s/]+)?(?:\s+-)?\s+[gn]smtp\s*$",  # Google, Naver: session id
        r"\s+sc=\S*\s*$",  # Yandex: session code
        r"\s*(?:trace id|correlation id|timestamp):.*$",  # Entra
        r"\s*\(_ssl\.c:\d+\)\s*$",  # CPython
    )
)
_STATUS: Final = r"NO|BAD|BYE|OK|PREAUTH"
_IMAP: Final = re.compile(
    rf"(?:(?P<status>{_STATUS})\b\s*)?(?:\[(?P<code>[^\]\s]+)(?:\s[^\]]*)?\]\s*)?(?P<text>.*)",
    re.IGNORECASE | re.DOTALL,
)
_IMAP_TAG: Final = re.compile(rf"\A\S+\s+(?=(?:{_STATUS})\b)", re.IGNORECASE)
_SMTP: Final = re.compile(
    r"(?:(?P<code>\d{3})(?=[ -]|$)[ -]?)?(?:(?P<enhanced>\d\.\d{1,3}\.\d{1,3})(?=\s|$))?\s*(?P<text>.*)", re.DOTALL
)
_POP3: Final = re.compile(
    r"(?P<status>-ERR|\+OK)\s*(?:\[(?P<code>[^\]]+)\]\s*)?(?P<text>.*)", re.DOTALL | re.IGNORECASE
)
_AADSTS: Final = re.compile(r"AADSTS\d+", re.IGNORECASE)
_HTTP_ERROR: Final = re.compile(
    r"(?:(?P<status>\d{3})\s+)?(?:(?P<error>[A-Za-z_]+):\s+)?(?:AADSTS\d+:\s*)?(?P<text>.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a server, or one finding of our own.

    Attributes:
        tokens: status, response code, enhanced code, OAuth error: whatever the protocol has, in lower case.
        text: the human text, folded.
    """

    tokens: frozenset[str]
    text: str

    @classmethod
    def of(cls, tokens: Iterable[str | None], text: str = "") -> "Reply":
        """A reply from tokens, of which some may be missing, and a raw text."""
        return cls(frozenset(token.lower() for token in tokens if token), fold(text))


def fold(text: str) -> str:
    """Collapse white space and cut the variable suffixes, of which several may be stacked, and what is too long."""
    folded = " ".join(text[:_MAX_RAW].split())[:_MAX_TEXT]
    for _ in range(_MAX_SUFFIXES):
        shorter = folded
        for suffix in _SUFFIXES:
            shorter = suffix.sub("", shorter)
        if shorter == folded:
            break
        folded = shorter
    return folded


def parse_reply(protocol: str, raw: str) -> Reply:
    """Take a raw reply apart.

    Args:
        protocol: `imap`, `smtp`, `pop3`, `oauth` (a token endpoint's body) or `gmail_api`.
        raw: the whole reply, all its lines; an IMAP tag may be there or not.
    """
    bounded = raw if protocol in _BODIES else raw[:_MAX_RAW]
    return _PARSERS[protocol](bounded.strip())


def _challenge(raw: str) -> Reply:
    """A SASL challenge, `+ base64` or `334 base64`: the JSON inside says why a token is refused."""
    lead, _, encoded = raw.partition(" ")
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except ValueError:  # not base64, or not UTF-8
        return Reply.of([lead], encoded)
    try:
        status = str(json.loads(text).get("status", ""))
    except (ValueError, AttributeError, RecursionError):  # the last by brackets in brackets in brackets
        status = None
    return Reply.of([lead, status], text)


def _imap(raw: str) -> Reply:
    if raw.startswith("+OK"):  # POP3 on an IMAP port
        return Reply.of(["+OK"], raw[3:])
    if raw.startswith("+"):
        return _challenge(raw)
    found = _matched(_IMAP, raw)
    if not found["status"] and not found["code"]:
        found = _matched(_IMAP, _IMAP_TAG.sub("", raw, count=1))
    return Reply.of([found["status"], found["code"]], found["text"])


def _smtp(raw: str) -> Reply:
    if raw.startswith("334 "):
        return _challenge(raw)
    lines = [_matched(_SMTP, line) for line in raw.splitlines()[:_MAX_LINES]]
    tokens = [line[group] for line in lines for group in ("code", "enhanced")]
    return Reply.of(tokens, " ".join(line["text"] for line in lines))


def _pop3(raw: str) -> Reply:
    found = _POP3.match(raw)
    return Reply.of([found["status"], found["code"]], found["text"]) if found else Reply.of([], raw)


def _http(raw: str) -> Reply:
    numbers = _AADSTS.findall(raw)
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict) and isinstance(body.get("error"), str):
        codes = body.get("error_codes")
        numbers += [f"AADSTS{number}" for number in codes] if isinstance(codes, list) else []
        return Reply.of([*numbers, body["error"]], str(body.get("error_description", "")))
    found = _matched(_HTTP_ERROR, raw)
    return Reply.of([*numbers, found["status"], found["error"]], found["text"])


def _matched(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.match(text)
    if found is None:  # every group of these patterns is optional
        raise AssertionError(pattern.pattern)
    return found


#: Protocols whose replies are JSON, which cannot be cut; who reads them has bounded them.
_BODIES: Final = frozenset({"oauth", "gmail_api"})
_PARSERS: Final[dict[str, Callable[[str], Reply]]] = {
    "imap": _imap,
    "smtp": _smtp,
    "pop3": _pop3,
    "oauth": _http,
    "gmail_api": _http,
}
