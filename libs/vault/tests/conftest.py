"""A database with the vault in it, and connections in the roles of the services."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from berth_vault import Binding, schema_sql


@pytest.fixture
async def vault(database: str) -> str:
    """The DSN of the migrations' role; the vault exists."""
    connection = await asyncpg.connect(database)
    await connection.execute(schema_sql())
    await connection.close()
    return database


@pytest.fixture
async def owner(vault: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(vault)
    yield connection
    await connection.close()


@pytest.fixture
async def gateway(vault: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(vault)
    await connection.execute("SET SESSION AUTHORIZATION berth_gateway")
    yield connection
    await connection.close()


@pytest.fixture
async def connector(vault: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(vault)
    await connection.execute("SET SESSION AUTHORIZATION berth_connector")
    yield connection
    await connection.close()


@pytest.fixture
def binding() -> Binding:
    return Binding(organization_id=uuid4(), owner_id=uuid4(), credential_id=uuid4(), version=1)
