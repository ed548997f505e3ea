"""Who signs in, read from what the client sends: IMAP's LOGIN and AUTHENTICATE (RFC 3501), SMTP's AUTH (RFC 4954)."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Ask", "SignIn", "imap_sign_in", "smtp_sign_in"]

#: Sends a request for more, and gives the client's next line without its end.
Ask = Callable[[bytes], Awaitable[bytes]]

_AUTHENTICATE: Final = re.compile(rb"\S+ AUTHENTICATE (\S+)(?: (\S+))?", re.IGNORECASE)
_LOGIN: Final = re.compile(rb"\S+ LOGIN (.*)", re.IGNORECASE)
_LITERAL: Final = re.compile(rb"\{(\d+)(\+?)\}$")
_STRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"|(\S+)')
_AUTH: Final = re.compile(rb"AUTH (\S+)(?: (\S+))?", re.IGNORECASE)
#: The user inside XOAUTH2 and inside OAUTHBEARER (RFC 7628, section 3.1), and the token inside both.
_TOKEN_USER: Final = re.compile(rb"(?:^user=|^n,a=)([^\x01,]*)")
_TOKEN: Final = re.compile(rb"\x01auth=Bearer ([^\x01]*)\x01", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SignIn:
    """What the client shows.

    Attributes:
        user: as it was sent.
        secret: a password or an access token.
        by_token: which of them.
    """

    user: str
    secret: str = field(repr=False)
    by_token: bool


async def imap_sign_in(line: bytes, ask: Ask) -> SignIn | None:
    """The sign-in that a line begins, read to its end; None when it begins none."""
    if found := _AUTHENTICATE.fullmatch(line):
        return _by_mechanism(found[1], found[2] or await ask(b"+ \r\n"))
    if found := _LOGIN.fullmatch(line):
        user, password = await _strings(found[1], ask)
        return SignIn(user, password, by_token=False)
    return None


async def smtp_sign_in(line: bytes, ask: Ask) -> SignIn | None:
    """The sign-in that a line begins, read to its end; None when it begins none."""
    found = _AUTH.fullmatch(line)
    if not found:
        return None
    if found[1].upper() == b"LOGIN":
        user = _decoded(found[2] or await ask(b"334 VXNlcm5hbWU6\r\n"))
        password = _decoded(await ask(b"334 UGFzc3dvcmQ6\r\n"))
        return SignIn(_text(user), _text(password), by_token=False)
    return _by_mechanism(found[1], found[2] or await ask(b"334 \r\n"))


def _by_mechanism(mechanism: bytes, response: bytes) -> SignIn:
    decoded = _decoded(response)
    if mechanism.upper() in (b"XOAUTH2", b"OAUTHBEARER"):
        user, token = _TOKEN_USER.search(decoded), _TOKEN.search(decoded)
        return SignIn(_text(user[1]) if user else "", _text(token[1]) if token else "", by_token=True)
    _, _, rest = decoded.partition(b"\0")  # PLAIN (RFC 4616)
    user_name, _, password = rest.partition(b"\0")
    return SignIn(_text(user_name), _text(password), by_token=False)


async def _strings(text: bytes, ask: Ask) -> tuple[str, str]:
    """The two arguments of LOGIN: atoms, quoted strings or literals."""
    found: list[bytes] = []
    while text:
        if literal := _LITERAL.match(text):
            text = await ask(b"" if literal[2] else b"+ \r\n")
            size = int(literal[1])
            argument, text = text[:size], text[size:]
        elif string := _STRING.match(text):
            argument = string[2] if string[1] is None else re.sub(rb"\\(.)", rb"\1", string[1])
            text = text[string.end() :]
        else:
            break
        found.append(argument)
        text = text.lstrip(b" ")
    user, password = (*found, b"", b"")[:2]
    return _text(user), _text(password)


def _decoded(response: bytes) -> bytes:
    try:
        return base64.b64decode(response, validate=True)
    except binascii.Error:
        return b""


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
