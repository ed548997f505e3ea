"""The well-known mail services: their domains, mail exchanges and servers, as the services document them (`services.csv`)."""

import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal, TypeAlias, cast

from berth_events.contracts import Provider
from berth_gateway.accounts.servers import default_security

__all__ = ["KnownServices", "MailService", "Protocol", "Server", "SignIn", "UsernameForm"]

Protocol = Literal["imap", "smtp"]
Security = Literal["tls", "starttls", "auto"]
SignIn = Literal["password", "app_password", "oauth"]
UsernameForm = Literal["address", "local_part"]

_FILE: Final = "services.csv"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a mail service is reached."""

    host: str
    port: int

    @property
    def security(self) -> Security:
        """How TLS begins there."""
        return default_security(self.port)


Servers: TypeAlias = tuple[Server, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailService:
    """One line of the table.

    Attributes:
        code: the service, for programs.
        name: for people.
        provider: what accounts of it are connected as.
        domains: whose addresses are its own.
        exchanges: mail exchanges end with one of these when the service has the mail of another domain.
        imap: best first; none: the service has no IMAP.
        smtp: best first; none: the service takes no mail from programs.
        imap_username: what IMAP wants of the service's own addresses; all others sign in with the address.
        sign_in: what it takes from programs; empty: nothing.
        help_url: how one gets it; may be empty.
    """

    code: str
    name: str
    provider: Provider
    domains: tuple[str, ...]
    exchanges: tuple[str, ...]
    imap: Servers
    smtp: Servers
    imap_username: UsernameForm
    sign_in: tuple[SignIn, ...]
    help_url: str

    def servers(self, protocol: Protocol) -> Servers:
        """Those of one protocol."""
        return self.imap if protocol == "imap" else self.smtp


class KnownServices:
    """The table, by what it is asked for.

    Args:
        services: its lines.
    """

    def __init__(self, services: list[MailService]) -> None:
        self._by_domain = {domain: service for service in services for domain in service.domains}
        self._by_exchange = {suffix: service for service in services for suffix in service.exchanges}
        # a host of several services may belong to either; the first line counts
        self._by_smtp = {server.host: service for service in reversed(services) for server in service.smtp}

    @classmethod
    def load(cls) -> "KnownServices":
        """The table that comes with Berth."""
        text = files("berth_gateway.autoconfig").joinpath(_FILE).read_text(encoding="utf-8")
        return cls([_service(row) for row in csv.DictReader(text.splitlines())])

    def of_domain(self, domain: str) -> MailService | None:
        """The service whose own addresses are in this domain."""
        return self._by_domain.get(domain)

    def of_exchange(self, host: str) -> MailService | None:
        """The service that takes mail at this host. The longest suffix counts."""
        labels = host.split(".")
        suffixes = (".".join(labels[place:]) for place in range(len(labels)))
        return next((self._by_exchange[suffix] for suffix in suffixes if suffix in self._by_exchange), None)

    def of_smtp(self, host: str) -> MailService | None:
        """The service that sends from this host."""
        return self._by_smtp.get(host)


def _service(row: dict[str, str]) -> MailService:
    return MailService(
        code=row["service"],
        name=row["name"],
        provider=cast("Provider", row["provider"]),
        domains=tuple(row["domains"].split()),
        exchanges=tuple(row["exchanges"].split()),
        imap=tuple(map(_server, row["imap"].split())),
        smtp=tuple(map(_server, row["smtp"].split())),
        imap_username=cast("UsernameForm", row["imap_username"]),
        sign_in=cast("tuple[SignIn, ...]", tuple(row["sign_in"].split())),
        help_url=row["help_url"],
    )


def _server(text: str) -> Server:
    host, _, port = text.rpartition(":")
    return Server(host, int(port))
