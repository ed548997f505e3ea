"""What is asked more seldom than audits are made: it is asked once at a time, and its answer kept for a time of its own."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["Remembered"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    answer: T
    until: float


class Remembered(Generic[T]):
    """Answers by key. A question that nobody waits for any more goes on: whoever comes next has its answer.

    Args:
        seconds: How long an answer is kept.
        monotonic: The clock, in seconds.
        entries_max: More are not kept: the oldest goes.
    """

    def __init__(
        self,
        seconds: Callable[[T], float],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        entries_max: int = 20_000,
    ) -> None:
        self._seconds, self._monotonic, self._entries_max = seconds, monotonic, entries_max
        self._entries: dict[str, _Entry[T]] = {}
        self._flights: dict[str, asyncio.Task[T]] = {}

    async def get(self, key: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer for a key: what is kept, what is under way, or what `ask` brings. Its errors are not kept."""
        entry = self._entries.get(key)
        if entry is not None:
            if entry.until > self._monotonic():
                return entry.answer
            del self._entries[key]
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(ask())
            flight.add_done_callback(lambda task: self._land(key, task))
        return await asyncio.shield(flight)

    def _land(self, key: str, task: asyncio.Task[T]) -> None:
        if self._flights.get(key) is not task:
            return
        del self._flights[key]
        if task.cancelled() or task.exception() is not None:
            return
        while len(self._entries) >= self._entries_max:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = _Entry(task.result(), self._monotonic() + self._seconds(task.result()))

    def forget(self, domain: str) -> None:
        """Ask anew next time about a name and the names below it; a key begins with the name, then a blank or nothing."""
        below = f".{domain}"
        for key in [key for key in self._entries if _name(key) == domain or _name(key).endswith(below)]:
            del self._entries[key]

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._flights.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _name(key: str) -> str:
    return key.partition(" ")[0]
