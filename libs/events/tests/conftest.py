"""A database with the runtime's tables, emptied for each test."""

from collections.abc import AsyncIterator

import pytest

from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Connection, Pool, connect, open_pool
from berth_events.runtime.store import EventStore
from berth_testing.postgres import PostgresServer
from berth_testing.streams import runtime_tables

_TABLES = (
    "event",
    "outbox",
    "consumer_offset",
    "consumer_sequence",
    "parked_event",
    "parked_key",
    "projection",
    "work",
    "work_destination",
    "work_limit",
    "counted",
)


@pytest.fixture(scope="session")
async def runtime_database(postgres_server: PostgresServer) -> AsyncIterator[str]:
    name = await postgres_server.create_database(await postgres_server.migrated("runtime", runtime_tables))
    yield postgres_server.dsn_of(name)
    await postgres_server.drop_database(name)


@pytest.fixture
async def dsn(runtime_database: str) -> str:
    connection = await connect(runtime_database, application_name="empty")
    try:
        # whoever a test left behind: a lock of theirs is none of the next test's
        await connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        )
        for table in _TABLES:  # quicker than TRUNCATE as long as there are few rows
            await connection.execute(f"DELETE FROM {table}")
    finally:
        await connection.close()
    return runtime_database


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
