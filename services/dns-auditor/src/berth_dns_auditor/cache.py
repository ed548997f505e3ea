"""What one audit asked already: concurrent and repeated questions share one query."""

import asyncio
from types import TracebackType
from typing import Self

from berth_dns_auditor.resolver import Answer, Rdtype, Resolver

__all__ = ["SingleFlight"]


class SingleFlight:
    """A resolver that asks each question once, and gives everybody the same answer or the same error.

    An async context manager: queries still under way when it is left are cancelled and awaited.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._flights: dict[tuple[str, Rdtype], asyncio.Task[Answer]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for flight in self._flights.values():
            flight.cancel()
        await asyncio.gather(*self._flights.values(), return_exceptions=True)

    async def query(self, name: str, rdtype: Rdtype) -> Answer:
        """Ask, or join the query that is under way; see `Resolver.query`."""
        key = name.lower().removesuffix("."), rdtype
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(self._resolver.query(*key))
        # Shielded: one impatient caller must not take the answer from the others.
        return await asyncio.shield(flight)
