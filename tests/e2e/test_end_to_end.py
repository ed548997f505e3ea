"""From the request to the topics: real services on Kafka, Dovecot and Postfix over TLS, NSD."""

import asyncio
import base64
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from berth_testing.kafka import KafkaServer
from berth_testing.mail_bed import MailBed
from berth_testing.mail_users import bulk_user
from berth_testing.platform import Platform
from berth_testing.tenant import Tenant
from berth_testing.topics import CloudEvent, EventSchemas, read_with_aiokafka, read_with_kcat
from berth_testing.waiting import eventually

TOPICS = ["berth.accounts.v1", "berth.verifications.v1", "berth.domains.v1", "berth.billing.v1"]
SCHEMAS = Path(__file__).parents[2] / "libs/events/schemas"


@dataclass(frozen=True)
class Case:
    """A mailbox and what is to come of it; `code` None: connected."""

    address: str
    code: str | None = None
    password: str | None = None  # None: the right one
    imap_host: str = "mail.test.example"
    imap: bool | None = True
    smtp: bool | None = True


CASES = {
    "good": Case("alice@test.example"),
    "utf8 password": Case("utf8@test.example"),
    "quoted password": Case("quote@test.example"),
    "domain without DMARC": Case("alice@nodmarc.example"),
    "domain with a broken SPF": Case("alice@brokenspf.example"),
    "domain whose servers fail": Case("alice@lame.example"),
    "wrong password": Case("bob@test.example", "AUTH_BAD_CREDENTIALS", password="wr0ng", imap=False, smtp=False),
    "disabled": Case("disabled@test.example", "ACCOUNT_DISABLED", imap=False),
    "untrusted certificate": Case(
        bulk_user(901)[0], "TLS_CERT_UNTRUSTED", bulk_user(901)[1], "untrusted.test.example", imap=False
    ),
    "certificate of another host": Case(
        bulk_user(902)[0], "TLS_CERT_NAME", bulk_user(902)[1], "wronghost.test.example", imap=False
    ),
    "expired certificate": Case(
        bulk_user(903)[0], "TLS_CERT_EXPIRED", bulk_user(903)[1], "expired.test.example", imap=False
    ),
    "unknown host": Case(bulk_user(904)[0], "DNS_NOT_FOUND", bulk_user(904)[1], "nowhere.test.example", imap=False),
}


@dataclass(frozen=True)
class Ran:
    """Every case, after its verification."""

    tenant: Tenant
    accounts: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
async def ran(platform: Platform, mail_bed: MailBed) -> Ran:
    tenant = await platform.tenant(monitoring=len(CASES))

    async def run(case: Case) -> dict[str, Any]:
        password = case.password or mail_bed.passwords[case.address]
        servers = mail_bed.servers(imap_host=case.imap_host)
        account_id = await tenant.connect(email=case.address, provider="custom", password=password, **servers)
        return await tenant.settled(account_id)

    accounts = await asyncio.gather(*(run(case) for case in CASES.values()))
    return Ran(tenant, dict(zip(CASES, accounts, strict=True)))


async def audited(ran: Ran, case: str) -> dict[str, Any]:
    """The domain of a case's account, as soon as it was audited."""
    account = await eventually(
        lambda: ran.tenant.account(ran.accounts[case]["id"]),
        lambda account: account["domain"]["last_check_at"] is not None,
        within=30,
    )
    domain: dict[str, Any] = account["domain"]
    return domain


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.code is None])
def test_a_working_mailbox_is_connected(ran: Ran, name: str) -> None:
    account = ran.accounts[name]
    assert account["status"] == "connected", account
    assert account["diagnosis"] is None
    assert (account["verification"]["imap"], account["verification"]["smtp"]) == (True, True)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.code is not None])
