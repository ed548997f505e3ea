"""The access tokens that were given, and which mailboxes each opens: what mail servers ask."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Refusal", "TokenBook"]

#: Of a token's end: names its file.
_NAME_LENGTH: Final = 60


class Refusal(Exception):
    """The identity provider gives no token: its error as it is sent, with the status.

    Attributes:
        error: OAuth's `error`.
        description: OAuth's `error_description`.
        status: of HTTP.
        more: further fields of the answer.
    """

    def __init__(self, error: str, description: str, *, status: int = 400, more: dict[str, Any] | None = None) -> None:
        super().__init__(f"{error}: {description}")
        self.error, self.description, self.status, self.more = error, description, status, more or {}

    def body(self) -> dict[str, Any]:
        """The answer."""
        return {"error": self.error, "error_description": self.description, **self.more}


@dataclass(frozen=True, slots=True)
class _Issued:
    mailboxes: frozenset[str]
    expires_at: float


class TokenBook:
    """Knows every token that was given.

    Args:
        now: seconds since 1970.
        directory: where each token also has a file, for servers that cannot ask: its first line is the whole token, the
            others are the mailboxes that it opens; the file is named by the end of the token.
    """

    def __init__(self, now: Callable[[], float] = time.time, directory: Path | None = None) -> None:
        self._now, self._directory = now, directory
        self._issued: dict[str, _Issued] = {}

    def issue(self, token: str, mailboxes: Iterable[str], expires_at: float) -> str:
        """Remember a token, and give it back."""
        opened = frozenset(address.lower() for address in mailboxes)
        self._issued[token] = _Issued(opened, expires_at)
        if self._directory is not None:
            (self._directory / token[-_NAME_LENGTH:]).write_text("\n".join([token, *sorted(opened), ""]))
        return token

    def opens(self, token: str, address: str) -> bool:
        """Whether the token opens the mailbox now."""
        return address.lower() in self.mailboxes(token)

    def mailboxes(self, token: str) -> Collection[str]:
        """What the token opens now."""
        issued = self._issued.get(token)
        return issued.mailboxes if issued and self._now() < issued.expires_at else frozenset()

    def introspect(self, token: str) -> dict[str, Any]:
        """What a mail server is told about a token (RFC 7662). One for many mailboxes names none of them."""
        opened = self.mailboxes(token)
        if len(opened) != 1:
            return {"active": False}
        return {"active": True, "username": next(iter(opened)), "scope": "mail"}
