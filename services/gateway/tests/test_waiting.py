"""One poller, many who wait."""

import asyncio
from collections.abc import Mapping, Sequence

from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Connection
from berth_gateway.waiting import Waiting
from berth_testing.gateway_harness import GatewayHarness


async def test_everybody_gets_what_they_wait_for(harness: GatewayHarness) -> None:
    results: dict[str, int] = {}
    asked: list[set[str]] = []

    async def fetch(_: Connection, keys: Sequence[str]) -> Mapping[str, int]:
        asked.append(set(keys))
        return {key: results[key] for key in keys if key in results}

    waiting = Waiting(harness.pool, fetch, SystemClock())
    poller = asyncio.create_task(waiting.run())
    waiters = [asyncio.create_task(waiting.wait(key, within=5)) for key in ("a", "b", "a")]
    late = asyncio.create_task(waiting.wait("never", within=0.2))
    await asyncio.sleep(0.1)
    assert asked[-1] == {"a", "b", "never"}, "one question for all"
    results.update(a=1, b=2)
    assert await asyncio.gather(*waiters) == [1, 2, 1]
    assert await late is None
    count = len(asked)
    await asyncio.sleep(0.2)
    assert len(asked) <= count + 1, "nobody waits, so nobody asks"
    poller.cancel()


async def test_a_database_that_is_away_for_a_moment(harness: GatewayHarness) -> None:
    failures = iter([ConnectionRefusedError(), TimeoutError()])

    async def fetch(_: Connection, keys: Sequence[str]) -> Mapping[str, int]:
        if failure := next(failures, None):
            raise failure
        return dict.fromkeys(keys, 7)

    waiting = Waiting(harness.pool, fetch, SystemClock())
    poller = asyncio.create_task(waiting.run())
    assert await waiting.wait("a", within=5) == 7
    poller.cancel()


async def test_who_gives_up_is_forgotten(harness: GatewayHarness) -> None:
    asked: list[set[str]] = []

    async def fetch(_: Connection, keys: Sequence[str]) -> Mapping[str, int]:
        asked.append(set(keys))
        return {}

    waiting = Waiting(harness.pool, fetch, SystemClock())
    poller = asyncio.create_task(waiting.run())
    gone = asyncio.create_task(waiting.wait("gone", within=60))
    await asyncio.sleep(0.1)
    gone.cancel()
    assert await waiting.wait("b", within=0.2) is None
    assert asked[-1] == {"b"}
    poller.cancel()
