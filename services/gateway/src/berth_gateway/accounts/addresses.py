"""Email addresses as callers type them."""

import re
from dataclasses import dataclass
from typing import Final

from berth_net import HostRefused, canonical_name

__all__ = ["InvalidAddress", "MailAddress"]

_MAX_LOCAL_BYTES: Final = 64
#: No blanks, control characters, or the specials that would need quotes (RFC 5321 §4.1.2; RFC 6531 for other scripts).
_LOCAL: Final = re.compile(r'[^\x00-\x20\x7f-\x9f"(),:;<>@\[\\\]\s\ud800-\udfff]+')


class InvalidAddress(ValueError):
    """This is not an email address. Write it as name@example.com."""


@dataclass(frozen=True, slots=True)
class MailAddress:
    """A checked address.

    Attributes:
        text: as it was typed, without blanks around it.
        domain: in A-label form.
    """

    text: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> "MailAddress":
        """Check an address: one @, a local part of up to 64 bytes without quotes, and a domain name.

        Raises:
            InvalidAddress: it is none.
        """
        stripped = text.strip()
        local, _, domain = stripped.rpartition("@")
        if not _LOCAL.fullmatch(local) or len(local.encode()) > _MAX_LOCAL_BYTES or ".." in f".{local}.":
            raise InvalidAddress("The part before the @ is missing or has characters that addresses do not have.")
        try:
            canonical = canonical_name(domain)
        except HostRefused as error:
            raise InvalidAddress("The part behind the @ is not a domain name.") from error
        if "." not in canonical:
            raise InvalidAddress("The part behind the @ is not a full domain name.")
        return cls(stripped, canonical)

    @property
    def key(self) -> str:
        """What is unique within a project."""
        return f"{self.text.rpartition('@')[0].lower()}@{self.domain}"
