"""Which texts are host names.

System resolvers read `127.1`, `0x7f.1`, `2130706433`, circled digits, and an address with a NUL and a name behind it as
loopback, so a name is brought to its one canonical form and checked before anybody resolves it.
"""

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

import idna

from berth_net.addresses import Address

__all__ = ["HostRefused", "canonical_name", "is_private_name", "literal_address"]

_MAX_NAME: Final = 253
#: A bulk import names one host ten thousand times.
_REMEMBERED: Final = 1024
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
#: Names that public DNS does not serve; `.svc` and `.cluster.local` are Kubernetes'.
_PRIVATE_SUFFIXES: Final = (".local", ".internal", ".localhost", ".lan", ".home.arpa", ".arpa", ".svc")


class HostRefused(ValueError):
    """Berth does not connect to this host. Name a public server, or have the operator allow its network."""


@lru_cache(_REMEMBERED)
def literal_address(host: str) -> Address | None:
    """The IP address that the text spells, with or without brackets; None when it is something else.

    Only the usual spellings count: `0x7f.1` is not an address here, and not a host name either.
    """
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return ip_address(bare)
    except ValueError:
        return None


@lru_cache(_REMEMBERED)
def canonical_name(host: str) -> str:
    """The A-label form of a host name: lower case, no final dot.

    Args:
        host: what a user typed; international names are mapped by UTS 46 and encoded by IDNA 2008.

    Raises:
        HostRefused: not a host name: characters other than letters, digits and hyphens, a label of more than 63 or a
            name of more than 253 characters, or a last label that does not begin with a letter, as in numbers.
    """
    if len(host) > _MAX_NAME + 1:
        raise HostRefused(f"The host name is longer than {_MAX_NAME} characters. Check its spelling.")
    name = host
    if not host.isascii():
        try:
            name = idna.encode(host, uts46=True, transitional=False).decode("ascii")
        except idna.IDNAError as error:
            raise HostRefused(
                "The host name has characters that international names may not have. Check its spelling."
            ) from error
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise HostRefused(
            "The host is not a host name: labels of at most 63 letters, digits and hyphens, with dots between them. "
            "Enter it without scheme, port, path or blanks, for example imap.example.com."
        )
    if not labels[-1][0].isalpha():
        raise HostRefused("The host is a number, not a name. Enter the server's name, for example imap.example.com.")
    return name


def is_private_name(name: str) -> bool:
    """Whether the canonical name is one that only a private network can know: a single label or a special suffix."""
    return "." not in name or f".{name}".endswith(_PRIVATE_SUFFIXES)
