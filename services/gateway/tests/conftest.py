"""The gateway on a real Postgres; tests play the connector, the auditor and billing."""

from collections.abc import AsyncIterator

import pytest

from berth_testing.gateway_harness import GatewayHarness, Project, run_gateway
from berth_testing.postgres import PostgresServer
from berth_testing.webhook_bed import WebhookBed, webhook_bed


@pytest.fixture(scope="session")
async def running_gateway(postgres_server: PostgresServer) -> AsyncIterator[GatewayHarness]:
    async with run_gateway(postgres_server) as running:
        yield running


@pytest.fixture
async def harness(running_gateway: GatewayHarness) -> GatewayHarness:
    """The session's gateway, emptied."""
    await running_gateway.reset()
    return running_gateway


@pytest.fixture
async def project(harness: GatewayHarness) -> AsyncIterator[Project]:
    """A project whose organization has ten seats of each kind."""
    made = await harness.project(await harness.organization())
    async with made.http:
        yield made


@pytest.fixture
async def bed(harness: GatewayHarness, project: Project) -> AsyncIterator[WebhookBed]:
    """The project with a receiver of webhooks."""
    async with webhook_bed(harness, project) as made:
        yield made
