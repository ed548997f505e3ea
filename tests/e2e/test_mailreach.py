"""MailReach's imap_auth against real mail servers: the answer comes when it is known whether the mailbox works."""

from typing import Any

import pytest

from berth_testing.mail_bed import MailBed
from berth_testing.platform import Platform
from berth_testing.tenant import Tenant

PATH = "/api/v1/imap_auth"


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    return await platform.tenant(monitoring=2)


def request(bed: MailBed, address: str, password: str, **changes: Any) -> dict[str, Any]:
    # MailReach has no field for TLS: on ports like the bed's it means STARTTLS
    return {
        "email": address,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "provider": "custom",
        "imap_server": bed.hostname,
        "imap_server_port": bed.ports["imap"],
        "smtp_server": bed.hostname,
        "smtp_server_port": bed.ports["smtp"],
        "password": password,
        **changes,
    }


async def test_a_mailbox_that_works_is_saved(tenant: Tenant, mail_bed: MailBed) -> None:
    address = "alice@test.example"
    answer = await tenant.http.post(PATH, json=request(mail_bed, address, mail_bed.passwords[address]))
    assert answer.status_code == 200, answer.text
    account = answer.json()
    assert (account["id"], account["email"], account["alive"]) == (1, address, True)
    assert account["domain"]["spf_value"] == "v=spf1 mx -all"
    shown = (await tenant.http.get("/v1/accounts")).json()["items"]
    assert [(each["email"], each["status"]) for each in shown] == [(address, "connected")]


async def test_a_wrong_password_saves_nothing_and_logs_in_once(
    tenant: Tenant, mail_bed: MailBed, platform: Platform
) -> None:
    body = request(mail_bed, "bob@test.example", "not-the-password")
    first = await tenant.http.post(PATH, json=body)
    logins = mail_bed.dovecot_log.read_text().count("bob@test.example")
    again = await tenant.http.post(PATH, json=body)
    for answer in (first, again):
        assert answer.status_code == 500, answer.text
        refused = answer.json()
        assert (refused["imap_auth_success"], refused["smtp_auth_success"]) == (False, False)
        assert refused["diagnosis"]["code"] == "AUTH_BAD_CREDENTIALS"
        assert refused["error"]
        assert "not-the-password" not in answer.text
    assert mail_bed.dovecot_log.read_text().count("bob@test.example") == logins
    assert (await tenant.http.get("/v1/accounts")).json()["items"] == []
    assert (await platform.seats_at_gateway(tenant.organization_id))["monitoring"] == 0
    left = "SELECT 1 FROM vault.credential WHERE organization_id = $1"
    assert await platform.fetch("gateway", left, tenant.organization_id) == []


@pytest.mark.parametrize("works", [True, False])
async def test_a_dry_run_saves_nothing(tenant: Tenant, mail_bed: MailBed, platform: Platform, *, works: bool) -> None:
    address = "alice@test.example"
    password = mail_bed.passwords[address] if works else "not-the-password"
    answer = await tenant.http.post(PATH, json=request(mail_bed, address, password, test=True))
    assert answer.status_code == (200 if works else 500), answer.text
    assert answer.json()["success"] is works
    assert (await tenant.http.get("/v1/accounts")).json()["items"] == []
    left = "SELECT 1 FROM vault.credential WHERE organization_id = $1"
    assert await platform.fetch("gateway", left, tenant.organization_id) == []


async def test_new_credentials_replace_the_old_only_when_they_work(tenant: Tenant, mail_bed: MailBed) -> None:
    address = "utf8@test.example"
    good = request(mail_bed, address, mail_bed.passwords[address])
    assert (await tenant.http.post(PATH, json=good)).status_code == 200
    refused = await tenant.http.post(PATH, json={**good, "password": "wrong", "first_name": "Eve"})
    assert refused.status_code == 500
    (account,) = (await tenant.http.get("/v1/accounts")).json()["items"]
    assert (account["first_name"], account["status"]) == ("Ada", "connected")
    updated = await tenant.http.post(PATH, json={**good, "id": 1, "first_name": "Augusta"})
    assert (updated.status_code, updated.json()["first_name"]) == (200, "Augusta")
    assert (await tenant.settled(account["id"]))["status"] == "connected"
