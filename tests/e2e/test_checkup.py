"""A checkup from the request to what the audit makes of it: real services, Dovecot, Postfix and NSD."""

from uuid import UUID

import pytest

from berth_testing.mail_bed import MailBed
from berth_testing.platform import Platform
from berth_testing.waiting import eventually

ADDRESS = "alice@checkup.example"


@pytest.mark.mail
async def test_a_checkup_shows_how_mail_is_delivered_and_the_audit_learns_from_it(
    platform: Platform, mail_bed: MailBed
) -> None:
    tenant = await platform.tenant(monitoring=1)
    password = mail_bed.passwords[ADDRESS]
    account_id = await tenant.connect(email=ADDRESS, provider="custom", password=password, **mail_bed.servers())
    account = await tenant.settled(account_id)
    assert (account["status"], account["checkup"]) == ("connected", None)
    account = await eventually(
        lambda: tenant.account(account_id), lambda one: one["domain"]["last_check_at"] is not None, within=30
    )
    assert account["domain"]["dkim_selector"] is None  # nobody could guess it

    (await tenant.http.post(f"/v1/accounts/{account_id}/checkup")).raise_for_status()
    account = await eventually(
        lambda: tenant.account(account_id), lambda one: one["domain"]["dkim_selector"] is not None, within=60
    )
    checkup = account["checkup"]
    assert checkup["diagnosis"] is None
    assert (checkup["outcome"], checkup["folder"], checkup["sending_ip"]) == ("delivered", "INBOX", "100.0.0.7")
    assert (checkup["dkim_domain"], checkup["dkim_selector"]) == ("checkup.example", "bed")
    assert 0 < checkup["delay_ms"] < 60_000
    assert account["domain"]["dkim_selector"] == "bed"
    assert account["domain"]["checks"]["dkim"] == "pass"
    rows = await platform.fetch(
        "connector", "SELECT type FROM event WHERE type = 'AccountCheckedUp' AND stream_id = $1", UUID(account_id)
    )
    assert len(rows) == 1