def test_a_failing_mailbox_is_diagnosed_with_its_remedy(ran: Ran, name: str) -> None:
    account, case = ran.accounts[name], CASES[name]
    assert account["status"] == "failed", account
    assert account["diagnosis"]["code"] == case.code
    assert len(account["diagnosis"]["remedy"]) > 20
    assert (account["verification"]["imap"], account["verification"]["smtp"]) == (case.imap, case.smtp)


async def test_the_verification_shows_every_step_and_no_secret(ran: Ran) -> None:
    account_id = ran.accounts["wrong password"]["id"]
    response = await ran.tenant.http.get(f"/v1/accounts/{account_id}/verification")
    steps = response.raise_for_status().json()["steps"]
    imap = [(step["name"], step["outcome"]) for step in steps if step["protocol"] == "imap"]
    assert imap[:4] == [("resolve", "ok"), ("vet", "ok"), ("connect", "ok"), ("tls", "ok")]
    assert ("authenticate", "failed") in imap
    assert imap[-1] == ("select", "skipped")
    assert "wr0ng" not in response.text
    assert base64.b64encode(b"\0bob@test.example\0wr0ng").decode() not in response.text


async def test_a_good_domain_is_audited(ran: Ran) -> None:
    domain = await audited(ran, "good")
    assert domain["checks"] == {"mx": "pass", "spf": "pass", "dkim": "pass", "dmarc": "pass"}
    assert domain["spf_value"] == "v=spf1 mx -all"
    assert domain["dkim_selector"] == "default"
    assert domain["dmarc_value"].startswith("v=DMARC1; p=reject")
    assert domain["mx_records"] == [["mail.test.example", "127.0.0.1", "10"]]


@pytest.mark.parametrize(
    ("case", "check", "state"),
    [
        ("domain without DMARC", "dmarc", "fail"),
        ("domain with a broken SPF", "spf", "fail"),
        ("domain whose servers fail", "mx", "unknown"),
    ],
)
async def test_what_a_domain_lacks_is_found(ran: Ran, case: str, check: str, state: str) -> None:
    domain = await audited(ran, case)
    assert domain["checks"][check] == state
    if state == "fail":
        assert {name for name, value in domain["checks"].items() if value == "fail"} == {check}
        assert any(finding["code"].lower().startswith(check) for finding in domain["findings"]), domain["findings"]


async def test_other_teams_read_every_topic(ran: Ran, kafka: KafkaServer) -> None:
    for name in CASES:
        await audited(ran, name)
    by_aiokafka = {place(event): event for event in await read_with_aiokafka(kafka.bootstrap, TOPICS)}
    by_kcat = {place(event): event for event in await read_with_kcat(kafka.bootstrap, TOPICS)}
    assert by_aiokafka.items() <= by_kcat.items()

    schemas = EventSchemas(SCHEMAS)
    faults = {place(event): found for event in by_kcat.values() if (found := schemas.faults(event))}
    assert faults == {}

    ours = {account["id"]: name for name, account in ran.accounts.items()}
    told: dict[str, list[str]] = defaultdict(list)
    for event in by_kcat.values():
        if event.key in ours:
            told[ours[event.key]].append(event.type)
    for name, case in CASES.items():
        result = "AccountConnected" if case.code is None else "AccountConnectionFailed"
        assert sorted(told[name]) == sorted(["AccountRequested", result]), name
    assert {event.type for event in by_kcat.values()} >= {"SubscriptionActivated", "DomainAudited", "SeatLimitReached"}


async def test_events_of_one_aggregate_are_in_one_partition_and_in_order(ran: Ran, kafka: KafkaServer) -> None:
    assert ran.accounts
    streams: dict[tuple[str, str], list[CloudEvent]] = defaultdict(list)
    for event in await read_with_aiokafka(kafka.bootstrap, TOPICS):
        streams[event.topic, event.key].append(event)
    for stream, events in streams.items():
        assert len({event.partition for event in events}) == 1, stream
        assert [event.sequence for event in events] == list(range(1, len(events) + 1)), stream


def place(event: CloudEvent) -> tuple[str, int, int]:
    return event.topic, event.partition, event.offset
