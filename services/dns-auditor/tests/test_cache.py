"""What is remembered of the DNS: for how long, how much, and who shares a query."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from berth_dns_auditor.cache import AnswerCache
from berth_dns_auditor.resolver import Answer, Rdtype, TemporaryDnsError


class Counting:
    """Answers at once unless it is held; remembers the questions.

    Attributes:
        ttl: Seconds of every answer.
        error: Is raised in place of an answer.
        held: While it is clear nothing is answered.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, Rdtype]] = []
        self.ttl = 60
        self.error: Exception | None = None
        self.held = asyncio.Event()
        self.held.set()
        self.cancelled = 0

    async def query(self, name: str, rdtype: Rdtype) -> Answer:
        self.asked.append((name, rdtype))
        try:
            await self.held.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return Answer(name, rdtype, records=(f"{len(self.asked)}",), ttl=self.ttl)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def resolver() -> Counting:
    return Counting()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def cache(resolver: Counting, time: Time) -> AsyncIterator[AnswerCache]:
    async with AnswerCache(resolver, monotonic=time) as cache:
        yield cache


@pytest.mark.parametrize(("ttl", "kept"), [(60, 60), (0, 5), (86_400, 300)])
async def test_an_answer_is_kept_for_its_time(
    cache: AnswerCache, resolver: Counting, time: Time, ttl: int, kept: float
) -> None:
    resolver.ttl = ttl
    first = await cache.query("a.example", "A")

    time.now += kept - 0.1
    assert await cache.query("A.example.", "A") is first
    time.now += 0.2
    assert (await cache.query("a.example", "A")).records == ("2",)


async def test_types_are_apart(cache: AnswerCache, resolver: Counting) -> None:
    await cache.query("a.example", "A")
    await cache.query("a.example", "AAAA")

    assert resolver.asked == [("a.example", "A"), ("a.example", "AAAA")]


async def test_a_failure_is_kept_for_a_moment(cache: AnswerCache, resolver: Counting, time: Time) -> None:
    resolver.error = TemporaryDnsError("a.example", "A", "SERVFAIL")
    for _ in range(3):
        with pytest.raises(TemporaryDnsError, match=r"^a\.example A: SERVFAIL$") as raised:
            await cache.query("a.example", "A")
        assert len(raised.traceback) < 8, "a kept exception must not grow"
    assert len(resolver.asked) == 1

    time.now += 5.1
    resolver.error = None
    assert (await cache.query("a.example", "A")).records == ("2",)


async def test_an_error_of_ours_is_not_kept(cache: AnswerCache, resolver: Counting) -> None:
    resolver.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await cache.query("a.example", "A")

    resolver.error = None
    assert (await cache.query("a.example", "A")).records == ("2",)


async def test_concurrent_questions_share_a_query(cache: AnswerCache, resolver: Counting) -> None:
    resolver.held.clear()
    asking = [asyncio.create_task(cache.query("a.example", "A")) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    resolver.held.set()

    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(isinstance(answer, Answer) for answer in answers[1:])
    assert len(resolver.asked) == 1


async def test_a_query_that_nobody_waits_for_is_cancelled(cache: AnswerCache, resolver: Counting) -> None:
    resolver.held.clear()
    asking = [asyncio.create_task(cache.query("a.example", "A")) for _ in range(2)]
    await asyncio.sleep(0.001)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    late = asyncio.create_task(cache.query("a.example", "A"))
    await asyncio.sleep(0.001)
    resolver.held.set()

    assert (await late).records == ("2",)
    assert resolver.cancelled == 1


async def test_nothing_runs_on_when_it_is_left(resolver: Counting) -> None:
    resolver.held.clear()
    before = asyncio.all_tasks()
    async with AnswerCache(resolver) as cache:
        asking = asyncio.create_task(cache.query("a.example", "A"))
        await asyncio.sleep(0.001)

    with pytest.raises(asyncio.CancelledError):
        await asking
    assert asyncio.all_tasks() == before
    assert resolver.cancelled == 1


async def test_a_domain_is_forgotten_with_what_is_below_it(cache: AnswerCache, resolver: Counting) -> None:
    names = ("a.example", "_dmarc.a.example", "ba.example", "example")
    for name in names:
        await cache.query(name, "TXT")
    cache.forget("a.example")
    resolver.asked.clear()
    for name in names:
        await cache.query(name, "TXT")

    assert [name for name, _ in resolver.asked] == ["a.example", "_dmarc.a.example"]


@pytest.mark.parametrize(
    ("bounds", "kept"), [({"entries_max": 3}, 3), ({"bytes_max": 3000}, 3), ({"bytes_max": 100}, 0)]
)
async def test_the_oldest_goes_when_there_is_no_room(resolver: Counting, bounds: dict[str, int], kept: int) -> None:
    async with AnswerCache(resolver, **bounds) as cache:
        for number in range(10):
            await cache.query(f"{number}.example", "A")
        assert len(cache._entries) == kept
        resolver.asked.clear()
        for number in range(10 - kept, 10):
            await cache.query(f"{number}.example", "A")

    assert resolver.asked == []


_STEP = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.integers(1, 90)),
    st.tuples(st.just("forget"), st.integers(0, 5)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_STEP, max_size=60), st.sampled_from([0, 30, 600]))
async def test_its_books_are_right_whatever_happens(steps: list[tuple[str, int]], ttl: int) -> None:
    resolver, time = Counting(), Time()
    resolver.ttl = ttl
    acts: dict[str, Callable[[AnswerCache, int], object]] = {
        "wait": lambda _, seconds: setattr(time, "now", time.now + seconds),
        "forget": lambda cache, number: cache.forget(f"{number}.example"),
    }
    async with AnswerCache(resolver, monotonic=time, entries_max=4) as cache:
        for act, number in steps:
            if act == "ask":
                await cache.query(f"{number}.example", "A")
            else:
                acts[act](cache, number)
            assert len(cache._entries) <= 4
            assert cache._size == sum(entry.size for entry in cache._entries.values())
