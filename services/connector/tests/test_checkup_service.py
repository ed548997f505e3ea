"""From a request for a checkup to its one result, on a real Postgres with a real vault; only the examiner is played."""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from berth_connector.bootstrap import SERVICE, make_examiner, make_guard
from berth_connector.breaker import Breaker
from berth_connector.checkup import CheckupHandler, NoExaminer
from berth_connector.checkup.worker import Errand, Examination
from berth_connector.diagnosis import DiagnosisTable, Origin, Reply
from berth_connector.intake import Intake
from berth_connector.politeness import Places
from berth_connector.probe import Login, TokenGrant
from berth_connector.settings import ConnectorSettings
from berth_connector.sign_in import SignIn
from berth_events.contracts import (
    AccountCheckedUp,
    AccountCheckupRequested,
    AccountCredentialsReplaced,
    AccountRemoved,
    AccountRequested,
    AccountSuspended,
    AccountUpdated,
    Checkup,
    CredentialRef,
    EmailWorkspaceCreated,
    Envelope,
    Event,
    MailServer,
)
from berth_events.runtime.database import Pool, open_pool
from berth_events.runtime.service import migrate_service
from berth_events.runtime.store import EventStore
from berth_events.runtime.work import Job, LeaseLost, WorkQueue
from berth_net import HostGuard
from berth_testing.clocks import SteppingClock
from berth_testing.names import Names
from berth_testing.postgres import DatabaseFrom
from berth_vault import Binding, Credential, Opener, Sealer, VaultReader, VaultWriter, generate_key, schema_sql

KEYS = generate_key()
SEALER = Sealer.from_text(KEYS.public_text)
IMAP = MailServer(host="imap.gmail.com", port=993, security="tls", username="me")
SMTP = MailServer(host="smtp.gmail.com", port=465, security="tls", username="me")
TABLE = DiagnosisTable.load()
THROTTLED = TABLE.diagnose("smtp", "greeting", [Reply.of(["421", "4.7.0"])], Origin(service="google"), "").diagnosis


class Examiner:
    """Delivers everything, or fails as it is told."""

    def __init__(self, clock: SteppingClock) -> None:
        self.clock = clock
        self.examined: list[tuple[UUID, str, Login | None, Login | None]] = []
        self.sent: list[datetime | None] = []
        self.failing = False

    async def examine(
        self, errand: Errand, address: str, imap: Login | None, smtp: Login | None, grant: TokenGrant | None = None
    ) -> Examination:
        assert grant is None
        self.examined.append((errand.checkup_id, address, imap, smtp))
        self.sent.append(errand.sent_at)
        at = self.clock.now()
        await errand.note_sent(at)
        if self.failing:
            return Examination(Checkup(started_at=at, outcome="failed", diagnosis=THROTTLED), timedelta(hours=2))
        return Examination(Checkup(started_at=at, outcome="delivered", delay_ms=12.5, dkim_selector="one"))


class Connector:
    """The service without its loops."""

    def __init__(self, pool: Pool, vault_pool: Pool) -> None:
        self.pool, self.vault_pool, self.clock = pool, vault_pool, SteppingClock()
        self.examiner = Examiner(self.clock)
        self.store = EventStore("/berth/connector", self.clock)
        self.queue = WorkQueue(self.clock, default_limit=10, lease=timedelta(seconds=30))
        self.intake = Intake(self.queue, self.clock)
        self.handler = CheckupHandler(
            pool=pool,
            sign_in=SignIn(pool, vault_pool, VaultReader(Opener.from_text(KEYS.private_text)), None),  # type: ignore[arg-type]
            places=Places(pool, self.queue, HostGuard(Names())),
            examiner=self.examiner,
            store=self.store,
            queue=self.queue,
            breaker=Breaker(self.clock),
            clock=self.clock,
            rng=random.Random(7),
        )
        self.ids = {"organization_id": uuid4(), "project_id": uuid4()}
        self.sequence = 0

    async def account(self, password: str = "right") -> dict[str, Any]:
        """An account that the connector knows; what its events say. Its verification is not of interest."""
        account_id = uuid4()
        settings = {
            **self.ids,
            "account_id": account_id,
            "address": "me@test.example",
            "imap": IMAP,
            "smtp": SMTP,
            "credential_ref": await self.deposit(account_id, password),
        }
        await self.take(AccountRequested(**settings, domain="test.example", provider="custom", seat_kind="monitoring"))
        async with self.pool.acquire() as connection:
            await self.queue.cancel(connection, [account_id])
        return settings

    async def deposit(self, account_id: UUID, password: str) -> CredentialRef:
        reference = CredentialRef(credential_id=uuid4(), version=1)
        binding = Binding(
            organization_id=self.ids["organization_id"],
            owner_id=account_id,
            credential_id=reference.credential_id,
            version=1,
        )
        async with self.vault_pool.acquire() as connection:
            credential = Credential({"imap_password": password, "smtp_password": password})
            await VaultWriter(SEALER).insert(connection, binding, credential)
        return reference

    async def erase(self, reference: CredentialRef) -> None:
        async with self.vault_pool.acquire() as connection:
            await VaultWriter(SEALER).delete(connection, reference.credential_id)

    async def take(self, *events: Event) -> list[Envelope]:
        envelopes = []
        for event in events:
            self.sequence += 1
            envelopes.append(
                Envelope(
                    event_id=uuid4(),
                    source="/berth/gateway",
                    sequence=self.sequence,
                    time=self.clock.now(),
                    data=event,
                    correlation_id=uuid4(),
                )
            )
        async with self.pool.acquire() as connection, connection.transaction():
            await self.intake.apply(connection, envelopes)
        return envelopes

    async def claim(self) -> list[Job]:
        async with self.pool.acquire() as connection:
            return await self.queue.claim(connection, 20)

    async def finish(self, job: Job, result: Any) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await self.queue.finish(connection, job)
            await self.handler.record(connection, job, result)

    async def work(self) -> int:
        jobs = await self.claim()
        for job in jobs:
            await self.finish(job, await self.handler.perform(job))
        return len(jobs)

    async def said(self, account_id: UUID) -> list[Envelope]:
        async with self.pool.acquire() as connection:
            return await self.store.read(connection, account_id)


