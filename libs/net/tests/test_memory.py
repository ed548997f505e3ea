"""What the door remembers of a host."""

import asyncio
from ipaddress import ip_address

import pytest

from berth_net import Address, LookupFailed, RememberingResolver

ADDRESS = ip_address("192.0.2.1")


class Counting:
    """Answers slowly, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails = False
        self.now = 0.0

    async def addresses(self, host: str) -> tuple[Address, ...]:
        self.asked.append(host)
        await asyncio.sleep(0)
        if self.fails:
            raise LookupFailed(host)
        return (ADDRESS,)


@pytest.fixture
def below() -> Counting:
    return Counting()


@pytest.fixture
def resolver(below: Counting) -> RememberingResolver:
    return RememberingResolver(below, seconds=30, monotonic=lambda: below.now)


async def test_one_question_for_many_who_ask_at_once(below: Counting, resolver: RememberingResolver) -> None:
    answers = await asyncio.gather(*(resolver.addresses("a.example") for _ in range(50)))
    assert set(answers) == {(ADDRESS,)}
    assert below.asked == ["a.example"]


async def test_an_answer_is_remembered_for_its_time(below: Counting, resolver: RememberingResolver) -> None:
    await resolver.addresses("a.example")
    below.now = 29.9
    await resolver.addresses("a.example")
    assert len(below.asked) == 1
    below.now = 30
    await resolver.addresses("a.example")
    assert len(below.asked) == 2


async def test_a_failure_is_not_remembered(below: Counting, resolver: RememberingResolver) -> None:
    below.fails = True
    for _ in range(2):
        with pytest.raises(LookupFailed):
            await resolver.addresses("a.example")
    assert len(below.asked) == 2


async def test_who_gives_up_takes_the_answer_from_nobody(below: Counting, resolver: RememberingResolver) -> None:
    impatient = asyncio.create_task(resolver.addresses("a.example"))
    patient = asyncio.create_task(resolver.addresses("a.example"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == (ADDRESS,)
    assert len(below.asked) == 1


async def test_memory_is_bounded(below: Counting, resolver: RememberingResolver) -> None:
    for number in range(5000):
        await resolver.addresses(f"h{number}.example")
    await resolver.addresses("h4999.example")
    assert len(below.asked) == 5000
    await resolver.addresses("h0.example")
    assert len(below.asked) == 5001
