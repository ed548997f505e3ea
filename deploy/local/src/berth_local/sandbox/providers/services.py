"""Which hosts and domains are a provider's: as the gateway's table of mail services (`services.csv`) has them."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from berth_local.sandbox.hosts import GOOGLE_DOMAIN, MICROSOFT_DOMAIN
from berth_local.sandbox.providers.speakers import PROVIDERS

__all__ = ["Service", "services"]

#: Services of the gateway's table that the table of diagnoses has under another name.
_SPEAKERS: Final = {"outlook": "microsoft", "aol": "yahoo"}
#: The sandbox's own domains that have their mailboxes at a provider, by its mail exchange.
_CUSTOMERS: Final = {"l.google.com": GOOGLE_DOMAIN, "mail.protection.outlook.com": MICROSOFT_DOMAIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One line of the gateway's table: domains whose mailboxes are on the same servers.

    Attributes:
        provider: who speaks there, by its name in the table of diagnoses.
        domains: of addresses; each name before the @ is one mailbox in all of them.
        exchange: the host in the domains' MX record.
        imap: hosts.
        smtp: hosts.
        takes_passwords: of mailboxes, be they for programs alone.
    """

    provider: str
    domains: tuple[str, ...]
    exchange: str
    imap: tuple[str, ...]
    smtp: tuple[str, ...]
    takes_passwords: bool


def services() -> Iterator[Service]:
    """Those of the providers that the sandbox plays."""
    text = files("berth_gateway.autoconfig").joinpath("services.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        provider = _SPEAKERS.get(row["service"], row["service"])
        if provider in PROVIDERS:
            yield from _of_row(provider, row)


def _of_row(provider: str, row: dict[str, str]) -> Iterator[Service]:
    domains, suffixes = row["domains"].split(), row["exchanges"].split()
    suffix = (suffixes or domains)[0]
    hosts = {
        protocol: tuple(dict.fromkeys(place.rpartition(":")[0] for place in row[protocol].split()))
        for protocol in ("imap", "smtp")
    }
    own = tuple(_CUSTOMERS[suffix] for suffix in suffixes if suffix in _CUSTOMERS)
    for group in filter(None, (tuple(domains), own)) if domains or own else [()]:
        yield Service(
            provider=provider,
            domains=group,
            exchange=suffix if suffix.startswith("mx.") else f"mx.{suffix}",
            imap=hosts["imap"],
            smtp=hosts["smtp"],
            takes_passwords="password" in row["sign_in"],
        )