async def _migrate(dsn: str) -> None:
    await migrate_service(SERVICE, dsn)


async def _make_vault(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(schema_sql())
    await connection.close()


@pytest.fixture
async def connector(database_from: DatabaseFrom) -> AsyncIterator[Connector]:
    pool = await open_pool(await database_from("connector", _migrate), application_name="test", max_size=4)
    vault_pool = await open_pool(await database_from("vault", _make_vault), application_name="test", max_size=2)
    yield Connector(pool, vault_pool)
    await vault_pool.close()
    await pool.close()


def asked(account: dict[str, Any]) -> AccountCheckupRequested:
    return AccountCheckupRequested(**account, checkup_id=uuid4())


async def test_a_request_has_one_result(connector: Connector) -> None:
    account = await connector.account()
    event = asked(account)
    [cause] = await connector.take(event)
    assert await connector.work() == 1
    assert await connector.work() == 0
    [envelope] = await connector.said(account["account_id"])
    assert isinstance(envelope.data, AccountCheckedUp)
    assert (envelope.data.checkup_id, envelope.data.address) == (event.checkup_id, "me@test.example")
    assert (envelope.data.checkup.outcome, envelope.data.checkup.dkim_selector) == ("delivered", "one")
    assert (envelope.causation_id, envelope.correlation_id) == (cause.event_id, cause.correlation_id)
    [(checkup_id, address, imap, smtp)] = connector.examiner.examined
    assert (checkup_id, address) == (event.checkup_id, "me@test.example")
    assert imap
    assert smtp
    assert (imap.server, imap.password, smtp.server) == (IMAP, "right", SMTP)


async def test_it_neither_waits_for_verifications_nor_replaces_them(connector: Connector) -> None:
    """And it counts against the same mail service."""
    account = await connector.account()
    ids = {name: account[name] for name in ("account_id", "organization_id", "project_id")}
    await connector.take(asked(account), AccountCredentialsReplaced(**account), asked(account))
    async with connector.pool.acquire() as connection:
        rows = await connection.fetch("SELECT kind, destination FROM work ORDER BY kind")
    assert [tuple(row) for row in rows] == [("checkup", "google"), ("checkup", "google"), ("verify", "google")]
    await connector.take(AccountSuspended(**ids))  # what somebody asked for is still answered
    async with connector.pool.acquire() as connection:
        await connector.queue.cancel(connection, [account["account_id"]])
    assert await connector.work() == 2
    assert len(await connector.said(account["account_id"])) == 2


async def test_the_settings_are_those_that_the_account_has_by_now(connector: Connector) -> None:
    account = await connector.account("old")
    await connector.take(asked(account))
    replaced = {**account, "credential_ref": await connector.deposit(account["account_id"], "new")}
    await connector.erase(account["credential_ref"])
    assert await connector.work() == 1  # the gateway has erased it; its event is not here yet
    assert connector.examiner.examined == []
    await connector.take(AccountCredentialsReplaced(**replaced))
    async with connector.pool.acquire() as connection:
        await connector.queue.cancel(connection, [account["account_id"]])
    connector.clock.step(3)
    assert await connector.work() == 1
    [(_, _, imap, _)] = connector.examiner.examined
    assert imap
    assert imap.password == "new"
    assert len(await connector.said(account["account_id"])) == 1


async def test_of_an_account_that_is_gone_nothing_is_said(connector: Connector) -> None:
    account = await connector.account()
    ids = {name: account[name] for name in ("account_id", "organization_id", "project_id")}
    removed = AccountRemoved(**ids, address="me@test.example", seat_kind="monitoring", reason="requested")
    await connector.take(asked(account))
    [job] = await connector.claim()
    result = await connector.handler.perform(job)
    await connector.take(removed)
    await connector.finish(job, result)
    await connector.take(asked(account))
    assert await connector.work() == 1
    assert await connector.said(account["account_id"]) == []
    assert len(connector.examiner.examined) == 1


async def test_a_worker_that_dies_leaves_one_result(connector: Connector) -> None:
    """The second run has the same id, by which it finds the message of the first, and knows that it was sent."""
    account = await connector.account()
    await connector.take(asked(account))
    [job] = await connector.claim()
    sent_at = connector.clock.now()
    late = await connector.handler.perform(job)
    connector.clock.step(31)
    assert await connector.work() == 1
    with pytest.raises(LeaseLost):
        await connector.finish(job, late)
    assert len(await connector.said(account["account_id"])) == 1
    assert len({checkup_id for checkup_id, *_ in connector.examiner.examined}) == 1
    assert connector.examiner.sent == [None, sent_at]


async def test_imap_that_is_known_not_to_work_is_not_tried(connector: Connector) -> None:
    account = await connector.account()
    ids = {name: account[name] for name in ("account_id", "organization_id", "project_id")}
    await connector.take(AccountUpdated(**ids, imap_issue=True), asked(account))
    await connector.work()
    [(_, _, imap, smtp)] = connector.examiner.examined
    assert (imap, smtp is not None) == (None, True)


async def test_checkups_leave_room_for_verifications(connector: Connector) -> None:
    """Of those that are leased together the first five are run, whoever leased them; the others wait."""
    accounts = [await connector.account() for _ in range(8)]
    for account in accounts:
        await connector.take(asked(account))
        connector.clock.step(0.001)
    jobs = await connector.claim()
    assert len(jobs) == 8
    results = [await connector.handler.perform(job) for job in jobs]
    assert len(connector.examiner.examined) == 5
    for job, result in zip(jobs, results, strict=True):
        await connector.finish(job, result)
    connector.clock.step(9.9)
    assert await connector.work() == 0
    connector.clock.step(10.1)
    assert await connector.work() == 3
    assert len(connector.examiner.examined) == 8
    assert [len(await connector.said(account["account_id"])) for account in accounts] == [1] * 8


async def test_a_mail_service_that_turns_checkups_away_is_left_alone(connector: Connector) -> None:
    connector.examiner.failing = True
    accounts = [await connector.account() for _ in range(5)]
    for account in accounts:
        await connector.take(asked(account))
    assert await connector.work() == 5
    connector.clock.step(60)
    await connector.take(asked(accounts[0]))
    assert await connector.work() == 0
    connector.clock.step(2 * 3600)
    assert await connector.work() == 1


async def forget(_at: datetime) -> None:
    """Nobody takes over."""


async def test_without_the_library_a_checkup_says_so(connector: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ConnectorSettings.model_validate(
        {
            "database_url": "postgresql://nobody@127.0.0.1/x",
            "vault_database_url": "postgresql://nobody@127.0.0.1/x",
            "berth_vault_private_keys": KEYS.private_text,
        }
    )
    assert not isinstance(make_examiner(settings, connector.clock, make_guard(settings)), NoExaminer)
    monkeypatch.setattr("berth_connector.bootstrap.find_spec", lambda _name: None)
    examiner = make_examiner(settings, connector.clock, make_guard(settings))
    checkup = (await examiner.examine(Errand(uuid4(), None, forget), "me@test.example", None, None)).checkup
    assert checkup.outcome == "failed"
    assert checkup.diagnosis
    assert (checkup.diagnosis.code, checkup.diagnosis.action_by) == ("CHECKUP_UNAVAILABLE", "operator")


class Granted(Examiner):
    """Keeps the grants of access tokens."""

    def __init__(self, clock: SteppingClock) -> None:
        super().__init__(clock)
        self.grants: list[TokenGrant | None] = []

    async def examine(
        self, errand: Errand, address: str, imap: Login | None, smtp: Login | None, grant: TokenGrant | None = None
    ) -> Examination:
        self.grants.append(grant)
        return await super().examine(errand, address, imap, smtp)


async def test_a_mailbox_of_a_workspace_signs_in_with_its_token(bench: Any) -> None:
    """Whichever topic is quicker: a checkup waits for the workspace."""
    bench.examiner = examiner = Granted(bench.clock)
    bench.restart()
    account = bench.account(smtp=SMTP)
    settings = {name: getattr(account, name) for name in AccountCheckupRequested.model_fields if name != "checkup_id"}
    secret = bench.google("m0@acme.example")
    await bench.deposit(secret)
    await bench.take(account, asked(settings))
    await bench.work()
    assert examiner.examined == []
    created = {"name": "Acme", "provider": "google", "credential_ref": bench.ref(1)}
    await bench.take(EmailWorkspaceCreated(**bench.ids, **created))
    bench.advance(seconds=3)
    await bench.settle()
    [(_, _, imap, smtp)] = examiner.examined
    assert imap
    assert smtp
    assert (imap.bearer, smtp.bearer, imap.password) == (True, True, "")
    [grant] = examiner.grants
    assert grant
    assert grant.service == "google"
    assert await grant.fetch() != await grant.fetch()  # one that has just begun
    assert "AccountCheckedUp" in await bench.said(account.account_id)
