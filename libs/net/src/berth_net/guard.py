"""The guard between a host that a user named and a connection to it.

Resolve once, vet every address, connect to one of those addresses, and check the certificate against the name: then
neither a second lookup nor one good address among bad ones leads anywhere else.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

from berth_net.addresses import Address, Network, in_networks, is_routable
from berth_net.hosts import HostRefused, canonical_name, is_private_name, literal_address
from berth_net.resolver import AddressResolver

__all__ = ["MAIL_PORTS", "HostGuard", "HostRefused", "Policy", "PortRefused", "VettedHost"]

#: IMAP, submission, and the port that some providers offer beside it.
MAIL_PORTS: Final = frozenset({143, 465, 587, 993, 2525})


class PortRefused(ValueError):
    """Berth does not connect to this port. Use a mail port, or have the operator add it to BERTH_ALLOW_PORTS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an operator allows beyond the public Internet and the mail ports.

    Attributes:
        allow_networks: private networks that hosts may lie in.
        allow_ports: ports in addition to `MAIL_PORTS`.
    """

    allow_networks: tuple[Network, ...] = ()
    allow_ports: frozenset[int] = field(default_factory=frozenset)

    @classmethod
    def parse(cls, allow_networks: str = "", allow_ports: str = "") -> "Policy":
        """Read comma-separated lists, as the environment gives them: `10.0.0.0/8,fd00::/8` and `20143,20993`.

        Raises:
            ValueError: an entry is not a network, or not a number.
        """
        return cls(
            allow_networks=tuple(ip_network(text) for text in _entries(allow_networks)),
            allow_ports=frozenset(int(text) for text in _entries(allow_ports)),
        )


@dataclass(frozen=True, slots=True)
class VettedHost:
    """A host that may be connected to, by these addresses only.

    Attributes:
        host: the name that its certificate has to carry; for a literal address, that address.
        port: the allowed port.
        addresses: at least one, each of them vetted.
    """

    host: str
    port: int
    addresses: tuple[Address, ...]


class HostGuard:
    """Decides by an operator's policy which hosts and ports may be connected to."""

    def __init__(self, resolver: AddressResolver, policy: Policy | None = None) -> None:
        """Take the resolver and the policy; no policy means the public Internet and mail ports only."""
        self._resolver = resolver
        self._policy = policy or Policy()

    def check_port(self, port: int) -> int:
        """The port, if it may be used.

        Raises:
            PortRefused: it may not.
        """
        if port in MAIL_PORTS or port in self._policy.allow_ports:
            return port
        raise PortRefused(
            f"Port {port} is not a mail port. Use one of {', '.join(map(str, sorted(MAIL_PORTS)))}, "
            "or have the operator add it to BERTH_ALLOW_PORTS."
        )

    def check_name(self, host: str) -> str:
        """The canonical form of the name, if it may be looked up. Asks nobody.

        A literal address has to lie in an allowed network. A name of private networks (one label, `.local`, `.internal`
        and the like) passes only where there are allowed networks, and `check_addresses` then wants all its addresses
        in them.

        Raises:
            HostRefused: it may not.
        """
        address = literal_address(host)
        if address is not None:
            if in_networks(address, self._policy.allow_networks):
                return str(address)
            raise HostRefused(
                "The host is an IP address. Enter the server's name, "
                "or have the operator add its network to BERTH_ALLOW_NETWORKS."
            )
        name = canonical_name(host)
        if is_private_name(name) and not self._policy.allow_networks:
            raise HostRefused(
                f"The host {name} is a name of private networks. Enter the server's public name, "
                "or have the operator add its network to BERTH_ALLOW_NETWORKS."
            )
        return name

    async def resolve(self, name: str) -> tuple[Address, ...]:
        """The addresses of a name from `check_name`, not yet vetted.

        Raises:
            HostNotFound: it has none.
            LookupFailed: the question was not answered.
        """
        address = literal_address(name)
        return (address,) if address is not None else await self._resolver.addresses(name)

    def check_addresses(self, name: str, addresses: Iterable[Address]) -> None:
        """Let a name pass only if each of its addresses may be connected to.

        The refusal does not say which address it was: that would tell a stranger about the network we run in.

        Raises:
            HostRefused: one is neither public nor in an allowed network; or the name is one of private networks, and an
                address is not in an allowed one.
        """
        private = is_private_name(name)
        for address in addresses:
            allowed = in_networks(address, self._policy.allow_networks)
            if not allowed and (private or not is_routable(address)):
                raise HostRefused(
                    f"The host {name} has an address that is not on the public Internet. Name a public mail server, "
                    "or have the operator add its network to BERTH_ALLOW_NETWORKS."
                )

    def all_allowed(self, addresses: Iterable[Address]) -> bool:
        """Whether each of the addresses lies in a network that the operator allows besides the public Internet."""
        return all(in_networks(address, self._policy.allow_networks) for address in addresses)

    async def vet(self, host: str, port: int) -> VettedHost:
        """Check port and name, resolve once, check every address.

        Args:
            host: what the user typed.
            port: TCP port.

        Raises:
            PortRefused: the port is not allowed.
            HostRefused: the name or one of its addresses is not allowed.
            HostNotFound: the name has no address.
            LookupFailed: the question was not answered.
        """
        self.check_port(port)
        name = self.check_name(host)
        addresses = await self.resolve(name)
        self.check_addresses(name, addresses)
        return VettedHost(name, port, addresses)


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]
