"""Billing's database, reached with the rights that the service has."""

from collections.abc import AsyncIterator

import pytest

from berth_billing.bootstrap import SERVICE
from berth_billing.subscriptions import Subscriptions
from berth_events.contracts.topics import TOPICS
from berth_events.runtime.database import Connection, Pool, open_pool
from berth_events.runtime.service import migrate_service
from berth_events.runtime.store import EventStore
from berth_testing.clocks import SteppingClock
from berth_testing.memory_bus import MemoryBus
from berth_testing.postgres import DatabaseFrom


async def migrated(dsn: str) -> None:
    await migrate_service(SERVICE, dsn)


@pytest.fixture
async def dsn(database_from: DatabaseFrom) -> str:
    """For the owner."""
    return await database_from("billing", migrated)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    pool = await open_pool(f"{dsn}?role={SERVICE.role}", application_name="test")
    yield pool
    await pool.close()


@pytest.fixture
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    async with pool.acquire() as connection:
        yield connection


@pytest.fixture
async def bus() -> MemoryBus:
    bus = MemoryBus()
    await bus.create_topics(TOPICS, partitions=3)
    return bus


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def store(clock: SteppingClock) -> EventStore:
    return EventStore("/berth/billing", clock)


@pytest.fixture
def subscriptions(pool: Pool, store: EventStore) -> Subscriptions:
    return Subscriptions(pool, store)
