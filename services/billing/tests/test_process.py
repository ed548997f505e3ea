"""Billing as a process: from an account event on the bus to a seat in the answer, and back to an event of its own."""

import asyncio
import signal
from datetime import UTC, datetime
from uuid import uuid4

import httpx

from berth_events.contracts import Envelope, SeatLimitReached, SubscriptionActivated, from_binary
from berth_events.contracts.topics import BILLING, TOPICS
from berth_events.runtime.bus import Partition
from berth_events.runtime.postgres_bus import PostgresBus
from berth_local.ports import free_port
from berth_testing.postgres import PostgresServer
from berth_testing.processes import run_module
from berth_testing.seats import Seat, requested
from berth_testing.streams import message
from berth_testing.waiting import eventually

TOKEN = "a-token-of-the-operator"


class FromTheBeginning:
    """A listener without offsets of its own."""

    async def assigned(self, partitions: frozenset[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 0)

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        pass


async def test_an_account_takes_a_seat_and_the_last_one_is_announced(
    postgres_server: PostgresServer, database: str
) -> None:
    bus_dsn = postgres_server.dsn_of(await postgres_server.create_database())
    environment = {
        "DATABASE_URL": database,
        "BUS_URL": bus_dsn,
        "KAFKA_BOOTSTRAP": "",
        "HTTP_PORT": str(free_port()),
        "BERTH_INTERNAL_TOKEN": TOKEN,
    }
    async with run_module("berth_billing", "migrate", environment=environment) as migrating:
        assert await migrating.wait() == 0
    organization, bus = uuid4(), PostgresBus(bus_dsn)
    http = httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{environment['HTTP_PORT']}", headers={"Authorization": f"Bearer {TOKEN}"}
    )

    async def ready() -> int:
        try:
            return (await http.get("/readyz")).status_code
        except httpx.TransportError:
            return 0

    async def used() -> int:
        seats = await http.get(f"/internal/organizations/{organization}/seats")
        taken: int = seats.json()["used"]["monitoring"]
        return taken

    async with run_module("berth_billing", "serve", environment=environment) as serving, http:
        await eventually(ready, lambda status: status == 200, within=30)
        body = {"plan": "team", "limits": {"monitoring": 2, "spam_check": 0}}
        await http.put(f"/internal/subscriptions/{organization}", json=body)
        await bus.create_topics(TOPICS, partitions=12)
        producer = await bus.producer()
        for _ in range(2):
            seat = Seat(account_id=uuid4(), organization_id=organization, taken=datetime.now(UTC))
            sent = message(requested(seat), 1)
            assert await producer.publish([sent, sent]) == [True, True]
        await eventually(used, lambda seats: seats == 2, within=15)

        consumer = await bus.consumer(group="test", topics=[BILLING], listener=FromTheBeginning())
        said: list[Envelope] = []
        async with asyncio.timeout(15):
            while len(said) < 2:
                for records in (await consumer.fetch(max_records=10, timeout=1)).values():
                    read = [from_binary(record.headers, record.value) for record in records]
                    said += [each for each in read if isinstance(each, Envelope)]
        await consumer.close()
        await bus.close()
        assert [(type(each.data), each.sequence, each.source) for each in said] == [
            (SubscriptionActivated, 1, "/berth/billing"),
            (SeatLimitReached, 2, "/berth/billing"),
        ]
        serving.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            out, _ = await serving.communicate()
        assert serving.returncode == 0
        assert TOKEN.encode() not in out
