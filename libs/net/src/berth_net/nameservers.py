"""Where a recursive name server is, and how it is spoken to."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal
from urllib.parse import urlsplit

from berth_net.hosts import HostRefused, canonical_name, literal_address

__all__ = ["Nameserver", "parse_nameserver"]

_PORTS: Final = {"udp": 53, "tls": 853, "https": 443}
_PORT_MAX: Final = 65_535
_SCHEME: Final = re.compile(r"([a-z]+)://(.*)", re.DOTALL)
_EXAMPLES: Final = "127.0.0.1:5353, tls://9.9.9.9 or https://dns.quad9.net/dns-query"


@dataclass(frozen=True, slots=True)
class Nameserver:
    """A recursive name server.

    Attributes:
        address: Its IP address; over HTTPS it may be a host name instead.
        port: Of UDP and TCP; of TCP alone for the others.
        transport: `udp` (with TCP for long answers), `tls` (RFC 7858) or `https` (RFC 8484).
        name: The name on its certificate, for TLS; empty: the address.
        path: Of the URL, for HTTPS.
    """

    address: str
    port: int = 53
    transport: Literal["udp", "tls", "https"] = "udp"
    name: str = ""
    path: str = ""

    def __str__(self) -> str:
        place = f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
        return place if self.transport == "udp" else f"{self.transport}://{place}{self.path}"


def parse_nameserver(text: str) -> Nameserver:
    """Read an entry of BERTH_DNS_SERVERS.

    `192.0.2.1:5353`, `[2001:db8::1]:5353` or an address alone (port 53); `tls://` before an address (port 853), with
    `#dns.example` behind it when its certificate carries that name instead of the address; or an `https://` URL.

    Raises:
        ValueError: it is none of these.
    """
    text = text.strip()
    scheme = _SCHEME.fullmatch(text)
    try:
        if scheme is None:
            return Nameserver(*_place(text, "udp"))
        if scheme[1] == "tls":
            place, _, name = scheme[2].partition("#")
            return Nameserver(*_place(place, "tls"), "tls", canonical_name(name) if name else "")
        if scheme[1] == "https":
            return _https(text)
    except (ValueError, HostRefused):
        pass
    shown = text.rpartition("@")[2]  # without what may be a password
    raise ValueError(f"{shown!r} is not a name server. Write address:port or a URL, for example {_EXAMPLES}.")


def _place(text: str, transport: Literal["udp", "tls"]) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or (":" in host and not host.endswith("]")):
        host, port = text, str(_PORTS[transport])
    return str(ip_address(host.strip("[]"))), _port(port)


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port <= _PORT_MAX:
        raise ValueError(text)
    return port


def _https(text: str) -> Nameserver:
    url = urlsplit(text)
    host = url.hostname or ""
    if url.username is not None or url.query or url.fragment or not url.path:
        raise ValueError(text)
    address = literal_address(host)
    return Nameserver(
        str(address) if address else canonical_name(host), url.port or _PORTS["https"], "https", path=url.path
    )
