"""Mail services, and the table of them that is Berth's own (`services.csv`): as the services document themselves."""

import csv
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Final, Literal, TypeAlias, cast

from berth_events.contracts import Provider
from berth_gateway.accounts.servers import default_security

__all__ = [
    "Authentication",
    "MailService",
    "Protocol",
    "Security",
    "Server",
    "SignIn",
    "Table",
    "UsernameForm",
    "own_services",
]

Protocol = Literal["imap", "smtp"]
Security = Literal["tls", "starttls", "auto"]
SignIn = Literal["password", "app_password", "oauth"]
Authentication = Literal["password", "encrypted_password", "oauth"]
#: address: name@example.com; local_part: name; address_with_dot: name.example.com
UsernameForm = Literal["address", "local_part", "address_with_dot"]
#: In their order: the first one knows more of the services that are in both.
Table = Literal["service_table", "ispdb"]

_FILE: Final = "services.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where a mail service is reached.

    Attributes:
        host: a name; `{domain}` in it is the address's.
        username: what it wants.
        authentication: what it takes, best first; empty: not known.
    """

    host: str
    port: int
    security: Security
    username: UsernameForm
    authentication: tuple[Authentication, ...]

    @property
    def of_domain(self) -> bool:
        """Whether the host has the domain in it."""
        return "{domain}" in self.host


Servers: TypeAlias = tuple[Server, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailService:
    """One line of a table.

    Attributes:
        table: whose line it is.
        code: the service, for programs.
        name: for people.
        provider: what accounts of it are connected as.
        domains: whose addresses are its own.
        exchanges: mail exchanges end with one of these when the service has the mail of another domain.
        imap: best first; none: the service has no IMAP, or its table knows of none.
        smtp: best first; likewise.
        sign_in: what it takes from programs; empty: nothing.
        help_url: how one gets it; may be empty.
    """

    table: Table
    code: str
    name: str
    provider: Provider
    domains: tuple[str, ...]
    exchanges: tuple[str, ...]
    imap: Servers
    smtp: Servers
    sign_in: tuple[SignIn, ...]
    help_url: str

    def servers(self, protocol: Protocol) -> Servers:
        """Those of one protocol."""
        return self.imap if protocol == "imap" else self.smtp

    def described_by(self, other: "MailService") -> "MailService":
        """This line's domains and servers, and what another line knows of the service behind them."""
        return replace(
            self,
            code=other.code,
            name=other.name,
            provider=other.provider,
            sign_in=other.sign_in,
            help_url=other.help_url,
        )


def own_services() -> list[MailService]:
    """The table that comes with Berth."""
    text = files("berth_gateway.autoconfig").joinpath(_FILE).read_text(encoding="utf-8")
    return [_service(row) for row in csv.DictReader(text.splitlines())]


def _service(row: dict[str, str]) -> MailService:
    sign_in = cast("tuple[SignIn, ...]", tuple(row["sign_in"].split()))
    return MailService(
        table="service_table",
        code=row["service"],
        name=row["name"],
        provider=cast("Provider", row["provider"]),
        domains=tuple(row["domains"].split()),
        exchanges=tuple(row["exchanges"].split()),
        imap=_servers(row["imap"], cast("UsernameForm", row["imap_username"]), sign_in),
        smtp=_servers(row["smtp"], "address", sign_in),
        sign_in=sign_in,
        help_url=row["help_url"],
    )


def _servers(text: str, username: UsernameForm, sign_in: tuple[SignIn, ...]) -> Servers:
    authentication = tuple(dict.fromkeys(_AUTHENTICATIONS[kind] for kind in sign_in))
    places = ((host, int(port)) for host, _, port in (place.rpartition(":") for place in text.split()))
    return tuple(
        Server(host=host, port=port, security=default_security(port), username=username, authentication=authentication)
        for host, port in places
    )


_AUTHENTICATIONS: Final[dict[SignIn, Authentication]] = {
    "password": "password",
    "app_password": "password",
    "oauth": "oauth",
}
