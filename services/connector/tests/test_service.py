"""From a request to its one result, on a real Postgres with a real vault; only the mail servers are played."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from berth_connector.bootstrap import SERVICE
from berth_connector.breaker import Breaker
from berth_connector.intake import Intake
from berth_connector.outages import Outages
from berth_connector.politeness import Places
from berth_connector.probe import Login, ProbeResult, TokenGrant
from berth_connector.sign_in import SignIn
from berth_connector.worker import VerifyHandler
from berth_events.contracts import (
    AccountConnected,
    AccountConnectionFailed,
    AccountCredentialsReplaced,
    AccountRemoved,
    AccountRequested,
    AccountResumed,
    AccountSuspended,
    AccountUpdated,
    AccountVerificationRequested,
    CredentialRef,
    Diagnosis,
    Envelope,
    Event,
    MailServer,
    Verification,
    VerificationEvent,
)
from berth_events.runtime.database import Pool, open_pool
from berth_events.runtime.service import migrate_service
from berth_events.runtime.store import EventStore
from berth_events.runtime.work import Job, LeaseLost, WorkQueue
from berth_net import HostGuard
from berth_testing.clocks import SteppingClock
from berth_testing.names import Names
from berth_testing.postgres import DatabaseFrom
from berth_testing.waiting import eventually
from berth_vault import (
    Binding,
    CannotOpen,
    Credential,
    Opener,
    Sealer,
    VaultReader,
    VaultWriter,
    generate_key,
    schema_sql,
)

KEYS = generate_key()
SEALER = Sealer.from_text(KEYS.public_text)
DAY = timedelta(days=1)
CODES = {"never": "AUTH_BAD_CREDENTIALS", "honour_hint": "RATE_LIMITED", "exponential": "PROVIDER_TEMPORARY"}
IMAP = MailServer(host="imap.test.example", port=993, security="tls", username="me")
SMTP = MailServer(host="smtp.test.example", port=465, security="tls", username="me")


class Servers:
    """Mail servers that accept one password, or fail as they are told."""

    def __init__(self) -> None:
        self.password = "right"
        self.failing: str | None = None
        self.wait: timedelta | None = None
        self.tried: list[tuple[Login | None, Login | None]] = []

    async def verify(
        self, verification_id: UUID, imap: Login | None, smtp: Login | None, grant: TokenGrant | None
    ) -> ProbeResult:
        assert grant is None
        self.tried.append((imap, smtp))
        refused = any(login.password != self.password for login in (imap, smtp) if login)
        policy = "never" if refused else self.failing
        works = policy is None
        verification = Verification(
            verification_id=verification_id,
            started_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
            duration_ms=1,
            outcome="connected" if works else "failed",
            imap=works if imap else None,
            smtp=works if smtp else None,
            steps=(),
            diagnosis=_diagnosis(policy) if policy else None,
        )
        return ProbeResult(verification, None if works else self.wait)


def _diagnosis(policy: str) -> Diagnosis:
    return Diagnosis(
        code=CODES[policy],
        rule_id="x",
        table_version="1",
        confidence="high",
        severity="error",
        action_by="user",
        meaning="",
        remedy="",
        retry_policy=policy,
        reply="",
    )


class Connector:
    """The service without its loops: events go in, work that is due is done, events come out."""

    def __init__(self, pool: Pool, vault_pool: Pool) -> None:
        self.pool, self.vault_pool = pool, vault_pool
        self.clock, self.servers, self.names = SteppingClock(), Servers(), Names()
        self.store = EventStore("/berth/connector", self.clock)
        self.queue = WorkQueue(self.clock, default_limit=10, lease=timedelta(seconds=30))
        self.intake = Intake(self.queue, self.clock)
        self.handler = VerifyHandler(
            pool=pool,
            # nobody here signs in through a workspace, so there are no tokens
            sign_in=SignIn(pool, vault_pool, VaultReader(Opener.from_text(KEYS.private_text)), None),
            places=Places(pool, self.queue, HostGuard(self.names)),
            mailboxes=self.servers,
            store=self.store,
            queue=self.queue,
            breaker=Breaker(self.clock),
            outages=Outages(self.clock),
            clock=self.clock,
            rng=random.Random(7),
            recheck=DAY,
        )
        self.organization_id, self.project_id, self.account_id = uuid4(), uuid4(), uuid4()
        self.sequence = 0

    @property
    def ids(self) -> dict[str, UUID]:
        return {
            "account_id": self.account_id,
            "organization_id": self.organization_id,
            "project_id": self.project_id,
        }

    async def deposit(self, password: str = "right", account_id: UUID | None = None) -> CredentialRef:
        reference = CredentialRef(credential_id=uuid4(), version=1)
        binding = Binding(
            organization_id=self.organization_id,
            owner_id=account_id or self.account_id,
            credential_id=reference.credential_id,
            version=reference.version,
        )
        credential = Credential({"imap_password": password, "smtp_password": password})
        async with self.vault_pool.acquire() as connection:
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
                    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                )
            )
        async with self.pool.acquire() as connection, connection.transaction():
            await self.intake.apply(connection, envelopes)
        return envelopes

    def settings(self, reference: CredentialRef) -> dict[str, Any]:
        return {"imap": IMAP, "smtp": SMTP, "credential_ref": reference, "address": "me@test.example"}

    def requested(self, reference: CredentialRef) -> AccountRequested:
        return AccountRequested(
            **self.ids,
            **self.settings(reference),
            domain="test.example",
            provider="custom",
            seat_kind="monitoring",
        )

    def verify(self, reference: CredentialRef, reason: str, **changes: Any) -> AccountVerificationRequested:
        return AccountVerificationRequested.model_validate(
            {**self.ids, **self.settings(reference), "reason": reason, **changes}
        )

    async def claim(self) -> list[Job]:
        async with self.pool.acquire() as connection:
            return await self.queue.claim(connection, 10)

    async def finish(self, job: Job, result: Any) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await self.queue.finish(connection, job)
            await self.handler.record(connection, job, result)

    async def work(self) -> int:
        """Do what is due; how many runs that were."""
        jobs = await self.claim()
        for job in jobs:
            await self.finish(job, await self.handler.perform(job))
        return len(jobs)

    async def envelopes(self, account_id: UUID | None = None) -> list[Envelope]:
        async with self.pool.acquire() as connection:
            return await self.store.read(connection, account_id or self.account_id)

    async def said(self, account_id: UUID | None = None) -> list[str]:
        return [type(e.data).__name__.removeprefix("Account") for e in await self.envelopes(account_id)]

    async def next_look(self) -> timedelta | None:
        async with self.pool.acquire() as connection:
            at = await connection.fetchval(
                "SELECT run_at FROM work WHERE key = $1 AND state = 'ready'", self.account_id
            )
        return at - self.clock.now() if at else None

    async def blocked(self) -> int:
        """How many connections wait for another's lock."""
        async with self.pool.acquire() as connection:
            count: int = await connection.fetchval(
                """SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"""
            )
        return count

    def advance(self, delta: timedelta) -> None:
        self.clock.step(delta.total_seconds())


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


