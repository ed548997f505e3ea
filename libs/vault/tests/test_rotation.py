"""Key rotation on a real Postgres."""

import asyncio
import os
import sys
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from berth_vault import (
    Binding,
    Credential,
    CredentialErased,
    Opener,
    Sealer,
    VaultReader,
    VaultWriter,
    generate_key,
    rotate,
)

OLD, NEW = generate_key("k1"), generate_key("k2")
OLD_WRITER = VaultWriter(Sealer.from_text(OLD.public_text))
NEW_WRITER = VaultWriter(Sealer.from_text(NEW.public_text))
BOTH = VaultReader(Opener.from_text(f"{OLD.private_text},{NEW.private_text}"))
ONLY_NEW = VaultReader(Opener.from_text(NEW.private_text))

Connection = asyncpg.Connection


def secret(number: int) -> Credential:
    return Credential({"imap_password": f"secret {number}"})


@pytest.fixture
async def rows(gateway: Connection, binding: Binding) -> list[Binding]:
    """Seven credentials of the old key, one of which has two versions."""
    bindings = [replace(binding, credential_id=uuid4(), owner_id=uuid4()) for _ in range(6)]
    bindings.append(replace(bindings[0], version=2))
    for number, each in enumerate(bindings):
        await OLD_WRITER.insert(gateway, each, secret(number))
    return bindings


async def snapshot(owner: Connection) -> list[tuple[object, ...]]:
    query = "SELECT credential_id, version, organization_id, owner_id, created_at FROM vault.credential ORDER BY 1, 2"
    return [tuple(row) for row in await owner.fetch(query)]


@pytest.mark.parametrize("batch", [1, 2, 7, 100])
async def test_seals_every_row_anew_and_keeps_its_identity(
    owner: Connection, connector: Connection, rows: list[Binding], batch: int
) -> None:
    before = await snapshot(owner)
    done = await rotate(connector, BOTH, batch=batch)
    assert (done.resealed, done.remaining, done.unreadable) == (7, 0, ())
    assert await snapshot(owner) == before
    for number, each in enumerate(rows):
        assert await ONLY_NEW.read(connector, each) == secret(number)


@pytest.mark.usefixtures("rows")
async def test_a_second_run_changes_nothing(owner: Connection, connector: Connection) -> None:
    await rotate(connector, BOTH)
    sealed = await owner.fetch("SELECT sealed FROM vault.credential ORDER BY credential_id, version")
    assert (await rotate(connector, BOTH)).resealed == 0
    assert await owner.fetch("SELECT sealed FROM vault.credential ORDER BY credential_id, version") == sealed


async def test_a_row_that_does_not_open_is_reported_and_left(
    owner: Connection, connector: Connection, rows: list[Binding]
) -> None:
    moved = rows[3]
    await owner.execute(
        "UPDATE vault.credential SET owner_id = $1 WHERE credential_id = $2", uuid4(), moved.credential_id
    )
    sealed = await owner.fetchval("SELECT sealed FROM vault.credential WHERE credential_id = $1", moved.credential_id)
    done = await rotate(connector, BOTH, batch=2)
    assert (done.resealed, done.remaining, done.unreadable) == (6, 1, ((moved.credential_id, 1),))
    assert sealed == await owner.fetchval(
        "SELECT sealed FROM vault.credential WHERE credential_id = $1", moved.credential_id
    )
    assert await BOTH.read(connector, moved) == secret(3)


async def test_a_row_that_somebody_erases_meanwhile_is_not_waited_for(
    gateway: Connection, connector: Connection, rows: list[Binding]
) -> None:
    erased = rows[2]
    async with gateway.transaction():
        await OLD_WRITER.delete(gateway, erased.credential_id)
        async with asyncio.timeout(10):
            done = await rotate(connector, BOTH)
    assert (done.resealed, done.remaining) == (6, 1)
    assert (await rotate(connector, BOTH)).remaining == 0
    with pytest.raises(CredentialErased):
        await BOTH.read(connector, erased)


async def test_beside_itself_and_running_services(
    vault: str, gateway: Connection, connector: Connection, rows: list[Binding]
) -> None:
    """Two rotations, a gateway that stores and erases, a connector that reads: every read gives the right secret."""
    second, reading = await asyncpg.connect(vault), await asyncpg.connect(vault)
    for connection in (second, reading):
        await connection.execute("SET SESSION AUTHORIZATION berth_connector")
    finished = asyncio.Event()
    added: list[Binding] = []

    async def store_and_erase() -> None:
        for number in range(40):
            each = replace(rows[0], credential_id=UUID(int=number << 100), owner_id=uuid4())
            await (OLD_WRITER if number % 2 else NEW_WRITER).insert(gateway, each, secret(number))
            if number % 5 == 0:
                await OLD_WRITER.delete(gateway, each.credential_id)
            else:
                added.append(each)

    async def read() -> int:
        count = 0
        while not finished.is_set():
            for number, each in enumerate(rows):
                assert await BOTH.read(reading, each) == secret(number)
                count += 1
        return count

    reads = asyncio.create_task(read())
    try:
        async with asyncio.timeout(30):
            await asyncio.gather(rotate(connector, BOTH, batch=1), rotate(second, BOTH, batch=2), store_and_erase())
    finally:
        finished.set()
        assert await reads > 0
        await second.close()
        await reading.close()
    assert (await rotate(connector, BOTH)).remaining == 0
    for each in added:
        number = each.credential_id.int >> 100
        assert await ONLY_NEW.read(connector, each) == secret(number)


async def test_the_command(vault: str, gateway: Connection, rows: list[Binding]) -> None:
    async def run() -> tuple[int | None, str, str]:
        environment = {
            "BERTH_VAULT_PRIVATE_KEYS": f"{OLD.private_text},{NEW.private_text}",
            "VAULT_DATABASE_URL": vault,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "berth_vault", "rotate"),
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    assert await run() == (0, "sealed anew: 7, left with an older key: 0\n", "")
    foreign = replace(rows[0], credential_id=uuid4())
    await VaultWriter(Sealer.from_text(generate_key("k0").public_text)).insert(gateway, foreign, secret(0))
    status, out, err = await run()
    assert (status, out) == (1, "sealed anew: 0, left with an older key: 1\n")
    assert f"does not open: credential {foreign.credential_id} version 1" in err
