"""SendKit's mailboxes against real mail servers: accepted at once, then kept or deleted."""

from typing import Any

import pytest

from berth_testing.mail_bed import MailBed
from berth_testing.platform import Platform
from berth_testing.tenant import Tenant
from berth_testing.waiting import eventually

PATH = "/v1/mailboxes"


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    return await platform.tenant(monitoring=2)


def request(bed: MailBed, address: str, password: str) -> dict[str, Any]:
    login = {"username": address, "password": password}
    return {
        "email": address,
        "displayName": "Ada Lovelace",
        "smtp": {"host": bed.hostname, "port": bed.ports["smtp"], "secure": True, **login},
        "imap": {"host": bed.hostname, "port": bed.ports["imap"], "secure": True, **login},
    }


async def add(tenant: Tenant, body: dict[str, Any]) -> str:
    answer = await tenant.http.post(PATH, json=body)
    assert answer.status_code == 201, answer.text
    mailbox = answer.json()["data"]
    assert mailbox["status"] == "inactive"
    identity: str = mailbox["_id"]
    return identity


async def outcome(tenant: Tenant, identity: str) -> dict[str, Any]:
    async def look() -> dict[str, Any]:
        answer = await tenant.http.get(f"{PATH}/{identity}/connection-test")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["data"]
        return found

    return await eventually(look, lambda found: found["status"] != "pending", within=30)


async def used(tenant: Tenant) -> int:
    usage: dict[str, int] = (await tenant.http.get("/v1/account")).json()["data"]["usage"]
    return usage["currentUsage"]


async def test_a_mailbox_that_works_becomes_active(tenant: Tenant, mail_bed: MailBed) -> None:
    address = "alice@test.example"
    identity = await add(tenant, request(mail_bed, address, mail_bed.passwords[address]))
    assert await used(tenant) == 1
    assert (await outcome(tenant, identity))["status"] == "passed"
    mailbox = (await tenant.http.get(f"{PATH}/{identity}")).json()["data"]
    assert (mailbox["status"], mailbox["sendingEnabled"], mailbox["displayName"]) == ("active", True, "Ada Lovelace")
    assert (mailbox["smtpPort"], mailbox["smtpSecure"]) == (mail_bed.ports["smtp"], True)
    assert (await tenant.http.post(PATH, json=request(mail_bed, address, "x"))).status_code == 409


async def test_a_wrong_password_deletes_it_and_logs_in_once(tenant: Tenant, mail_bed: MailBed) -> None:
    body = request(mail_bed, "bob@test.example", "not-the-password")
    identity = await add(tenant, body)
    test = await outcome(tenant, identity)
    assert (test["status"], test["diagnosis"]["code"]) == ("failed", "AUTH_BAD_CREDENTIALS")
    assert (await tenant.http.get(f"{PATH}/{identity}")).status_code == 404
    assert await used(tenant) == 0
    logins = mail_bed.dovecot_log.read_text().count("bob@test.example")
    assert await add(tenant, body) == identity
    assert await outcome(tenant, identity) == test
    assert mail_bed.dovecot_log.read_text().count("bob@test.example") == logins


async def test_without_imap_and_no_server_there(tenant: Tenant, mail_bed: MailBed) -> None:
    address = "alice@test.example"
    body = request(mail_bed, address, mail_bed.passwords[address])
    del body["imap"]  # which is not at port 993
    identity = await add(tenant, body)
    assert (await outcome(tenant, identity))["status"] == "passed"
    mailbox = (await tenant.http.get(f"{PATH}/{identity}")).json()["data"]
    assert (mailbox["status"], mailbox["imapHost"]) == ("active", None)
