"""Waiting for a row inside a request: one poller per replica over everything that is waited for, whoever waits."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import asyncpg
import structlog

from berth_events.runtime.database import INFRASTRUCTURE_ERRORS

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool

__all__ = ["Waiting"]

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")

_POLL_S: Final = 0.05
_log = structlog.get_logger(__name__)


class Waiting(Generic[Key, Found]):
    """Hands results to those who wait for them.

    Args:
        pool: the gateway's database.
        fetch: of the keys given, those that have a result.
        clock: time.
        every: seconds between two looks.
    """

    problem: str | None = None

    def __init__(
        self,
        pool: "Pool",
        fetch: Callable[["Connection", Sequence[Key]], Awaitable[Mapping[Key, Found]]],
        clock: "Clock",
        *,
        every: float = _POLL_S,
    ) -> None:
        self._pool, self._fetch, self._clock, self._every = pool, fetch, clock, every
        self._wanted = asyncio.Event()
        self._waiters: dict[Key, set[asyncio.Future[Found]]] = {}

    async def wait(self, key: Key, *, within: float) -> Found | None:
        """The result of `key`, or None when there is none after `within` seconds."""
        result: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(key, set()).add(result)
        self._wanted.set()
        try:
            async with asyncio.timeout(within):
                return await result
        except TimeoutError:
            return None
        finally:
            self._waiters[key].discard(result)
            if not self._waiters[key]:
                del self._waiters[key]
            if not self._waiters:
                self._wanted.clear()

    async def run(self) -> None:
        """Poll until cancelled, as long as anybody waits."""
        while True:
            await self._wanted.wait()
            try:
                async with self._pool.acquire() as connection:
                    found = await self._fetch(connection, list(self._waiters))
            except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:
                _log.warning("waiting.unreadable", error=type(error).__name__)
            else:
                for key, value in found.items():
                    for result in self._waiters.get(key, ()):
                        if not result.done():
                            result.set_result(value)
            await self._clock.sleep(self._every)
