"""What the clients of the embedded bus share."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from berth_events.runtime.bus import BusError, Partition
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS, Pool

__all__ = ["CALL_S", "Signal", "columns", "deadline", "open_bus_pool", "wait"]

#: How long a single statement may take. asyncpg needs as long again to give one up when the server is silent.
CALL_S: Final = 5
_CONNECTIONS: Final = 8


class Signal:
    """Wakes those who wait in this process."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def fire(self) -> None:
        """Wake everybody who listens."""
        self._event.set()
        self._event = asyncio.Event()

    def listen(self) -> asyncio.Event:
        """What the next `fire` sets. Listen first, look second, wait third: then nothing is missed."""
        return self._event


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, but no longer than that."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def open_bus_pool(dsn: str) -> Pool:
    """Connections for short statements, made when they are needed."""
    pool = await asyncpg.create_pool(
        dsn,
        min_size=0,  # else asyncpg reconnects in the background while the server is away
        max_size=_CONNECTIONS,
        timeout=CALL_S,
        command_timeout=CALL_S,
        server_settings={"application_name": "berth-bus", "idle_in_transaction_session_timeout": "10s"},
    )
    if pool is None:  # only by asyncpg's typing
        raise OSError("asyncpg made no pool")
    return pool


@asynccontextmanager
async def deadline(seconds: float, what: str) -> AsyncIterator[None]:
    """Do something with Postgres in time.

    Raises:
        BusError: it failed or took longer.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:
        raise BusError(f"{what}: {error!r}") from error


def columns(partitions: Collection[Partition]) -> tuple[list[str], list[int]]:
    """Topics and numbers, as arguments for unnest."""
    return [partition.topic for partition in partitions], [partition.number for partition in partitions]
