"""The whole stack: started in the order of what needs what, stopped in the reverse order whatever happens."""

import asyncio
import base64
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NoReturn

import httpx

from berth_local.children import Child, Children
from berth_local.databases import Databases, prepare_databases
from berth_local.description import ServiceDescription
from berth_local.guardian import Guardian
from berth_local.ports import ClaimedPorts
from berth_local.sandbox.description import Sandbox
from berth_local.servers import KafkaServer, PostgresServer
from berth_local.services import SERVICES, Secrets, environment_of, wait_until_ready
from berth_local.settings import LocalSettings
from berth_local.state import State
from berth_local.steps import Steps
from berth_vault.keys import generate_key

__all__ = ["Running", "remembered_providers", "stack"]

SANDBOX_POLL_SECONDS: Final = 0.02
CHECK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Running:
    """What runs."""

    settings: LocalSettings
    state: State
    databases: Databases
    kafka_bootstrap: str | None
    sandbox: Sandbox
    secrets: Secrets
    services: dict[str, ServiceDescription]
    children: Children
    client: httpx.AsyncClient
    checks: Sequence[Callable[[], None]]

    @property
    def url(self) -> str:
        """The gateway's."""
        return self.services["gateway"].url

    async def until_a_part_ends(self) -> None:
        """Wait for as long as everything runs.

        Raises:
            LocalStackError: a part ended; the message has its last words.
        """
        await self.children.while_running(self._check())

    async def _check(self) -> NoReturn:
        while True:  # Postgres and Kafka are not among the children
            for check in self.checks:
                check()
            await asyncio.sleep(CHECK_SECONDS)


@asynccontextmanager
async def stack(settings: LocalSettings, lock_descriptor: int, steps: Steps) -> AsyncIterator[Running]:
    """Run everything.

    Raises:
        LocalStackError: something is missing or does not start. What was started is stopped again.
    """
    state = State(settings.directory / "secrets.json")
    async with AsyncExitStack() as exits:
        client = await exits.enter_async_context(httpx.AsyncClient(timeout=10, trust_env=False))
        guardian = Guardian(lock_descriptor)
        exits.callback(guardian.close)
        ports = ClaimedPorts()
        exits.callback(ports.release)
        children = Children(settings.logs, guardian)
        exits.push_async_callback(children.stop_all)
        checks: list[Callable[[], None]] = []
        starting = _Starting(settings, state, steps, ports, guardian, children, checks, exits)
        # sandbox and Kafka need nothing: they start while the databases are made
        sandbox_file = await starting.begin_sandbox()
        kafka = starting.begin_kafka()
        databases = await starting.databases()
        sandbox = await starting.sandbox(sandbox_file)
        kafka_bootstrap = await starting.events(kafka)
        shared = _secrets(state)
        services = await starting.services(client, databases, sandbox, kafka_bootstrap, shared)
        yield Running(settings, state, databases, kafka_bootstrap, sandbox, shared, services, children, client, checks)