async def test_a_request_has_one_result_and_is_looked_at_again_every_day(connector: Connector) -> None:
    reference = await connector.deposit()
    [cause] = await connector.take(connector.requested(reference))
    assert await connector.work() == 1
    [envelope] = await connector.envelopes()
    assert isinstance(envelope.data, AccountConnected)
    assert (envelope.data.credential_ref, envelope.data.address) == (reference, "me@test.example")
    assert (envelope.causation_id, envelope.correlation_id, envelope.traceparent) == (
        cause.event_id, cause.correlation_id, cause.traceparent,
    )  # fmt: skip
    assert await connector.work() == 0
    wait = await connector.next_look()
    assert wait
    assert DAY * 0.1 <= wait <= DAY * 1.1  # anywhere within the day, because thousands may have come together
    connector.advance(wait)
    assert await connector.work() == 1
    assert await connector.said() == ["Connected", "Checked"]
    wait = await connector.next_look()
    assert wait
    assert DAY * 0.9 <= wait <= DAY * 1.1
    assert [login.password for pair in connector.servers.tried for login in pair if login] == ["right"] * 4


async def test_a_refused_credential_is_not_tried_again(connector: Connector) -> None:
    await connector.take(connector.requested(await connector.deposit("wrong")))
    await connector.work()
    connector.advance(30 * DAY)
    assert await connector.work() == 0
    [envelope] = await connector.envelopes()
    assert isinstance(envelope.data, AccountConnectionFailed)
    assert envelope.data.verification.diagnosis
    assert envelope.data.verification.diagnosis.code == "AUTH_BAD_CREDENTIALS"


