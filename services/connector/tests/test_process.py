"""The service as a process: migrated, fed over a bus, verifying against a mail server of this process, stopped."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import trustme

from berth_events.contracts import AccountConnected, AccountRequested, CredentialRef, Envelope, MailServer, to_binary
from berth_events.contracts.topics import PARTITIONS, TOPICS, VERIFICATIONS
from berth_events.runtime.bus import Message
from berth_events.runtime.postgres_bus import PostgresBus
from berth_testing.peers import Peer, Script
from berth_testing.postgres import DatabaseFrom
from berth_testing.processes import run_module
from berth_vault import Binding, Credential, Sealer, VaultWriter, generate_key, schema_sql

KEYS = generate_key()
PASSWORD = "s3cret-canary"
IMAP = Script(
    greeting=b"* OK ready\r\n",
    answers=[
        (r" CAPABILITY$", b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\nTAG OK\r\n"),
        (r" AUTHENTICATE PLAIN ", b"TAG OK\r\n"),
        (r" EXAMINE ", b"TAG OK\r\n"),
    ],
)


async def make_vault(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(schema_sql())
    await connection.close()


async def nothing(_: str) -> None:
    """An empty database needs no preparation."""


async def deposit(dsn: str, request: AccountRequested) -> None:
    binding = Binding(
        organization_id=request.organization_id,
        owner_id=request.account_id,
        credential_id=request.credential_ref.credential_id,
        version=request.credential_ref.version,
    )
    connection = await asyncpg.connect(dsn)
    await VaultWriter(Sealer.from_text(KEYS.public_text)).insert(
        connection, binding, Credential({"imap_password": PASSWORD})
    )
    await connection.close()


def account_at(port: int) -> AccountRequested:
    return AccountRequested(
        account_id=uuid4(),
        organization_id=uuid4(),
        project_id=uuid4(),
        imap=MailServer(host="127.0.0.1", port=port, security="tls", username="me"),
        smtp=None,
        credential_ref=CredentialRef(credential_id=uuid4(), version=1),
        address="me@test.example",
        domain="test.example",
        provider="custom",
        seat_kind="monitoring",
    )


def record_of(event: AccountRequested) -> Message:
    envelope = Envelope(event_id=uuid4(), source="/berth/gateway", sequence=1, time=datetime.now(UTC), data=event)
    headers, value = to_binary(envelope)
    return Message(topic=envelope.topic, key=envelope.key, value=value, headers=headers)


async def test_from_a_request_on_the_bus_to_its_result_on_the_bus(
    database: str, database_from: DatabaseFrom, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    bus_url, vault_url = await database_from("empty", nothing), await database_from("vault", make_vault)
    bus = PostgresBus(bus_url)
    async with asyncio.timeout(90), Peer.run(IMAP, implicit=server_tls) as peer:
        environment = {
            "DATABASE_URL": database,
            "BUS_URL": bus_url,
            "VAULT_DATABASE_URL": vault_url,
            "BERTH_VAULT_PRIVATE_KEYS": KEYS.private_text,
            "BERTH_ALLOW_NETWORKS": "127.0.0.0/8",
            "BERTH_ALLOW_PORTS": str(peer.port),
            "BERTH_DNS_SERVERS": "127.0.0.1:1",
            "BERTH_EXTRA_CA_FILE": str(tmp_path / "ca.pem"),
            "HTTP_PORT": "0",
            "LOG_LEVEL": "DEBUG",
        }
        request = account_at(peer.port)
        await deposit(vault_url, request)
        async with run_module("berth_connector", "migrate", environment=environment) as migrating:
            assert await migrating.wait() == 0
        await bus.create_topics(TOPICS, partitions=PARTITIONS)
        producer = await bus.producer()
        assert all(await producer.publish([record_of(request)]))
        await producer.close()
        async with run_module("berth_connector", "serve", environment=environment) as serving:
            while sum((await bus.end_offsets([VERIFICATIONS])).values()) == 0:  # the relay runs on its own time
                assert serving.returncode is None
                await asyncio.sleep(0.05)
            serving.terminate()
            output, _ = await serving.communicate()
            assert serving.returncode == 0
        assert any("AUTHENTICATE PLAIN" in line for line in peer.received)
    assert PASSWORD not in output.decode()
    connection = await asyncpg.connect(database)
    [row] = await connection.fetch("SELECT type, data::text FROM event")
    await connection.close()
    assert row["type"] == AccountConnected.__name__
    assert PASSWORD not in row["data"]


async def test_bad_settings_are_named_and_not_repeated() -> None:
    environment = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
        "VAULT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
        "BERTH_VAULT_PRIVATE_KEYS": "k1:not-a-key-but-a-secret",
        "BERTH_ALLOW_NETWORKS": "10.0.0.1/8",
        "BERTH_EHLO_NAME": "not a name",
    }
    async with run_module("berth_connector", "serve", environment=environment) as serving:
        output, _ = await serving.communicate()
        text = output.decode()
    assert serving.returncode == 2
    for name in ("BERTH_VAULT_PRIVATE_KEYS", "BERTH_ALLOW_NETWORKS", "BERTH_EHLO_NAME"):
        assert name in text
    assert "not-a-key-but-a-secret" not in text
