"""The service as a process: migrated, fed over a bus, audited with NSD, stopped."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg

from berth_events.contracts import AccountRequested, CredentialRef, Envelope, domain_id, to_binary
from berth_events.contracts.topics import DOMAINS, PARTITIONS, TOPICS
from berth_events.runtime.bus import Message
from berth_events.runtime.postgres_bus import PostgresBus
from berth_testing.nsd import NameServer
from berth_testing.postgres import DatabaseFrom
from berth_testing.processes import run_module

OURS = uuid4()


def account_of(domain: str) -> Message:
    account = AccountRequested(
        account_id=uuid4(),
        organization_id=OURS,
        project_id=uuid4(),
        imap=None,
        smtp=None,
        credential_ref=CredentialRef(credential_id=uuid4(), version=1),
        address=f"user@{domain}",
        domain=domain,
        provider="custom",
        seat_kind="monitoring",
    )
    envelope = Envelope(event_id=uuid4(), source="/berth/gateway", sequence=1, time=datetime.now(UTC), data=account)
    headers, value = to_binary(envelope)
    return Message(topic=envelope.topic, key=envelope.key, value=value, headers=headers)


async def nothing(_: str) -> None:
    """An empty database needs no preparation."""


async def test_from_an_account_on_the_bus_to_the_audit_on_the_bus(
    nsd: NameServer, database: str, database_from: DatabaseFrom
) -> None:
    bus_url = await database_from("empty", nothing)
    environment = {
        "DATABASE_URL": database,
        "BUS_URL": bus_url,
        "BERTH_DNS_SERVERS": nsd.endpoint,
        "HTTP_PORT": "0",
        "LOG_LEVEL": "WARNING",
    }
    bus = PostgresBus(bus_url)
    connection = await asyncpg.connect(database)
    try:
        async with (
            asyncio.timeout(60),
            run_module("berth_dns_auditor", "migrate", environment=environment) as migrating,
        ):
            assert await migrating.wait() == 0
        await bus.create_topics(TOPICS, partitions=PARTITIONS)
        producer = await bus.producer()
        assert all(await producer.publish([account_of("test.example"), account_of("test.example")]))
        await producer.close()
        async with asyncio.timeout(60), run_module("berth_dns_auditor", "serve", environment=environment) as serving:
            while sum((await bus.end_offsets([DOMAINS])).values()) == 0:  # the relay runs on its own time
                assert serving.returncode is None
                await asyncio.sleep(0.05)
            serving.terminate()
            await serving.communicate()
            assert serving.returncode == 0
        rows = await connection.fetch("SELECT stream_id, type, data FROM event")
        waiting = await connection.fetch("SELECT key, state FROM work")
    finally:
        await connection.close()
        await bus.close()

    assert [(row["stream_id"], row["type"]) for row in rows] == [(domain_id("test.example"), "DomainAudited")]
    assert '"value": "v=spf1 mx -all"' in rows[0]["data"]
    assert [(row["key"], row["state"]) for row in waiting] == [(domain_id("test.example"), "ready")]
