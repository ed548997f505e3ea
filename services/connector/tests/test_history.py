"""A newer table of diagnoses meets what is in the connector's database: nothing is dialled, and little is said."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from berth_connector import repository
from berth_connector.bootstrap import SERVICE
from berth_connector.diagnosis import TABLE_VERSION, DiagnosisTable
from berth_connector.history import Change, History
from berth_connector.lifecycle import Standing, State
from berth_connector.requests import VerificationRequest, recheck_of
from berth_events.contracts import (
    AccountChecked,
    AccountConnectionFailed,
    AccountDisconnected,
    CredentialRef,
    Diagnosis,
    MailServer,
    Step,
    Verification,
    VerificationEvent,
)
from berth_events.runtime.database import Pool, open_pool
from berth_events.runtime.service import migrate_service
from berth_events.runtime.store import Context, EventStore
from berth_events.runtime.work import WorkQueue
from berth_testing.clocks import SteppingClock
from berth_testing.postgres import DatabaseFrom
from berth_testing.processes import run_module
from berth_vault import generate_key

THEN = datetime(2026, 11, 21, 12, tzinfo=UTC)
IMAP_IS_OFF = "B3 NO [ALERT] You are yet to enable IMAP for your account. Please contact your administrator (Failure)"
REFUSED = "B3 NO [AUTHENTICATIONFAILED] Invalid credentials(Failure)"


def verification(reply: str, code: str, policy: str) -> Verification:
    """What an older table made of a reply to the sign-in."""
    diagnosis = Diagnosis(
        code=code,
        rule_id=None,
        table_version="2025-01-01.1",
        confidence="none",
        severity="error",
        action_by="nobody",
        meaning="",
        remedy="",
        retry_policy=policy,
        reply=reply,
    )
    lines = ("C: B3 AUTHENTICATE PLAIN ***", f"S: {reply}")
    step = Step(
        protocol="imap", name="authenticate", outcome="failed", started_at=THEN, duration_ms=1, diagnosis=diagnosis,
        transcript=lines,
    )  # fmt: skip
    return Verification(
        verification_id=uuid4(), started_at=THEN, duration_ms=1, outcome="failed", imap=False, smtp=None, steps=(step,),
        diagnosis=diagnosis,
    )  # fmt: skip


class Past:
    """The database as an older version left it."""

    def __init__(self, dsn: str, pool: Pool) -> None:
        self.dsn, self.pool = dsn, pool
        self.clock = SteppingClock()
        self.store = EventStore("/berth/connector", self.clock)
        self.queue = WorkQueue(self.clock, default_limit=1, lease=timedelta(seconds=30))
        self.history = History(pool, self.store, self.queue, DiagnosisTable.load(), self.clock, random.Random(7))

    async def account(
        self, said: Verification, *, state: State = "failed", policy: str, waits: bool = False, **flags: Any
    ) -> VerificationRequest:
        """An account that stands by a verification."""
        request = VerificationRequest(
            account_id=uuid4(),
            organization_id=uuid4(),
            project_id=uuid4(),
            address="me@test.example",
            imap=MailServer(host="imap.zoho.com", port=993, security="tls", username="me"),
            smtp=None,
            credential_ref=CredentialRef(credential_id=uuid4(), version=1),
            reason="recheck",
        )
        kind = AccountConnectionFailed if state == "failed" else AccountDisconnected
        async with self.pool.acquire() as connection:
            await repository.save_settings(connection, [request], new_credential=False)
            standing = Standing(state=state, retry_policy=policy, failures=3)
            await repository.save_standing(connection, request.account_id, standing)
            await repository.set_suspended(connection, [request.account_id], suspended=flags.get("suspended", False))
            await self.say(request, kind, said)
            if waits:
                run_at = self.clock.now() + timedelta(hours=1)
                await self.queue.schedule(connection, [recheck_of(request, uuid4(), run_at)])
        return request

    async def say(self, request: VerificationRequest, kind: type[VerificationEvent], said: Verification) -> None:
        fields = {name: getattr(request, name) for name in ("account_id", "organization_id", "project_id", "address")}
        event = kind(**fields, credential_ref=request.credential_ref, verification=said)
        async with self.pool.acquire() as connection, connection.transaction():
            version = await self.store.version(connection, request.account_id)
            await self.store.append(connection, request.account_id, version, [event], Context())

    async def correct_all(self) -> int:
        survey = await self.history.survey()
        return sum([await self.history.correct(*one) for one in survey.standing.items()])

    async def last(self, request: VerificationRequest) -> Any:
        async with self.pool.acquire() as connection:
            return (await self.store.read(connection, request.account_id))[-1].data

    async def standing(self, request: VerificationRequest) -> Standing:
        async with self.pool.acquire() as connection:
            account = await repository.find(connection, request.account_id)
        assert account
        return account.standing

    async def waiting(self, request: VerificationRequest) -> list[Any]:
        async with self.pool.acquire() as connection:
            rows = await connection.fetch("SELECT kind, run_at FROM work WHERE key = $1", request.account_id)
        return [(row["kind"], row["run_at"] - self.clock.now()) for row in rows]


async def _migrate(dsn: str) -> None:
    await migrate_service(SERVICE, dsn)


@pytest.fixture
async def past(database_from: DatabaseFrom) -> AsyncIterator[Past]:
    dsn = await database_from("connector", _migrate)
    async with await open_pool(dsn, application_name="test", max_size=4) as pool:
        yield Past(dsn, pool)


async def test_what_was_left_alone_for_nothing_is_looked_at_again(past: Past) -> None:
    request = await past.account(verification(IMAP_IS_OFF, "UNKNOWN", "never"), policy="never")
    survey = await past.history.survey()
    assert survey.changes == {Change("UNKNOWN", "", "IMAP_DISABLED", "zoho.imap.imap_disabled"): 1}
    assert await past.correct_all() == 1
    said = await past.last(request)
    assert isinstance(said, AccountChecked)
    assert (said.verification.diagnosis.code, said.verification.diagnosis.table_version) == (
        "IMAP_DISABLED",
        TABLE_VERSION,
    )
    assert said.verification.started_at == THEN
    assert await past.standing(request) == Standing(state="failed", retry_policy="recheck_slow", failures=1)
    [(kind, wait)] = await past.waiting(request)
    assert kind == "recheck"
    assert timedelta(hours=4) <= wait <= timedelta(hours=5)
    assert (await past.history.survey()).standing == {}


async def test_a_credential_that_counts_as_refused_now_is_left_alone(past: Past) -> None:
    then = verification(REFUSED, "RATE_LIMITED", "honour_hint")
    request = await past.account(then, state="disconnected", policy="honour_hint", waits=True)
    assert await past.correct_all() == 1
    assert await past.standing(request) == Standing(state="disconnected", retry_policy="never", failures=1)
    assert await past.waiting(request) == []


async def test_a_suspended_account_is_told_of_and_not_looked_at(past: Past) -> None:
    request = await past.account(verification(IMAP_IS_OFF, "UNKNOWN", "never"), policy="never", suspended=True)
    assert await past.correct_all() == 1
    assert await past.waiting(request) == []


async def test_what_is_known_since_stands(past: Past) -> None:
    request = await past.account(verification(IMAP_IS_OFF, "UNKNOWN", "never"), policy="never")
    survey = await past.history.survey()
    now = (await past.last(request)).verification
    await past.say(
        request, AccountChecked, now.model_copy(update={"steps": (), "diagnosis": None, "outcome": "connected"})
    )
    assert [await past.history.correct(*one) for one in survey.standing.items()] == [False]
    later = await past.history.survey()
    assert (later.verifications, later.changes.total(), later.standing) == (2, 1, {})


async def test_a_removed_account_is_counted_and_not_told_of(past: Past) -> None:
    request = await past.account(verification(IMAP_IS_OFF, "UNKNOWN", "never"), policy="never")
    async with past.pool.acquire() as connection:
        await repository.remove(connection, [request.account_id])
    assert await past.correct_all() == 0


async def test_by_the_command_line_nothing_is_changed_unless_it_is_asked_for(past: Past) -> None:
    request = await past.account(verification(IMAP_IS_OFF, "UNKNOWN", "never"), policy="never")
    environment = {
        "DATABASE_URL": past.dsn,
        "BUS_URL": past.dsn,
        "VAULT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
        "BERTH_VAULT_PRIVATE_KEYS": generate_key().private_text,
    }
    for arguments, told in (([], False), (["--apply"], True)):
        async with run_module("berth_connector", "reclassify", *arguments, environment=environment) as running:
            output, _ = await running.communicate()
        assert running.returncode == 0, output
        assert "       1  UNKNOWN (-) -> IMAP_DISABLED (zoho.imap.imap_disabled)" in output.decode()
        assert ("told of 1 account" in output.decode()) is told
        assert isinstance(await past.last(request), AccountChecked) is told
