"""A workspace through the service as a process: from its events on the bus to the results, with nothing secret in the log."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import trustme

from berth_events.contracts import (
    AccountConnected,
    AccountRequested,
    CredentialRef,
    EmailWorkspaceCreated,
    EmailWorkspaceVerified,
    Envelope,
    Event,
    MailServer,
    to_binary,
)
from berth_events.contracts.topics import PARTITIONS, TOPICS
from berth_events.runtime.bus import Message
from berth_events.runtime.postgres_bus import PostgresBus
from berth_testing.canaries import Canaries
from berth_testing.peers import Peer, Script
from berth_testing.postgres import DatabaseFrom
from berth_testing.processes import run_module
from berth_testing.token_service import token_service
from berth_vault import Binding, Credential, Sealer, VaultWriter, generate_key, schema_sql

KEYS = generate_key()
SECRET = "s3cr~t-Canary.of-the-App"
ADDRESS = "ada@acme.example"
IMAP = Script(
    greeting=b"* OK ready\r\n",
    answers=[
        (r" CAPABILITY$", b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\nTAG OK\r\n"),
        (r" AUTHENTICATE XOAUTH2$", b"+ \r\n"),
        (r"^[A-Za-z0-9+/=]{100,}$", b"B2 OK\r\n"),
        (r" EXAMINE ", b"TAG OK\r\n"),
    ],
)


async def make_vault(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(schema_sql())
    await connection.close()


async def nothing(_: str) -> None:
    """An empty database needs no preparation."""


async def deposit(dsn: str, event: EmailWorkspaceCreated) -> None:
    binding = Binding(
        organization_id=event.organization_id,
        owner_id=event.workspace_id,
        credential_id=event.credential_ref.credential_id,
        version=event.credential_ref.version,
    )
    connection = await asyncpg.connect(dsn)
    await VaultWriter(Sealer.from_text(KEYS.public_text)).insert(
        connection, binding, Credential({"client_secret": SECRET})
    )
    await connection.close()


def record_of(event: Event) -> Message:
    envelope = Envelope(event_id=uuid4(), source="/berth/gateway", sequence=1, time=datetime.now(UTC), data=event)
    headers, value = to_binary(envelope)
    return Message(topic=envelope.topic, key=envelope.key, value=value, headers=headers)


async def test_a_workspace_and_its_mailbox(database: str, database_from: DatabaseFrom, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    bus_url, vault_url = await database_from("empty", nothing), await database_from("vault", make_vault)
    bus = PostgresBus(bus_url)
    ids: dict[str, UUID] = {name: uuid4() for name in ("organization_id", "project_id", "workspace_id")}
    reference = CredentialRef(credential_id=uuid4(), version=1)
    canaries = Canaries()
    canaries.add("secret", SECRET)
    with token_service(tmp_path, authority=authority) as service:
        tenant, application = service.microsoft_workspace(ADDRESS, secret=SECRET)
        workspace = EmailWorkspaceCreated.model_validate(
            {
                **ids,
                "name": "Acme",
                "provider": "microsoft",
                "credential_ref": reference,
                "tenant_id": tenant.tenant_id,
                "client_id": application.client_id,
            }
        )
        await deposit(vault_url, workspace)
        async with asyncio.timeout(90), Peer.run(IMAP, implicit=server_tls) as peer:
            server = MailServer(host="127.0.0.1", port=peer.port, security="tls", username=ADDRESS, mechanism="xoauth2")
            account = AccountRequested.model_validate(
                {
                    **ids,
                    "account_id": uuid4(),
                    "imap": server,
                    "smtp": None,
                    "credential_ref": reference,
                    "address": ADDRESS,
                    "domain": "acme.example",
                    "provider": "outlook",
                    "seat_kind": "monitoring",
                }
            )
            environment = {
                "DATABASE_URL": database,
                "BUS_URL": bus_url,
                "VAULT_DATABASE_URL": vault_url,
                "BERTH_VAULT_PRIVATE_KEYS": KEYS.private_text,
                "BERTH_ALLOW_NETWORKS": "127.0.0.0/8",
                "BERTH_ALLOW_PORTS": str(peer.port),
                "BERTH_DNS_SERVERS": "127.0.0.1:1",
                "BERTH_EXTRA_CA_FILE": str(tmp_path / "ca.pem"),
                "BERTH_GOOGLE_TOKEN_URL": service.google_url,
                "BERTH_MICROSOFT_AUTHORITY": service.authority,
                "HTTP_PORT": "0",
                "LOG_LEVEL": "DEBUG",
            }
            async with run_module("berth_connector", "migrate", environment=environment) as migrating:
                assert await migrating.wait() == 0
            await bus.create_topics(TOPICS, partitions=PARTITIONS)
            producer = await bus.producer()
            assert all(await producer.publish([record_of(account), record_of(workspace)]))
            await producer.close()
            async with run_module("berth_connector", "serve", environment=environment) as serving:
                while len(types := await said(database)) < 2:
                    assert serving.returncode is None
                    await asyncio.sleep(0.05)
                serving.terminate()
                output, _ = await serving.communicate()
                assert serving.returncode == 0
        for token in service.identity.tokens._issued:
            canaries.add("token", token)
    assert types == {EmailWorkspaceVerified.__name__, AccountConnected.__name__}
    canaries.in_text("log", output)
    await canaries.in_database(database)
    await canaries.in_topics(bus, TOPICS)
    assert canaries.leaks == []
    assert canaries.searched["records"] > 2


async def said(dsn: str) -> set[Any]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT type FROM event")
    await connection.close()
    return {row["type"] for row in rows}
