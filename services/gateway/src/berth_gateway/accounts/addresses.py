"""Email addresses as callers type them."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from berth_net import HostRefused, canonical_name

__all__ = ["InvalidAddress", "MailAddress"]

_MAX_LOCAL_BYTES: Final = 64
#: A path of 256 octets without its angle brackets (RFC 5321, section 4.5.3.1.3).
_MAX_BYTES: Final = 254
#: No blanks, control characters, or the specials that would need quotes (RFC 5321 §4.1.2; RFC 6531 for other scripts).
_LOCAL: Final = re.compile(r'[^\x00-\x20\x7f-\x9f"(),:;<>@\[\\\]\s\ud800-\udfff]+')


class InvalidAddress(ValueError):
    """This is not an email address. Write it as name@example.com."""


@dataclass(frozen=True, slots=True)
class MailAddress:
    """A checked address.

    Attributes:
        text: as it was typed, without blanks around it and a dot behind it, in Unicode's form NFC (RFC 6532, section 3.1).
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
        stripped = unicodedata.normalize("NFC", text.strip().removesuffix("."))
        if not stripped.isprintable():
            raise InvalidAddress("There are characters in it that are not visible.")
        local, at, domain = stripped.rpartition("@")
        if not at:
            raise InvalidAddress("There is no @ in it.")
        _check_local(local)
        if not domain:
            raise InvalidAddress("The part behind the @ is missing.")
        try:
            canonical = canonical_name(domain)
        except HostRefused as error:
            raise InvalidAddress("The part behind the @ is not a domain name.") from error
        if "." not in canonical:
            raise InvalidAddress("The part behind the @ is not a full domain name.")
        if len(local.encode()) + 1 + len(canonical) > _MAX_BYTES:
            raise InvalidAddress(f"The address is longer than {_MAX_BYTES} bytes.")
        return cls(stripped, canonical)

    @property
    def key(self) -> str:
        """What is unique within a project."""
        return f"{unicodedata.normalize('NFC', self.text.rpartition('@')[0].lower())}@{self.domain}"


def _check_local(local: str) -> None:
    if not local:
        raise InvalidAddress("The part before the @ is missing.")
    if local.startswith('"'):
        raise InvalidAddress("The part before the @ is in quotes. Berth connects no such addresses.")
    if "@" in local:
        raise InvalidAddress("There is more than one @ in it.")
    if not _LOCAL.fullmatch(local):
        raise InvalidAddress("The part before the @ has characters that addresses do not have.")
    if len(local.encode()) > _MAX_LOCAL_BYTES:
        raise InvalidAddress(f"The part before the @ is longer than {_MAX_LOCAL_BYTES} bytes.")
    if ".." in f".{local}.":
        raise InvalidAddress("The part before the @ begins or ends with a dot, or has two in a row.")
