"""URLs that users name, in one reading: what is vetted is what is asked."""

import re
from dataclasses import dataclass
from typing import Final, Literal, cast
from urllib.parse import quote, urlsplit

__all__ = ["InvalidUrl", "WebUrl"]

Scheme = Literal["http", "https"]

_MAX_LENGTH: Final = 2000
_PORTS: Final = {"http": 80, "https": 443}
#: Two programs read these differently: Python drops tabs and line ends, browsers take `\` for `/`.
_AMBIGUOUS: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\\s\ud800-\udfff]")
#: What a path and a query may have besides letters and digits (RFC 3986), and the % of what is encoded already.
_SAFE: Final = "/?%:@!$&'()*+,;=-._~"


class InvalidUrl(ValueError):
    """This is not a URL that can be asked. Write it as https://host/path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebUrl:
    """A URL taken apart.

    Attributes:
        host: as it was typed, in lower case and without brackets; whoever connects checks it.
        target: path and query, encoded; may hold a secret.
    """

    scheme: Scheme
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, text: str) -> "WebUrl":
        """Take a URL apart.

        Raises:
            InvalidUrl: not an http or https URL with a host, or one with a user name, a fragment, blanks or backslashes.
        """
        if len(text) > _MAX_LENGTH:
            raise InvalidUrl(f"The URL is longer than {_MAX_LENGTH} characters. Use a shorter one.")
        if _AMBIGUOUS.search(text):
            raise InvalidUrl("The URL has blanks, backslashes or control characters. Encode or remove them.")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise InvalidUrl("The host or the port of the URL is malformed. Check its spelling.") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise InvalidUrl("The URL is not one of http or https with a host. Write it as https://host/path.")
        if "@" in parts.netloc:
            raise InvalidUrl("The URL has a user name. Remove what stands before the @ of the host.")
        if "#" in text:
            raise InvalidUrl("The URL has a fragment, which servers never see. Remove what stands behind the #.")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(
            scheme=cast("Scheme", parts.scheme),
            host=parts.hostname,
            port=_PORTS[parts.scheme] if port is None else port,
            target=quote(target, safe=_SAFE),
        )

    @property
    def authority(self) -> str:
        """Host and port as a Host header has them (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    def __repr__(self) -> str:
        return f"WebUrl({self.scheme}://{self.authority}/…)"
