"""kill -9 of each service in the middle of 200 connections: nothing is lost, nothing is done twice, nothing is left behind."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import httpx
import pytest

from berth_testing.aftermath import all_is_done, distinct, no_gap_in_any_stream
from berth_testing.kafka import MakeCluster
from berth_testing.mail_bed import MailBed
from berth_testing.mail_users import bulk_user
from berth_testing.nsd import NameServer
from berth_testing.platform import Platform, Surroundings, run_platform
from berth_testing.postgres import PostgresServer
from berth_testing.servers import working_directory
from berth_testing.tenant import Tenant
from berth_testing.topics import CloudEvent, read_with_aiokafka
from berth_testing.waiting import eventually

ACCOUNTS = 200
DOMAINS = 20
SENDERS = 20
#: Every so many accounts one takes a second to log in, so that the connector is killed in the middle of logins.
SLOW_EVERY = 10
#: Who is killed, and after how many accounts were accepted.
KILLS = {"connector": 30, "gateway": 70, "billing": 110, "dns-auditor": 150}
TOPICS = ["berth.accounts.v1", "berth.verifications.v1", "berth.domains.v1", "berth.billing.v1"]
RESULTS = {"AccountConnected", "AccountConnectionFailed"}


@pytest.fixture
async def kafka_bootstrap(make_cluster: MakeCluster) -> str:
    """A Kafka of its own: topics and groups have fixed names, so two platforms cannot share one."""
    cluster = make_cluster(1)
    await asyncio.to_thread(cluster.start)
    await cluster.ready()
    return cluster.bootstrap


@pytest.fixture
async def platform(
    postgres_server: PostgresServer, kafka_bootstrap: str, mail_bed: MailBed, nsd: NameServer
) -> AsyncIterator[Platform]:
    surroundings = Surroundings(
        kafka_bootstrap=kafka_bootstrap,
        dns_server=nsd.endpoint,
        ca_file=mail_bed.ca_file,
        mail_ports=sorted(mail_bed.ports.values()),
        settings={"LEASE_SECONDS": "5", "LOG_LEVEL": "INFO"},  # a dead worker's lease runs out soon
    )
    with working_directory("berth-faults-") as directory:
        async with run_platform(postgres_server.dsn, directory, surroundings) as running:
            yield running


class Load:
    """Posts every account until it is accepted, as a client does that retries with its Idempotency-Key."""

    def __init__(self, tenant: Tenant, mail_bed: MailBed) -> None:
        self._tenant, self._bed = tenant, mail_bed
        self._todo = iter(range(ACCOUNTS))
        self._progress = asyncio.Condition()
        self.accepted: list[str] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as senders:
            for _ in range(SENDERS):
                senders.create_task(self._send())

    async def reached(self, count: int) -> None:
        async with self._progress:
            await self._progress.wait_for(lambda: len(self.accepted) >= count)

    async def _send(self) -> None:
        for number in self._todo:
            account_id = await self._post(number)
            async with self._progress:
                self.accepted.append(account_id)
                self._progress.notify_all()

    async def _post(self, number: int) -> str:
        user, password = bulk_user(number) if number % SLOW_EVERY else ("slow1@test.example", "secret")
        body = {
            "email": f"user{number}@customer{number % DOMAINS}.example",
            "provider": "custom",
            "password": password,
            **self._bed.servers(username=user),
        }
        headers = {"Idempotency-Key": str(uuid4())}
        while True:
            try:
                response = await self._tenant.http.post("/v1/accounts", json=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if response.status_code == 202:
                return response.headers["Location"].rpartition("/")[2]
            assert response.status_code == 503, response.text
            await asyncio.sleep(0.2)


@pytest.mark.timeout(180)
async def test_every_service_is_killed_while_200_accounts_are_connected(
    platform: Platform, mail_bed: MailBed, kafka_bootstrap: str
) -> None:
    tenant = await platform.tenant(monitoring=ACCOUNTS + 10)
    load = Load(tenant, mail_bed)
    loading = asyncio.create_task(load.run())
    for service, after in KILLS.items():
        await load.reached(after)
        if service == "connector":
            await logins_in_flight(platform)
        await platform.kill(service)
        await platform.restart(service)
    await loading
    assert len(set(load.accepted)) == ACCOUNTS
    await all_is_done(platform, kafka_bootstrap, TOPICS)

    events = distinct(await read_with_aiokafka(kafka_bootstrap, TOPICS))
    results: dict[str, list[str]] = defaultdict(list)
    for event in events:
        if event.type in RESULTS:
            results[event.key].append(event.type)
    assert {key: found for key, found in results.items() if found != ["AccountConnected"]} == {}
    assert results.keys() == set(load.accepted)
    assert await statuses(tenant) == {"connected": ACCOUNTS}
    audited = {event.data["domain"] for event in events if event.type == "DomainAudited"}
    assert audited == {f"customer{number}.example" for number in range(DOMAINS)}
    no_gap_in_any_stream(events)

    seats = fold(events, tenant.organization_id)
    assert seats == {"monitoring": ACCOUNTS, "spam_check": 0}
    assert await platform.seats_at_gateway(tenant.organization_id) == seats
    assert await platform.seats_at_billing(tenant.organization_id) == seats


async def logins_in_flight(platform: Platform) -> None:
    """Wait until the connector is at work."""
    await eventually(
        lambda: platform.fetch("connector", "SELECT id FROM work WHERE state = 'leased'"), bool, within=10, pause=0.01
    )


def fold(events: Sequence[CloudEvent], organization_id: str) -> dict[str, int]:
    """The seats that the events say are taken."""
    seats = {"monitoring": 0, "spam_check": 0}
    change = {"AccountRequested": 1, "AccountRemoved": -1}
    for event in events:
        if event.type in change and event.data["organization_id"] == organization_id:
            seats[event.data["seat_kind"]] += change[event.type]
    return seats


async def statuses(tenant: Tenant) -> dict[str, int]:
    """How many accounts have each status, as the API shows them."""
    counts: dict[str, int] = defaultdict(int)
    cursor: dict[str, str] = {}
    while True:
        page = (await tenant.http.get("/v1/accounts", params={"limit": 100, **cursor})).raise_for_status().json()
        for account in page["items"]:
            counts[account["status"]] += 1
        if page["next_cursor"] is None:
            return dict(counts)
        cursor = {"cursor": page["next_cursor"]}
