"""A resolver that knows the names it is given."""

from collections.abc import Mapping
from ipaddress import ip_address

from berth_net import Address, HostNotFound

__all__ = ["Names"]


class Names:
    """Knows these hosts, which a test may change; no other exists.

    Args:
        known: the addresses of each host.
    """

    def __init__(self, known: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self.known = dict(known or {})
        self.asked: list[str] = []

    async def addresses(self, host: str) -> tuple[Address, ...]:
        """See `berth_net.AddressResolver`."""
        self.asked.append(host)
        if host not in self.known:
            raise HostNotFound(f"The host {host} does not exist or has no address. Check its spelling.")
        return tuple(map(ip_address, self.known[host]))
