"""The four real services as processes of their own, against given servers: what a platform team would talk to."""

import base64
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx

from berth_gateway.tenants.scopes import PLATFORM_ONLY, SCOPES
from berth_local.children import Child, Children
from berth_local.databases import Databases, prepare_databases
from berth_local.guardian import Guardian
from berth_local.ports import free_port
from berth_local.sandbox.description import Sandbox
from berth_local.services import SERVICES, Secrets, ServiceSpec, environment_of, wait_until_ready
from berth_testing.postgres import ROLE_MARK, ROLE_PASSWORD
from berth_testing.tenant import Tenant
from berth_testing.waiting import eventually
from berth_vault.keys import generate_key

__all__ = ["ALLOWED_NETWORK", "Platform", "Surroundings", "run_platform"]

#: What the services may dial although it is loopback: the mail bed's addresses, 127.0.0.0 to 127.0.0.7.
ALLOWED_NETWORK: Final = "127.0.0.0/29"
_LIMITS_WITHIN_S: Final = 30
#: Tests and benchmarks are not to be slowed down.
_RATE_LIMIT: Final = "1000000/second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the services talk to.

    Attributes:
        kafka_bootstrap: host:port, or None for the embedded bus.
        dns_server: host:port.
        ca_file: the authority that is trusted for mail servers besides the system's.
        mail_ports: may be dialled besides the usual ones.
        settings: more environment variables, of all services.
    """

    kafka_bootstrap: str | None
    dns_server: str
    ca_file: Path
    mail_ports: Sequence[int]
    settings: Mapping[str, str]


class Platform:
    """Four services; made by `run_platform`.

    Attributes:
        webhook_port: of a receiver of webhooks on loopback, if a test starts one.
    """

    def __init__(self, databases: Databases, surroundings: Surroundings, children: Children) -> None:
        """Take what `run_platform` prepared; nothing runs yet."""
        self.databases = databases
        keys = generate_key()
        self.secrets = Secrets(
            operator_key=secrets.token_urlsafe(32),
            internal_token=secrets.token_urlsafe(32),
            vault_public_key=keys.public_text,
            vault_private_keys=keys.private_text,
            webhook_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        )
        self._surroundings, self._children = surroundings, children
        self._specs = {spec.name: spec for spec in SERVICES}
        self._ports = {name: free_port() for name in self._specs}
        self.webhook_port = free_port()
        self._running: dict[str, Child] = {}
        self._clients: list[httpx.AsyncClient] = []

    def url(self, service: str) -> str:
        """Where the service's HTTP server is."""
        return f"http://127.0.0.1:{self._ports[service]}"

    def owner_dsn(self, service: str) -> str:
        """The DSN of the service's database for the server's administrator, who sees everything."""
        return self.databases.owned(self._specs[service].owner)

    def logs(self) -> dict[str, str]:
        """What each running service has logged since it was started."""
        return {name: child.log.read_text(errors="replace") for name, child in self._running.items()}

    async def migrate(self) -> None:
        """Bring every database to this version, with the services' own command."""
        commands = [
            await self._children.start(f"{spec.name}-migrate", ["-m", spec.package, "migrate"], self._environment(spec))
            for spec in SERVICES
        ]
        for child in commands:
            if await child.process.wait() != 0:
                raise child.end()
        await self._children.stop(commands)

    async def start(self, *services: str) -> None:
        """Start services (all when none is named) and wait until each says that it is ready."""
        names = services or tuple(self._specs)
        for name in names:
            spec = self._specs[name]
            arguments = ["-m", spec.package, "serve"]
            self._running[name] = await self._children.start(name, arguments, self._environment(spec))
        async with httpx.AsyncClient(timeout=5) as http:
            for name in names:
                await wait_until_ready(http, name, self.url(name))

    async def stop(self) -> None:
        """Stop what runs, as an operator would."""
        await self._children.stop(list(self._running.values()))
        self._running.clear()
        for client in self._clients:
            await client.aclose()

    async def kill(self, service: str) -> None:
        """SIGKILL: the service gets no chance to finish anything."""
        child = self._running.pop(service)
        child.process.kill()
        await self._children.stop([child])

    async def restart(self, service: str) -> None:
        """Start a service that was killed."""
        await self.start(service)

    async def tenant(self, *, monitoring: int, spam_check: int = 0) -> Tenant:
        """Make an organization with a subscription to so many seats, a project, and a key with all scopes."""
        async with self.operator() as http:
            organization = (await _post(http, "/v1/organizations", {"name": "Acme"}))["id"]
            project = (await _post(http, f"/v1/organizations/{organization}/projects", {"name": "Main"}))["id"]
            scopes = [scope for scope in SCOPES if scope not in PLATFORM_ONLY]
            terms = {"name": "tests", "scopes": scopes, "rate_limit": _RATE_LIMIT}
            key = (await _post(http, f"/v1/projects/{project}/keys", terms))["key"]
        await self.subscribe(organization, monitoring=monitoring, spam_check=spam_check)
        client = self._client("gateway", key)
        self._clients.append(client)
        return Tenant(organization_id=organization, project_id=project, key=key, http=client)

    async def subscribe(self, organization_id: str, *, monitoring: int, spam_check: int = 0) -> None:
        """Set the organization's limits at billing, and wait until the gateway has heard of them."""
        body = {"plan": "team", "limits": {"monitoring": monitoring, "spam_check": spam_check}}
        async with self._client("billing", self.secrets.internal_token) as http:
            (await http.put(f"/internal/subscriptions/{organization_id}", json=body)).raise_for_status()
        await eventually(
            lambda: self.fetch(
                "gateway", "SELECT seat_limit FROM seat_ledger WHERE organization_id = $1", organization_id
            ),
            lambda rows: {row["seat_limit"] for row in rows} == {monitoring, spam_check},
            within=_LIMITS_WITHIN_S,
        )

    async def seats_at_gateway(self, organization_id: str) -> dict[str, int]:
        """The seats that the gateway's ledger says are taken."""
        rows = await self.fetch(
            "gateway", "SELECT seat_kind, used FROM seat_ledger WHERE organization_id = $1", organization_id
        )
        return {row["seat_kind"]: row["used"] for row in rows}

    async def seats_at_billing(self, organization_id: str) -> dict[str, int]:
        """The seats that billing counted by itself."""
        async with self._client("billing", self.secrets.internal_token) as http:
            response = await http.get(f"/internal/organizations/{organization_id}/seats")
            used: dict[str, int] = response.raise_for_status().json()["used"]
            return used

    async def fetch(self, service: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Ask a service's database as its owner."""
        connection = await asyncpg.connect(self.owner_dsn(service))
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    def operator(self) -> httpx.AsyncClient:
        """A client of the gateway with the operator key."""
        return self._client("gateway", self.secrets.operator_key)

    def _client(self, service: str, key: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.AsyncClient(base_url=self.url(service), headers=headers, timeout=30)

    def _environment(self, spec: ServiceSpec) -> dict[str, str]:
        surroundings = self._surroundings
        sandbox = Sandbox(
            dns_servers=(surroundings.dns_server,),
            networks=(ALLOWED_NETWORK,),
            authority_file=str(surroundings.ca_file),
            hosts=(),
            mailboxes=(),
        )
        port = self._ports[spec.name]
        return {
            **environment_of(spec, port, self.databases, surroundings.kafka_bootstrap, sandbox, self.secrets),
            "MIGRATE_DATABASE_URL": self.databases.owned(spec.owner),
            "BERTH_WEBHOOK_PORTS": str(self.webhook_port),
            "BERTH_ALLOW_PORTS": ",".join(str(number) for number in surroundings.mail_ports),
            "LOG_LEVEL": "DEBUG",
            **surroundings.settings,
        }


@asynccontextmanager
async def run_platform(administrator: str, directory: Path, surroundings: Surroundings) -> AsyncIterator[Platform]:
    """Start a platform; everything of it is gone afterwards, its databases too.

    Args:
        administrator: the DSN of a role that may create roles and databases.
        directory: for logs; it exists.
        surroundings: what the services talk to.
    """
    databases = await prepare_databases(
        administrator, f"_{secrets.token_hex(4)}", lambda _: ROLE_PASSWORD, mark=ROLE_MARK
    )
    with (directory / "lock").open("w") as lock:
        guardian = Guardian(lock.fileno())
        platform = Platform(databases, surroundings, Children(directory / "logs", guardian))
        try:
            await platform.migrate()
            await platform.start()
            yield platform
        finally:
            await platform.stop()
            guardian.close()
            await _drop(databases)


async def _drop(databases: Databases) -> None:
    connection = await asyncpg.connect(databases.admin)
    try:
        for owner in databases.passwords:
            await connection.execute(f'DROP DATABASE IF EXISTS "{databases.name(owner)}" WITH (FORCE)')
    finally:
        await connection.close()


async def _post(http: httpx.AsyncClient, path: str, body: Mapping[str, object]) -> dict[str, Any]:
    response = await http.post(path, json=body)
    answer: dict[str, Any] = response.raise_for_status().json()
    return answer
