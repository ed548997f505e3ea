"""How the connector treats servers and organizations, on a real Postgres; only names and mail servers are played."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from berth_connector.bootstrap import SERVICE
from berth_connector.breaker import Breaker, refused
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.intake import Intake
from berth_connector.outages import Outages
from berth_connector.policies import POLICIES
from berth_connector.politeness import Places, shipped_rules
from berth_connector.politeness.decisions import decide, watched
from berth_connector.politeness.limits import address_name
from berth_connector.probe import Login, ProbeResult, TokenGrant
from berth_connector.sign_in import SignIn
from berth_connector.worker import VerifyHandler
from berth_events.contracts import (
    AccountRequested,
    AccountResumed,
    AccountVerificationRequested,
    CredentialRef,
    Diagnosis,
    Envelope,
    Event,
    MailServer,
    Step,
    Verification,
)
from berth_events.runtime.budgets import REFUSAL_WINDOW, Limit
from berth_events.runtime.database import Pool, open_pool
from berth_events.runtime.service import migrate_service
from berth_events.runtime.store import EventStore
from berth_events.runtime.work import WorkQueue
from berth_net import HostGuard, Policy
from berth_testing.clocks import NOON, SteppingClock
from berth_testing.names import Names
from berth_testing.postgres import DatabaseFrom
from berth_vault import Binding, Credential, Opener, Sealer, VaultReader, VaultWriter, generate_key, schema_sql

KEYS = generate_key()
HOSTING, OTHER = "8.8.4.4", "9.9.9.9"
POLICY = Policy(allow_networks=(ip_network("10.0.0.0/8"),))


def diagnosis(code: str) -> Diagnosis:
    return Diagnosis(
        code=code,
        rule_id="x",
        table_version="1",
        confidence="high",
        severity="error",
        action_by="user",
        meaning="",
        remedy="",
        retry_policy=DiagnosisTable.load().codes[code].retry_policy,
        reply="",
    )


def step(outcome: str, code: str | None = None, *, name: str = "authenticate", protocol: str = "imap") -> Step:
    found = diagnosis(code) if code else None
    return Step.model_validate(
        {
            "protocol": protocol,
            "name": name,
            "outcome": outcome,
            "started_at": NOON,
            "duration_ms": 1,
            "diagnosis": found,
        }
    )


class Servers:
    """Mail servers that let in whose password is right.

    Attributes:
        tried: the host of every sign-in.
        refusing: what they say to everybody.
    """

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.code: str | None = None

    async def verify(
        self, verification_id: UUID, imap: Login | None, smtp: Login | None, grant: TokenGrant | None
    ) -> ProbeResult:
        assert imap
        assert smtp is grant is None
        self.tried.append(imap.server.host)
        code = self.code or (None if imap.password == "right" else "AUTH_BAD_CREDENTIALS")
        verification = Verification(
            verification_id=verification_id,
            started_at=NOON,
            duration_ms=1,
            outcome="failed" if code else "connected",
            imap=code is None,
            smtp=None,
            steps=(step("failed" if code else "ok", code),),
            diagnosis=diagnosis(code) if code else None,
        )
        return ProbeResult(verification)


class Replica:
    """One connector without its loops, besides others of the same database."""

    def __init__(
        self, pool: Pool, vault_pool: Pool, clock: SteppingClock, servers: Servers, names: Names, egress: str
    ) -> None:
        self.pool, self.vault_pool, self.clock, self.servers, self.names = pool, vault_pool, clock, servers, names
        self.queue = WorkQueue(clock, lease=timedelta(seconds=30), rules=shipped_rules(POLICY), egress=egress)
        self.intake = Intake(self.queue, clock)
        self.handler = VerifyHandler(
            pool=pool,
            # nobody here signs in through a workspace, so there are no tokens
            sign_in=SignIn(pool, vault_pool, VaultReader(Opener.from_text(KEYS.private_text)), None),  # type: ignore[arg-type]
            places=Places(pool, self.queue, HostGuard(names, POLICY)),
            mailboxes=servers,
            store=EventStore("/berth/connector", clock),
            queue=self.queue,
            breaker=Breaker(clock),
            outages=Outages(clock),
            clock=clock,
            rng=random.Random(7),
            recheck=timedelta(days=1),
        )

    async def request(
        self, host: str, password: str = "right", organization_id: UUID | None = None
    ) -> AccountRequested:
        """A new account."""
        account_id, organization_id = uuid4(), organization_id or UUID(int=9)
        reference = CredentialRef(credential_id=uuid4(), version=1)
        binding = Binding(
            organization_id=organization_id,
            owner_id=account_id,
            credential_id=reference.credential_id,
            version=1,
        )
        async with self.vault_pool.acquire() as connection:
            credential = Credential({"imap_password": password})
            await VaultWriter(Sealer.from_text(KEYS.public_text)).insert(connection, binding, credential)
        event = AccountRequested(
            account_id=account_id,
            organization_id=organization_id,
            project_id=uuid4(),
            imap=MailServer(host=host, port=993, security="tls", username="me"),
            smtp=None,
            credential_ref=reference,
            address="me@test.example",
            domain="test.example",
            provider="custom",
            seat_kind="monitoring",
        )
        await self.take(event)
        return event

    async def take(self, event: Event) -> None:
        envelope = Envelope(event_id=uuid4(), source="/berth/gateway", sequence=1, time=self.clock.now(), data=event)
        async with self.pool.acquire() as connection, connection.transaction():
            await self.intake.apply(connection, [envelope])

    async def work(self, most: int = 200) -> int:
        """Claim, and do it side by side; how many were claimed."""
        async with self.pool.acquire() as connection:
            jobs = await self.queue.claim(connection, most)
        results = await asyncio.gather(*(self.handler.perform(job) for job in jobs))
        for job, result in zip(jobs, results, strict=True):
            async with self.pool.acquire() as connection, connection.transaction():
                await self.queue.finish(connection, job)
                await self.handler.record(connection, job, result)
        return len(jobs)

    async def waiting(self) -> set[str]:
        """The destinations of what waits."""
        return {row["destination"] for row in await self.pool.fetch("SELECT destination FROM work")}


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
def names() -> Names:
    """Customers of one hosting server, and somebody else."""
    known = {f"mail.customer{number}.test": (HOSTING,) for number in range(60)}
    return Names({**known, "mail.elsewhere.test": (OTHER,), "mail.intern.test": ("10.0.0.7",)})


NewReplica = Callable[..., Replica]


@pytest.fixture
async def replica(
    database_from: DatabaseFrom, clock: SteppingClock, servers: Servers, names: Names
) -> AsyncIterator[NewReplica]:
    """Makes connectors on one database: `replica(egress="here")`."""

    async def migrate(dsn: str) -> None:
        await migrate_service(SERVICE, dsn)

    async def make_vault(dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(schema_sql())
        await connection.close()

    pool = await open_pool(await database_from("connector", migrate), application_name="test", max_size=6)
    vault_pool = await open_pool(await database_from("vault", make_vault), application_name="test", max_size=4)
    yield lambda egress="": Replica(pool, vault_pool, clock, servers, names, egress)
    await vault_pool.close()
    await pool.close()


async def test_all_names_of_one_address_share_its_refusals_over_all_replicas(
    replica: NewReplica, clock: SteppingClock, servers: Servers
) -> None:
    replicas = [replica(), replica()]
    for number in range(30):
        await replicas[0].request(f"mail.customer{number}.test", "wrong")
    await replicas[0].request("mail.elsewhere.test", "wrong")
    tried = []
    for _ in range(30):  # half an hour
        for one in replicas * 3:
            await one.work()
        tried.append(sum(host.startswith("mail.customer") for host in servers.tried))
        clock.step(60)
    assert tried == [4] * 15 + [8] * 15, "a fifth one within 15 minutes would have been banned"
    assert servers.tried.count("mail.elsewhere.test") == 1
    assert await replicas[0].waiting() == {HOSTING}


async def test_whoever_works_at_an_address_that_refuses_has_to_wait_too(
    replica: NewReplica, clock: SteppingClock, servers: Servers
) -> None:
    one = replica()
    for number in range(4):
        await one.request(f"mail.customer{number}.test", "wrong")
    for _ in range(3):
        await one.work()
    works = await one.request("mail.customer5.test")
    assert [await one.work() for _ in range(3)] == [1, 0, 0], "looked up, and left to wait"
    async with one.pool.acquire() as connection:
        [seen] = await watched(connection, clock.now())
    assert (seen.destination, seen.refusals) == (HOSTING, 4)
    clock.step(REFUSAL_WINDOW.total_seconds())
    while await one.work():
        pass
    async with one.pool.acquire() as connection:
        assert (
            await connection.fetchval("SELECT state FROM account WHERE account_id = $1", works.account_id)
            == "connected"
        )
    assert len(servers.tried) == 5


async def test_another_egress_address_goes_on_where_one_is_left_alone(
    replica: NewReplica, clock: SteppingClock, servers: Servers
) -> None:
    here, there = replica(egress="here"), replica(egress="there")
    servers.code = "TOO_MANY_AUTH"
    for number in range(20):
        await here.request(f"mail.customer{number}.test")
    while await here.work():
        pass
    refused_here = len(servers.tried)
    assert 5 <= refused_here <= 10, "left alone when five accounts were turned away"
    servers.code = None
    assert await here.work() == 0
    while await there.work():
        pass
    assert len(servers.tried) == 20
    clock.step(timedelta(minutes=5).total_seconds() + 1)
    await here.request("mail.customer50.test")
    while await here.work():
        pass
    assert servers.tried[-1] == "mail.customer50.test"


async def test_the_next_look_is_counted_at_the_address_and_follows_it(
    replica: NewReplica, clock: SteppingClock, names: Names, servers: Servers
) -> None:
    one = replica()
    await one.request("mail.customer1.test")
    assert await one.waiting() == {"mail.customer1.test"}
    await one.work()
    assert await one.waiting() == {HOSTING}
    names.known["mail.customer1.test"] = (OTHER,)
    clock.step(2 * 86_400)
    assert await one.work() == 1
    assert await one.waiting() == {OTHER}
    del names.known["mail.customer1.test"]
    clock.step(2 * 86_400)
    assert await one.work() == 1, "what is wrong with the host the verification says"
    assert len(servers.tried) == 3


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (("8.8.8.8", "8.8.4.4"), "8.8.4.4"),
        (("2a00:1450:4001::1", "8.8.8.8"), "8.8.8.8"),
        (("2a00:1450:4001:2:3::1",), "2a00:1450:4001:2::/64"),
        (("::ffff:8.8.8.8",), "8.8.8.8"),
        (("10.0.0.7",), "mail.customer1.test"),
    ],
)
async def test_what_an_address_is_called(
    replica: NewReplica, names: Names, addresses: tuple[str, ...], expected: str
) -> None:
    names.known["mail.customer1.test"] = addresses
    one = replica()
    await one.request("mail.customer1.test")
    await one.work()
    assert await one.waiting() == {expected}


async def test_a_known_service_is_one_destination_that_nobody_looks_up(replica: NewReplica, names: Names) -> None:
    one = replica()
    for host in ("imap.gmail.com", "imap.googlemail.com"):
        await one.request(host)
    await one.work()
    assert await one.waiting() == {"google"}
    assert names.asked == []


async def test_servers_of_the_operators_own_ban_nobody(replica: NewReplica, servers: Servers) -> None:
    one = replica()
    for _ in range(12):
        await one.request("mail.intern.test", "wrong")
    await one.work()
    assert len(servers.tried) == 12


async def test_an_organization_with_an_import_does_not_hold_up_another(
    replica: NewReplica, clock: SteppingClock
) -> None:
    large, small = UUID(int=1), UUID(int=2)
    one = replica()
    for _ in range(60):
        await one.request("imap.gmail.com", organization_id=large)
    async with one.pool.acquire() as connection:
        running = await one.queue.claim(connection, 200) + await one.queue.claim(connection, 200)
        assert len(running) == 20, "google is full of the large one's"
        clock.step(1)
        await one.request("imap.gmail.com", organization_id=small)
        async with connection.transaction():
            await one.queue.finish(connection, running[0])
        assert [job.organization_id for job in await one.queue.claim(connection, 200)] == [small]


async def test_a_decision_about_an_address_holds_at_once(replica: NewReplica, servers: Servers) -> None:
    one = replica()
    for number in range(30):
        await one.request(f"mail.customer{number}.test", "wrong")
    async with one.pool.acquire() as connection:
        await decide(connection, "address", HOSTING, Limit(max_in_flight=0))
    for _ in range(3):
        await one.work()
    assert servers.tried == []
    async with one.pool.acquire() as connection:
        await decide(connection, "address", HOSTING, Limit(max_in_flight=20, max_refusals=1000))
    for _ in range(3):
        await one.work()
    assert len(servers.tried) == 30


# -- a refused credential is not tried unasked


async def test_a_look_that_was_planned_before_the_refusal_is_not_taken(
    replica: NewReplica, clock: SteppingClock, servers: Servers
) -> None:
    one = replica()
    account = await one.request("mail.elsewhere.test", "wrong")
    async with one.pool.acquire() as connection:
        [job] = await one.queue.claim(connection, 10)
    result = await one.handler.perform(job)
    ids = account.model_dump(include={"account_id", "organization_id", "project_id"})
    await one.take(AccountResumed.model_validate(ids))
    async with one.pool.acquire() as connection, connection.transaction():
        await one.queue.finish(connection, job)
        await one.handler.record(connection, job, result)
    assert await one.work() == 1, "it is there, and finds out"
    clock.step(40 * 86_400)
    assert await one.work() == 0
    assert servers.tried == ["mail.elsewhere.test"]


@pytest.mark.parametrize(("reason", "tries"), [("schedule", 1), ("reconnect", 2)])
async def test_only_somebodys_wish_tries_it_again(
    replica: NewReplica, servers: Servers, reason: str, tries: int
) -> None:
    one = replica()
    account = await one.request("mail.elsewhere.test", "wrong")
    await one.work()
    fields = account.model_dump(exclude={"domain", "provider", "seat_kind"})
    known = {name: value for name, value in fields.items() if name in AccountVerificationRequested.model_fields}
    await one.take(AccountVerificationRequested.model_validate({**known, "reason": reason}))
    assert await one.work() == 1
    assert len(servers.tried) == tries


@pytest.mark.parametrize("policy", [name for name, chosen in POLICIES.items() if chosen is None])
async def test_no_policy_of_refusals_has_a_next_look(
    replica: NewReplica, clock: SteppingClock, servers: Servers, policy: str
) -> None:
    one = replica()
    codes = [code for code, row in DiagnosisTable.load().codes.items() if row.retry_policy == policy]
    for code in codes:
        servers.code = code
        await one.request("mail.intern.test")
        assert await one.work() == 1
    for _ in range(4):
        clock.step(10 * 86_400)
        assert await one.work() == 0
    assert len(servers.tried) == len(codes) > 0


@pytest.mark.parametrize("policy", [name for name, chosen in POLICIES.items() if chosen])
async def test_passing_faults_follow_their_policy(
    replica: NewReplica, clock: SteppingClock, servers: Servers, policy: str
) -> None:
    chosen = POLICIES[policy]
    assert chosen
    one = replica()
    servers.code = next(code for code, row in DiagnosisTable.load().codes.items() if row.retry_policy == policy)
    await one.request("mail.intern.test")
    assert await one.work() == 1
    for attempt in range(1, 5):
        wait = chosen.wait(attempt)
        if wait is None:
            clock.step(40 * 86_400)
            assert await one.work() == 0, "it was given up: it has never worked"
            break
        clock.step(wait.total_seconds() * 0.99)
        assert await one.work() == 0, "not before its time"
        clock.step(wait.total_seconds() * 0.22)
        assert await one.work() == 1


# -- what counts as a refusal


def test_what_a_server_holds_against_us() -> None:
    assert refused([step("failed", "AUTH_BAD_CREDENTIALS"), step("ok", protocol="smtp")]) is True
    assert refused([step("failed", "UNKNOWN")]) is True
    assert refused([step("ok"), step("failed", "TOO_MANY_AUTH", protocol="smtp")]) is False
    for code in ("TOO_MANY_AUTH", "PROVIDER_TEMPORARY", "MECHANISM_UNSUPPORTED"):
        assert refused([step("failed", code)]) is None
    assert refused([step("skipped"), step("failed", "CONNECT_TIMEOUT", name="connect")]) is None


def test_addresses_are_named_by_what_a_ban_would_cover() -> None:
    assert address_name(ip_address("192.0.2.7")) == "192.0.2.7"
    assert address_name(ip_address("2001:db8:1:2:3:4:5:6")) == "2001:db8:1:2::/64"


def of_scopes() -> dict[str, Any]:
    rules = shipped_rules(POLICY)
    destinations = ("google", "oauth:google", "8.8.8.8", "2a00::/64", "10.1.2.3", "mail.test.example")
    return {destination: rules.scope_of(destination) for destination in destinations}


def test_which_destination_is_of_which_scope() -> None:
    assert of_scopes() == {
        "google": "provider",
        "oauth:google": "provider",
        "8.8.8.8": "address",
        "2a00::/64": "address",
        "10.1.2.3": "host",
        "mail.test.example": "host",
    }
