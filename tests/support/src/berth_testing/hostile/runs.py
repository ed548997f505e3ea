"""The probe meets hostile servers, many times, and its time, memory, sockets and tasks are counted."""

import asyncio
import gc
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from berth_connector.probe import Limits, Prober
from berth_events.contracts import Verification
from berth_testing.corpus.stage import Stage
from berth_testing.hostile.servers import HOSTILE, Hostile
from berth_testing.peers import Peer

__all__ = ["LIMITS", "Figures", "descriptors", "meet"]

#: The overall deadline decides: no step may take longer than half of it.
LIMITS: Final = Limits(resolve=1, connect=0.5, tls=0.5, reply=0.5, authenticate=0.5, look=0.3, total=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What so many meetings cost.

    Attributes:
        runs: how many so far.
        slowest_s: the longest verification, in seconds.
        slowest: the server that it met.
        resident_mb: memory, the servers' own included.
        descriptors: open files and sockets.
        tasks: of the event loop.
    """

    runs: int
    slowest_s: float
    slowest: str
    resident_mb: float
    descriptors: int
    tasks: int

    def __str__(self) -> str:
        return (
            f"{self.runs:>6} runs: slowest {self.slowest_s:.2f} s ({self.slowest}), "
            f"{self.resident_mb:.1f} MB, {self.descriptors} descriptors, {self.tasks} tasks"
        )


async def meet(
    stage: Stage,
    runs: int,
    *,
    at_once: int = 20,
    every: int = 1000,
    hostile: Sequence[Hostile] = HOSTILE,
    seen: Callable[[Hostile, Verification], None] = lambda _server, _found: None,
) -> AsyncIterator[Figures]:
    """Verify against one hostile server after the other, some at a time; the figures after each so many runs.

    Args:
        stage: where they are met.
        runs: verifications altogether.
        at_once: side by side.
        every: runs between two figures, while nothing is under way.
        hostile: the servers, met in turn.
        seen: is told of every result.
    """
    slowest = (0.0, "")
    async with _peers(stage, hostile) as peers:
        prober = stage.prober([peer.port for peer in peers], LIMITS)

        async def one(number: int) -> None:
            nonlocal slowest
            server, peer = hostile[number % len(hostile)], peers[number % len(hostile)]
            started = time.monotonic()
            seen(server, await _verify(prober, stage, server, peer))
            slowest = max(slowest, (time.monotonic() - started, server.name))
            peer.received.clear()

        for first in range(0, runs, every):
            numbers = iter(range(first, min(first + every, runs)))
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(_each(one, numbers))
            await asyncio.sleep(0.3)  # the servers notice that their clients are gone
            gc.collect()
            yield Figures(
                runs=min(first + every, runs),
                slowest_s=slowest[0],
                slowest=slowest[1],
                resident_mb=_resident_mb(),
                descriptors=descriptors(),
                tasks=len(asyncio.all_tasks()),
            )


async def _each(one: Callable[[int], Awaitable[None]], numbers: Iterator[int]) -> None:
    for number in numbers:
        await one(number)


async def _verify(prober: Prober, stage: Stage, server: Hostile, peer: Peer) -> Verification:
    login = stage.login(peer.port, security=server.security)
    imap, smtp = (login, None) if server.protocol == "imap" else (None, login)
    return (await prober.verify(uuid4(), imap, smtp)).verification


@asynccontextmanager
async def _peers(stage: Stage, hostile: Sequence[Hostile]) -> AsyncIterator[list[Peer]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Peer.run(
                    one.script,
                    implicit=stage.tls if one.tls == "implicit" else None,
                    starttls=stage.tls if one.tls == "starttls" else None,
                )
            )
            for one in hostile
        ]


def descriptors() -> int:
    """Open files and sockets of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
