"""Billing's database, reached with the rights that the service has."""

from collections.abc import AsyncIterator

import pytest

from berth_billing.bootstrap import SERVICE
from berth_billing.subscriptions import Subscriptions
from berth_events.contracts.topics import TOPICS
from berth_events.runtime.database import Connection, Pool, connect, open_pool
from berth_events.runtime.service import migrate_service
from berth_events.runtime.store import EventStore
from berth_testing.clocks import SteppingClock
from berth_testing.memory_bus import MemoryBus
from berth_testing.postgres import PostgresServer

_TABLES = (
    "billing_seats_v1.seat",
    "subscription",
    "limit_watch",
    "closed_day",
    "event",
    "outbox",
    "consumer_offset",
    "consumer_sequence",
    "parked_event",
    "parked_key",
)


async def migrated(dsn: str) -> None:
    await migrate_service(SERVICE, dsn)


@pytest.fixture(scope="session")
async def billing_database(postgres_server: PostgresServer) -> AsyncIterator[str]:
    name = await postgres_server.create_database(await postgres_server.migrated("billing", migrated))
    yield postgres_server.dsn_of(name)
    await postgres_server.drop_database(name)


@pytest.fixture
async def dsn(billing_database: str) -> str:
    """For the owner; the tables are empty."""
    connection = await connect(billing_database, application_name="empty")
    try:
        for table in _TABLES:
            await connection.execute(f"DELETE FROM {table}")
    finally:
        await connection.close()
    return billing_database


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
