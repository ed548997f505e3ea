"""How many events a second a rebuild of the seats projection reads."""

import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

from benchmarks.figures import Figure
from berth_billing.bootstrap import SERVICE
from berth_billing.projections import SeatsProjection
from berth_events.contracts import AccountRequested, CredentialRef, Envelope, MailServer, to_binary
from berth_events.contracts.topics import PARTITIONS, TOPICS
from berth_events.runtime.bus import Bus, Message
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import open_pool
from berth_events.runtime.parking import Parking
from berth_events.runtime.rebuild import Rebuild
from berth_events.runtime.service import migrate_service

__all__ = ["measure_rebuild"]

_EVENTS = 50_000
_ORGANIZATIONS = 100
_BATCH = 1000


def _message(number: int, organizations: list[UUID]) -> Message:
    account_id = uuid4()
    server = MailServer(host="mail.test.example", port=993, security="tls", username=f"u{number}@test.example")
    event = AccountRequested(
        account_id=account_id,
        organization_id=organizations[number % _ORGANIZATIONS],
        project_id=uuid4(),
        imap=server,
        smtp=server,
        credential_ref=CredentialRef(credential_id=uuid4(), version=1),
        address=f"u{number}@test.example",
        domain="test.example",
        provider="custom",
        seat_kind="monitoring",
    )
    envelope = Envelope(event_id=uuid4(), source="/bench", sequence=1, time=datetime.now(UTC), data=event)
    headers, value = to_binary(envelope)
    return Message(envelope.topic, envelope.key, value, headers)


async def measure_rebuild(bus: Bus, dsn: str) -> list[Figure]:
    """Publish events to an empty bus, then rebuild the seats of an empty database from them."""
    await migrate_service(SERVICE, dsn)
    await bus.create_topics(TOPICS, partitions=PARTITIONS)
    organizations = [uuid4() for _ in range(_ORGANIZATIONS)]
    producer = await bus.producer()
    try:
        for first in range(0, _EVENTS, _BATCH):
            await producer.publish([_message(number, organizations) for number in range(first, first + _BATCH)])
    finally:
        await producer.close()
    clock = SystemClock()
    pool = await open_pool(dsn, application_name="bench")
    try:
        began = time.perf_counter()
        await Rebuild(pool, bus, SeatsProjection(), Parking(clock), clock, SERVICE.role).run()
        seconds = time.perf_counter() - began
        used = await pool.fetchval("SELECT count(*) FROM seat WHERE freed_at IS NULL")
    finally:
        await pool.close()
    if used != _EVENTS:
        raise RuntimeError(f"{used} seats after the rebuild, not {_EVENTS}")
    return [Figure(f"projection rebuild ({_EVENTS:,} events)", _EVENTS / seconds, "events/s")]
