"""A migrated database of its own for each test of the runtime."""

from collections.abc import AsyncIterator

import pytest

from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Connection, Pool, connect, open_pool
from berth_events.runtime.store import EventStore
from berth_testing.postgres import DatabaseFrom
from berth_testing.streams import runtime_tables


@pytest.fixture
async def dsn(database_from: DatabaseFrom) -> str:
    return await database_from("runtime", runtime_tables)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    pool = await open_pool(dsn, application_name="test")
    yield pool
    await pool.close()


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    connection = await connect(dsn, application_name="test")
    yield connection
    await connection.close()


@pytest.fixture
def store() -> EventStore:
    return EventStore("/berth/gateway", SystemClock())
