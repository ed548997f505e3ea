"""The table on a real Postgres: who may do what, and that a credential stays where it belongs."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest

from berth_testing.postgres import embedded
from berth_vault import (
    Binding,
    CannotOpen,
    Credential,
    CredentialErased,
    Opener,
    Sealer,
    VaultReader,
    VaultWriter,
    generate_key,
    schema_sql,
)

PAIR = generate_key("k1")
WRITER = VaultWriter(Sealer.from_text(PAIR.public_text))
READER = VaultReader(Opener.from_text(PAIR.private_text))
CREDENTIAL = Credential({"imap_password": "pässwörd 🔑", "smtp_password": "x" * 2000})

LOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

Connection = asyncpg.Connection


async def test_the_connector_reads_what_the_gateway_stored(
    gateway: Connection, connector: Connection, binding: Binding
) -> None:
    await WRITER.insert(gateway, binding, CREDENTIAL)
    assert await READER.read(connector, binding) == CREDENTIAL


async def test_many_are_stored_and_erased_at_once(gateway: Connection, connector: Connection, binding: Binding) -> None:
    bindings = [replace(binding, credential_id=uuid4(), owner_id=uuid4()) for _ in range(3)]
    await WRITER.insert_all(gateway, [WRITER.seal(each, CREDENTIAL) for each in bindings])
    assert [await READER.read(connector, each) for each in bindings] == [CREDENTIAL] * 3
    assert await WRITER.delete(gateway, bindings[0].credential_id, bindings[1].credential_id) == 2
    assert await READER.read(connector, bindings[2]) == CREDENTIAL


async def test_versions_before_one_are_erased(gateway: Connection, connector: Connection, binding: Binding) -> None:
    versions = [replace(binding, version=version) for version in (1, 2, 3)]
    for each in versions:
        await WRITER.insert(gateway, each, CREDENTIAL)
    assert await WRITER.delete_older(gateway, binding.credential_id, 3) == 2
    assert await READER.read(connector, versions[2]) == CREDENTIAL
    with pytest.raises(CredentialErased):
        await READER.read(connector, versions[1])


@pytest.mark.parametrize(
    "query",
    [
        "SELECT sealed FROM vault.credential",
        "SELECT * FROM vault.credential",
        "SELECT length(sealed) FROM vault.credential",
        "SELECT to_json(c) FROM vault.credential c",
        "SELECT 1 FROM vault.credential WHERE sealed > ''",
        "DELETE FROM vault.credential RETURNING sealed",
        "COPY vault.credential TO STDOUT",
        "UPDATE vault.credential SET sealed = ''",
        "UPDATE vault.credential SET owner_id = organization_id",
        "TRUNCATE vault.credential",
        "ALTER TABLE vault.credential OWNER TO berth_gateway",
        "CREATE VIEW vault.v AS SELECT * FROM vault.credential",
        """INSERT INTO vault.credential AS c SELECT * FROM vault.credential
           ON CONFLICT (credential_id, version) DO UPDATE SET sealed = excluded.sealed""",
    ],
)
async def test_the_gateway_cannot_read_back_or_change(gateway: Connection, binding: Binding, query: str) -> None:
    await WRITER.insert(gateway, binding, CREDENTIAL)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await gateway.execute(query)


async def test_the_gateway_sees_what_is_stored_but_for_the_secret(gateway: Connection, binding: Binding) -> None:
    await WRITER.insert(gateway, binding, CREDENTIAL)
    row = await gateway.fetchrow(
        "SELECT organization_id, owner_id, credential_id, version, key_id FROM vault.credential"
    )
    assert tuple(row) == (binding.organization_id, binding.owner_id, binding.credential_id, 1, "k1")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM vault.credential",
        "INSERT INTO vault.credential SELECT * FROM vault.credential",
        "UPDATE vault.credential SET owner_id = organization_id",
        "UPDATE vault.credential SET organization_id = owner_id",
        "UPDATE vault.credential SET version = 2",
    ],
)
async def test_the_connector_neither_erases_nor_moves(connector: Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connector.execute(statement)


async def test_nothing_is_stored_when_the_callers_transaction_fails(
    gateway: Connection, connector: Connection, binding: Binding
) -> None:
    transaction = gateway.transaction()
    await transaction.start()
    await WRITER.insert(gateway, binding, CREDENTIAL)
    await transaction.rollback()
    with pytest.raises(CredentialErased, match=f"{binding.credential_id} version 1 was erased"):
        await READER.read(connector, binding)


async def test_a_version_is_never_replaced(gateway: Connection, binding: Binding) -> None:
    await WRITER.insert(gateway, binding, CREDENTIAL)
    with pytest.raises(asyncpg.UniqueViolationError):
        await WRITER.insert(gateway, binding, CREDENTIAL)


async def test_erases_all_versions(gateway: Connection, connector: Connection, binding: Binding) -> None:
    other = replace(binding, credential_id=uuid4())
    for each in (binding, replace(binding, version=2), replace(binding, version=3), other):
        await WRITER.insert(gateway, each, CREDENTIAL)
    assert await WRITER.delete(gateway, binding.credential_id) == 3
    assert await WRITER.delete(gateway, binding.credential_id) == 0
    with pytest.raises(CredentialErased):
        await READER.read(connector, replace(binding, version=3))
    assert await READER.read(connector, other) == CREDENTIAL


@pytest.mark.parametrize("column", ["organization_id", "owner_id", "credential_id", "version"])
async def test_a_row_that_was_moved_does_not_open(
    owner: Connection, gateway: Connection, connector: Connection, binding: Binding, column: str
) -> None:
    """Not even by somebody who may change the table at will."""
    elsewhere = replace(binding, **{column: 2 if column == "version" else uuid4()})
    await WRITER.insert(gateway, binding, CREDENTIAL)
    await owner.execute(f"UPDATE vault.credential SET {column} = $1", getattr(elsewhere, column))
    with pytest.raises(CannotOpen):
        await READER.read(connector, elsewhere)


async def test_a_blob_copied_onto_another_tenants_row_does_not_open(
    owner: Connection, gateway: Connection, connector: Connection, binding: Binding
) -> None:
    thief = Binding(organization_id=uuid4(), owner_id=uuid4(), credential_id=uuid4(), version=1)
    await WRITER.insert(gateway, binding, CREDENTIAL)
    await WRITER.insert(gateway, thief, Credential({"imap_password": "mine"}))
    await owner.execute(
        """UPDATE vault.credential SET sealed = (SELECT sealed FROM vault.credential WHERE credential_id = $1)
           WHERE credential_id = $2""",
        binding.credential_id,
        thief.credential_id,
    )
    with pytest.raises(CannotOpen, match=str(thief.credential_id)):
        await READER.read(connector, thief)


async def test_the_schema_may_be_made_again(
    owner: Connection, gateway: Connection, connector: Connection, binding: Binding
) -> None:
    await WRITER.insert(gateway, binding, CREDENTIAL)
    await owner.execute(schema_sql())
    assert await READER.read(connector, binding) == CREDENTIAL


async def test_roles_are_made_once_when_two_databases_race() -> None:
    """On a server of its own, because roles belong to the whole server and others have them already."""
    with embedded() as dsn:
        first, watcher = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
        await watcher.execute("CREATE DATABASE other")
        second = await asyncpg.connect(dsn, database="other")
        try:
            transaction = first.transaction()
            await transaction.start()
            await first.execute(schema_sql())
            racing = asyncio.create_task(second.execute(schema_sql()))
            async with asyncio.timeout(20):
                while not await watcher.fetchval(LOCKED):  # noqa: ASYNC110 - nothing announces that a session waits
                    await asyncio.sleep(0.01)
                await transaction.commit()
                await racing
            roles = await watcher.fetch("SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname LIKE 'berth%'")
            assert {tuple(role) for role in roles} == {("berth_gateway", False), ("berth_connector", False)}
        finally:
            for connection in (first, second, watcher):
                await connection.close()
