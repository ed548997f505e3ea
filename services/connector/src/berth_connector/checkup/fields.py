"""Header fields of a message, which strangers wrote: nothing here raises, and all of it takes linear time."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from email.policy import compat32
from ipaddress import ip_address
from typing import Final

from berth_connector.probe.steplog import clean
from berth_net import Address, HostRefused, canonical_name

__all__ = ["Hop", "Signature", "authserv_id", "fields_of", "hop_of", "named_client", "signature_of"]

_MAX_FIELDS: Final = 200
_MAX_VALUE: Final = 4000
_MAX_SELECTOR: Final = 63
_BRACKETED: Final = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f.:]{2,45})\]", re.IGNORECASE)
_BARE: Final = re.compile(r"(?<![\w.:-])([0-9A-Fa-f.:]{3,45})(?![\w.:-])")
_CLIENT: Final = re.compile(
    r"(?:\bclient-ip=|\bsmtp\.remote-ip=|\bpolicy\.iprev=|\bsender ip is )\[?([0-9A-Fa-f.:]{2,45})", re.IGNORECASE
)
_KEYWORDS: Final = frozenset({"from", "by", "via", "with", "id", "for"})
#: The protocols of RFC 3848 and RFC 6531 that say that the client had signed in, and those of web mail.
_SUBMITTED: Final = re.compile(r"(?:UTF8)?(?:E?SMTP|LMTP)S?A|HTTPS?", re.IGNORECASE)
_SELECTOR: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One Received field (RFC 5321, section 4.4): who handed the message to whom. What it does not tell is empty.

    Attributes:
        helo: the name that the client gave itself.
        client: what the server noted of the client beside it.
        address: the client's.
        by: the server.
        submitted: the client had signed in, or was a browser: it is no mail server.
    """

    helo: str = ""
    client: str = ""
    address: Address | None = None
    by: str = ""
    submitted: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """What a DKIM-Signature field names: `d=` and `s=`, in lower case."""

    domain: str
    selector: str


def fields_of(header: bytes) -> list[tuple[str, str]]:
    """Names in lower case and values of the first fields, unfolded, printable and bounded, in order."""
    found = BytesHeaderParser(policy=compat32).parsebytes(header).items()
    return [(name.lower(), clean(str(value)[:_MAX_VALUE])) for name, value in found[:_MAX_FIELDS]]


def hop_of(received: str) -> Hop:
    """Read a Received field, of whichever server's making."""
    said: dict[str, str] = {}
    noted: dict[str, list[str]] = {}
    keyword = ""
    for is_comment, text in _parts(received):
        if is_comment:
            noted.setdefault(keyword, []).append(text)
            continue
        for word in text.partition(";")[0].split():
            if word.lower() in _KEYWORDS and word.lower() not in said:
                keyword = word.lower()
                said[keyword] = ""
            elif keyword and not said[keyword]:
                said[keyword] = word
        if ";" in text:
            break
    helo, client = said.get("from", ""), " ".join(noted.get("from", ()))
    with_ = said.get("with", "")
    return Hop(
        helo=helo.strip("[]").lower(),
        client=client,
        address=_address_in([client, helo]),
        by=said.get("by", "").strip("[]").lower(),
        submitted=bool(_SUBMITTED.fullmatch(with_)),
    )


def authserv_id(results: str) -> str:
    """Who wrote an Authentication-Results field (RFC 8601, section 2.2); empty when it does not say, as Microsoft's."""
    first = next((text for is_comment, text in _parts(results) if not is_comment and text.strip()), "")
    word = next(iter(first.partition(";")[0].split()), "")
    return "" if "=" in word else word.strip('"').rstrip(".").lower()


def named_client(texts: Iterable[str]) -> Address | None:
    """The client's address that the first of these fields names (Authentication-Results, Received-SPF)."""
    for text in texts:
        found = _CLIENT.search(text)
        address = _address(found[1].rstrip(".:")) if found else None
        if address is not None:
            return address
    return None


def signature_of(value: str) -> Signature | None:
    """What a DKIM-Signature field (RFC 6376, section 3.5) names; None when it names nothing that can be looked up."""
    tags: dict[str, str] = {}
    for tag in value.split(";"):
        name, _, text = tag.partition("=")
        tags.setdefault(name.strip(), "".join(text.split()))
    selector = tags.get("s", "").lower()
    try:
        domain = canonical_name(tags.get("d", ""))
    except HostRefused:
        return None
    if not _SELECTOR.fullmatch(selector) or any(not 0 < len(part) <= _MAX_SELECTOR for part in selector.split(".")):
        return None
    return Signature(domain, selector)


def _parts(value: str) -> Iterator[tuple[bool, str]]:
    """The text outside and inside of comments (RFC 5322, section 3.2.2) in turn: (is a comment, text)."""
    depth, begun = 0, 0
    for place, character in enumerate(value):
        if character == "(":
            if depth == 0:
                yield False, value[begun:place]
                begun = place + 1
            depth += 1
        elif character == ")" and depth:
            depth -= 1
            if depth == 0:
                yield True, value[begun:place]
                begun = place + 1
    yield depth > 0, value[begun:]


def _address_in(texts: Iterable[str]) -> Address | None:
    """The first address: one in brackets before one without, and that without a port."""
    texts = list(texts)
    for pattern in (_BRACKETED, _BARE):
        for text in texts:
            for found in pattern.finditer(text):
                address = _address(found[1])
                if address is not None:
                    return address
    return None


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
