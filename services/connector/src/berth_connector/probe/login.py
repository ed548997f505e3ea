"""What a verification signs in with."""

import base64
from dataclasses import dataclass, field
from typing import Final

from berth_connector.probe.faults import Fault
from berth_events.contracts import MailServer

__all__ = ["INLINE_LIMIT", "Login", "encoded", "plain_response"]

#: Longer SASL responses are sent on a line of their own: servers cut or misread long command lines (RFC 4954, section 4).
INLINE_LIMIT: Final = 500


@dataclass(frozen=True, slots=True)
class Login:
    """A server and the password of its user."""

    server: MailServer
    password: str = field(repr=False)

    def check(self) -> None:
        """Raises Fault when user name or password cannot be sent at all."""
        if "\0" in self.server.username + self.password:
            raise Fault.found("UNSENDABLE", "User name or password contains a NUL character.")


def encoded(text: str) -> bytes:
    """Base64 of the text in UTF-8."""
    return base64.b64encode(text.encode())


def plain_response(login: Login) -> bytes:
    """The SASL PLAIN response (RFC 4616), in base64."""
    return encoded(f"\0{login.server.username}\0{login.password}")
