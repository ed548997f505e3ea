"""Email workspaces as a whole: events in, work done on a real Postgres and vault, tokens of the token service, events out."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from berth_connector.bootstrap import SERVICE, make_handlers, make_tokens
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.intake import Intake
from berth_connector.oauth import TokenSource
from berth_connector.probe import Prober
from berth_connector.settings import ConnectorSettings
from berth_events.contracts import (
    AccountConnectionFailed,
    AccountRemoved,
    AccountRequested,
    AccountVerificationRequested,
    CredentialRef,
    EmailWorkspaceCreated,
    EmailWorkspaceCredentialsReplaced,
    EmailWorkspaceRejected,
    EmailWorkspaceRemoved,
    EmailWorkspaceVerified,
    Envelope,
    Event,
    ImportedAccount,
    MailServer,
    VerificationEvent,
    WorkspaceImportRequested,
)
from berth_events.runtime.database import Pool, open_pool
from berth_events.runtime.service import migrate_service
from berth_events.runtime.store import EventStore
from berth_events.runtime.work import WorkQueue
from berth_net import Address, HostGuard, Policy
from berth_testing.canaries import Canaries
from berth_testing.clocks import SteppingClock
from berth_testing.peers import Peer, Script
from berth_testing.postgres import DatabaseFrom
from berth_testing.token_service import MAIL_SCOPE, TokenService, busy, token_service
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
SECRET = "s3cr~t.Value-of-the-App"
ADDRESS = "m0@acme.example"
IMAP = Script(
    greeting=b"* OK ready\r\n",
    answers=[
        (r" CAPABILITY$", b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN\r\nTAG OK\r\n"),
        (r" AUTHENTICATE XOAUTH2 ", b"TAG OK\r\n"),
        (r" AUTHENTICATE XOAUTH2$", b"+ \r\n"),
        (r" EXAMINE ", b"TAG OK\r\n"),
        (r"^[A-Za-z0-9+/=]{100,}$", b"B2 OK\r\n"),
    ],
)


class Loopback:
    async def addresses(self, _host: str) -> tuple[Address, ...]:
        return (ip_address("127.0.0.1"),)


class Bench:
    """The service without its loops, and the gateway's side of one workspace."""

    def __init__(
        self, pool: Pool, vault_pool: Pool, service: TokenService, tokens: TokenSource, prober: Prober
    ) -> None:
        self.pool, self.vault_pool, self.service, self.tokens = pool, vault_pool, service, tokens
        self.prober = prober
        self.clock: SteppingClock = tokens._clock  # type: ignore[assignment]
        self.port = 0
        self.store = EventStore("/berth/connector", self.clock)
        self.queue = WorkQueue(self.clock, default_limit=20, lease=timedelta(seconds=300))
        self.restart()
        self.organization_id, self.project_id, self.workspace_id = uuid4(), uuid4(), uuid4()
        self.credential_id = uuid4()
        self.provider, self.public = "google", dict[str, Any]()
        self.sequence = 0

    def restart(self) -> None:
        """What is kept in memory is gone."""
        self.intake = Intake(self.queue, self.clock)
        self.handler = make_handlers(
            self.pool,
            self.vault_pool,
            VaultReader(Opener.from_text(KEYS.private_text)),
            self.prober,
            self.tokens,
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
        tenant, application = self.service.microsoft_workspace(*mailboxes, secret=SECRET)
        for name, value in changes.items():
            setattr(application, name, value)
        self.application = application
        self.provider = "microsoft"
        self.public = {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
        return SECRET

    def account(self, address: str = ADDRESS, **changes: Any) -> AccountRequested:
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
async def bench(
    database_from: DatabaseFrom, service: TokenService, client_tls: ssl.SSLContext, certificates: Any
) -> AsyncIterator[Bench]:
    pool = await open_pool(await database_from("connector", _migrate), application_name="test", max_size=8)
    vault_pool = await open_pool(await database_from("vault", _make_vault), application_name="test", max_size=4)
    settings = ConnectorSettings.model_validate(
        {
            "database_url": "postgresql://nobody@127.0.0.1/x",
            "vault_database_url": "postgresql://nobody@127.0.0.1/x",
            "berth_vault_private_keys": KEYS.private_text,
            "berth_extra_ca_file": service.ca_file,
            "berth_google_token_url": service.google_url,
            "berth_microsoft_authority": service.authority,
        }
    )
    clock = SteppingClock(datetime.now(UTC))
    async with Peer.run(IMAP, implicit=certificates.server()) as peer:
        guard = HostGuard(
            Loopback(), Policy(allow_networks=(ip_network("127.0.0.0/8"),), allow_ports=frozenset({peer.port}))
        )
        prober = Prober(guard, client_tls, DiagnosisTable.load(), clock, local_hostname="verify.test.example")
        with make_tokens(settings, clock) as tokens:
            bench = Bench(pool, vault_pool, service, tokens, prober)
            bench.port, bench.peer = peer.port, peer  # type: ignore[attr-defined]
            yield bench
    await vault_pool.close()
    await pool.close()


def rejection(events: list[Event]) -> str:
    [event] = [event for event in events if isinstance(event, EmailWorkspaceRejected)]
    return event.diagnosis.code


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_a_workspace_is_verified_and_its_mailboxes_connect(provider: str, bench: Bench) -> None:
    secret = getattr(bench, provider)(ADDRESS)
    await bench.create(secret)
    await bench.settle()
    [verified] = await bench.events()
    assert isinstance(verified, EmailWorkspaceVerified)
    assert verified.credential_ref == bench.ref(1)
    account = bench.account()
    await bench.take(account)
    await bench.settle()
    [connected] = await bench.events(account.account_id)
    assert isinstance(connected, VerificationEvent)
    assert type(connected).__name__ == "AccountConnected", connected.verification.diagnosis
    assert connected.credential_ref == bench.ref(1)
    assert connected.verification.steps[0].protocol == "oauth"


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_an_account_may_arrive_before_its_workspace(provider: str, bench: Bench) -> None:
    secret = getattr(bench, provider)(ADDRESS)
    await bench.deposit(secret)
    account = bench.account()
    await bench.take(account)
    await bench.work()
    assert await bench.said(account.account_id) == []
    reference = bench.ref(1)
    await bench.take(
        EmailWorkspaceCreated.model_validate(
            {**bench.ids, "name": "", "provider": provider, "credential_ref": reference, **bench.public}
        )
    )
    bench.advance(seconds=3)
    await bench.settle()
    assert await bench.said(account.account_id) == ["AccountConnected"]


async def rejected_google_key(bench: Bench) -> str:
    account, key = bench.service.google_workspace(ADDRESS)
    account.keys.clear()  # deleted in the console
    return key


async def rejected_microsoft_secret(bench: Bench) -> str:
    bench.microsoft(ADDRESS)
    return "another-value"


REJECTED = {
    "google": (rejected_google_key, "OAUTH_KEY_INVALID"),
    "microsoft": (rejected_microsoft_secret, "OAUTH_SECRET_INVALID"),
}


@pytest.mark.parametrize("provider", REJECTED)
async def test_a_rejected_workspace_stops_at_once(provider: str, bench: Bench) -> None:
    """It is found once; each account is told once, nobody dials, and nobody asks for a token again."""
    make, code = REJECTED[provider]
    secret = await make(bench)
    accounts = [bench.account(f"m{number}@acme.example") for number in range(60)]
    await bench.create(secret)
    await bench.take(*accounts)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceRejected"]
    assert rejection(await bench.events()) == code
    assert bench.asked <= 2
    for account in accounts:
        [failed] = await bench.events(account.account_id)
        assert isinstance(failed, AccountConnectionFailed)
        assert failed.verification.diagnosis
        assert failed.verification.diagnosis.code == code
        assert [step.name for step in failed.verification.steps if step.outcome == "failed"] == ["token"]
    bench.advance(days=3)
    assert await bench.settle() == 0
    assert bench.peer.connections == 0  # type: ignore[attr-defined]
    assert await bench.said() == ["EmailWorkspaceRejected"]


async def test_new_credentials_bring_the_accounts_back(bench: Bench) -> None:
    secret = bench.microsoft(ADDRESS)
    account = bench.account()
    await bench.create("another-value")
    await bench.take(account)
    await bench.settle()
    assert await bench.said(account.account_id) == ["AccountConnectionFailed"]
    await bench.replace(secret)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceRejected", "EmailWorkspaceVerified"]
    assert await bench.said(account.account_id) == ["AccountConnectionFailed", "AccountConnected"]
    [*_, connected] = await bench.events(account.account_id)
    assert isinstance(connected, VerificationEvent)
    assert connected.credential_ref == bench.ref(2)


async def test_the_old_secret_works_until_the_new_one_is_proven(bench: Bench) -> None:
    await bench.create(bench.microsoft(ADDRESS))
    account = bench.account()
    await bench.take(account)
    await bench.settle()
    await bench.replace("not-yet-propagated")
    bench.advance(days=1.2)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceRejected"]
    assert await bench.said(account.account_id) == ["AccountConnected", "AccountChecked"]
    [*_, checked] = await bench.events(account.account_id)
    assert isinstance(checked, VerificationEvent)
    assert (checked.credential_ref, checked.verification.outcome) == (bench.ref(1), "connected")
    bench.application.secrets["third"] = float("inf")
    await bench.replace("third", 3)
    await bench.settle()
    bench.advance(days=1.2)
    await bench.settle()
    assert (await bench.said())[-1] == "EmailWorkspaceVerified"
    [*_, checked] = await bench.events(account.account_id)
    assert isinstance(checked, VerificationEvent)
    assert checked.credential_ref == bench.ref(3)


async def test_the_old_secret_may_end_before_the_new_one_is_proven(bench: Bench) -> None:
    await bench.create(bench.microsoft(ADDRESS))
    account = bench.account()
    await bench.take(account)
    await bench.settle()
    bench.application.secrets = {"new": float("inf")}
    bench.advance(days=1.2)  # the token has ended too
    async with bench.pool.acquire() as connection:  # the re-check comes first
        await connection.execute(
            "UPDATE work SET run_at = run_at - interval '1 hour' WHERE key = $1", account.account_id
        )
    await bench.replace("new")
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceVerified"]
    assert await bench.said(account.account_id) == ["AccountConnected", "AccountChecked"]


async def test_missing_delegation_is_found_with_an_imported_mailbox(bench: Bench) -> None:
    """The key alone is fine. The workspace tries again by itself, and then its accounts."""
    key = bench.google(ADDRESS, scopes=())
    await bench.create(key)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified"]
    accounts = [bench.account(f"m{number}@acme.example") for number in range(60)]
    bench.service.google.users.update(account.address for account in accounts)
    await bench.take(
        WorkspaceImportRequested(
            **bench.ids,
            import_id=uuid4(),
            part=1,
            parts=1,
            accounts=tuple(ImportedAccount(account_id=one.account_id, address=one.address) for one in accounts),
        ),
        *accounts,
    )
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceRejected"]
    assert rejection(await bench.events()) == "DWD_NOT_AUTHORISED"
    assert await bench.verdicts() == ["AccountConnectionFailed"] * len(accounts)
    assert bench.asked <= 16  # two refusals, each looked into scope by scope
    account = list(bench.service.google.accounts.values())[-1]
    bench.service.google.delegate("acme.example", account, MAIL_SCOPE)
    bench.advance(minutes=15)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified", "EmailWorkspaceRejected", "EmailWorkspaceVerified"]
    verdicts = await bench.verdicts()
    assert verdicts.count("AccountConnected") == len(accounts)


async def test_a_mailbox_of_a_foreign_domain_does_not_stop_the_others(bench: Bench) -> None:
    key = bench.google(ADDRESS)
    good, foreign = bench.account(), bench.account("you@other.example")
    await bench.create(key)
    await bench.take(foreign)
    await bench.work()
    await bench.take(good)
    await bench.settle()
    bench.advance(minutes=8)
    await bench.settle()
    assert (await bench.said())[-1] == "EmailWorkspaceVerified"
    assert (await bench.said(good.account_id))[-1] == "AccountConnected"
    [failed, *_] = await bench.events(foreign.account_id)
    assert isinstance(failed, AccountConnectionFailed)
    assert failed.verification.diagnosis
    assert failed.verification.diagnosis.code == "DWD_NOT_AUTHORISED"


async def test_somebody_may_have_consented_meanwhile(bench: Bench) -> None:
    """Nobody tells us of a consent: a reconnect looks whether the workspace works by now."""
    secret = bench.microsoft(ADDRESS, roles=())
    account = bench.account()
    await bench.create(secret)
    await bench.take(account)
    await bench.settle()
    assert rejection(await bench.events()) == "OAUTH_CONSENT_MISSING"
    bench.application.roles = ("IMAP.AccessAsApp", "SMTP.SendAsApp")
    await bench.take(
        AccountVerificationRequested.model_validate(
            {
                **account.model_dump(
                    include={
                        "account_id",
                        "organization_id",
                        "project_id",
                        "address",
                        "imap",
                        "smtp",
                        "credential_ref",
                        "workspace_id",
                    }
                ),
                "reason": "reconnect",
            }
        )
    )
    await bench.settle()
    bench.advance(seconds=3)
    await bench.settle()
    assert (await bench.said())[-1] == "EmailWorkspaceVerified"
    assert (await bench.said(account.account_id))[-1] == "AccountConnected"


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_a_provider_that_is_away_says_nothing_of_the_workspace(provider: str, bench: Bench) -> None:
    secret = getattr(bench, provider)(ADDRESS)
    bench.service.identity.fault = busy()
    account = bench.account()
    await bench.create(secret)
    await bench.take(account)
    await bench.settle()
    assert await bench.said() == []
    [failed] = await bench.events(account.account_id)
    assert isinstance(failed, AccountConnectionFailed)
    assert failed.verification.diagnosis
    assert failed.verification.diagnosis.code == "PROVIDER_TEMPORARY"
    bench.service.identity.fault = None
    bench.advance(minutes=5)
    await bench.settle()
    assert await bench.said() == ["EmailWorkspaceVerified"]
    assert (await bench.said(account.account_id))[-1] == "AccountConnected"


async def test_a_removed_workspace_is_forgotten(bench: Bench) -> None:
    secret = bench.microsoft(ADDRESS)
    created = await bench.create(secret, secret_expires_at=bench.clock.now() + timedelta(days=40))
    account = bench.account()
    await bench.take(EmailWorkspaceRemoved(**bench.ids), account)
    async with bench.vault_pool.acquire() as connection:
        await VaultWriter(SEALER).delete(connection, created.credential_ref.credential_id)
    await bench.settle()
    assert await bench.said() == []
    assert await bench.said(account.account_id) == []
    await bench.take(
        AccountRemoved(
            **{name: value for name, value in bench.ids.items() if name != "workspace_id"},
            account_id=account.account_id,
            address=account.address,
            seat_kind="monitoring",
            reason="workspace_removed",
        )
    )
    bench.advance(days=60)
    assert await bench.settle() == 0
    async with bench.pool.acquire() as connection:
        for table in ("account", "email_workspace", "work"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_an_import_is_paced_and_asks_once_for_each_mailbox(bench: Bench) -> None:
    key = bench.google("m0@acme.example")
    accounts = [bench.account(f"m{number}@acme.example") for number in range(100)]
    bench.service.google.users.update(account.address for account in accounts)
    await bench.create(key)
    await bench.settle()
    asked = bench.asked
    await bench.take(*accounts)
    runs = []
    while done := await bench.work():
        runs.append(done)
    assert max(runs) == 20  # of one mail host at once
    assert bench.asked - asked == len(accounts)
    assert await bench.verdicts() == ["AccountConnected"] * len(accounts)


async def test_no_secret_is_written_anywhere(bench: Bench) -> None:
    canaries = Canaries()
    canaries.add("secret", SECRET)
    await bench.create(bench.microsoft(ADDRESS))
    await bench.take(bench.account(), bench.account("nobody@acme.example"))
    await bench.settle()
    for token in bench.service.identity.tokens._issued:
        canaries.add("token", token)
    async with bench.pool.acquire() as connection:
        for table in ("event", "outbox", "work", "account", "email_workspace"):
            rows = await connection.fetch(f"SELECT t::text FROM {table} t")
            assert rows
            for row in rows:
                canaries.in_text(table, row[0])
    assert canaries.leaks == []