@dataclass(frozen=True, slots=True)
class _Starting:
    """The steps of the start; each registers at once how it is undone."""

    settings: LocalSettings
    state: State
    steps: Steps
    ports: ClaimedPorts
    guardian: Guardian
    children: Children
    checks: list[Callable[[], None]]
    exits: AsyncExitStack

    async def begin_sandbox(self) -> Path:
        directory = self.settings.directory / "sandbox"
        file = directory / "sandbox.json"
        file.unlink(missing_ok=True)
        arguments = ["-m", "berth_local.sandbox", str(directory), "--quiet"]
        environment = {**os.environ, "PROVIDERS": remembered_providers(self.settings, self.state)}
        await self.children.start("sandbox", arguments, environment)
        return file

    def begin_kafka(self) -> KafkaServer | None:
        if self.settings.bus != "kafka":
            return None
        kafka = KafkaServer(self.settings, self.ports, self.guardian)
        self.exits.push_async_callback(kafka.stop)
        self.checks.append(kafka.check)
        kafka.start()
        return kafka

    async def databases(self) -> Databases:
        with self.steps.step("Postgres") as step:
            postgres = PostgresServer(self.settings, self.state, self.ports, self.guardian)
            self.exits.callback(postgres.stop)
            self.checks.append(postgres.check)
            admin = postgres.start()
            databases = await prepare_databases(
                admin,
                self.settings.database_suffix,
                lambda owner: self.state.keep(f"password of berth_{owner}", _token),
                mark=f"made by the Berth local stack in {self.settings.directory}",
            )
            step.said = await postgres.text(admin)
        with self.steps.step("Databases") as step:
            owned = {service.name: databases.owned(service.owner) for service in SERVICES}
            environment = {**os.environ, "MIGRATE": json.dumps(owned)}
            await self.children.run_once("migrations", ["-m", "berth_local.migrations"], environment)
            step.said = ", ".join(databases.name(service.owner) for service in SERVICES)
        return databases

    async def sandbox(self, file: Path) -> Sandbox:
        with self.steps.step("Sandbox") as step:
            sandbox = await self.children.while_running(_read_sandbox(file))
            step.said = f"mail on {', '.join(host.address for host in sandbox.hosts)}, DNS on {sandbox.dns_servers[0]}"
            if sandbox.providers:
                step.said += f"; plays {', '.join(provider.name for provider in sandbox.providers)}"
            else:
                step.said += "; real providers (PROVIDERS=played plays them)"
        return sandbox

    async def events(self, kafka: KafkaServer | None) -> str | None:
        with self.steps.step("Events") as step:
            if not kafka:
                step.said = "the embedded bus, on Postgres"
                return None
            bootstrap = await self.children.while_running(kafka.ready())
            step.said = kafka.text(bootstrap)
            return bootstrap

    async def services(
        self,
        client: httpx.AsyncClient,
        databases: Databases,
        sandbox: Sandbox,
        kafka_bootstrap: str | None,
        shared: Secrets,
    ) -> dict[str, ServiceDescription]:
        with self.steps.step("Services") as step:
            services = {}
            started: list[Child] = []
            self.exits.push_async_callback(self.children.stop, started)
            for service in SERVICES:
                port = self.ports.take(service.port)
                environment = environment_of(service, port, databases, kafka_bootstrap, sandbox, shared)
                child = await self.children.start(service.name, ["-m", service.package, "serve"], environment)
                started.append(child)
                services[service.name] = ServiceDescription(
                    url=f"http://127.0.0.1:{port}",
                    database_url=databases.dsn(service.owner),
                    log=str(child.log),
                    pid=child.process.pid,
                )
            await self.children.while_running(_all_ready(client, services))
            step.said = ", ".join(f"{name} :{one.url.rpartition(':')[2]}" for name, one in services.items())
        return services


async def _all_ready(client: httpx.AsyncClient, services: Mapping[str, ServiceDescription]) -> None:
    for name, service in services.items():  # they start side by side; one after the other is asked
        await wait_until_ready(client, name, service.url)


async def _read_sandbox(file: Path) -> Sandbox:
    """What the sandbox writes when it serves; its end, if it comes before that, is noticed elsewhere."""
    while not (text := _text(file)):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(SANDBOX_POLL_SECONDS)
    return Sandbox.model_validate_json(text)


def remembered_providers(settings: LocalSettings, state: State) -> str:
    """Whether providers are played: as chosen, else as at the last start.

    A real mailbox's password is not to be sent to a played provider only because a start does not say PROVIDERS=real again.
    """
    chosen = settings.providers or state.get("providers") or "played"
    state.put("providers", chosen)
    return chosen


def _text(file: Path) -> str | None:
    return file.read_text() if file.exists() else None


def _secrets(state: State) -> Secrets:
    pair = state.keep("vault keys", lambda: json.dumps(asdict(generate_key())))
    keys = json.loads(pair)
    return Secrets(
        operator_key=state.keep("operator key", _token),
        internal_token=state.keep("internal token", _token),
        vault_public_key=keys["public_text"],
        vault_private_keys=keys["private_text"],
        webhook_key=state.keep("webhook key", _key),
    )


def _token() -> str:
    return secrets.token_urlsafe(24)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
