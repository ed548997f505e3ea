"""The gateway on a real Postgres; tests play the connector, the auditor and billing."""

from collections.abc import AsyncIterator

import pytest

from berth_testing.gateway_harness import GatewayHarness, Project, run_gateway
from berth_testing.postgres import DatabaseFrom, PostgresServer


@pytest.fixture
async def harness(postgres_server: PostgresServer, database_from: DatabaseFrom) -> AsyncIterator[GatewayHarness]:
    async with run_gateway(postgres_server, database_from) as running:
        yield running


@pytest.fixture
async def project(harness: GatewayHarness) -> AsyncIterator[Project]:
    """A project whose organization has ten seats of each kind."""
    made = await harness.project(await harness.organization())
    async with made.http:
        yield made
