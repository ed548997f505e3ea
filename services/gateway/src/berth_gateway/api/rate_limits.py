"""Limits of requests: for each key, and for wrong keys by each client address. Counted in this process alone."""

import ipaddress
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from berth_gateway.errors import TooManyRequests
from berth_gateway.tenants.secrets import digest

__all__ = ["Allowance", "RateLimits"]

#: So many keys are remembered to be right.
_REMEMBERED: Final = 10_000
#: Who has one address of IPv6 has all of its network.
_IPV6_NETWORK: Final = 64

_parsed = lru_cache(maxsize=1000)(parse)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is left to a key after a request.

    Attributes:
        limit: requests in each window.
        window: its length, in seconds.
        remaining: how many of them are left.
        resets_at: when the next window begins, in Unix seconds.
        exceeded: the request was one too many.
    """

    limit: int
    window: int
    remaining: int
    resets_at: float
    exceeded: bool

    @property
    def wait(self) -> int:
        """After how many seconds the next window begins; at least one."""
        return max(1, math.ceil(self.resets_at - time.time()))

    def headers(self) -> dict[str, str]:
        """As clients are told: draft-ietf-httpapi-ratelimit-headers-10, and the names that came before."""
        return {
            "RateLimit-Policy": f'"default";q={self.limit};w={self.window}',
            "RateLimit": f'"default";r={self.remaining};t={self.wait}',
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(self.resets_at)),
        }


class RateLimits:
    """Counts in fixed windows, each of which begins with a key's first request.

    Args:
        default: for keys without a limit of their own, `6000/minute`.
        wrong_keys: so many wrong keys of one client address are looked up.
    """

    def __init__(self, default: str, wrong_keys: str) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self.default, self._wrong_keys = default, parse(wrong_keys)
        self._right: OrderedDict[bytes, None] = OrderedDict()

    def count(self, key_id: UUID, own: str | None) -> Allowance:
        """Count one request with a key."""
        limit: RateLimitItem = _parsed(own or self.default)
        allowed = self._limiter.hit(limit, str(key_id))
        resets_at, remaining = self._limiter.get_window_stats(limit, str(key_id))
        return Allowance(
            limit=limit.amount,
            window=limit.get_expiry(),
            remaining=remaining,
            resets_at=resets_at,
            exceeded=not allowed,
        )

    def refuse_guesses(self, address: str, secret: str) -> None:
        """Refuse a key without a look when its sender has sent too many wrong ones, unless it is known to be right.

        So nobody guesses, and nobody who shares an address with a faulty client is shut out by it.

        Raises:
            TooManyRequests: it is refused.
        """
        source = _network(address)
        if not self._limiter.test(self._wrong_keys, source) and digest(secret) not in self._right:
            resets_at, _ = self._limiter.get_window_stats(self._wrong_keys, source)
            raise TooManyRequests(
                "Too many wrong API keys came from your address. Check the key, and wait as `Retry-After` says.",
                retry_after=max(1, math.ceil(resets_at - time.time())),
            )

    def was_wrong(self, address: str) -> None:
        """Count one wrong key."""
        self._limiter.hit(self._wrong_keys, _network(address))

    def was_right(self, secret: str) -> None:
        """Remember that a key is right."""
        hashed = digest(secret)
        self._right[hashed] = None
        self._right.move_to_end(hashed)
        if len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)

    def forget(self) -> None:
        """Begin anew."""
        self._limiter.storage.reset()
        self._right.clear()


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # a socket in the file system has none
        return address
    if found.version == 4:  # noqa: PLR2004 - of the Internet Protocol
        return address
    return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))
