"""What the header of an arrived message tells: by which way it came, who signed it, and what the receiving side made of it."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from publicsuffixlist import PublicSuffixList

from berth_connector.checkup.fields import (
    Hop,
    Signature,
    authserv_id,
    fields_of,
    hop_of,
    named_client,
    signature_of,
)
from berth_net import Address, is_routable

__all__ = ["Trace", "provider_of", "read"]

_MAX_RESULTS: Final = 2000
#: Servers that hand mail on inside of a service, from public addresses all the same.
_INSIDE: Final = (".prod.outlook.com",)
#: Writes Authentication-Results without saying so (learn.microsoft.com, "Anti-spam message headers").
_NAMELESS: Final = "outlook.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a header tells; what it does not is None or empty.

    Attributes:
        sending_ip: the address that handed the message to the receiving side. Not ours: a message that never left its
            server was handed over by nobody.
        hosts: names of those who sent it, the most telling first.
        signature: of the address's domain if there is one, else the first.
        results: as the receiving side wrote them.
    """

    sending_ip: Address | None
    hosts: tuple[str, ...]
    signature: Signature | None
    results: str | None


def read(header: bytes, *, domain: str, imap_host: str) -> Trace:
    """Read a header.

    Args:
        header: the fields Received, Authentication-Results, Received-SPF and DKIM-Signature, in order.
        domain: of the address.
        imap_host: where the message was found.
    """
    fields = fields_of(header)
    hops = [hop_of(value) for name, value in fields if name == "received"]
    place = next((number for number, hop in enumerate(hops) if _crosses(hop)), None)
    # what is above the crossing was added by the receiving side; where there is none, all is one side
    receiving = hops[: place + 1] if place is not None else hops
    ours = {_organization(host) for host in (domain, imap_host, *(hop.by for hop in receiving))} - {""}
    results = [value for name, value in fields if name == "authentication-results" and _is_of(authserv_id(value), ours)]
    verdicts = [*results, *(value for name, value in fields if name == "received-spf")]
    crossing = hops[place] if place is not None else None
    address = named_client(verdicts)
    if address is None or not is_routable(address):
        address = crossing.address if crossing else None
    signatures = [found for name, value in fields if name == "dkim-signature" and (found := signature_of(value))]
    return Trace(
        sending_ip=address,
        hosts=_senders(hops, crossing),
        signature=next(iter(sorted(signatures, key=lambda one: not _covers(one.domain, domain))), None),
        results="\n".join(results)[:_MAX_RESULTS] or None,
    )


def provider_of(hosts: Iterable[str]) -> str | None:
    """The mail service that the first known of these hosts belongs to."""
    services = _services()
    for host in hosts:
        labels = host.rstrip(".").lower().split(".")
        for start in range(len(labels)):
            if found := services.get(".".join(labels[start:])):
                return found
    return None


def _crosses(hop: Hop) -> bool:
    """Whether a mail server on the Internet handed the message over here."""
    if hop.submitted or hop.address is None or not is_routable(hop.address):
        return False
    return not (hop.helo.endswith(_INSIDE) and hop.by.endswith(_INSIDE))


def _senders(hops: list[Hop], crossing: Hop | None) -> tuple[str, ...]:
    """Of the crossing what the server noted of the client, then what it calls itself; then who took the message before."""
    below = hops[hops.index(crossing) + 1 :] if crossing else hops
    noted = [word.strip("[].,;") for word in crossing.client.split()] if crossing else []
    named = [*noted, *([crossing.helo] if crossing else []), *(hop.by for hop in below)]
    return tuple(host for host in named if "." in host)


def _is_of(writer: str, organizations: set[str]) -> bool:
    return _organization(writer) in organizations if writer else _NAMELESS in organizations


def _covers(signer: str, domain: str) -> bool:
    return _organization(signer) == _organization(domain)


def _organization(host: str) -> str:
    """The domain that somebody registered; the host itself when it is not below a public suffix, empty when it is no name."""
    return _suffixes().privatesuffix(host) or host if "." in host and ":" not in host else ""


@cache
def _suffixes() -> PublicSuffixList:
    """Made once: it takes a tenth of a second."""
    return PublicSuffixList()


@cache
def _services() -> dict[str, str]:
    text = (files("berth_connector.checkup") / "senders.csv").read_text(encoding="utf-8")
    return {row["domain"]: row["provider"] for row in csv.DictReader(text.splitlines())}
