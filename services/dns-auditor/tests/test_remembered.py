"""Answers that are kept for a time of their own."""

import asyncio

import pytest

from berth_dns_auditor.remembered import Remembered


class Asked:
    def __init__(self) -> None:
        self.count = 0
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> int:
        await self.gate.wait()
        self.count += 1
        if self.fails:
            raise LookupError
        return self.count


async def test_concurrent_questions_are_one_and_outlive_who_asked() -> None:
    ask, memory = Asked(), Remembered[int](lambda _: 10)
    ask.gate.clear()
    impatient = asyncio.create_task(memory.get("a.example", ask))
    patient = asyncio.create_task(memory.get("a.example", ask))
    await asyncio.sleep(0)

    impatient.cancel()
    ask.gate.set()

    assert await patient == 1
    assert await memory.get("a.example", ask) == 1


async def test_answers_are_kept_for_their_time_and_errors_not_at_all() -> None:
    now = 0.0
    ask, memory = Asked(), Remembered[int](lambda answer: 10.0 * answer, monotonic=lambda: now)
    ask.fails = True
    for _ in range(2):
        with pytest.raises(LookupError):
            await memory.get("a.example", ask)
    ask.fails = False

    assert await memory.get("a.example", ask) == 3
    now = 29.9
    assert await memory.get("a.example", ask) == 3
    now = 30.0
    assert await memory.get("a.example", ask) == 4


async def test_a_name_is_forgotten_with_those_below_it() -> None:
    ask, memory = Asked(), Remembered[int](lambda _: 10)
    keys = ("example.com", "www.example.com x", "example.com udp", "notexample.com", "example.community")
    for key in keys:
        await memory.get(key, ask)

    memory.forget("example.com")

    assert [await memory.get(key, ask) for key in keys] == [6, 7, 8, 4, 5]


async def test_no_more_is_kept_than_there_is_room_for() -> None:
    ask, memory = Asked(), Remembered[int](lambda _: 10, entries_max=2)
    for key in ("a", "b", "c"):
        await memory.get(key, ask)

    assert [await memory.get(key, ask) for key in ("c", "b", "a")] == [3, 2, 4]


async def test_what_is_under_way_is_given_up_at_the_end() -> None:
    ask, memory = Asked(), Remembered[int](lambda _: 10)
    ask.gate.clear()
    waiting = asyncio.create_task(memory.get("a", ask))
    await asyncio.sleep(0)

    await memory.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ask.count == 0
