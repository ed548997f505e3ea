"""From the servers that a caller names, or leaves to the provider, to servers that the connector may dial."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from berth_events.contracts import MailServer, Provider
from berth_gateway.errors import FieldFault
from berth_net import HostGuard, HostNotFound, HostRefused, LookupFailed, PortRefused

__all__ = ["PROVIDER_SERVERS", "NamedServer", "ServerVetting", "default_security"]

Protocol = Literal["imap", "smtp"]

_SECURITY: Final[Mapping[int, Literal["tls", "starttls"]]] = {
    993: "tls",
    465: "tls",
    143: "starttls",
    587: "starttls",
    2525: "starttls",
}

PROVIDER_SERVERS: Final[Mapping[Provider, Mapping[Protocol, tuple[str, int]]]] = {
    "gmail": {"imap": ("imap.gmail.com", 993), "smtp": ("smtp.gmail.com", 587)},
    "outlook": {"imap": ("outlook.office365.com", 993), "smtp": ("smtp.office365.com", 587)},
    "custom": {},
}


def default_security(port: int) -> Literal["tls", "starttls", "auto"]:
    """How TLS begins on the usual ports (RFC 8314); on another one the connector finds out."""
    return _SECURITY.get(port, "auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedServer:
    """A server before it was vetted.

    Attributes:
        host_field: how the caller's API calls the host, for faults.
        port_field: likewise the port.
    """

    host: str
    port: int
    security: Literal["tls", "starttls", "auto"]
    username: str
    mechanism: Literal["auto", "plain", "login", "xoauth2"] = "auto"
    host_field: str
    port_field: str


class ServerVetting:
    """Refuses at the door what the connector would refuse to dial.

    Only a definite refusal is a fault here. A name that does not resolve, now or within the deadline, is left to the
    connector, whose diagnosis says more; the connector vets again, and what it resolves is what it dials.

    Args:
        guard: the operator's policy.
        deadline: seconds for the resolution of all servers.
    """

    def __init__(self, guard: HostGuard, *, deadline: float = 2.0) -> None:
        self._guard, self._deadline = guard, deadline

    async def vet(self, servers: Sequence[NamedServer]) -> tuple[list[MailServer], list[FieldFault]]:
        """Bring each host into its canonical form, and collect what is refused."""
        checked = await asyncio.gather(*(self._vet(server) for server in servers))
        return (
            [found for found in checked if isinstance(found, MailServer)],
            [found for found in checked if isinstance(found, FieldFault)],
        )

    async def exists(self, host: str) -> bool:
        """Whether a host that was guessed is there, as far as the DNS says so within the deadline."""
        try:
            async with asyncio.timeout(self._deadline):
                return bool(await self._guard.resolve(self._guard.check_name(host)))
        except (HostRefused, HostNotFound, LookupFailed, TimeoutError):
            return False

    async def _vet(self, server: NamedServer) -> MailServer | FieldFault:
        try:
            self._guard.check_port(server.port)
            host = self._guard.check_name(server.host)
            if not _is_providers(host):
                await self._check_addresses(host)
        except PortRefused as error:
            return FieldFault(server.port_field, str(error), "Use the port of the provider's setup page.")
        except HostRefused as error:
            return FieldFault(server.host_field, str(error), "Name the mail server as the provider's setup page does.")
        return MailServer(
            host=host,
            port=server.port,
            security=server.security,
            username=server.username,
            mechanism=server.mechanism,
        )

    async def _check_addresses(self, host: str) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                addresses = await self._guard.resolve(host)
        except (HostNotFound, LookupFailed, TimeoutError):
            return
        self._guard.check_addresses(host, addresses)


def _is_providers(host: str) -> bool:
    """The providers' own hosts are ours to name: asking DNS about each of them again would only cost time."""
    return any(host == known for servers in PROVIDER_SERVERS.values() for known, _ in servers.values())
