"""Clocks for exact tests: time goes on only when the test, or whoever sleeps, says so."""

import asyncio
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Final

__all__ = ["NOON", "HeldClock", "SteppingClock"]

#: Where both clocks begin.
NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)


class SteppingClock:
    """Whoever sleeps moves the time on and goes on at once.

    Attributes:
        slept: what was asked for, in seconds.
    """

    def __init__(self, start: datetime = NOON) -> None:
        self._now = start
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The time of day."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (self._now - NOON).total_seconds()

    def step(self, seconds: float) -> None:
        """Move the time on."""
        self._now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Let others run, in a later moment."""
        self.slept.append(seconds)
        self.step(seconds)
        await asyncio.sleep(0)


class HeldClock:
    """Time stands still, and sleepers sleep, until `advance`."""

    def __init__(self, start: datetime = NOON) -> None:
        self._start, self._elapsed = start, 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        """The time of day."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the time has been advanced so far."""
        waker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heappush(self._sleepers, (self._elapsed + seconds, self._count, waker))
        await waker

    @property
    def sleeping(self) -> list[float]:
        """For how long each sleeper has to sleep on, in seconds, the shortest first."""
        return sorted(until - self._elapsed for until, _, waker in self._sleepers if not waker.done())

    def advance(self, seconds: float) -> None:
        """Move the time on and wake whoever has slept enough, earliest first."""
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            _, _, waker = heappop(self._sleepers)
            if not waker.done():
                waker.set_result(None)
