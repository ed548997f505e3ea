"""How many may do something at once, whatever happens to those who wait."""

import asyncio
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from berth_dns_auditor.transport.slots import Slots


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 4))
async def test_never_more_than_there_are_and_none_is_lost(rng: Random, count: int) -> None:
    slots, inside, most = Slots(count), 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with slots:
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(0)
            finally:
                inside -= 1

    tasks = []
    for _ in range(30):
        tasks.append(asyncio.create_task(work()))
        for _ in range(rng.randint(0, 2)):
            await asyncio.sleep(0)
        if rng.random() < 0.4:
            rng.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert most <= count
    assert inside == 0
    assert slots._free == count


async def test_who_waited_longest_is_next() -> None:
    slots, order = Slots(1), []

    async def work(number: int) -> None:
        async with slots:
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(5)))

    assert order == [0, 1, 2, 3, 4]


async def test_a_slot_that_is_given_to_one_who_goes_is_given_on() -> None:
    slots = Slots(1)
    await slots.__aenter__()
    leaving, staying = (asyncio.create_task(slots.__aenter__()) for _ in range(2))
    await asyncio.sleep(0)
    await slots.__aexit__(None, None, None)
    leaving.cancel()

    async with asyncio.timeout(1):
        await staying
    assert leaving.cancelled() or leaving.cancelling()
