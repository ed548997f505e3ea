"""Transactions that commit in another order than they wrote: the outbox as a queue misses nothing and keeps each stream in order.

A position is drawn before its transaction commits, so a reader that remembers "the last position" steps over rows that
become visible later. The same load is read by such a cursor too: were it not to miss events here, the load would prove nothing.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID, uuid4

import asyncpg

from berth_events.contracts import AccountResumed, Envelope, from_binary
from berth_events.runtime.bus import Bus, Message
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import connect
from berth_events.runtime.migrations import migrate
from berth_events.runtime.relay import Relay
from berth_events.runtime.store import ConcurrencyConflict, Context, EventStore
from berth_testing.postgres import DatabaseFrom

WRITERS, STREAMS, APPENDS_EACH = 30, 40, 60
TAKES_XID_FIRST, ROLLS_BACK = 0.5, 0.05
Position = tuple[UUID, int]


@dataclass
class Recorder:
    """A bus that keeps what is published and acknowledges everything."""

    published: list[Message] = field(default_factory=list)

    async def producer(self) -> "Recorder":
        return self

    async def publish(self, messages: Sequence[Message]) -> Sequence[bool]:
        await asyncio.sleep(0.002)  # a round trip to the bus, during which the writers go on
        self.published.extend(messages)
        return [True] * len(messages)

    async def close(self) -> None:
        pass

    def read(self) -> list[Position]:
        envelopes = [from_binary(message.headers, message.value) for message in self.published]
        return [(e.data.aggregate_id, e.sequence) for e in envelopes if isinstance(e, Envelope)]


async def write(dsn: str, store: EventStore, streams: Sequence[UUID], rng: random.Random) -> list[Position]:
    """Append events one transaction each; returns what was committed."""
    committed: list[Position] = []
    connection = await connect(dsn, application_name="writer")
    try:
        while len(committed) < APPENDS_EACH:
            stream = rng.choice(streams)
            transaction = connection.transaction()
            await transaction.start()
            try:
                if rng.random() < TAKES_XID_FIRST:  # as a transaction does that wrote its idempotency row first
                    await connection.fetchval("SELECT pg_current_xact_id()::text")
                    await asyncio.sleep(rng.uniform(0, 0.004))
                version = await store.version(connection, stream)
                event = AccountResumed(account_id=stream, organization_id=stream, project_id=stream)
                await store.append(connection, stream, version, [event], Context())
                await asyncio.sleep(rng.uniform(0, 0.004))
            except ConcurrencyConflict:
                await transaction.rollback()
                continue
            if rng.random() < ROLLS_BACK:
                await transaction.rollback()
            else:
                await transaction.commit()
                committed.append((stream, version + 1))
    finally:
        await connection.close()
    return committed


async def read_by_cursor(dsn: str, writing: asyncio.Event) -> list[Position]:
    """The naive reader: everything behind the last position that it saw, until the writers are done, and once more."""
    seen: list[Position] = []
    last, final = 0, False
    connection = await asyncpg.connect(dsn)
    try:
        while not final:
            final = writing.is_set()
            rows = await connection.fetch(
                "SELECT position, stream_id, version FROM event WHERE position > $1 ORDER BY position", last
            )
            seen += [(row["stream_id"], row["version"]) for row in rows]
            last = rows[-1]["position"] if rows else last
            await asyncio.sleep(0.002)
    finally:
        await connection.close()
    return seen


async def outbox_is_empty(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(20):
            while await connection.fetchval("SELECT EXISTS (SELECT FROM outbox)"):  # noqa: ASYNC110 - rows give no signal
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def migrated(dsn: str) -> None:
    connection = await connect(dsn, application_name="migrate")
    try:
        await migrate(connection, [], role="berth_stress")
    finally:
        await connection.close()


async def test_commits_out_of_order_lose_nothing_and_keep_each_stream_in_order(database_from: DatabaseFrom) -> None:
    dsn = await database_from("stress", migrated)
    clock, bus, done = SystemClock(), Recorder(), asyncio.Event()
    store = EventStore("/berth/stress", clock)
    streams = [uuid4() for _ in range(STREAMS)]
    relay = asyncio.create_task(Relay(dsn, cast("Bus", bus), store.appended, clock).run())
    cursor = asyncio.create_task(read_by_cursor(dsn, done))
    try:
        written = await asyncio.gather(*(write(dsn, store, streams, random.Random(n)) for n in range(WRITERS)))
        done.set()
        seen_by_cursor = await cursor
        await outbox_is_empty(dsn)
    finally:
        for task in (relay, cursor):
            task.cancel()
        await asyncio.gather(relay, cursor, return_exceptions=True)

    committed = {position for positions in written for position in positions}
    published = bus.read()
    assert len(committed) == WRITERS * APPENDS_EACH
    assert set(published) == committed
    versions: dict[UUID, list[int]] = defaultdict(list)
    for stream, version in published:
        versions[stream].append(version)
    for stream, order in versions.items():
        assert order == list(range(1, len(order) + 1)), f"stream {stream} was published as {order}"

    assert committed - set(seen_by_cursor), "the load is too gentle: even a cursor over positions misses nothing"