async def test_a_passing_fault_is_tried_again_and_then_connected(connector: Connector) -> None:
    connector.servers.failing = "exponential"
    await connector.take(connector.requested(await connector.deposit()))
    await connector.work()
    connector.advance(timedelta(minutes=2))
    await connector.work()
    connector.servers.failing = None
    connector.advance(timedelta(minutes=4))
    await connector.work()
    assert await connector.said() == ["ConnectionFailed", "Checked", "Connected"]


async def test_a_wait_that_the_server_asks_for_is_kept(connector: Connector) -> None:
    connector.servers.failing, connector.servers.wait = "honour_hint", timedelta(hours=3)
    await connector.take(connector.requested(await connector.deposit()))
    await connector.work()
    wait = await connector.next_look()
    assert wait
    assert timedelta(hours=3) <= wait <= timedelta(hours=3.6)


async def test_disconnected_and_reconnected(connector: Connector) -> None:
    await connector.take(connector.requested(await connector.deposit()))
    await connector.work()
    connector.servers.password = "changed"
    connector.advance(1.1 * DAY)
    await connector.work()
    assert await connector.next_look() is None
    await connector.take(
        AccountCredentialsReplaced(**connector.ids, **connector.settings(await connector.deposit("changed")))
    )
    await connector.work()
    assert await connector.said() == ["Connected", "Disconnected", "Reconnected"]


async def test_a_reconnect_tries_what_was_refused_once_more(connector: Connector) -> None:
    reference = await connector.deposit("wrong")
    await connector.take(connector.requested(reference))
    await connector.work()
    await connector.take(connector.verify(reference, "reconnect"))
    await connector.work()
    assert await connector.said() == ["ConnectionFailed", "ConnectionFailed"]
    assert await connector.next_look() is None


async def test_a_dry_run_has_a_result_and_no_effect(connector: Connector) -> None:
    probe = uuid4()
    reference = await connector.deposit(account_id=probe)
    await connector.take(connector.verify(reference, "dry_run", account_id=probe))
    await connector.work()
    assert await connector.said(probe) == ["Checked"]
    async with connector.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM account") == 0
        assert await connection.fetchval("SELECT count(*) FROM work") == 0


async def test_a_dry_run_does_not_stand_in_the_accounts_way(connector: Connector) -> None:
    reference = await connector.deposit()
    await connector.take(connector.requested(reference), connector.verify(reference, "dry_run"))
    assert await connector.work() == 2
    assert sorted(await connector.said()) == ["Checked", "Connected"]


async def test_a_removed_account_has_no_result(connector: Connector) -> None:
    reference = await connector.deposit()
    await connector.take(connector.requested(reference))
    [job] = await connector.claim()
    result = await connector.handler.perform(job)
    await connector.take(
        AccountRemoved(**connector.ids, address="me@test.example", seat_kind="monitoring", reason="requested")
    )
    with pytest.raises(LeaseLost):
        await connector.finish(job, result)
    assert await connector.said() == []
    async with connector.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM account") == 0
        assert await connection.fetchval("SELECT count(*) FROM work") == 0


