"""How long a claim takes when a long backlog waits and nearly everything is at its limits."""

import random
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

from benchmarks.figures import Figure, percentile
from berth_connector.bootstrap import SERVICE
from berth_connector.politeness import shipped_rules
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Connection, Pool, open_pool
from berth_events.runtime.service import migrate_service
from berth_events.runtime.work import Job, WorkItem, WorkQueue
from berth_net import Policy

__all__ = ["measure_claiming"]

_DUE = 20_000
_CLAIMS = 100
_ENDED = 2  # runs between two claims
_AT_ONCE = 200
#: Destinations and organizations.
_CASES = ((1, 1), (50, 1), (50, 20), (5000, 1), (5000, 200))


async def measure_claiming(dsn: str) -> list[Figure]:
    """Claims of one connector after the backlog has come in, beside as many rows that wait for later."""
    await migrate_service(SERVICE, dsn)
    figures = []
    pool = await open_pool(dsn, application_name="bench")
    try:
        for destinations, organizations in _CASES:
            seconds = await _measure(pool, destinations, organizations)
            name = f"claim, {destinations} destinations of {organizations} organizations"
            figures.append(Figure(f"{name}, p50", percentile(seconds, 0.5) * 1000, "ms"))
            figures.append(Figure(f"{name}, p95", percentile(seconds, 0.95) * 1000, "ms"))
    finally:
        await pool.close()
    return figures


async def _measure(pool: Pool, destinations: int, organizations: int) -> list[float]:
    queue = WorkQueue(SystemClock(), lease=timedelta(minutes=10), rules=shipped_rules(Policy()))
    async with pool.acquire() as connection:
        await _fill(connection, queue, destinations, organizations)
        held: list[Job] = []
        for _ in range(_DUE // 1000 + 1):  # a claim takes note of a thousand rows that have become due
            held += await queue.claim(connection, _AT_ONCE - len(held))
        seconds = []
        for _ in range(_CLAIMS):
            random.shuffle(held)
            for job in [held.pop() for _ in range(_ENDED)]:
                async with connection.transaction():
                    await queue.finish(connection, job)
            began = time.perf_counter()
            jobs = await queue.claim(connection, _AT_ONCE - len(held))
            seconds.append(time.perf_counter() - began)
            if len(jobs) != _ENDED:
                raise RuntimeError(f"{len(jobs)} claimed where {_ENDED} had ended")
            held += jobs
    return seconds


async def _fill(connection: Connection, queue: WorkQueue, destinations: int, organizations: int) -> None:
    now = SystemClock().now()

    def item(number: int, seconds: Callable[[int], float]) -> WorkItem:
        return WorkItem(
            key=uuid4(),
            kind="verify",
            destination=f"mail{number % destinations}.test.example",
            payload={"address": f"u{number}@test.example", "padding": "x" * 300},
            event_id=uuid4(),
            run_at=now + timedelta(seconds=seconds(number)),
            organization_id=UUID(int=number % organizations + 1),
        )

    await connection.execute("TRUNCATE work")
    async with connection.transaction():
        await queue.request(connection, [item(number, lambda n: (n - _DUE) / 10) for number in range(_DUE)])
        await queue.request(connection, [item(number, lambda n: 3600 + n) for number in range(_DUE)])
    await connection.execute("ANALYZE work")
