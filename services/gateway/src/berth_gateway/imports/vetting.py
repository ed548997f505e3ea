"""Looking up the hosts of one import: each once, some at a time, and all within a few seconds."""

import asyncio
from typing import Final

from berth_net import Address, AddressResolver

__all__ = ["HostsOfOneImport"]

_AT_ONCE: Final = 50


class HostsOfOneImport:
    """A resolver that asks about each host once, whatever the answer, and stops asking when its time is over.

    What is not known by then passes unvetted here, as a name that does not resolve does: the connector vets what it dials.

    Args:
        resolver: is asked.
        seconds: for all hosts together, from now on.
    """

    def __init__(self, resolver: AddressResolver, *, seconds: float = 10) -> None:
        self._resolver = resolver
        self._until = asyncio.get_running_loop().time() + seconds
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._answers: dict[str, asyncio.Task[tuple[Address, ...]]] = {}

    async def addresses(self, host: str) -> tuple[Address, ...]:
        """See `AddressResolver.addresses`; TimeoutError when the time is over."""
        if host not in self._answers:
            self._answers[host] = asyncio.create_task(self._ask(host))
            self._answers[host].add_done_callback(_retrieved)
        return await asyncio.shield(self._answers[host])

    async def _ask(self, host: str) -> tuple[Address, ...]:
        async with asyncio.timeout_at(self._until), self._at_once:
            return await self._resolver.addresses(host)


def _retrieved(answer: asyncio.Task[tuple[Address, ...]]) -> None:
    """Nobody may be waiting for it any more: its failure is not to be reported as forgotten."""
    if not answer.cancelled():
        answer.exception()
