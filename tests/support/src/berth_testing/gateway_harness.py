"""The gateway's application on a real Postgres with its rights of production, and the other services as it sees them."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import httpx
from fastapi import FastAPI

from berth_events.contracts import (
    AccountRequested,
    AccountVerificationRequested,
    Envelope,
    Event,
    SeatCount,
    SubscriptionActivated,
    from_binary,
)
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Pool, open_pool
from berth_events.runtime.rebuild import RebuildableProjection
from berth_events.runtime.service import migrate_service
from berth_events.runtime.store import EventStore
from berth_gateway.api.app import make_app
from berth_gateway.bootstrap import SERVICE, Gateway, compose
from berth_gateway.settings import GatewaySettings
from berth_gateway.tenants.scopes import PLATFORM_ONLY, SCOPES
from berth_net import Address, HostNotFound, ServiceRecord
from berth_testing.gateway_results import audited, verified
from berth_testing.postgres import ROLE_MARK, ROLE_PASSWORD, PostgresServer
from berth_vault import Opener, generate_key

__all__ = ["OPERATOR_KEY", "GatewayHarness", "NamedHosts", "Project", "ShiftedClock", "account_body", "run_gateway"]

OPERATOR_KEY: Final = "platform-key-of-the-tests"
_KEYS: Final = generate_key("test")
_ALL_SCOPES: Final = tuple(scope for scope in SCOPES if scope not in PLATFORM_ONLY)


def _schema(projection: RebuildableProjection) -> str:
    return f"{projection.name}_v1"


class ShiftedClock(SystemClock):
    """The machine's clock, moved by what a test says."""

    def __init__(self) -> None:
        """Start unmoved."""
        self.shift = timedelta()

    def now(self) -> datetime:
        """The time of day, shifted."""
        return super().now() + self.shift


