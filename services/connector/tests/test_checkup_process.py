"""The connector as a process that is killed while it waits for a checkup's message, and the one that takes over."""

import asyncio
import json
import ssl
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
import trustme

from berth_events.contracts import (
    AccountCheckupRequested,
    AccountRequested,
    CredentialRef,
    Envelope,
    Event,
    MailServer,
    to_binary,
)
from berth_events.contracts.topics import PARTITIONS, TOPICS
from berth_events.runtime.bus import Message
from berth_events.runtime.postgres_bus import PostgresBus
from berth_testing.peers import Answer, Peer, Script
from berth_testing.postgres import DatabaseFrom
from berth_testing.processes import run_module
from berth_testing.waiting import eventually, until
from berth_vault import Binding, Credential, Sealer, VaultWriter, generate_key, schema_sql

KEYS = generate_key()
PASSWORD = "s3cret-canary"
CHECKUP_ID = uuid4()
HEADER = f"Message-ID: <berth-checkup-{CHECKUP_ID}@test.example>\r\n\r\n"


@pytest.fixture
def server_tls(tmp_path: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def make_vault(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(schema_sql())
    await connection.close()


async def nothing(_: str) -> None:
    """An empty database needs no preparation."""


def record_of(event: Event, sequence: int) -> Message:
    envelope = Envelope(
        event_id=uuid4(), source="/berth/gateway", sequence=sequence, time=datetime.now(UTC), data=event
    )
    headers, value = to_binary(envelope)
    return Message(topic=envelope.topic, key=envelope.key, value=value, headers=headers)


async def deposit(dsn: str, organization_id: UUID, account_id: UUID, reference: CredentialRef) -> None:
    binding = Binding(
        organization_id=organization_id,
        owner_id=account_id,
        credential_id=reference.credential_id,
        version=reference.version,
    )
    credential = Credential({"imap_password": PASSWORD, "smtp_password": PASSWORD})
    vault = await asyncpg.connect(dsn)
    await VaultWriter(Sealer.from_text(KEYS.public_text)).insert(vault, binding, credential)
    await vault.close()


async def test_a_killed_checkup_has_one_result_and_one_message(
    database: str, database_from: DatabaseFrom, tmp_path: Path, server_tls: ssl.SSLContext
) -> None:
    async def end_idle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{idled()[-1].partition(' ')[0]} OK\r\n".encode())

    def idled() -> list[str]:
        return [line for line in imap_peer.received if line.endswith(" IDLE")]

    imap_answers: list[tuple[str, Answer]] = [
        (r"^DONE$", end_idle),
        (r" CAPABILITY$", b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN IDLE UIDPLUS\r\nTAG OK\r\n"),
        (r" IDLE$", b"+ idling\r\n"),
        (r" SEARCH ", b"* SEARCH\r\nTAG OK\r\n"),
        (r" FETCH ", b"* 1 FETCH (UID 7 BODY[X] {%d}\r\n%s)\r\nTAG OK\r\n" % (len(HEADER), HEADER.encode())),
        (r"^B\d+ |^[A-P]{4}\d+ ", b"TAG OK\r\n"),
    ]
    imap = Script(greeting=b"* OK ready\r\n", answers=imap_answers)
    smtp = Script(
        greeting=b"220 ready\r\n",
        answers=[
            (r"^EHLO ", b"250-x\r\n250 AUTH PLAIN\r\n"),
            (r"^AUTH ", b"235 ok\r\n"),
            (r"^DATA$", b"354 go on\r\n"),
            (r"^(MAIL|RCPT) |^\.$", b"250 ok\r\n"),
        ],
    )
    bus_url, vault_url = await database_from("empty", nothing), await database_from("vault", make_vault)
    bus, connection = PostgresBus(bus_url), await asyncpg.connect(database)
    async with (
        asyncio.timeout(115),
        Peer.run(imap, implicit=server_tls) as imap_peer,
        Peer.run(smtp, implicit=server_tls) as smtp_peer,
    ):
        environment = {
            "DATABASE_URL": database,
            "BUS_URL": bus_url,
            "VAULT_DATABASE_URL": vault_url,
            "BERTH_VAULT_PRIVATE_KEYS": KEYS.private_text,
            "BERTH_ALLOW_NETWORKS": "127.0.0.0/8",
            "BERTH_ALLOW_PORTS": f"{imap_peer.port},{smtp_peer.port}",
            "BERTH_DNS_SERVERS": "127.0.0.1:1",
            "BERTH_EXTRA_CA_FILE": str(tmp_path / "ca.pem"),
            "LEASE_SECONDS": "3",
            "HTTP_PORT": "0",
            "LOG_LEVEL": "DEBUG",
        }
        ids = {name: uuid4() for name in ("account_id", "organization_id", "project_id")}
        reference = CredentialRef(credential_id=uuid4(), version=1)
        await deposit(vault_url, ids["organization_id"], ids["account_id"], reference)
        settings = {
            **ids,
            "imap": MailServer(host="127.0.0.1", port=imap_peer.port, security="tls", username="me"),
            "smtp": MailServer(host="127.0.0.1", port=smtp_peer.port, security="tls", username="me"),
            "credential_ref": reference,
            "address": "me@test.example",
        }
        requested = AccountRequested(**settings, domain="test.example", provider="custom", seat_kind="monitoring")
        asked = AccountCheckupRequested(**settings, checkup_id=CHECKUP_ID)

        async with run_module("berth_connector", "migrate", environment=environment) as migrating:
            assert await migrating.wait() == 0
        await bus.create_topics(TOPICS, partitions=PARTITIONS)
        producer = await bus.producer()
        assert all(await producer.publish([record_of(requested, 1), record_of(asked, 2)]))
        await producer.close()
        async with run_module("berth_connector", "serve", environment=environment) as serving:
            waiting = asyncio.create_task(until(idled, within=70))
            await asyncio.wait([waiting])
            serving.kill()
            killed, _ = await serving.communicate()
            said = await connection.fetch("SELECT type, data FROM event UNION ALL SELECT kind, payload FROM work")
            assert waiting.exception() is None, (killed.decode(), imap_peer.received, said)
        assert sum(line == "." for line in smtp_peer.received) == 1
        before = len(idled())
        async with run_module("berth_connector", "serve", environment=environment) as serving:
            await until(lambda: len(idled()) > before, within=40)
            imap_answers.insert(0, (r" SEARCH ", b"* SEARCH 7\r\nTAG OK\r\n"))  # now the message arrives
            rows = await eventually(
                lambda: connection.fetch("SELECT data FROM event WHERE type = 'AccountCheckedUp'"), bool, within=40
            )
            serving.terminate()
            output, _ = await serving.communicate()
            assert serving.returncode == 0
        assert sum(line == "." for line in smtp_peer.received) == 1  # it was not sent again
        assert any(line.endswith("UID EXPUNGE 7") for line in imap_peer.received)
        assert await connection.fetchval("SELECT count(*) FROM work WHERE kind = 'checkup'") == 0
    await connection.close()
    [row] = rows
    data = json.loads(row["data"]) if isinstance(row["data"], str) else row["data"]
    assert data["checkup_id"] == str(CHECKUP_ID)
    assert data["checkup"]["outcome"] == "delivered"
    assert data["checkup"]["delay_ms"] > 0
    assert PASSWORD not in (killed + output).decode()
    assert PASSWORD not in str(row["data"])
