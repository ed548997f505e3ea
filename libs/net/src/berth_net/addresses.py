"""Which IP addresses a host named by a user may have."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

__all__ = ["Address", "Network", "in_networks", "is_routable", "unwrap"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Ranges that `ipaddress` calls global, in some Python versions at least, although nobody's mail server lies in them.
_NEVER: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # Azure's host
        "198.18.0.0/15",  # benchmarks
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64: 64:ff9b::7f00:1 is 127.0.0.1
        "64:ff9b:1::/48",  # local NAT64
        "2001::/23",  # protocol assignments, Teredo
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
    )
)


def unwrap(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped IPv6 one (`::ffff:10.0.0.1`); any other address as it is."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def in_networks(address: Address, networks: Iterable[Network]) -> bool:
    """Whether the address, unwrapped, lies in one of the networks."""
    plain = unwrap(address)
    return any(plain in network for network in networks)


@lru_cache(1024)
def is_routable(address: Address) -> bool:
    """Whether packets to the address leave for the public Internet.

    `is_global` alone lets through multicast and everything that `_NEVER` lists. An IPv6 address with a scope
    (`fe80::1%eth0`) is local by definition.
    """
    plain = unwrap(address)
    if isinstance(plain, IPv6Address) and plain.scope_id is not None:
        return False
    return (
        plain.is_global
        and not plain.is_multicast
        and not plain.is_reserved
        and not plain.is_unspecified
        and not in_networks(plain, _NEVER)
    )
