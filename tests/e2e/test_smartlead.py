"""SmartLead's save against real mail servers: an account is kept whether it works or not, and mended by its id."""

from typing import Any

import pytest

from berth_testing.mail_bed import MailBed
from berth_testing.platform import Platform
from berth_testing.tenant import Tenant

ACCOUNTS = "/api/v1/email-accounts"


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    return await platform.tenant(monitoring=2)


def request(bed: MailBed, address: str, password: str, **changes: Any) -> dict[str, Any]:
    return {
        "from_name": "Ada Lovelace",
        "from_email": address,
        "user_name": address,
        "password": password,
        "smtp_host": bed.hostname,
        "smtp_port": bed.ports["smtps"],
        "smtp_port_type": "SSL",
        "imap_host": bed.hostname,
        "imap_port": bed.ports["imap"],
        "warmup_enabled": False,
        **changes,
    }


async def test_a_mailbox_that_works(tenant: Tenant, mail_bed: MailBed) -> None:
    address = "alice@test.example"
    answer = await tenant.http.post(f"{ACCOUNTS}/save", json=request(mail_bed, address, mail_bed.passwords[address]))
    assert answer.status_code == 200, answer.text
    (account,) = (await tenant.http.get(f"{ACCOUNTS}/")).json()
    assert (account["from_email"], account["is_smtp_success"], account["is_imap_success"]) == (address, True, True)


async def test_a_wrong_password_is_kept_tried_once_and_mended(
    tenant: Tenant, mail_bed: MailBed, platform: Platform
) -> None:
    address = "bob@test.example"
    wrong = request(mail_bed, address, "not-the-password")
    first = await tenant.http.post(f"{ACCOUNTS}/save", json=wrong)
    logins = mail_bed.dovecot_log.read_text().count(address)
    again = await tenant.http.post(f"{ACCOUNTS}/save", json=wrong)
    assert (first.status_code, again.status_code) == (400, 400), first.text
    assert first.json() == again.json()
    assert first.json()["errorCode"] == "ACCOUNT_VERIFICATION_FAILED"
    assert first.json()["message"] == "SMTP connection failed"
    assert "not-the-password" not in first.text
    assert mail_bed.dovecot_log.read_text().count(address) == logins
    (kept,) = (await tenant.http.get(f"{ACCOUNTS}/", params={"isSmtpSuccess": "false"})).json()
    assert kept["smtp_failure_error"]
    assert kept["imap_failure_error"]
    assert (await platform.seats_at_gateway(tenant.organization_id))["monitoring"] == 1
    right = request(mail_bed, address, mail_bed.passwords[address], id=kept["id"])
    mended = await tenant.http.post(f"{ACCOUNTS}/save", json=right)
    assert (mended.status_code, mended.json()["message"]) == (200, "Email account updated successfully")
    shown = (await tenant.http.get(f"{ACCOUNTS}/{kept['id']}")).json()
    assert shown["smtp_failure_error"] is shown["imap_failure_error"] is None


async def test_one_protocol_that_does_not_work(tenant: Tenant, mail_bed: MailBed) -> None:
    address = "alice@test.example"
    body = request(mail_bed, address, mail_bed.passwords[address], imap_password="not-the-password")
    answer = await tenant.http.post(f"{ACCOUNTS}/save", json=body)
    assert (answer.status_code, answer.json()["message"]) == (400, "IMAP connection failed"), answer.text
    (kept,) = (await tenant.http.get(f"{ACCOUNTS}/")).json()
    assert (kept["is_smtp_success"], kept["is_imap_success"]) == (True, False)
    assert kept["smtp_failure_error"] is None
    assert kept["imap_failure_error"]


async def test_a_token_that_is_refused(tenant: Tenant, mail_bed: MailBed) -> None:
    body = {
        **request(mail_bed, "alice@test.example", ""),
        "type": "GMAIL",
        "token": {"access_token": "ya29.expired", "token_type": "Bearer"},
    }
    answer = await tenant.http.post(f"{ACCOUNTS}/save-oauth", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errorCode"] == "ACCOUNT_VERIFICATION_FAILED"
    assert "ya29.expired" not in answer.text
