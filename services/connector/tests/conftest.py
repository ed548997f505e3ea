"""Certificates, probers that reach scripted servers of this process, and the service on a bench for email workspaces."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from berth_connector.bootstrap import SERVICE, make_handlers, make_tokens
from berth_connector.checkup import Examines, NoExaminer
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.intake import Intake
from berth_connector.oauth import TokenSource
from berth_connector.probe import Limits, Login, Prober, client_context
from berth_events.contracts import (
    AccountRequested,
    CredentialRef,
    EmailWorkspaceCreated,
    EmailWorkspaceCredentialsReplaced,
    Envelope,
    Event,
    MailServer,
    Verification,
)
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Pool, open_pool
from berth_events.runtime.service import migrate_service
from berth_events.runtime.store import EventStore
from berth_events.runtime.work import WorkQueue
from berth_net import Address, HostGuard, HostNotFound, LookupFailed, Policy
from berth_testing.asker import Asker, settings_for
from berth_testing.certificates import issue_certificates
from berth_testing.clocks import SteppingClock
from berth_testing.peers import Peer, Script
from berth_testing.postgres import DatabaseFrom
from berth_testing.token_service import TokenService, token_service
from berth_vault import (
    Binding,
    Credential,
    Opener,
    Sealer,
    SecretName,
    VaultReader,
    VaultWriter,
    generate_key,
    schema_sql,
)

KEYS = generate_key()
SEALER = Sealer.from_text(KEYS.public_text)
APPLICATION_SECRET = "s3cr~t.Value-of-the-App"
IMAP_WITH_TOKENS = Script(
    greeting=b"* OK ready\r\n",
    answers=[
        (r" CAPABILITY$", b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN\r\nTAG OK\r\n"),
        (r" AUTHENTICATE XOAUTH2 ", b"TAG OK\r\n"),
        (r" AUTHENTICATE XOAUTH2$", b"+ \r\n"),
        (r" EXAMINE ", b"TAG OK\r\n"),
        (r"^[A-Za-z0-9+/=]{100,}$", b"B2 OK\r\n"),
    ],
)


RUN = UUID("01890000-0000-7000-8000-000000000001")
#: Short enough for quick tests, long enough for a busy machine to do a handshake.
LIMITS = Limits(resolve=1, connect=1, tls=1, reply=0.5, authenticate=0.7, look=1, total=4)


class Loopback:
    """Every name is 127.0.0.1, but for some."""

    async def addresses(self, host: str) -> tuple[Address, ...]:
        if host == "missing.test.example":
            raise HostNotFound(f"The host {host} does not exist or has no address. Check its spelling.")
        if host == "lame.test.example":
            raise LookupFailed(f"The lookup of {host} failed: SERVFAIL.")
        if host == "mixed.test.example":
            return ip_address("127.0.0.1"), ip_address("169.254.169.254")
        return (ip_address("127.0.0.1"),)


@dataclass(frozen=True)
class Certificates:
    """Server contexts by the name of their certificate, and the file of the authority."""

    directory: Path
    authority: Path
    contexts: dict[str, ssl.SSLContext] = field(default_factory=dict)

    def server(self, name: str = "good") -> ssl.SSLContext:
        if name not in self.contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.directory / f"{name}.crt", self.directory / f"{name}.key")
            self.contexts[name] = context
        return self.contexts[name]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    directory = tmp_path_factory.mktemp("certificates") / "issued"
    return Certificates(directory, issue_certificates(directory))


@pytest.fixture(scope="session")
def client_tls(certificates: Certificates) -> ssl.SSLContext:
    return client_context(certificates.authority)


@pytest.fixture(scope="session")
def table() -> DiagnosisTable:
    return DiagnosisTable.load()


Probe = Callable[..., Awaitable[Verification]]


@pytest.fixture
def probe(client_tls: ssl.SSLContext, table: DiagnosisTable) -> Probe:
    """Verifies an account at ports of this machine: `await probe(imap=port, password="...")`."""

    async def run(
        *,
        imap: int | None = None,
        smtp: int | None = None,
        host: str = "mail.test.example",
        security: str = "tls",
        username: str = "me@test.example",
        password: str = "correct horse",
        mechanism: str = "auto",
        limits: Limits = LIMITS,
        allow_ports: Sequence[int] | None = None,
    ) -> Verification:
        def login(port: int | None) -> Login | None:
            if port is None:
                return None
            server = MailServer.model_validate(
                {"host": host, "port": port, "security": security, "username": username, "mechanism": mechanism}
            )
            return Login(server, password)

        ports = frozenset(allow_ports if allow_ports is not None else [port for port in (imap, smtp) if port])
        guard = HostGuard(Loopback(), Policy(allow_networks=(ip_network("127.0.0.0/8"),), allow_ports=ports))
        prober = Prober(guard, client_tls, table, SystemClock(), local_hostname="verify.test.example", limits=limits)
        return (await prober.verify(RUN, login(imap), login(smtp))).verification

    return run


@pytest.fixture
async def no_leaks() -> AsyncIterator[None]:
    """Fails when a test leaves a task behind."""
    before = asyncio.all_tasks()
    yield
    for _ in range(20):
        left = {task for task in asyncio.all_tasks() - before - {asyncio.current_task()} if not task.done()}
        if not left:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"left behind: {left}")


class Bench:
    """The service without its loops, and the gateway's side of one workspace."""

    def __init__(
        self, pool: Pool, vault_pool: Pool, service: TokenService, tokens: TokenSource, prober: Prober, guard: HostGuard
    ) -> None:
        self.pool, self.vault_pool, self.service, self.tokens = pool, vault_pool, service, tokens
        self.prober, self.guard = prober, guard
        self.clock: SteppingClock = tokens._clock  # type: ignore[assignment]
        self.port = 0
        self.examiner: Examines = NoExaminer(DiagnosisTable.load(), self.clock)
        self.store = EventStore("/berth/connector", self.clock)
        self.queue = WorkQueue(self.clock, default_limit=20, lease=timedelta(seconds=300))
        self.restart()
        self.organization_id, self.project_id, self.workspace_id = uuid4(), uuid4(), uuid4()
        self.credential_id = uuid4()
        self.provider, self.public = "google", dict[str, Any]()
        self.sequence = 0

    def restart(self) -> None:
        """What is kept in memory is gone; `examiner` is taken anew."""
        self.intake = Intake(self.queue, self.clock)
        self.handler = make_handlers(
            self.pool,
            self.vault_pool,
            VaultReader(Opener.from_text(KEYS.private_text)),
            self.prober,
            self.examiner,
            self.tokens,
            self.guard,
            self.store,
            self.queue,
            self.clock,
            random.Random(7),
            recheck=timedelta(days=1),
        )

    @property
    def ids(self) -> dict[str, UUID]:
        return {
            "workspace_id": self.workspace_id,
            "organization_id": self.organization_id,
            "project_id": self.project_id,
        }

    def ref(self, version: int) -> CredentialRef:
        return CredentialRef(credential_id=self.credential_id, version=version)

    async def deposit(self, secret: str, version: int = 1) -> CredentialRef:
        reference = self.ref(version)
        binding = Binding(
            organization_id=self.organization_id,
            owner_id=self.workspace_id,
            credential_id=reference.credential_id,
            version=version,
        )
        name: SecretName = "service_account_key" if self.provider == "google" else "client_secret"
        async with self.vault_pool.acquire() as connection:
            await VaultWriter(SEALER).insert(connection, binding, Credential({name: secret}))
        return reference

    async def create(self, secret: str, **changes: Any) -> EmailWorkspaceCreated:
        event = EmailWorkspaceCreated.model_validate(
            {
                **self.ids,
                "name": "Acme",
                "provider": self.provider,
                "credential_ref": await self.deposit(secret),
                **self.public,
                **changes,
            }
        )
        await self.take(event)
        return event

    async def replace(self, secret: str, version: int = 2, **changes: Any) -> None:
        reference = await self.deposit(secret, version)
        await self.take(
            EmailWorkspaceCredentialsReplaced.model_validate({**self.ids, "credential_ref": reference, **changes})
        )

    def google(self, *mailboxes: str, **named: Any) -> str:
        """A Google workspace; its key file."""
        self.provider, self.public = "google", {}
        return self.service.google_workspace(*mailboxes, **named)[1]

    def microsoft(self, *mailboxes: str, **changes: Any) -> str:
        """A Microsoft workspace; its secret."""
        tenant, application = self.service.microsoft_workspace(*mailboxes, secret=APPLICATION_SECRET)
        for name, value in changes.items():
            setattr(application, name, value)
        self.application = application
        self.provider = "microsoft"
        self.public = {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
        return APPLICATION_SECRET

    def account(self, address: str = "m0@acme.example", **changes: Any) -> AccountRequested:
        server = MailServer(
            host="mail.test.example", port=self.port, security="tls", username=address, mechanism="xoauth2"
        )
        fields = {
            **self.ids,
            "account_id": uuid4(),
            "address": address,
            "domain": address.partition("@")[2],
            "provider": "custom",
            "seat_kind": "monitoring",
            "imap": server,
            "smtp": None,
            "credential_ref": self.ref(1),
            **changes,
        }
        return AccountRequested.model_validate(fields)

    async def take(self, *events: Event) -> None:
        envelopes = []
        for event in events:
            self.sequence += 1
            envelopes.append(
                Envelope(
                    event_id=uuid4(), source="/berth/gateway", sequence=self.sequence, time=self.clock.now(), data=event
                )
            )
        async with self.pool.acquire() as connection, connection.transaction():
            await self.intake.apply(connection, envelopes)

    async def work(self) -> int:
        """Do what is due, side by side; how many runs that were."""
        async with self.pool.acquire() as connection:
            jobs = await self.queue.claim(connection, 50)
        results = await asyncio.gather(*(self.handler.perform(job) for job in jobs))
        for job, result in zip(jobs, results, strict=True):
            async with self.pool.acquire() as connection, connection.transaction():
                await self.queue.finish(connection, job)
                await self.handler.record(connection, job, result)
        return len(jobs)

    async def settle(self) -> int:
        """Work until nothing is due."""
        total = 0
        while done := await self.work():
            total += done
        return total

    async def events(self, stream: UUID | None = None) -> list[Event]:
        async with self.pool.acquire() as connection:
            return [one.data for one in await self.store.read(connection, stream or self.workspace_id)]

    async def said(self, stream: UUID | None = None) -> list[str]:
        return [type(event).__name__ for event in await self.events(stream)]

    async def verdicts(self) -> list[str]:
        """What was said of all accounts."""
        async with self.pool.acquire() as connection:
            rows = await connection.fetch("SELECT type FROM event WHERE type LIKE 'Account%' ORDER BY recorded_at")
        return [row["type"] for row in rows]

    @property
    def asked(self) -> int:
        """How often tokens were asked for."""
        return self.service.identity.asked["google"] + self.service.identity.asked["microsoft"]

    def advance(self, **delta: float) -> None:
        self.clock.step(timedelta(**delta).total_seconds())


async def _migrate(dsn: str) -> None:
    await migrate_service(SERVICE, dsn)


async def _make_vault(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(schema_sql())
    await connection.close()


@pytest.fixture(scope="session")
def identity_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenService]:
    with token_service(tmp_path_factory.mktemp("identity")) as service:
        yield service


@pytest.fixture
def service(identity_service: TokenService) -> Iterator[TokenService]:
    identity_service.reset()
    yield identity_service
    identity_service.reset()


@pytest.fixture
def asker(service: TokenService) -> Iterator[Asker]:
    with make_tokens(settings_for(service), SteppingClock(datetime.now(UTC))) as tokens:
        yield Asker(service, tokens)


@pytest.fixture
async def bench(
    database_from: DatabaseFrom, service: TokenService, client_tls: ssl.SSLContext, certificates: Any
) -> AsyncIterator[Bench]:
    pool = await open_pool(await database_from("connector", _migrate), application_name="test", max_size=8)
    vault_pool = await open_pool(await database_from("vault", _make_vault), application_name="test", max_size=4)
    clock = SteppingClock(datetime.now(UTC))
    async with Peer.run(IMAP_WITH_TOKENS, implicit=certificates.server()) as peer:
        guard = HostGuard(
            Loopback(), Policy(allow_networks=(ip_network("127.0.0.0/8"),), allow_ports=frozenset({peer.port}))
        )
        prober = Prober(guard, client_tls, DiagnosisTable.load(), clock, local_hostname="verify.test.example")
        with make_tokens(settings_for(service), clock) as tokens:
            bench = Bench(pool, vault_pool, service, tokens, prober, guard)
            bench.port, bench.peer = peer.port, peer  # type: ignore[attr-defined]
            yield bench
    await vault_pool.close()
    await pool.close()
