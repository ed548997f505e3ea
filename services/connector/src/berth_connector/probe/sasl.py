"""SASL mechanisms (RFC 4422): which one is used, and what it says. The same for IMAP and SMTP."""

import base64
import hmac
from collections.abc import Set as AbstractSet
from typing import Final

from berth_connector.probe.faults import Fault
from berth_connector.probe.login import Login

__all__ = ["INLINE_LIMIT", "acknowledgement", "choose", "cram_md5_response", "encoded", "initial_response"]

#: Longer SASL responses are sent on a line of their own: servers cut or misread long command lines (RFC 4954, section 4).
INLINE_LIMIT: Final = 500
#: The names of the mechanisms, the best first. CRAM-MD5 comes last: what it hides from the line TLS hides as well.
_FOR_PASSWORDS: Final = {"plain": "PLAIN", "login": "LOGIN", "cram_md5": "CRAM-MD5"}
_FOR_TOKENS: Final = {"xoauth2": "XOAUTH2", "oauthbearer": "OAUTHBEARER"}


def choose(login: Login, offered: AbstractSet[str]) -> str:
    """The mechanism to sign in with.

    Args:
        login: names one, or `auto`: the best for a password that the server offers.
        offered: by the server.

    Raises:
        Fault: the server does not offer it.
    """
    known = _FOR_TOKENS if login.bearer else _FOR_PASSWORDS
    wanted = known.values() if login.server.mechanism == "auto" else [known[login.server.mechanism]]
    for name in wanted:
        if name in offered:
            return name
    proof = "an access token" if login.bearer else "a password"
    raise Fault.found("MISSING:AUTH", f"The server offers no way to sign in with {proof}: {', '.join(wanted)}.")


def initial_response(mechanism: str, login: Login) -> bytes:
    """What the client says first, in base64.

    PLAIN is RFC 4616, OAUTHBEARER RFC 7628, XOAUTH2 Google's and Microsoft's own.
    """
    user, secret, server = login.server.username, login.password, login.server
    if mechanism == "XOAUTH2":
        return encoded(f"user={user}\1auth=Bearer {secret}\1\1")
    if mechanism == "OAUTHBEARER":
        name = user.replace("=", "=3D").replace(",", "=2C")
        return encoded(f"n,a={name},\1host={server.host}\1port={server.port}\1auth=Bearer {secret}\1\1")
    return encoded(f"\0{user}\0{secret}")


def acknowledgement(mechanism: str) -> bytes:
    """The answer to a server that says why it refuses a token: an empty line, but for OAUTHBEARER a dummy (RFC 7628, 3.2.3)."""
    return encoded("\1") if mechanism == "OAUTHBEARER" else b""


def cram_md5_response(challenge: str, login: Login) -> bytes:
    """The answer to CRAM-MD5's challenge (RFC 2195).

    Args:
        challenge: in base64, as the server sent it.
        login: the password is not sent, but a digest of it.

    Raises:
        Fault: it is not base64.
    """
    try:
        text = base64.b64decode(challenge, validate=True)
    except ValueError as error:
        raise Fault.found("MALFORMED", "The server's CRAM-MD5 challenge is not base64.") from error
    return encoded(f"{login.server.username} {hmac.new(login.password.encode(), text, 'md5').hexdigest()}")


def encoded(text: str) -> bytes:
    """Base64 of the text in UTF-8."""
    return base64.b64encode(text.encode())
