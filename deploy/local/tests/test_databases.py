"""Roles and databases, on a real server."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from berth_local.databases import OWNERS, Databases, ServerNotUsable, prepare_databases
from berth_local.postgres import Postgres
from berth_local.settings import LocalSettings, UnknownBus

PASSWORD = "p/ss w@rd"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Its own: roles belong to a whole server."""
    root = Path(tempfile.mkdtemp(prefix="berth-pg-"))
    root.chmod(0o755)
    with Postgres(root / "pg", password="adm/in", fsync=False) as running:
        yield running
    shutil.rmtree(root)


async def prepare(server: Postgres, suffix: str = "", mark: str = "us") -> Databases:
    return await prepare_databases(server.dsn, suffix, lambda owner: f"{PASSWORD} of {owner}", mark)


async def ask(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_every_owner_has_a_role_and_a_database(server: Postgres) -> None:
    for _ in range(2):
        databases = await prepare(server)
    for owner in OWNERS:
        assert await ask(databases.dsn(owner), "SELECT current_user || ' ' || current_database()") == (
            f"berth_{owner} berth_{owner}"
        )
    assert await ask(
        databases.dsn("gateway", role="connector"), "SELECT current_user || ' ' || current_database()"
    ) == ("berth_connector berth_gateway")
    assert await ask(databases.owned("billing"), "SELECT current_user || ' ' || current_database()") == (
        "postgres berth_billing"
    )


async def test_the_bus_may_make_its_own_tables_and_a_service_may_not(server: Postgres) -> None:
    databases = await prepare(server)
    await ask(databases.dsn("bus"), "CREATE TABLE t (i int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(databases.dsn("gateway"), "CREATE TABLE t (i int)")


async def test_another_bus_has_databases_of_its_own(server: Postgres) -> None:
    databases = await prepare(server, suffix="_kafka")
    assert await ask(databases.dsn("gateway"), "SELECT current_database()") == "berth_gateway_kafka"


async def test_roles_of_somebody_else_are_left_alone(server: Postgres) -> None:
    databases = await prepare(server)
    with pytest.raises(ServerNotUsable, match="berth_gateway already"):
        await prepare_databases(server.dsn, "", lambda _: "other", mark="them")
    assert await ask(databases.dsn("gateway"), "SELECT 1") == 1


async def test_a_server_that_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(ServerNotUsable, match=r"127\.0\.0\.1:1/") as error:
        await prepare_databases("postgresql://me:secret@127.0.0.1:1/postgres", "", lambda _: "x", "us")
    assert "secret" not in str(error.value)


async def test_a_role_that_may_not_create_is_told_what_it_lacks(server: Postgres) -> None:
    databases = await prepare(server)
    with pytest.raises(ServerNotUsable, match="CREATEROLE and CREATEDB"):
        await prepare_databases(databases.dsn("billing"), "", lambda _: "x", "us")


async def test_a_role_that_may_create_is_enough(server: Postgres) -> None:
    await ask(server.dsn, "CREATE ROLE maker LOGIN CREATEDB CREATEROLE PASSWORD 'x'")
    for owner in OWNERS:  # another server would have none of them
        await ask(server.dsn, f"DROP DATABASE IF EXISTS berth_{owner}")
        await ask(server.dsn, f"DROP DATABASE IF EXISTS berth_{owner}_kafka")
        await ask(server.dsn, f"DROP ROLE IF EXISTS berth_{owner}")
    dsn = server.dsn.replace("postgres:adm%2Fin@", "maker:x@")
    for _ in range(2):
        databases = await prepare_databases(dsn, "", lambda owner: f"{PASSWORD} of {owner}", "us")
    assert await ask(databases.dsn("bus"), "SELECT current_user::text") == "berth_bus"


class TestSettings:
    def test_the_bus_is_embedded_unless_asked(self, tmp_path: Path) -> None:
        assert LocalSettings.read(tmp_path, {}).bus == "embedded"
        assert LocalSettings.read(tmp_path, {"BUS": ""}).bus == "embedded"
        assert LocalSettings.read(tmp_path, {"BUS": "kafka"}).bus == "kafka"

    def test_a_given_kafka_is_used(self, tmp_path: Path) -> None:
        settings = LocalSettings.read(tmp_path, {"KAFKA_BOOTSTRAP": "k:9092"})
        assert (settings.bus, settings.kafka_bootstrap) == ("kafka", "k:9092")
        own = LocalSettings.read(tmp_path, {"BUS": "kafka"})
        embedded = LocalSettings.read(tmp_path, {"BUS": "embedded", "KAFKA_BOOTSTRAP": "k:9092"})
        assert embedded.kafka_bootstrap is None
        assert len({settings.database_suffix, own.database_suffix, embedded.database_suffix}) == 3

    def test_another_bus_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownBus, match="BUS=rabbit"):
            LocalSettings.read(tmp_path, {"BUS": "rabbit"})

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become nobody")
    def test_where_nobody_can_enter_postgres_keeps_its_data_elsewhere(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            assert LocalSettings.read(directory, {}).postgres_directory.is_relative_to("/var/lib/berth-local")
            directory.chmod(0o711)
            assert LocalSettings.read(directory, {}).postgres_directory == directory.resolve() / "postgres"
