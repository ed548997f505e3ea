"""What the clients of Kafka share: deadlines, errors, and an end that comes whatever the broker does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.errors import KafkaError

from berth_events.runtime.bus import BusError

__all__ = ["CLOSE_S", "abandon", "deadline", "end"]

#: How long a client may take to end in order, in seconds; then it is abandoned.
CLOSE_S: Final = 5.0
_ROUNDS: Final = 20


@asynccontextmanager
async def deadline(seconds: float, what: str) -> AsyncIterator[None]:
    """Do something with Kafka in time.

    Raises:
        BusError: it failed or took longer.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise BusError(f"{what}: no answer from Kafka within {seconds} s") from error
    except (KafkaError, OSError) as error:
        raise BusError(f"{what}: {error!r}") from error


async def end(client: Any, *parts: Any) -> None:
    """Stop an aiokafka producer or consumer in order, or else abandon it."""
    try:
        async with asyncio.timeout(CLOSE_S):
            await client.stop()
    except (TimeoutError, KafkaError, OSError):
        await abandon(client, *parts)
    except BaseException:
        await abandon(client, *parts)
        raise


async def abandon(client: Any, *parts: Any) -> None:
    """Release an aiokafka client without a word to the broker: tasks and connections are gone after this.

    Args:
        client: the producer, consumer or admin client.
        parts: its components which have tasks; the last is its network client.
    """
    client._closed = True  # noqa: SLF001 - else it warns of itself when it is collected
    for _ in range(_ROUNDS):  # aiokafka's tasks wait for each other in their ends
        if not (tasks := _tasks(client, *parts)):
            break
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0.1)
    network = parts[-1]
    try:
        async with asyncio.timeout(1):
            await network.close()
    except TimeoutError:
        for connection in network._conns.values():  # noqa: SLF001 - the peer takes no bytes any more
            connection._writer.transport.abort()  # noqa: SLF001


def _tasks(*owners: Any) -> set[asyncio.Task[Any]]:
    """The tasks that run methods of these objects. aiokafka keeps no list of them."""
    found = set()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is None or (method_of := frame.f_locals.get("self")) is None:
            continue
        if any(method_of is owner for owner in owners):
            found.add(task)
    return found
