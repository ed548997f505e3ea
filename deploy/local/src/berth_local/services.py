"""The four services: how each is started, and how one knows that it is ready."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from berth_local.databases import Databases
from berth_local.errors import LocalStackError
from berth_local.sandbox.description import Sandbox

__all__ = ["GATEWAY_PORT", "SERVICES", "NotReady", "Secrets", "ServiceSpec", "environment_of", "wait_until_ready"]

READY_SECONDS = 60


class NotReady(LocalStackError):
    """A service runs but does not become ready. The message says what it waits for; its log says more."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service.

    Attributes:
        name: `dns-auditor`.
        port: tried first for its HTTP server.
    """

    name: str
    port: int

    @property
    def owner(self) -> str:
        """Its part of the names of database, role and package: `dns_auditor`."""
        return self.name.replace("-", "_")

    @property
    def package(self) -> str:
        """What `python -m` runs."""
        return f"berth_{self.owner}"


GATEWAY_PORT: Final = 8080
SERVICES: Final = (
    ServiceSpec("gateway", GATEWAY_PORT),
    ServiceSpec("connector", 8081),
    ServiceSpec("dns-auditor", 8082),
    ServiceSpec("billing", 8083),
)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the services share with each other and with the operator."""

    operator_key: str
    internal_token: str
    vault_public_key: str
    vault_private_keys: str
    webhook_key: str


def environment_of(
    service: ServiceSpec,
    port: int,
    databases: Databases,
    kafka_bootstrap: str | None,
    sandbox: Sandbox,
    secrets: Secrets,
) -> dict[str, str]:
    """The whole environment of a service's process: each gets only the secrets that it needs."""
    environment = {
        "DATABASE_URL": databases.dsn(service.owner),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        **sandbox.settings(),
    }
    if kafka_bootstrap:
        environment["KAFKA_BOOTSTRAP"] = kafka_bootstrap
    else:
        environment["BUS_URL"] = databases.dsn("bus")
    if service.name == "gateway":
        environment["BERTH_OPERATOR_KEY"] = secrets.operator_key
        environment["BERTH_VAULT_PUBLIC_KEY"] = secrets.vault_public_key
        environment["BERTH_WEBHOOK_KEY"] = secrets.webhook_key
    elif service.name == "connector":
        environment["BERTH_VAULT_PRIVATE_KEYS"] = secrets.vault_private_keys
        environment["VAULT_DATABASE_URL"] = databases.dsn("gateway", role="connector")
    elif service.name == "billing":
        environment["BERTH_INTERNAL_TOKEN"] = secrets.internal_token
    return {**_inherited(os.environ), **environment}


def _inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what addresses the stack's own databases and buses."""
    ours = {"DATABASE_URL", "MIGRATE_DATABASE_URL", "VAULT_DATABASE_URL", "BUS_URL", "KAFKA_BOOTSTRAP"}
    return {name: value for name, value in environment.items() if name not in ours}


async def wait_until_ready(client: httpx.AsyncClient, name: str, url: str) -> None:
    """Wait for /readyz.

    Raises:
        NotReady: it says no for 60 s.
    """
    said = "no answer"
    try:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                try:
                    answer = await client.get(f"{url}/readyz")
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                    continue
                if answer.status_code == httpx.codes.OK:
                    return
                said = answer.text
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise NotReady(f"{name} is not ready after {READY_SECONDS} s: {said}") from None