async def test_a_removal_waits_for_a_result_that_is_being_written(connector: Connector) -> None:
    """Both lock the work's row first: neither waits for the other while it holds what the other wants."""
    await connector.take(connector.requested(await connector.deposit()))
    [job] = await connector.claim()
    result = await connector.handler.perform(job)
    removed = AccountRemoved(**connector.ids, address="me@test.example", seat_kind="monitoring", reason="requested")
    async with asyncio.timeout(10):
        async with connector.pool.acquire() as connection, connection.transaction():
            await connector.queue.finish(connection, job)
            removing = asyncio.create_task(connector.take(removed))
            await eventually(connector.blocked, bool, within=5)
            await connector.handler.record(connection, job, result)
        await removing
    assert await connector.said() == ["Connected"]
    connector.advance(1.2 * DAY)
    await connector.work()  # a look that was scheduled meanwhile finds nobody
    assert len(connector.servers.tried) == 1
    assert await connector.next_look() is None


async def test_an_erased_credential_is_not_verified(connector: Connector) -> None:
    """The removal's event may come later than the removal."""
    reference = await connector.deposit()
    await connector.take(connector.requested(reference))
    await connector.erase(reference)
    assert await connector.work() == 1
    assert connector.servers.tried == []
    assert await connector.said() == []


async def test_the_result_of_a_replaced_credential_is_dropped(connector: Connector) -> None:
    await connector.take(connector.requested(await connector.deposit("wrong")))
    [job] = await connector.claim()
    result = await connector.handler.perform(job)
    new = await connector.deposit()
    await connector.take(AccountCredentialsReplaced(**connector.ids, **connector.settings(new)))
    await connector.finish(job, result)
    assert await connector.said() == []
    await connector.work()
    [envelope] = await connector.envelopes()
    assert isinstance(envelope.data, AccountConnected)
    assert envelope.data.credential_ref == new


async def test_a_credential_of_another_account_does_not_open(connector: Connector) -> None:
    reference = await connector.deposit(account_id=uuid4())
    await connector.take(connector.requested(reference))
    [job] = await connector.claim()
    with pytest.raises(CannotOpen):
        await connector.handler.perform(job)


async def test_requests_that_wait_together_are_answered_together(connector: Connector) -> None:
    reference = await connector.deposit()
    await connector.take(connector.requested(reference), connector.verify(reference, "reconnect"))
    assert await connector.work() == 1
    assert await connector.said() == ["Connected"]


async def test_a_suspended_account_is_left_alone_until_it_is_resumed(connector: Connector) -> None:
    await connector.take(connector.requested(await connector.deposit()))
    await connector.work()
    await connector.take(AccountSuspended(**connector.ids))
    connector.advance(1.2 * DAY)
    await connector.work()
    assert len(connector.servers.tried) == 1
    assert await connector.next_look() is None
    await connector.take(AccountResumed(**connector.ids))
    assert await connector.work() == 1
    assert await connector.said() == ["Connected", "Checked"]
    assert await connector.next_look() is not None


async def test_what_was_asked_for_before_a_suspension_is_answered(connector: Connector) -> None:
    await connector.take(connector.requested(await connector.deposit()), AccountSuspended(**connector.ids))
    await connector.work()
    assert await connector.said() == ["Connected"]
    assert await connector.next_look() is None


async def test_a_look_that_ends_after_a_suspension_is_not_spoken_of(connector: Connector) -> None:
    await connector.take(connector.requested(await connector.deposit()))
    await connector.work()
    connector.advance(1.2 * DAY)
    [job] = await connector.claim()
    connector.servers.failing = "never"
    result = await connector.handler.perform(job)
    await connector.take(AccountSuspended(**connector.ids))
    await connector.finish(job, result)
    assert await connector.said() == ["Connected"]
    assert await connector.next_look() is None
    connector.servers.failing = None
    await connector.take(AccountResumed(**connector.ids))
    assert await connector.work() == 1
    assert await connector.said() == ["Connected", "Checked"]


