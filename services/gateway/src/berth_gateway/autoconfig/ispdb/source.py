"""From a file of the ISPDB's source to what Berth keeps of it.

The format is https://wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat. Kept are IMAP and submission servers
that begin with TLS, one way or the other, and take a password or a token.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from berth_net import HostRefused, canonical_name

__all__ = ["AUTHENTICATIONS", "DOMAIN", "USERNAMES", "Entry", "EntryServer", "InvalidEntry", "read_entry"]

#: What stands in a host for the domain of the address.
DOMAIN: Final = "%EMAILDOMAIN%"
USERNAMES: Final = ("%EMAILADDRESS%", "%EMAILLOCALPART%", f"%EMAILLOCALPART%.{DOMAIN}")
AUTHENTICATIONS: Final = ("password-cleartext", "password-encrypted", "OAuth2")
#: In Thunderbird's order of preference; `plain` is none of them.
_SOCKETS: Final = ("SSL", "STARTTLS")
_MAX_PORT: Final = 65_535
#: An IMAP server at a port of submission is a slip, and the other way round.
_FOREIGN_PORTS: Final = {"imap": (25, 465, 587, 2525), "smtp": (110, 143, 993, 995)}


class InvalidEntry(ValueError):
    """The file is no entry of the ISPDB. Look at it; if it is right, the reader has to learn its form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryServer:
    """A server, in the words of the source.

    Attributes:
        host: may have `DOMAIN` in it.
        socket_type: SSL or STARTTLS.
        username: one of `USERNAMES`.
        authentication: of `AUTHENTICATIONS`, at least one, best first.
    """

    host: str
    port: int
    socket_type: str
    username: str
    authentication: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A mail service.

    Attributes:
        id: the source's, unique.
        name: for people.
        domains: of addresses, and of the hosts that take mail for other domains.
        imap: best first; may be none.
        smtp: best first; may be none.
        help_url: how to let programs in, or which servers there are; may be empty.
        left_out: why servers of the file are not kept.
    """

    id: str
    name: str
    domains: tuple[str, ...]
    imap: tuple[EntryServer, ...]
    smtp: tuple[EntryServer, ...]
    help_url: str
    left_out: tuple[str, ...]


class _WithoutDoctype(ET.TreeBuilder):
    """Entities are declared in a document type, so there is none."""

    def doctype(self, *_: object) -> None:
        raise InvalidEntry("It has a document type declaration, which no entry needs.")


def read_entry(document: bytes) -> Entry:
    """Read one file.

    Args:
        document: XML, in the encoding that it declares.

    Raises:
        InvalidEntry: it is not XML, has a document type, describes no service or more than one, or has no domain.
    """
    parser = ET.XMLParser(target=_WithoutDoctype())  # noqa: S314 - no DTD, so nothing is expanded or fetched
    try:
        root = ET.fromstring(document, parser=parser)  # noqa: S314 - likewise
    except (ET.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that is not known
        raise error if isinstance(error, InvalidEntry) else InvalidEntry(f"It is not XML: {error}.") from error
    providers = root.findall("emailProvider")
    if root.tag != "clientConfig" or len(providers) != 1:
        raise InvalidEntry("It is not a clientConfig with one emailProvider.")
    [provider] = providers
    identity = provider.get("id", "").strip()
    domains = tuple(dict.fromkeys(_domains(provider)))
    if not identity or not domains:
        raise InvalidEntry("The service has no id, or no domain.")
    name = _text(provider, "displayName")
    left_out: list[str] = []
    return Entry(
        id=identity,
        name=name if name and "%" not in name else identity,
        domains=domains,
        imap=_servers(provider, "incomingServer", "imap", left_out),
        smtp=_servers(provider, "outgoingServer", "smtp", left_out),
        help_url=_help_url(provider),
        left_out=tuple(left_out),
    )


def _domains(provider: ET.Element) -> Iterator[str]:
    for element in provider.findall("domain"):
        try:
            yield canonical_name((element.text or "").strip())
        except HostRefused as error:
            raise InvalidEntry(f"A domain is none: {element.text!r}.") from error


def _servers(
    provider: ET.Element, tag: str, protocol: Literal["imap", "smtp"], left_out: list[str]
) -> tuple[EntryServer, ...]:
    """Those of one protocol that are kept: implicit TLS first, else in the order of the file."""
    kept = []
    for element in provider.findall(tag):
        kind = element.get("type")
        reason = f"{kind} is not kept" if kind != protocol else _reason(element, protocol)
        if reason:
            left_out.append(reason)
        else:
            kept.append(_server(element))
    return tuple(sorted(dict.fromkeys(kept), key=lambda server: _SOCKETS.index(server.socket_type)))


def _reason(element: ET.Element, protocol: Literal["imap", "smtp"]) -> str:
    """Why a server is not kept; empty: it is."""
    port = _text(element, "port")
    number = int(port) if port.isascii() and port.isdecimal() and len(port) <= len(str(_MAX_PORT)) else 0
    if not 0 < number <= _MAX_PORT or number in _FOREIGN_PORTS[protocol]:
        return f"{protocol} is not at port {port or '(none)'}"
    if _text(element, "socketType") not in _SOCKETS:
        return f"{protocol} without TLS"
    if _text(element, "username") not in USERNAMES:
        return f"{protocol} with a user name that is not made from the address"
    if not _authentication(element):
        return f"{protocol} without password and token"
    try:
        canonical_name(_text(element, "hostname").replace(DOMAIN, "example.com"))
    except HostRefused:
        return f"{protocol} at no host name"
    return ""


def _server(element: ET.Element) -> EntryServer:
    host = _text(element, "hostname")
    return EntryServer(
        host=host if DOMAIN in host else canonical_name(host),
        port=int(_text(element, "port")),
        socket_type=_text(element, "socketType"),
        username=_text(element, "username"),
        authentication=_authentication(element),
    )


def _authentication(element: ET.Element) -> tuple[str, ...]:
    given = ((each.text or "").strip() for each in element.findall("authentication"))
    return tuple(dict.fromkeys(name for name in given if name in AUTHENTICATIONS))


def _help_url(provider: ET.Element) -> str:
    """How access is switched on, else the first page on the servers."""
    urls = [element.get("visiturl", "") for element in provider.findall("enable")]
    urls += [element.get("url", "") for element in provider.findall("documentation")]
    return next((url for url in map(str.strip, urls) if url.startswith(("https://", "http://")) and "%" not in url), "")


def _text(element: ET.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()
