"""From an account to the events of its domain, on a real Postgres."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from berth_dns_auditor import repository
from berth_dns_auditor.audit import Auditor
from berth_dns_auditor.bootstrap import SERVICE
from berth_dns_auditor.checks.known import Known, Sender
from berth_dns_auditor.intake import Intake
from berth_dns_auditor.resolver import Resolver
from berth_dns_auditor.worker import Audited, AuditHandler
from berth_events.contracts import (
    AccountCheckedUp,
    AccountDomainAuditRequested,
    AccountRemoved,
    AccountRequested,
    AccountVerificationRequested,
    Checkup,
    CredentialRef,
    DomainAudited,
    DomainHealthChanged,
    Envelope,
    Event,
    domain_id,
)
from berth_events.runtime.database import Pool, open_pool
from berth_events.runtime.service import migrate_service
from berth_events.runtime.store import EventStore
from berth_events.runtime.work import Job, LeaseLost, WorkQueue
from berth_testing.clocks import SteppingClock
from berth_testing.postgres import DatabaseFrom

Zone = dict[str, Sequence[str]]

SOUND: Zone = {
    "example.com MX": ["10 mail.example.com"],
    "mail.example.com A": ["8.8.4.4"],
    "4.4.8.8.in-addr.arpa PTR": ["mail.example.com"],
    "example.com TXT": ["v=spf1 mx -all"],
    "_dmarc.example.com TXT": ["v=DMARC1; p=reject; rua=mailto:d@example.com"],
}
EXAMPLE = domain_id("example.com")
OURS, THEIRS = uuid4(), uuid4()


class Service:
    """The service without its loops: events go in, work that is due is done, events come out."""

    def __init__(self, pool: Pool, dns: Callable[[Zone], Resolver]) -> None:
        self.pool, self._dns = pool, dns
        self.clock = SteppingClock()
        self.zone: Zone = dict(SOUND)
        self.forgotten: list[str] = []
        self.store = EventStore("/berth/dns-auditor", self.clock)
        self.queue = WorkQueue(self.clock, default_limit=10, lease=timedelta(seconds=30))
        self.intake = Intake(self.queue, self.clock)

    async def request(self, domain: str = "example.com", organization: UUID = OURS) -> UUID:
        account = uuid4()
        await self._take(
            AccountRequested(
                account_id=account,
                organization_id=organization,
                project_id=uuid4(),
                imap=None,
                smtp=None,
                credential_ref=CredentialRef(credential_id=uuid4(), version=1),
                address=f"user@{domain}",
                domain=domain,
                provider="custom",
                seat_kind="monitoring",
            )
        )
        return account

    async def remove(self, account: UUID) -> None:
        await self._take(
            AccountRemoved(
                account_id=account,
                organization_id=uuid4(),
                project_id=uuid4(),
                address="user@example.com",
                seat_kind="monitoring",
                reason="requested",
            )
        )

    async def ask(self, account: UUID, *, correlation_id: UUID | None = None) -> None:
        """Somebody asks for an audit now."""
        event = AccountDomainAuditRequested(
            account_id=account, organization_id=uuid4(), project_id=uuid4(), domain="example.com"
        )
        await self._take(event, correlation_id)

    async def check_up(self, account: UUID, organization: UUID = OURS, **shown: str | None) -> None:
        await self._take(
            AccountCheckedUp(
                account_id=account,
                organization_id=organization,
                project_id=uuid4(),
                address="user@example.com",
                checkup_id=uuid4(),
                checkup=Checkup(started_at=self.clock.now(), outcome="delivered", **shown),
            )
        )

    async def _take(self, event: Event, correlation_id: UUID | None = None) -> None:
        envelope = Envelope(
            event_id=uuid4(),
            source="/berth/gateway",
            sequence=1,
            time=self.clock.now(),
            data=event,
            correlation_id=correlation_id,
        )
        async with self.pool.acquire() as connection, connection.transaction():
            await self.intake.apply(connection, [envelope])

    async def claim(self) -> list[Job]:
        async with self.pool.acquire() as connection:
            return await self.queue.claim(connection, 10)

    async def work(self) -> int:
        """Do what is due; how many audits that were."""
        jobs = await self.claim()
        for job in jobs:
            await self.run(job)
        return len(jobs)

    async def run(self, job: Job) -> None:
        await self.record(job, await self._handler().perform(job))

    async def record(self, job: Job, result: Audited) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await self.queue.finish(connection, job)
            await self._handler().record(connection, job, result)

    def _handler(self) -> AuditHandler:
        self.resolver = self._dns(self.zone)
        auditor = Auditor(self.resolver, probe=lambda: "probe")
        return AuditHandler(
            self.pool, auditor, self.store, self.queue, self.clock, random.Random(7), forget=self.forgotten.append
        )

    async def envelopes(self, domain: str = "example.com") -> list[Envelope]:
        async with self.pool.acquire() as connection:
            return await self.store.read(connection, domain_id(domain))

    async def events(self, domain: str = "example.com") -> list[Event]:
        return [envelope.data for envelope in await self.envelopes(domain)]

    async def next_run(self) -> timedelta | None:
        """How long until the domain is audited next."""
        async with self.pool.acquire() as connection:
            at = await connection.fetchval("SELECT run_at FROM work WHERE key = $1 AND state = 'ready'", EXAMPLE)
        return at - self.clock.now() if at else None

    def advance(self, **delta: float) -> None:
        self.clock.step(timedelta(**delta).total_seconds())


async def _migrate(dsn: str) -> None:
    await migrate_service(SERVICE, dsn)


@pytest.fixture
async def service(database_from: DatabaseFrom, dns: Callable[[Zone], Resolver]) -> AsyncIterator[Service]:
    pool = await open_pool(await database_from("dns-auditor", _migrate), application_name="test", max_size=4)
    yield Service(pool, dns)
    await pool.close()


async def test_a_dry_run_has_its_domain_audited_once(service: Service) -> None:
    await service._take(
        AccountVerificationRequested(
            account_id=uuid4(),
            organization_id=uuid4(),
            project_id=uuid4(),
            imap=None,
            smtp=None,
            credential_ref=CredentialRef(credential_id=uuid4(), version=1),
            address="user@example.com",
            reason="dry_run",
            domain="example.com",
        )
    )

    assert await service.work() == 1

    assert len(await service.events()) == 1
    assert await service.next_run() is None, "no account needs the domain"


async def test_an_account_leads_to_one_audit_of_its_domain(service: Service) -> None:
    await service.request()

    assert await service.work() == 1

    [event] = await service.events()
    assert isinstance(event, DomainAudited)
    assert (event.domain_id, event.domain, event.audited_at) == (EXAMPLE, "example.com", service.clock.now())
    assert event.record == event.definite
    assert (event.record.spf.state, event.record.dkim.state) == ("pass", "fail")


async def test_accounts_of_one_domain_share_the_audit(service: Service) -> None:
    for _ in range(5):
        await service.request()
    await service.request("other.example")

    assert await service.work() == 2
    await service.request()
    assert await service.work() == 0, "it was audited just now"
    assert len(await service.events()) == 1


async def test_an_audit_that_runs_is_not_asked_for_again(service: Service) -> None:
    await service.request()
    [job] = await service.claim()

    await service.request()
    await service.run(job)

    assert await service.work() == 0
    assert await service.next_run() > timedelta(hours=20)  # type: ignore[operator]


async def test_a_new_account_brings_an_old_audit_forward(service: Service) -> None:
    await service.request()
    await service.work()
    service.advance(minutes=61)

    await service.request()

    assert await service.work() == 1
    assert len(await service.events()) == 2


async def test_the_domain_is_audited_every_day_with_jitter(service: Service) -> None:
    await service.request()
    for _ in range(3):
        assert await service.work() == 1
        pause = await service.next_run()
        assert pause is not None
        assert timedelta(hours=21.6) <= pause <= timedelta(hours=26.4)
        service.advance(seconds=pause.total_seconds() - 1)
        assert await service.work() == 0
        service.advance(seconds=1)


async def test_nothing_changed_says_nothing_of_health(service: Service) -> None:
    await service.request()
    await service.work()
    service.advance(days=2)
    await service.work()

    assert [type(event) for event in await service.events()] == [DomainAudited, DomainAudited]


async def test_what_came_and_went(service: Service) -> None:
    await service.request()
    await service.work()
    service.zone |= {"_domainkey.example.com A": ["8.8.4.4"], "_dmarc.example.com TXT": []}
    service.advance(days=2)
    await service.work()

    *_, audited, changed = await service.events()

    assert isinstance(audited, DomainAudited)
    assert isinstance(changed, DomainHealthChanged)
    assert {found.code for found in changed.raised} == {"DKIM_SELECTOR_UNKNOWN", "DMARC_MISSING"}
    assert {found.code for found in changed.cleared} == {"DKIM_MISSING"}
    assert audited.definite.dkim.state == "fail", "the last definite answer"
    assert audited.record.dkim.state == "unknown"


async def test_a_temporary_error_keeps_the_answers_and_comes_back_soon(service: Service, fails: str) -> None:
    await service.request()
    await service.work()
    service.advance(days=2)
    whole = service.zone
    service.zone = {"example.com": fails, "_domainkey.example.com": fails, "_dmarc.example.com": fails}
    pauses = []
    for _ in range(16):
        assert await service.work() == 1
        pause = await service.next_run()
        assert pause is not None
        pauses.append(pause.total_seconds())
        service.advance(seconds=pauses[-1])
    service.zone = whole
    await service.work()

    first, failed, changed, *later = await service.events()
    assert isinstance(first, DomainAudited)
    assert isinstance(failed, DomainAudited)
    assert isinstance(changed, DomainHealthChanged)
    assert failed.record.spf.state == "unknown"
    assert failed.definite == first.definite
    assert {found.code for found in changed.raised} == {"DNS_TEMPFAIL"}
    assert changed.cleared == ()
    assert all(isinstance(event, DomainAudited) and event.definite == first.definite for event in later[:-1])
    recovered = later[-1]
    assert isinstance(recovered, DomainHealthChanged)
    assert (recovered.raised, {found.code for found in recovered.cleared}) == ((), {"DNS_TEMPFAIL"})
    assert 27 <= pauses[0] <= 33
    assert all(1.6 <= later / earlier <= 2.5 for earlier, later in pairwise(pauses[:11]))
    assert 21.6 * 3600 <= pauses[-1] <= 26.4 * 3600
    assert await service.next_run() > timedelta(hours=21)  # type: ignore[operator]


async def test_a_domain_that_nobody_needs_is_not_audited_again(service: Service) -> None:
    account, other = await service.request(), await service.request()
    await service.work()
    await service.remove(account)
    service.advance(days=2)
    assert await service.work() == 1
    await service.remove(other)
    service.advance(days=2)
    assert await service.work() == 1, "this one was waiting already"

    assert await service.next_run() is None


async def test_an_account_that_comes_back_within_the_hour_has_a_next_audit(service: Service) -> None:
    account = await service.request()
    [job] = await service.claim()
    await service.remove(account)
    await service.run(job)
    assert await service.next_run() is None

    await service.request()

    assert await service.next_run() == timedelta(hours=24)


async def test_a_lost_lease_records_nothing(service: Service) -> None:
    await service.request()
    [job] = await service.claim()
    service.advance(minutes=1)
    assert await service.work() == 1, "the lease ran out, so another worker took it"

    with pytest.raises(LeaseLost):
        await service.run(job)

    assert len(await service.events()) == 1


async def test_a_hostile_zone_is_stored(service: Service) -> None:
    service.zone = {
        "example.com TXT": ["v=spf1 a:\x00\ud7ff".encode("utf-16-be").decode("latin-1"), "v=spf1 \x00 -all"],
        "example.com MX": [f"10 \x00{number}.{'x' * 200}" for number in range(500)],
        "_dmarc.example.com TXT": ["v=DMARC1; p=none;" + "x=\\\\;" * 2000],
        "*._domainkey.example.com TXT": ["\x00" * 5000],
    }
    await service.request()

    assert await service.work() == 1
    [event] = await service.events()
    assert len(event.model_dump_json()) < 600_000


async def test_who_asks_gets_an_audit_of_what_is_published_now(service: Service) -> None:
    account = await service.request()
    await service.work()

    await service.ask(account)

    assert await service.work() == 1, "although it was audited just now"
    assert service.forgotten == ["example.com"]
    assert len(await service.events()) == 2
    assert await service.next_run() > timedelta(hours=21)  # type: ignore[operator]


async def test_many_who_ask_wait_for_one_audit(service: Service) -> None:
    for account in [await service.request() for _ in range(3)]:
        await service.ask(account)

    assert await service.work() == 1
    assert await service.work() == 0


async def test_who_asks_while_an_audit_runs_gets_another(service: Service) -> None:
    account = await service.request()
    [job] = await service.claim()
    result = await service._handler().perform(job)
    await service.ask(account)

    await service.record(job, result)

    assert await service.work() == 1
    assert await service.work() == 0
    assert await service.next_run() > timedelta(hours=21)  # type: ignore[operator]


async def test_the_audit_belongs_to_the_request_and_the_next_does_not(service: Service) -> None:
    account = await service.request()
    await service.work()
    correlation_id = uuid4()
    await service.ask(account, correlation_id=correlation_id)
    await service.work()
    service.advance(days=2)
    await service.work()

    first, asked, later = await service.envelopes()

    assert asked.correlation_id == correlation_id
    assert (first.correlation_id, later.correlation_id) == (None, None)
    assert later.causation_id == asked.event_id


async def test_a_message_shows_a_selector_and_the_audit_finds_its_key(service: Service) -> None:
    service.zone |= {
        "_domainkey.example.com A": ["8.8.4.4"],
        "x1._domainkey.example.com TXT": [f"v=DKIM1; k=ed25519; p={'A' * 43}="],
    }
    account, other = await service.request(), await service.request()
    await service.work()

    await service.check_up(account, dkim_domain="Example.com", dkim_selector="x1", sending_ip="8.8.4.4")

    assert await service.work() == 1, "although it was audited just now"
    before, now, *_ = await service.events()
    assert isinstance(before, DomainAudited)
    assert isinstance(now, DomainAudited)
    assert (before.record.dkim.state, now.record.dkim.state) == ("unknown", "pass")
    assert now.record.dkim.selector == "x1"

    await service.check_up(other, dkim_domain="example.com", dkim_selector="x1", sending_ip="8.8.4.4")
    assert await service.work() == 0, "nothing new in a domain that was audited just now"


async def test_what_messages_show_is_kept_for_as_long_as_their_accounts(service: Service) -> None:
    accounts = [await service.request() for _ in range(3)]
    shown = [
        {"dkim_domain": "example.com", "dkim_selector": "old", "sending_ip": "8.8.4.4"},
        {"dkim_domain": "provider.example", "dkim_selector": "theirs", "sending_ip": "8.8.4.4"},
        {"dkim_domain": "example.com", "dkim_selector": "new", "sending_ip": "not an address"},
    ]
    for account, what in zip(accounts, shown, strict=True):
        await service.check_up(account, OURS, **what)
        service.advance(minutes=1)

    async def known() -> Known:
        async with service.pool.acquire() as connection:
            return await repository.known_of(connection, EXAMPLE, "example.com")

    everything = await known()
    assert everything.selectors == ("new", "old")
    assert everything.proven == frozenset()
    assert everything.senders == (Sender("8.8.4.4", signed_by=("provider.example", "example.com")),)

    await service.check_up(accounts[0], dkim_domain="example.com", dkim_selector="newest")
    await service.remove(accounts[1])
    assert await known() == Known(selectors=("newest", "new"))


async def test_an_address_counts_for_all_when_two_organizations_saw_it(service: Service) -> None:
    async def findings() -> set[str]:
        await service.work()
        *_, last = (event for event in await service.events() if isinstance(event, DomainAudited))
        return {found.code for found in last.definite.findings} & {"SPF_SENDING_IP_NOT_PASS", "RDNS_MISSING"}

    planted = {"SPF_SENDING_IP_NOT_PASS", "RDNS_MISSING"}
    stranger = await service.request(organization=THEIRS)
    await service.check_up(stranger, organization=THEIRS, sending_ip="9.9.9.9", dkim_domain="spam.example")
    assert await findings() == planted, "who is alone with the domain speaks to himself"

    owner = await service.request()
    assert await findings() == set(), "at once, though the domain was audited just now"
    await service.check_up(owner, sending_ip="8.8.4.4")
    more = await service.request(organization=THEIRS)
    await service.check_up(more, organization=THEIRS, sending_ip="9.9.9.9", dkim_domain="spam.example")
    assert await findings() == set(), "however many accounts the stranger has"

    await service.check_up(owner, sending_ip="9.9.9.9", dkim_domain="example.com")
    async with service.pool.acquire() as connection:
        known = await repository.known_of(connection, EXAMPLE, "example.com")
    assert known.senders == (), "what is shown has to be the same, signatures too"

    await service.check_up(owner, sending_ip="9.9.9.9", dkim_domain="spam.example")
    assert await findings() == planted


async def test_what_was_kept_before_organizations_were_counts_for_nobody(service: Service) -> None:
    first, second = await service.request(), await service.request()
    async with service.pool.acquire() as connection:
        await connection.execute("UPDATE domain_account SET organization_id = NULL")
    await service.check_up(first, sending_ip="9.9.9.9")

    async def senders() -> int:
        async with service.pool.acquire() as connection:
            return len((await repository.known_of(connection, EXAMPLE, "example.com")).senders)

    assert await senders() == 0
    await service.check_up(second, sending_ip="9.9.9.9")
    assert await senders() == 1, "the checkups told whose accounts they are"


async def test_a_checkup_of_an_account_that_is_gone_changes_nothing(service: Service) -> None:
    account = await service.request()
    await service.work()
    await service.remove(account)

    await service.check_up(account, dkim_domain="example.com", dkim_selector="x1")

    assert await service.work() == 0
    async with service.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM domain_mail") == 0
