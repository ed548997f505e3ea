"""Wait for what other processes do: they send no signal, so it is asked again and again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

__all__ = ["eventually", "until"]

T = TypeVar("T")
_PAUSE_S: Final = 0.1


async def eventually(
    ask: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], *, within: float, pause: float = _PAUSE_S
) -> T:
    """The first answer that is wanted.

    Args:
        ask: asks once.
        wanted: whether the answer will do.
        within: seconds at most.
        pause: seconds between two questions.

    Raises:
        AssertionError: the time is over; it shows the last answer.
    """
    answer = await ask()
    try:
        async with asyncio.timeout(within):
            while not wanted(answer):
                await asyncio.sleep(pause)
                answer = await ask()
    except TimeoutError:
        raise AssertionError(f"not within {within} s; the last answer: {answer!r}") from None
    return answer


async def until(condition: Callable[[], object], *, within: float = 5) -> None:
    """Wait for something in this process, which the event loop has to be let go on for.

    Raises:
        AssertionError: the time is over.
    """
    await eventually(lambda: asyncio.sleep(0, condition()), bool, within=within, pause=0.005)
