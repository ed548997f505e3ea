"""Migrations: applied once each, in order, by one at a time, and the role of the service gets what it needs and no more."""

import asyncio
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from berth_events.runtime.database import Connection, connect
from berth_events.runtime.migrations import MigrationChanged, NotMigrated, migrate, require_migrated
from berth_testing.postgres import PostgresServer

RUNTIME = [f"berth_events.runtime/{file}.sql" for file in ("0001_runtime", "0002_budgets", "0003_leases")]
Package = Callable[..., str]


@pytest.fixture
async def owner(database: str) -> AsyncIterator[Connection]:
    connection = await connect(database, application_name="owner")
    yield connection
    await connection.close()


@pytest.fixture
async def role(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """A name that no role has."""
    name = f"berth_{uuid4().hex[:8]}"
    yield name
    connection = await asyncpg.connect(postgres_server.dsn)
    await connection.execute(f'DROP ROLE IF EXISTS "{name}"')
    await connection.close()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Makes or changes a package of migrations; returns its name."""
    name = f"migrated_{uuid4().hex}"
    folder = tmp_path / name / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**files: str) -> str:
        for file, sql in files.items():
            (folder / f"{file}.sql").write_text(sql)
        return name

    return write


async def forget(owner: Connection, role: str) -> None:
    await owner.execute(f'DROP OWNED BY "{role}"')


async def test_files_are_applied_once_in_the_order_of_their_numbers(
    owner: Connection, package: Package, role: str
) -> None:
    name = package(_0002_b="INSERT INTO a VALUES (2)", _0001_a="CREATE TABLE a (n int)")
    assert await migrate(owner, [name], role=role) == [*RUNTIME, f"{name}/_0001_a.sql", f"{name}/_0002_b.sql"]
    package(_0003_c="INSERT INTO a VALUES (3)")
    assert await migrate(owner, [name], role=role) == [f"{name}/_0003_c.sql"]
    assert await migrate(owner, [name], role=role) == []
    assert [row["n"] for row in await owner.fetch("SELECT n FROM a")] == [2, 3]
    await forget(owner, role)


async def test_a_file_that_fails_leaves_nothing(owner: Connection, package: Package, role: str) -> None:
    name = package(_0001_a="CREATE TABLE a (n int)", _0002_b="CREATE TABLE b (n int); SELECT 1/0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(owner, [name], role=role)
    assert await owner.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    package(_0002_b="CREATE TABLE b (n int)")
    assert len(await migrate(owner, [name], role=role)) == 5
    await forget(owner, role)


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(
    owner: Connection, package: Package, role: str
) -> None:
    name = package(_0001_a="CREATE TABLE a (n int)")
    await migrate(owner, [name], role=role)
    package(_0001_a="CREATE TABLE a (n bigint)", _0002_b="CREATE TABLE b (n int)")
    with pytest.raises(MigrationChanged, match="_0001_a"):
        await migrate(owner, [name], role=role)
    assert await owner.fetchval("SELECT to_regclass('b')") is None
    await forget(owner, role)


async def test_what_is_missing_is_named_before_anything_is_served(
    owner: Connection, package: Package, role: str
) -> None:
    name = package(_0001_a="CREATE TABLE a (n int)")
    with pytest.raises(NotMigrated, match=f"{', '.join(RUNTIME)}, {name}/_0001_a.sql"):
        await require_migrated(owner, [name])
    await migrate(owner, [name], role=role)
    await require_migrated(owner, [name])
    package(_0002_b="CREATE TABLE b (n int)")
    with pytest.raises(NotMigrated, match=f"^{name}/_0002_b.sql$"):
        await require_migrated(owner, [name])
    await forget(owner, role)


async def test_the_role_reads_and_writes_but_does_not_change_the_schema(
    owner: Connection, package: Package, role: str, database: str
) -> None:
    name = package(_0001_a="CREATE TABLE a (n int GENERATED ALWAYS AS IDENTITY, t text)")
    await migrate(owner, [name], role=role)
    assert not await owner.fetchval("SELECT rolcanlogin FROM pg_roles WHERE rolname = $1", role)
    service = await connect(f"{database}?role={role}", application_name="service")
    try:
        await service.execute("INSERT INTO a (t) VALUES ('x')")
        await service.execute("UPDATE a SET t = 'y'; DELETE FROM a")
        await require_migrated(service, [name])
        for forbidden in ("DROP TABLE a", "ALTER TABLE a ADD x int", "TRUNCATE a", "CREATE TABLE public.mine (n int)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(forbidden)
    finally:
        await service.close()
    await forget(owner, role)


async def test_an_owner_who_may_create_no_roles_uses_the_one_that_an_operator_made(
    owner: Connection, package: Package, role: str, database: str
) -> None:
    plain = f"owner_{uuid4().hex[:8]}"
    await owner.execute(
        f'CREATE ROLE "{role}"; CREATE ROLE "{plain}"; GRANT CREATE, USAGE ON SCHEMA public TO "{plain}"'
    )
    connection = await connect(f"{database}?role={plain}", application_name="owner")
    try:
        assert await migrate(connection, [package(_0001_a="CREATE TABLE a (n int)")], role=role)
    finally:
        await connection.close()
        await owner.execute(f'DROP OWNED BY "{plain}"; DROP ROLE "{plain}"')


async def test_several_who_start_at_the_same_moment_apply_everything_once(
    package: Package, role: str, postgres_server: PostgresServer
) -> None:
    """Replicas on one database, and services on the databases of one server, which share their roles."""
    name = package(_0001_a="CREATE TABLE a (n int); INSERT INTO a VALUES (1)")
    databases = [await postgres_server.create_database() for _ in range(3)]
    connections = [
        await connect(postgres_server.dsn_of(database), application_name="owner") for database in databases * 3
    ]
    try:
        async with asyncio.timeout(30):
            applied = await asyncio.gather(*(migrate(each, [name], role=role) for each in connections))
        assert sorted(map(len, applied)) == [0] * 6 + [4] * 3
        for connection in connections[:3]:
            assert await connection.fetchval("SELECT count(*) FROM a") == 1
    finally:
        for connection in connections:
            await connection.close()
        for database in databases:
            await postgres_server.drop_database(database)


async def test_what_an_operator_had_decided_before_the_budgets_still_holds(owner: Connection) -> None:
    folder = files("berth_events.runtime").joinpath("migrations")
    before, budgets, *_ = (folder.joinpath(name.partition("/")[2]) for name in RUNTIME)
    await owner.execute(before.read_text(encoding="utf-8"))
    await owner.execute(
        """INSERT INTO work_destination (destination, max_in_flight, blocked_until)
           VALUES ('google', 50, NULL), ('mail.test.example', 0, now()), ('blocked.test.example', NULL, now())"""
    )
    await owner.execute(budgets.read_text(encoding="utf-8"))
    assert await owner.fetch("SELECT scope, name, max_in_flight FROM work_limit ORDER BY name") == [
        ("provider", "google", 50),
        ("host", "mail.test.example", 0),
    ]
