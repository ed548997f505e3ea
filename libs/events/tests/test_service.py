"""The life of a service's process: when it is ready, in which order it stops, and what ends it."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from berth_events.runtime.service import migrate_service
from berth_local.ports import free_port
from berth_testing.postgres import DatabaseFrom, PostgresServer
from berth_testing.processes import run_module
from berth_testing.sample_service import SERVICE
from berth_testing.waiting import eventually

MODULE = "berth_testing.sample_service"


@dataclass
class Surroundings:
    """What the process is started with."""

    dsn: str
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['HTTP_PORT']}"

    async def ready(self) -> httpx.Response | None:
        async with httpx.AsyncClient() as http:
            try:
                return await http.get(f"{self.url}/readyz")
            except httpx.TransportError:
                return None

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def ask(self, seconds: float) -> UUID:
        """Ask for work that takes so long."""
        key = uuid4()
        await self.fetch(
            """INSERT INTO work (id, key, kind, destination, payload, event_id, run_at)
               VALUES ($1, $1, 'sample', 'mx', $2, $1, now())""",
            key,
            json.dumps({"seconds": seconds}),
        )
        return key

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[asyncio.subprocess.Process]:
        async with run_module(MODULE, "serve", environment=self.environment) as process:
            await eventually(self.ready, lambda answer: answer is not None and answer.is_success, within=30)
            yield process


async def end_of(process: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    """The log, when the process has ended."""
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    return [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]


@pytest.fixture
async def surroundings(database_from: DatabaseFrom) -> Surroundings:
    async def migrated(dsn: str) -> None:
        await migrate_service(SERVICE, dsn)

    dsn = await database_from("sample", migrated)
    environment = {"DATABASE_URL": dsn, "BUS_URL": dsn, "KAFKA_BOOTSTRAP": "", "HTTP_PORT": str(free_port())}
    return Surroundings(dsn, environment | {"DRAIN_SECONDS": "2"})


async def test_sigterm_ends_requests_then_work_then_the_consumers_and_loses_nothing(surroundings: Surroundings) -> None:
    async with surroundings.serving() as process:
        short, long = await surroundings.ask(1.5), await surroundings.ask(60)
        await eventually(
            lambda: surroundings.fetch("SELECT 1 FROM work WHERE state = 'leased'"),
            lambda rows: len(rows) == 2,
            within=10,
        )
        async with httpx.AsyncClient(timeout=10) as http:
            slow = asyncio.create_task(http.get(f"{surroundings.url}/slow"))
            await asyncio.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            refused = await surroundings.ready()
            assert refused is None or refused.status_code == 503
            assert (await slow).json() == "done"
        log = await end_of(process)

    assert process.returncode == 0
    said = [(line["event"], line.get("job")) for line in log]
    order = [
        ("service.stopping", None),
        ("request.answered", None),
        ("work.performed", str(short)),
        ("work.cancelled", str(long)),
        ("part.stopped", None),
        ("service.stopped", None),
    ]
    assert [each for each in said if each in order] == order
    assert [row["stream_id"] for row in await surroundings.fetch("SELECT stream_id FROM event")] == [short]
    [left] = await surroundings.fetch("SELECT key, state, attempts FROM work")
    assert tuple(left) == (long, "ready", 0)
    assert not await surroundings.fetch(
        """SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'berth-%'"""
    )


async def test_the_service_answers_what_kubernetes_and_prometheus_ask(surroundings: Surroundings) -> None:
    async with surroundings.serving() as process, httpx.AsyncClient(base_url=surroundings.url) as http:
        await surroundings.ask(0)
        assert (await http.get("/healthz")).json() == {"status": "alive"}
        assert (await http.get("/readyz")).json() == {"status": "ready", "problems": []}
        metrics = await eventually(
            lambda: http.get("/metrics"),
            lambda answer: 'berth_work_seconds_count{kind="sample",outcome="done"} 1.0' in answer.text,
            within=10,
        )
        assert 'berth_work_rows{state="ready"} 0.0' in metrics.text
        process.send_signal(signal.SIGINT)
        await end_of(process)
    assert process.returncode == 0


async def test_a_part_that_dies_ends_the_process_with_an_error(surroundings: Surroundings) -> None:
    surroundings.environment["SAMPLE_DIES"] = "true"
    async with run_module(MODULE, "serve", environment=surroundings.environment) as process:
        async with asyncio.timeout(30):
            out, _ = await process.communicate()
    assert process.returncode != 0
    assert b"the part died" in out


async def test_nothing_is_served_on_a_database_that_is_behind(surroundings: Surroundings) -> None:
    await surroundings.fetch("DELETE FROM schema_migration WHERE name = '0001_sample.sql'")
    async with run_module(MODULE, "serve", environment=surroundings.environment) as process:
        async with asyncio.timeout(30):
            out, _ = await process.communicate()
    assert process.returncode == 1
    assert b"Run the service's `migrate` command" in out
    assert b"berth_testing.sample_service/0001_sample.sql" in out


async def test_a_database_that_goes_away_makes_it_unready_and_it_recovers(
    surroundings: Surroundings, postgres_server: PostgresServer
) -> None:
    name = surroundings.dsn.rpartition("/")[2]
    connection = await asyncpg.connect(postgres_server.dsn)
    try:
        async with surroundings.serving() as process:
            await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
            unready = await eventually(
                surroundings.ready, lambda answer: answer is not None and answer.status_code == 503, within=10
            )
            assert unready is not None
            assert unready.json()["problems"]
            async with httpx.AsyncClient(base_url=surroundings.url) as http:
                assert (await http.get("/healthz")).status_code == 200
                assert "berth_outbox_relayed_total" in (await http.get("/metrics")).text
            await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await eventually(
                surroundings.ready, lambda answer: answer is not None and answer.status_code == 200, within=20
            )
            key = await surroundings.ask(0)
            await eventually(
                lambda: surroundings.fetch("SELECT 1 FROM tally WHERE stream_id = $1", key), bool, within=20
            )
            process.terminate()
            await end_of(process)
        assert process.returncode == 0
    finally:
        await connection.close()
