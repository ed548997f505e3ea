"""From a host name to its addresses."""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from berth_net.addresses import Address
from berth_net.nameservers import Nameserver, parse_nameserver

__all__ = ["AddressResolver", "DnsResolver", "HostNotFound", "LookupFailed", "ReverseResolver", "stub_resolver"]

_LOOPBACK: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class HostNotFound(LookupError):
    """The host name does not exist, or has no address. Check its spelling."""


class LookupFailed(LookupError):
    """The name servers gave no answer: nothing is known about the host. Try again; if it lasts, check the resolver."""


class AddressResolver(Protocol):
    """Finds the addresses of a host."""

    async def addresses(self, host: str) -> tuple[Address, ...]:
        """Every address of the host, at least one.

        Args:
            host: a canonical host name (`berth_net.hosts.canonical_name`).

        Raises:
            HostNotFound: it has none.
            LookupFailed: the question was not answered.
        """
        ...


class ReverseResolver(Protocol):
    """Finds the names of an address."""

    async def names(self, address: Address) -> tuple[str, ...]:
        """What the address is called, as whoever holds it says. Names are strangers' words.

        Raises:
            LookupFailed: the question was not answered.
        """
        ...


class DnsResolver:
    """Asks name servers for A and AAAA at the same time. Search domains and /etc/hosts play no part."""

    def __init__(self, nameservers: Sequence[str] = (), *, deadline: float = 5.0) -> None:
        """Take the name servers.

        Args:
            nameservers: entries of BERTH_DNS_SERVERS (`parse_nameserver`), tried in turn; none means those of
                /etc/resolv.conf.
            deadline: seconds for one call of `addresses`, retries included.

        Raises:
            ValueError: an entry is not a name server.
        """
        self._deadline = deadline
        self._resolver = stub_resolver(nameservers)

    async def addresses(self, host: str) -> tuple[Address, ...]:
        """Every A and AAAA address of the host, IPv4 first. See `AddressResolver.addresses`.

        When only one of the two questions was answered, its addresses are taken: some servers fail on AAAA.
        """
        if host == "localhost" or host.endswith(".localhost"):  # whatever a server says of it (RFC 6761, section 6.3)
            return _LOOPBACK
        name = dns.name.from_text(host)
        answers = await asyncio.gather(
            self._ask(name, dns.rdatatype.A), self._ask(name, dns.rdatatype.AAAA), return_exceptions=True
        )
        found: list[Address] = []
        unanswered: BaseException | None = None
        for answer in answers:
            if isinstance(answer, dns.resolver.NXDOMAIN):
                continue
            if isinstance(answer, dns.exception.DNSException):
                unanswered = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found += answer
        if found:
            return tuple(found)
        if unanswered is not None:
            raise LookupFailed(f"The lookup of {host} failed: {type(unanswered).__name__}.") from unanswered
        raise HostNotFound(f"The host {host} does not exist or has no address. Check its spelling.")

    async def names(self, address: Address) -> tuple[str, ...]:
        """The names of an address (PTR), lower case, without a final dot; none when it has none. See `ReverseResolver.names`."""
        try:
            answer = await self._resolver.resolve_address(
                str(address), lifetime=self._deadline, search=False, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN:
            return ()
        except dns.exception.DNSException as error:
            raise LookupFailed(f"The lookup of {address} failed: {type(error).__name__}.") from error
        return tuple(record.target.to_text(omit_final_dot=True).lower() for record in answer.rrset or ())

    async def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> list[Address]:
        answer = await self._resolver.resolve(
            name, kind, lifetime=self._deadline, search=False, raise_on_no_answer=False
        )
        family = IPv4Address if kind == dns.rdatatype.A else IPv6Address
        return [family(record.address) for record in answer.rrset or ()]


def stub_resolver(nameservers: Sequence[str]) -> dns.asyncresolver.Resolver:
    """A resolver that asks these name servers, written as in BERTH_DNS_SERVERS; none means those of the system.

    Raises:
        ValueError: an entry is not a name server.
    """
    resolver = dns.asyncresolver.Resolver(configure=not nameservers)
    if nameservers:
        resolver.nameservers = [_spoken_to(parse_nameserver(text)) for text in nameservers]
    return resolver


def _spoken_to(server: Nameserver) -> dns.nameserver.Nameserver:
    match server.transport:
        case "udp":
            return dns.nameserver.Do53Nameserver(server.address, server.port)
        case "tls":
            return dns.nameserver.DoTNameserver(server.address, server.port, server.name or None)
        case "https":
            return dns.nameserver.DoHNameserver(str(server))
