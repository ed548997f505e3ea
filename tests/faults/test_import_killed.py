"""kill -9 of the connector three times in the middle of an import: each address has one result, and progress never goes back."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from berth_testing.aftermath import all_is_done, distinct, no_gap_in_any_stream
from berth_testing.kafka import MakeCluster
from berth_testing.nsd import NameServer
from berth_testing.oauth_bed import OAuthBed
from berth_testing.platform import Platform, Surroundings, run_platform
from berth_testing.postgres import PostgresServer
from berth_testing.servers import working_directory
from berth_testing.tenant import Tenant
from berth_testing.topics import read_with_aiokafka
from berth_testing.waiting import eventually

#: `make import-10000` asks for more.
ADDRESSES: Final = int(os.environ.get("ADDRESSES", "300"))
#: Every so many addresses one is not known to Google.
UNKNOWN_EVERY: Final = 20
#: When the connector is killed: as soon as so many of the addresses have a result.
KILLS: Final = (0.2, 0.4, 0.6)
TOPICS: Final = [
    "berth.accounts.v1", "berth.verifications.v1", "berth.workspaces.v1", "berth.imports.v1", "berth.billing.v1",
]  # fmt: skip
RESULTS: Final = {"AccountConnected": "connected", "AccountConnectionFailed": "failed"}
WITHIN_S: Final = 60 + ADDRESSES / 10


@pytest.fixture
async def kafka_bootstrap(make_cluster: MakeCluster) -> str:
    """A Kafka of its own: topics and groups have fixed names, so two platforms cannot share one."""
    cluster = make_cluster(1)
    await asyncio.to_thread(cluster.start)
    await cluster.ready()
    return cluster.bootstrap


@pytest.fixture
async def platform(
    postgres_server: PostgresServer, kafka_bootstrap: str, oauth_bed: OAuthBed, nsd: NameServer
) -> AsyncIterator[Platform]:
    mail, service = oauth_bed.mail, oauth_bed.service
    with working_directory("berth-faults-") as directory:
        ca_file = _joined(directory / "authorities.pem", mail.ca_file, service.ca_file)
        surroundings = Surroundings(
            kafka_bootstrap=kafka_bootstrap,
            dns_server=nsd.endpoint,
            ca_file=ca_file,
            mail_ports=sorted(mail.ports.values()),
            settings={
                "LEASE_SECONDS": "5",  # a dead worker's lease runs out soon
                "LOG_LEVEL": "INFO",
                "BERTH_GOOGLE_TOKEN_URL": service.google_url,
                "BERTH_GOOGLE_MAIL_HOSTS": ",".join(
                    f"{mail.hostname}:{mail.ports[name]}:tls" for name in ("imaps", "smtps")
                ),
            },
        )
        async with run_platform(postgres_server.dsn, directory, surroundings) as running:
            yield running


class Watch:
    """Follows the progress of an import as a client does, who reconnects when a stream ends.

    Attributes:
        seen: every state of the progress, in the order in which it came.
    """

    def __init__(self, tenant: Tenant, import_id: str) -> None:
        self._http, self._path = tenant.http, f"/v1/imports/{import_id}/events"
        self._news = asyncio.Condition()
        self.seen: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Until the import is finished."""
        while not (self.seen and self.seen[-1]["pending"] == 0):
            with suppress(httpx.TransportError):
                async with self._http.stream("GET", self._path, timeout=60) as stream:
                    stream.raise_for_status()
                    async for line in stream.aiter_lines():
                        if line.startswith("data:"):
                            await self._keep(json.loads(line.removeprefix("data:"))["progress"])

    async def settled(self, count: float) -> None:
        """Wait until so many addresses have a result."""
        async with self._news:
            await self._news.wait_for(lambda: bool(self.seen) and _settled(self.seen[-1]) >= count)

    async def _keep(self, progress: dict[str, Any]) -> None:
        async with self._news:
            self.seen.append(progress)
            self._news.notify_all()


def _settled(progress: dict[str, Any]) -> int:
    return int(progress["connected"]) + int(progress["failed"])


@pytest.mark.timeout(120 + 2 * WITHIN_S)
async def test_an_import_survives_three_deaths_of_the_connector(
    platform: Platform, oauth_bed: OAuthBed, kafka_bootstrap: str
) -> None:
    addresses = [f"user{number}@acme.example" for number in range(ADDRESSES)]
    unknown = set(addresses[::UNKNOWN_EVERY])
    _, key_file = oauth_bed.service.google_workspace(*(address for address in addresses if address not in unknown))
    tenant = await platform.tenant(monitoring=ADDRESSES)
    workspace = await _post(tenant, "/v1/email-workspaces", _google(key_file))
    made = await _post(tenant, f"/v1/email-workspaces/{workspace['id']}/imports", {"accounts": addresses})
    assert made["progress"]["accepted"] == ADDRESSES

    watch = Watch(tenant, made["id"])
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        group.create_task(watch.run())
        for share in KILLS:
            await watch.settled(share * ADDRESSES)
            await _work_in_flight(platform)
            await platform.kill("connector")
            await platform.restart("connector")
    told = partial(platform.fetch, "gateway", "SELECT told FROM import")
    await eventually(told, lambda imports: imports[0]["told"] == "finished", within=20)
    await all_is_done(platform, kafka_bootstrap, TOPICS, within=WITHIN_S)

    for name in ("connected", "failed", "percent"):
        assert (values := [progress[name] for progress in watch.seen]) == sorted(values)
    wanted = {address: "failed" if address in unknown else "connected" for address in addresses}
    last = watch.seen[-1]
    assert (last["connected"], last["failed"]) == (ADDRESSES - len(unknown), len(unknown))

    rows = await platform.fetch("gateway", "SELECT email, state, account_id FROM import_row")
    assert len(rows) == ADDRESSES
    assert {row["email"]: row["state"] for row in rows} == wanted
    events = distinct(await read_with_aiokafka(kafka_bootstrap, TOPICS))
    results = Counter((event.key, RESULTS[event.type]) for event in events if event.type in RESULTS)
    assert results == Counter((str(row["account_id"]), row["state"]) for row in rows)
    assert Counter(event.type for event in events)["AccountRequested"] == ADDRESSES
    assert 2 <= Counter(event.type for event in events)["ImportProgressed"] <= 11
    no_gap_in_any_stream(events)
    seats = {"monitoring": ADDRESSES, "spam_check": 0}
    assert await platform.seats_at_gateway(tenant.organization_id) == seats
    assert await platform.seats_at_billing(tenant.organization_id) == seats


def _joined(file: Path, *parts: Path) -> Path:
    file.write_text("".join(part.read_text() for part in parts))
    return file


def _google(key_file: str) -> dict[str, str]:
    return {"name": "Acme", "provider": "google", "service_account_key": key_file}


async def _post(tenant: Tenant, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await tenant.http.post(path, json=body, timeout=120)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


async def _work_in_flight(platform: Platform) -> None:
    """Wait until the connector is at work."""
    await eventually(
        lambda: platform.fetch("connector", "SELECT id FROM work WHERE state = 'leased'"), bool, within=20, pause=0.01
    )