class NamedHosts:
    """A resolver that knows the hosts, and the mail records of domains, that it was told; any other does not exist."""

    def __init__(self) -> None:
        """Know none."""
        self.forget()

    def forget(self) -> None:
        """Know none any more."""
        self.known: dict[str, str] = {}
        self.exchanged: dict[str, tuple[str, ...]] = {}
        self.offered: dict[str, tuple[ServiceRecord, ...]] = {}
        self.silent = False

    async def exchanges(self, domain: str) -> tuple[str, ...]:
        """The MX records of a domain."""
        if self.silent:
            await asyncio.sleep(3600)
        return self.exchanged.get(domain, ())

    async def services(self, name: str) -> tuple[ServiceRecord, ...]:
        """The SRV records of a name."""
        if self.silent:
            await asyncio.sleep(3600)
        return self.offered.get(name, ())

    async def addresses(self, host: str) -> tuple[Address, ...]:
        """The one address; with `silent` nobody answers."""
        if self.silent:
            await asyncio.sleep(3600)
        if host not in self.known:
            raise HostNotFound(host)
        return (ip_address(self.known[host]),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project with a key, and a client that uses it."""

    organization_id: UUID
    project_id: UUID
    key: str
    http: httpx.AsyncClient


@dataclass(slots=True, kw_only=True)
class GatewayHarness:
    """The application, and the other services as far as the gateway sees them.

    Attributes:
        owner: a pool that may do everything.
        pool: the gateway's own, with the rights of its role.
        http: a client without a key.
        opener: holds the connector's private key.
        resolver: what it knows of hosts.
        history: everything that `published` has returned in this test.
    """

    owner: Pool
    pool: Pool
    clock: ShiftedClock
    settings: GatewaySettings
    gateway: Gateway
    app: FastAPI
    http: httpx.AsyncClient
    opener: Opener
    resolver: "NamedHosts"
    history: list[Event] = field(default_factory=list)
    _sequences: dict[UUID, int] = field(default_factory=dict)
    _published: set[int] = field(default_factory=set)

    async def reset(self) -> None:
        """Empty the database and forget what the test before set up."""
        schemas = ", ".join(f"'{name}'" for name in ("public", "vault", *map(_schema, self.gateway.projections)))
        tables = await self.owner.fetchval(
            f"""SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables
                 WHERE schemaname IN ({schemas}) AND tablename NOT IN ('schema_migration', 'projection')"""
        )
        await self.owner.execute(f"TRUNCATE {tables}")
        self.clock.shift = timedelta()
        self.gateway.services.rate_limits.forget()
        self.resolver.forget()
        self.gateway.services.autoconfig.forget()
        self._sequences.clear()
        self._published.clear()
        self.history.clear()

    async def deliver(self, *events: Event, source: str = "/berth/connector") -> list[Envelope]:
        """Let others have said something: the events are applied as the projectors would."""
        envelopes = []
        for event in events:
            sequence = self._sequences[event.aggregate_id] = self._sequences.get(event.aggregate_id, 0) + 1
            envelopes.append(
                Envelope(event_id=uuid4(), source=source, sequence=sequence, time=self.clock.now(), data=event)
            )
        await self.apply(envelopes)
        return envelopes

    async def apply(self, envelopes: Sequence[Envelope]) -> None:
        """Apply envelopes, the read model and the process manager each in a transaction of its own."""
        for projection in self.gateway.projections:
            heard = [envelope for envelope in envelopes if envelope.data.topic in projection.topics]
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute("SELECT set_config('search_path', $1, true)", f"{_schema(projection)}, public")
                await projection.apply(connection, heard)
        async with self.pool.acquire() as connection, connection.transaction():
            await self.gateway.manager.apply(connection, envelopes)

    async def subscribe(self, organization_id: UUID, *, monitoring: int = 10, spam_check: int = 10) -> None:
        """Give the organization a subscription."""
        limits = SeatCount(monitoring=monitoring, spam_check=spam_check)
        activated = SubscriptionActivated(organization_id=organization_id, plan="team", limits=limits)
        await self.deliver(activated, source="/berth/billing")

    async def published(self) -> list[Event]:
        """What the gateway has put into its outbox since the last call."""
        rows = await self.owner.fetch(
            "SELECT position, headers, value FROM outbox WHERE position <> ALL($1::bigint[]) ORDER BY position",
            list(self._published),  # not only the highest: a lower one may have been committed since then
        )
        events = []
        for row in rows:
            self._published.add(row["position"])
            read = from_binary([(name, text.encode()) for name, text in row["headers"].items()], row["value"])
            if not isinstance(read, Envelope):
                raise TypeError(read)
            events.append(read.data)
        self.history += events
        return events

    @contextlib.asynccontextmanager
    async def connector(
        self, *, works: bool = True, delay: float = 0.0, audits: bool = True
    ) -> AsyncIterator[list[AccountRequested | AccountVerificationRequested]]:
        """Answer every request for a verification while the block runs; yields the list of what was asked.

        Args:
            works: what every verification finds.
            delay: seconds that it takes.
            audits: play the auditor too.
        """
        asked: list[AccountRequested | AccountVerificationRequested] = []

        async def play() -> None:
            while True:
                for event in await self.published():
                    if not isinstance(event, AccountRequested | AccountVerificationRequested):
                        continue
                    asked.append(event)
                    await asyncio.sleep(delay)
                    await self.deliver(verified(event, works=works))
                    if audits:
                        domain = event.address.rpartition("@")[2]
                        await self.deliver(audited(domain), source="/berth/dns-auditor")
                await asyncio.sleep(0.01)

        task = asyncio.create_task(play())
        try:
            yield asked
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def seats(self, organization_id: UUID) -> dict[str, int]:
        """The seats that are taken."""
        rows = await self.owner.fetch(
            "SELECT seat_kind, used FROM seat_ledger WHERE organization_id = $1", organization_id
        )
        return {row["seat_kind"]: row["used"] for row in rows}

    async def credentials(self) -> set[tuple[UUID, UUID]]:
        """Owner and id of every credential in the vault."""
        rows = await self.owner.fetch("SELECT owner_id, credential_id FROM vault.credential")
        return {(row["owner_id"], row["credential_id"]) for row in rows}

    async def organization(self, *, subscribed: bool = True) -> UUID:
        """A new organization, with a subscription of ten seats of each kind unless told otherwise."""
        organization_id = UUID((await self.platform("/v1/organizations", {"name": "Acme"}))["id"])
        if subscribed:
            await self.subscribe(organization_id)
        return organization_id

    async def project(self, organization_id: UUID, *, scopes: Sequence[str] = _ALL_SCOPES) -> Project:
        """A new project with a key of these scopes."""
        made = await self.platform(f"/v1/organizations/{organization_id}/projects", {"name": "Main"})
        key = await self.platform(f"/v1/projects/{made['id']}/keys", {"name": "test", "scopes": list(scopes)})
        return Project(
            organization_id=organization_id,
            project_id=UUID(made["id"]),
            key=key["key"],
            http=self.client({"Authorization": f"Bearer {key['key']}"}),
        )

    async def platform(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post something as the platform's operator, which has to be created."""
        answer = await self.http.post(path, json=body, headers={"Authorization": f"Bearer {OPERATOR_KEY}"})
        if answer.status_code != httpx.codes.CREATED:
            raise AssertionError(f"{path}: {answer.status_code} {answer.text}")
        made: dict[str, Any] = answer.json()
        return made

    def client(self, headers: dict[str, str]) -> httpx.AsyncClient:
        """A client of the application."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)


def account_body(email: str = "alice@acme.test", **changes: Any) -> dict[str, Any]:
    """A body for POST /v1/accounts."""
    return {
        "email": email,
        "first_name": "Alice",
        "last_name": "Doe",
        "provider": "custom",
        "password": "s3cret-pässword",
        "imap": {"host": "imap.acme.com", "port": 993},
        "smtp": {"host": "SMTP.acme.com", "port": 587},
        **changes,
    }


@contextlib.asynccontextmanager
async def run_gateway(server: PostgresServer) -> AsyncIterator[GatewayHarness]:
    """The gateway on a database of its own, logged in as its role."""
    name = await server.create_database()
    owner_dsn = server.dsn_of(name)
    await migrate_service(SERVICE, owner_dsn)
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute(f"ALTER ROLE berth_gateway LOGIN PASSWORD '{ROLE_PASSWORD}'")
    await connection.execute(f"COMMENT ON ROLE berth_gateway IS '{ROLE_MARK}'")
    await connection.close()
    dsn = server.dsn_of(name, user="berth_gateway", password=ROLE_PASSWORD)
    settings = GatewaySettings.model_validate(
        {
            "database_url": dsn,
            "berth_operator_key": OPERATOR_KEY,
            "berth_vault_public_key": _KEYS.public_text,
            "berth_webhook_key": base64.b64encode(bytes(range(32))).decode(),
            "berth_allow_ports": "20993,20587,20465",
        }
    )
    clock = ShiftedClock()
    async with (
        await open_pool(owner_dsn, application_name="test-owner", max_size=3) as owner,
        await open_pool(dsn, application_name="test-gateway", max_size=8) as pool,
    ):
        resolver = NamedHosts()
        gateway = compose(settings, pool, EventStore("/berth/gateway", clock), clock, resolver, resolver)
        harness = GatewayHarness(
            owner=owner,
            pool=pool,
            clock=clock,
            settings=settings,
            gateway=gateway,
            app=make_app(gateway.services),
            http=httpx.AsyncClient(),
            resolver=resolver,
            opener=Opener.from_text(_KEYS.private_text),
        )
        pollers = [asyncio.create_task(part.run()) for part in gateway.pollers]
        async with harness.client({}) as harness.http:
            yield harness
        for poller in pollers:
            poller.cancel()
        await asyncio.gather(*pollers, return_exceptions=True)
    await server.drop_database(name)
