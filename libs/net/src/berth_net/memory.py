"""A resolver that remembers for a moment: a bulk import names one host ten thousand times."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from berth_net.addresses import Address
from berth_net.resolver import AddressResolver

__all__ = ["RememberingResolver"]

_HOSTS: Final = 4096


@dataclass(frozen=True, slots=True)
class _Known:
    """A question that is being asked, or its answer."""

    answer: asyncio.Task[tuple[Address, ...]]
    until: float


class RememberingResolver:
    """Asks about a host once at a time, and remembers the addresses. Failures are not remembered.

    What it answers is vetted anew each time: an answer that changed meanwhile is seen late, but never dialled unvetted.

    Args:
        resolver: is asked, with a deadline of its own.
        seconds: how long an answer is remembered.
        monotonic: the clock, in seconds.
    """

    def __init__(
        self, resolver: AddressResolver, *, seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._resolver, self._seconds, self._monotonic = resolver, seconds, monotonic
        self._known: dict[str, _Known] = {}

    async def addresses(self, host: str) -> tuple[Address, ...]:
        """See `AddressResolver.addresses`."""
        now = self._monotonic()
        known = self._known.get(host)
        if known is None or known.until <= now:
            self._known.pop(host, None)
            if len(self._known) >= _HOSTS:
                del self._known[next(iter(self._known))]  # the oldest
            known = _Known(asyncio.ensure_future(self._resolver.addresses(host)), now + self._seconds)
            self._known[host] = known
            known.answer.add_done_callback(lambda task: self._forget_failure(host, task))
        if known.answer.done():
            return known.answer.result()
        return await asyncio.shield(known.answer)  # a caller that gives up does not take the answer from the others

    def _forget_failure(self, host: str, task: asyncio.Task[tuple[Address, ...]]) -> None:
        failed = task.cancelled() or task.exception() is not None
        known = self._known.get(host)
        if failed and known is not None and known.answer is task:
            del self._known[host]
