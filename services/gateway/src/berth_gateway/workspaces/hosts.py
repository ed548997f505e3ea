"""The mail servers behind email workspaces: the providers' own, or those that the operator named."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeAlias, cast, get_args

from berth_events.contracts import MailServer, Provider
from berth_gateway.accounts.servers import PROVIDER_SERVERS, default_security
from berth_net import HostRefused, canonical_name

__all__ = ["PROVIDERS", "MailHosts", "WorkspaceProvider"]

WorkspaceProvider = Literal["google", "microsoft"]
Security = Literal["tls", "starttls", "auto"]
#: Host, port and security.
Place: TypeAlias = tuple[str, int, Security]

#: As what its accounts count.
PROVIDERS: Final[Mapping[WorkspaceProvider, Provider]] = {"google": "gmail", "microsoft": "outlook"}


@dataclass(frozen=True, slots=True)
class MailHosts:
    """Where the mailboxes of a workspace are read and sent from."""

    imap: Place
    smtp: Place

    @classmethod
    def of(cls, provider: WorkspaceProvider, override: str = "") -> Self:
        """Those of the provider, unless the operator named others.

        Raises:
            ValueError: the override is not `HOST:PORT:SECURITY,HOST:PORT:SECURITY`, IMAP first.
        """
        if override:
            imap, smtp = map(_place, override.split(","))
            return cls(imap, smtp)
        known = PROVIDER_SERVERS[PROVIDERS[provider]]
        return cls(*((host, port, default_security(port)) for host, port in (known["imap"], known["smtp"])))

    def servers(self, address: str) -> tuple[MailServer, MailServer]:
        """IMAP and SMTP as the connector dials them for one mailbox."""
        imap, smtp = (
            MailServer(host=host, port=port, security=security, username=address, mechanism="xoauth2")
            for host, port, security in (self.imap, self.smtp)
        )
        return imap, smtp


def _place(text: str) -> Place:
    host, port, security = text.strip().split(":")
    if security not in get_args(Security) or not 1 <= int(port) <= 65535:  # noqa: PLR2004 - the highest port
        raise ValueError("a port, or tls, starttls or auto, is not what it should be")
    try:
        return canonical_name(host), int(port), cast("Security", security)
    except HostRefused as error:
        raise ValueError(str(error)) from None