async def test_resuming_does_not_repeat_a_refused_credential(connector: Connector) -> None:
    await connector.take(connector.requested(await connector.deposit("wrong")))
    await connector.work()
    await connector.take(AccountSuspended(**connector.ids), AccountResumed(**connector.ids))
    assert await connector.work() == 0


async def test_imap_that_is_known_not_to_work_is_left_out_of_looks(connector: Connector) -> None:
    await connector.take(connector.requested(await connector.deposit()))
    await connector.work()
    await connector.take(AccountUpdated(**connector.ids, imap_issue=True))
    connector.advance(1.2 * DAY)
    await connector.work()
    imap, smtp = connector.servers.tried[-1]
    assert imap is None
    assert smtp is not None
    assert await connector.said() == ["Connected", "Checked"]


async def test_work_is_counted_by_mail_service_or_host(connector: Connector) -> None:
    google = {"host": "imap.gmail.com", "port": 993, "security": "tls", "username": "me"}
    other = uuid4()
    await connector.take(
        connector.requested(await connector.deposit()),
        connector.verify(
            await connector.deposit(account_id=other), "reconnect", account_id=other, imap=google, smtp=None
        ),
    )
    assert {job.destination for job in await connector.claim()} == {"imap.test.example", "google"}


async def test_no_secret_is_written_anywhere(connector: Connector) -> None:
    connector.servers.password = "s3cret-canary"
    await connector.take(connector.requested(await connector.deposit("s3cret-canary")))
    [job] = await connector.claim()
    result = await connector.handler.perform(job)
    await connector.finish(job, result)
    assert "s3cret-canary" not in repr((job, result, connector.servers.tried))
    async with connector.pool.acquire() as connection:
        for table in ("event", "outbox", "work", "account"):
            rows = await connection.fetch(f"SELECT t::text FROM {table} t")
            assert rows
            assert "s3cret-canary" not in json.dumps([row[0] for row in rows])


async def test_every_result_event_is_of_the_account(connector: Connector) -> None:
    await connector.take(connector.requested(await connector.deposit()))
    await connector.work()
    [envelope] = await connector.envelopes()
    assert isinstance(envelope.data, VerificationEvent)
    assert envelope.data.model_dump(include=set(connector.ids)) == connector.ids


async def test_an_outage_disconnects_nobody(connector: Connector) -> None:
    accounts = [uuid4() for _ in range(10)]
    for connector.account_id in accounts:
        await connector.take(connector.requested(await connector.deposit()))
    while await connector.work():
        pass
    connector.advance(1.1 * DAY)
    connector.servers.failing = "exponential"
    for _ in range(20):  # 13 hours, in which the policy's attempts would be used up
        while await connector.work():
            pass
        connector.advance(timedelta(minutes=40))
    connector.servers.failing = None
    connector.advance(timedelta(hours=1))
    while await connector.work():
        pass
    for account_id in accounts:
        said = await connector.said(account_id)
        assert (said[0], set(said[1:])) == ("Connected", {"Checked"})
        assert len(said) > 15, "it was looked at all the time"


async def test_a_service_that_turns_us_away_is_left_alone_for_a_while(connector: Connector) -> None:
    connector.servers.failing, connector.servers.wait = "honour_hint", timedelta(minutes=30)
    for _ in range(5):
        connector.account_id = uuid4()
        await connector.take(connector.requested(await connector.deposit()))
    assert await connector.work() == 5
    connector.account_id = uuid4()
    await connector.take(connector.requested(await connector.deposit()))
    assert await connector.work() == 0
    connector.advance(timedelta(minutes=29))
    assert await connector.work() == 0
    connector.advance(timedelta(minutes=2))
    assert await connector.work() >= 1
    assert await connector.said() == ["ConnectionFailed"]
