"""What the DNS said lately: concurrent questions share one query, and answers are kept for their time."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from berth_dns_auditor.resolver import Answer, Rdtype, Reply, Resolver, TemporaryDnsError

__all__ = ["AnswerCache"]

#: Seconds. An answer is kept for its TTL, which is that of the SOA for none (RFC 2308 §5), but at least for as long as
#: one audit needs it again, and at most for as long as an audit may look at what was mended meanwhile.
KEPT_MIN: Final = 5.0
KEPT_MAX: Final = 300.0
#: Seconds that a failure is kept, so that one audit does not ask a dead server many times (RFC 9520 §3.2).
FAILURE_KEPT: Final = 5.0
#: What an entry takes beside its texts, roughly.
ENTRY_BYTES: Final = 700

_Key = tuple[str, Rdtype]


@dataclass(slots=True)
class _Flight:
    """A question under way, and how many wait for it."""

    key: _Key
    task: asyncio.Task[Answer]
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    reply: Reply
    until: float
    size: int


class AnswerCache:
    """A resolver that asks each question once at a time, and remembers what it learnt.

    An async context manager: queries still under way when it is left are cancelled and awaited. A query that nobody
    waits for any more is cancelled too.

    Args:
        resolver: Is asked.
        monotonic: The clock, in seconds.
        entries_max: More are not kept: the oldest goes.
        bytes_max: Roughly, of all entries.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        entries_max: int = 20_000,
        bytes_max: int = 32 << 20,
    ) -> None:
        self._resolver, self._monotonic = resolver, monotonic
        self._entries_max, self._bytes_max = entries_max, bytes_max
        self._entries: dict[_Key, _Entry] = {}
        self._size = 0
        self._flights: dict[_Key, _Flight] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def query(self, name: str, rdtype: Rdtype) -> Answer:
        """Answer from memory, join the query that is under way, or ask; see `Resolver.query`."""
        [reply] = await self.query_all(((name, rdtype),))
        if isinstance(reply, Answer):
            return reply
        raise reply

    async def query_all(self, questions: Iterable[tuple[str, Rdtype]]) -> list[Reply]:
        """The same for many questions at once, with temporary errors as values."""
        places = [self._look_up(name.lower().removesuffix("."), rdtype) for name, rdtype in questions]
        flights = [place for place in places if isinstance(place, _Flight)]
        try:
            # It is not cancelled with who waits: one impatient caller must not take the answer from the others.
            if tasks := {flight.task for flight in flights if not flight.task.done()}:
                await asyncio.wait(tasks)
        finally:
            for flight in flights:
                self._leave(flight)
        return [_landed(place.task) if isinstance(place, _Flight) else _given(place) for place in places]

    def _look_up(self, name: str, rdtype: Rdtype) -> "Reply | _Flight":
        """What is remembered, or the query that is under way from now on."""
        key = name, rdtype
        entry = self._entries.get(key)
        if entry is not None:
            if entry.until > self._monotonic():
                return entry.reply
            self._drop(key)
        flight = self._flights.get(key)
        if flight is None:
            task = asyncio.create_task(self._resolver.query(name, rdtype))
            flight = self._flights[key] = _Flight(key, task)
            task.add_done_callback(lambda _: self._land(flight))
        flight.waiting += 1
        return flight

    def _leave(self, flight: _Flight) -> None:
        flight.waiting -= 1
        if not flight.waiting and not flight.task.done():
            self._flights.pop(flight.key, None)
            flight.task.cancel()

    def forget(self, domain: str) -> None:
        """Drop what is known of a domain and the names below it, because somebody wants to see what is there now."""
        below = f".{domain}"
        for key in [key for key in self._entries if key[0] == domain or key[0].endswith(below)]:
            self._drop(key)

    def _land(self, flight: _Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        if flight.task.cancelled():
            return
        error = flight.task.exception()
        if error is None:
            answer = flight.task.result()
            self._keep(flight.key, answer, min(max(answer.ttl, KEPT_MIN), KEPT_MAX))
        elif isinstance(error, TemporaryDnsError):
            self._keep(flight.key, _again(error), FAILURE_KEPT)

    def _keep(self, key: _Key, reply: Reply, seconds: float) -> None:
        size = ENTRY_BYTES + 2 * len(key[0])
        if isinstance(reply, Answer):
            size += sum(len(text) + 60 for text in (*reply.records, *reply.aliases))
        if size > self._bytes_max:
            return
        if key in self._entries:
            self._drop(key)
        self._entries[key] = _Entry(reply, self._monotonic() + seconds, size)
        self._size += size
        while len(self._entries) > self._entries_max or self._size > self._bytes_max:
            self._drop(next(iter(self._entries)))  # the oldest

    def _drop(self, key: _Key) -> None:
        self._size -= self._entries.pop(key).size


def _landed(task: asyncio.Task[Answer]) -> Reply:
    try:
        return task.result()
    except TemporaryDnsError as error:
        return _again(error)


def _given(reply: Reply) -> Reply:
    return reply if isinstance(reply, Answer) else _again(reply)


def _again(error: TemporaryDnsError) -> TemporaryDnsError:
    """The same error, to be raised once more: one that is raised twice, or kept, holds the frames of each time."""
    return TemporaryDnsError(error.name, error.rdtype, error.reason)
