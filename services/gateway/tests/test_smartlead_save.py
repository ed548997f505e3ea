"""SmartLead's `save`: kept whether it works or not, and the answer says which."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from berth_events.contracts import (
    AccountCredentialsReplaced,
    AccountRequested,
    AccountSuspended,
    AccountUpdated,
)
from berth_events.runtime.store import ConcurrencyConflict
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.gateway_smartlead import SAVE, SmartLeadClient, found, mail_services
from berth_testing.waiting import eventually
from berth_vault import Binding, VaultReader

SAVED = "/email-accounts/save"


@pytest.fixture
def client(harness: GatewayHarness, project: Project) -> SmartLeadClient:
    return SmartLeadClient(harness.http, project.key)


async def secret_of(harness: GatewayHarness, event: Any) -> tuple[str, str]:
    reference = event.credential_ref
    binding = Binding(
        organization_id=event.organization_id,
        owner_id=event.account_id,
        credential_id=reference.credential_id,
        version=reference.version,
    )
    async with harness.owner.acquire() as connection:
        credential = await VaultReader(harness.opener).read(connection, binding)
    return credential.reveal("imap_password"), credential.reveal("smtp_password")


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_mailbox_that_works(harness: GatewayHarness, client: SmartLeadClient, slash: str) -> None:
    async with mail_services(harness) as asked:
        answer = await client.call("POST", SAVED + slash, SAVE)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body == {
        "ok": True,
        "message": "Email account added successfully",
        "data": {
            "id": 1,
            "from_email": "john@acme.test",
            "is_smtp_success": True,
            "is_imap_success": True,
            "warmup_details": {"status": "ACTIVE", "total_warmup_per_day": 20},
        },
        "emailAccountId": 1,
        "warmupKey": body["warmupKey"],
    }
    first, _, second = body["warmupKey"].partition("-")
    assert first
    assert second
    (event,) = asked
    assert isinstance(event, AccountRequested)
    assert (event.on_failure, event.seat_kind, event.provider) == ("keep", "monitoring", "gmail")
    assert (event.first_name, event.last_name) == ("John", "Doe")
    assert event.imap is not None
    assert event.smtp is not None
    assert (event.imap.host, event.imap.port, event.imap.security) == ("imap.acme.com", 993, "tls")
    assert (event.smtp.host, event.smtp.port, event.smtp.security) == ("smtp.acme.com", 587, "starttls")
    assert await secret_of(harness, event) == ("s3cret-canary", "s3cret-canary")
    assert "canary" not in answer.text


async def test_without_warm_up(harness: GatewayHarness, client: SmartLeadClient) -> None:
    body = {name: value for name, value in SAVE.items() if "warmup" not in name}
    async with mail_services(harness):
        answer = await client.call("POST", SAVED, body)
    assert answer.json()["data"]["warmup_details"] == {"status": "INACTIVE", "total_warmup_per_day": 0}


@pytest.mark.parametrize(
    ("works", "message", "error"),
    [
        ({"smtp": False}, "SMTP connection failed", "smtp said no. Mend it."),
        ({"imap": False}, "IMAP connection failed", "imap said no. Mend it."),
        ({"imap": False, "smtp": False}, "SMTP connection failed", "smtp said no. Mend it."),
    ],
)
async def test_a_mailbox_that_does_not_work_is_kept_with_its_errors(
    harness: GatewayHarness,
    project: Project,
    client: SmartLeadClient,
    works: dict[str, bool],
    message: str,
    error: str,
) -> None:
    async with mail_services(harness, lambda _: found(**works)):
        answer = await client.call("POST", SAVED, SAVE)
    assert answer.status_code == 400
    assert answer.json() == {
        "ok": False,
        "message": message,
        "error": error,
        "errorCode": "ACCOUNT_VERIFICATION_FAILED",
        "emailAccountId": 1,
    }
    (kept,) = await client.get("/email-accounts/")
    for protocol in ("imap", "smtp"):
        fine = works.get(protocol, True)
        assert kept[f"is_{protocol}_success"] is fine
        assert kept[f"{protocol}_failure_error"] == (None if fine else f"{protocol} said no. Mend it.")
    found_by_filter = await client.get("/email-accounts/", isSmtpSuccess="false")
    assert [each["id"] for each in found_by_filter] == ([1] if works.get("smtp") is False else [])
    assert (await harness.seats(project.organization_id))["monitoring"] == 1


async def test_repeating_a_failing_request_gets_the_same_without_another_login(
    harness: GatewayHarness, client: SmartLeadClient
) -> None:
    async with mail_services(harness, lambda _: found(smtp=False)) as asked:
        answers = [await client.call("POST", SAVED, SAVE) for _ in range(4)]
        assert {answer.status_code for answer in answers} == {400}
        assert len({answer.text for answer in answers}) == 1
        assert len(asked) == 1
        # with the id that the answer told, it is the same password still
        assert (await client.call("POST", SAVED, {**SAVE, "id": 1})).json() == answers[0].json()
        assert len(asked) == 1
        harness.clock.shift = timedelta(seconds=61)
        assert (await client.call("POST", SAVED, SAVE)).status_code == 400
        assert len(asked) == 2
    assert [each["id"] for each in await client.get("/email-accounts")] == [1]


async def test_simultaneous_equal_requests_log_in_once(harness: GatewayHarness, client: SmartLeadClient) -> None:
    async with mail_services(harness, lambda _: found(imap=False)) as asked:
        answers = await asyncio.gather(*(client.call("POST", SAVED, SAVE) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [400] * 5
    assert len(asked) == 1


async def test_an_address_that_is_an_account_already(harness: GatewayHarness, client: SmartLeadClient) -> None:
    exists = {
        "ok": False,
        "message": "Email account already exist. Please pass id to update it",
        "error": "Email account already exist. Please pass id to update it",
        "errorCode": "ACCOUNT_ALREADY_EXIST",
        "emailAccountId": 1,
    }
    async with mail_services(harness) as asked:
        await client.call("POST", SAVED, SAVE)
        for body in (SAVE, {**SAVE, "password": "other"}, {**SAVE, "from_email": "JOHN@acme.test"}):
            answer = await client.call("POST", SAVED, body)
            assert (answer.status_code, answer.json()) == (400, exists)
    assert len(asked) == 1


async def test_another_password_for_a_failed_account_needs_its_id(
    harness: GatewayHarness, client: SmartLeadClient
) -> None:
    async with mail_services(harness, lambda _: found(smtp=False)):
        await client.call("POST", SAVED, SAVE)
        answer = await client.call("POST", SAVED, {**SAVE, "password": "right"})
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "ACCOUNT_ALREADY_EXIST")
    async with mail_services(harness) as asked:
        answer = await client.call("POST", SAVED, {**SAVE, "password": "right", "id": 1})
    assert (answer.status_code, answer.json()["message"]) == (200, "Email account updated successfully")
    (event,) = asked
    assert isinstance(event, AccountCredentialsReplaced)
    assert await secret_of(harness, event) == ("right", "right")
    assert (await client.get("/email-accounts/1"))["is_smtp_success"] is True


async def test_an_update_holds_at_once_even_when_it_does_not_work(
    harness: GatewayHarness, client: SmartLeadClient
) -> None:
    async with mail_services(harness):
        await client.call("POST", SAVED, SAVE)
    changed = {**SAVE, "id": "1", "password": "wrong", "smtp_host": "mail.acme.com", "from_name": "Jo", "type": "SMTP"}
    async with mail_services(harness, lambda _: found(smtp=False)):
        answer = await client.call("POST", SAVED, changed)
    assert (answer.status_code, answer.json()["emailAccountId"]) == (400, 1)
    account = await client.get("/email-accounts/1")
    assert (account["smtp_host"], account["from_name"], account["type"]) == ("mail.acme.com", "Jo", "SMTP")
    assert account["is_smtp_success"] is False
    assert len(await harness.credentials()) == 1


async def test_settings_are_changed_although_the_password_was_tried_just_now(
    harness: GatewayHarness, client: SmartLeadClient
) -> None:
    async with mail_services(harness) as asked:
        await client.call("POST", SAVED, {**SAVE, "id": None})
        for limit in (60, 70):
            answer = await client.call("POST", SAVED, {**SAVE, "id": 1, "max_email_per_day": limit})
            assert answer.status_code == 200
            assert (await client.get("/email-accounts/1"))["message_per_day"] == limit
    assert len(asked) == 1, "the credentials were proven just now"


async def test_a_password_that_was_replaced_is_tried_again(harness: GatewayHarness, client: SmartLeadClient) -> None:
    def finds(_: Any) -> Any:
        return found(smtp=len(asked) != 2)

    async with mail_services(harness, finds) as asked:
        assert (await client.call("POST", SAVED, SAVE)).status_code == 200
        assert (await client.call("POST", SAVED, {**SAVE, "id": 1, "password": "b"})).status_code == 400
        assert (await client.call("POST", SAVED, {**SAVE, "id": 1})).status_code == 200
        # what it was refused for does not answer for what it has now
        assert (await client.call("POST", SAVED, {**SAVE, "id": 1, "password": "b"})).status_code == 200
    assert len(asked) == 4
    assert await secret_of(harness, asked[-1]) == ("b", "b")


@pytest.mark.parametrize("number", [77, 2**31 - 1])
async def test_an_unknown_id(harness: GatewayHarness, client: SmartLeadClient, number: int) -> None:
    answer = await client.call("POST", SAVED, {**SAVE, "id": number})
    assert (answer.status_code, answer.json()) == (
        404,
        {
            "ok": False,
            "message": "Email account not found!",
            "error": "Email account not found",
            "errorCode": "ACCOUNT_NOT_FOUND",
            "emailAccountId": number,
        },
    )
    assert await harness.published() == []


async def test_an_account_keeps_its_address(harness: GatewayHarness, client: SmartLeadClient) -> None:
    async with mail_services(harness):
        await client.call("POST", SAVED, SAVE)
    answer = await client.call("POST", SAVED, {**SAVE, "id": 1, "from_email": "jane@acme.test"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("from_email ")


async def test_every_setting_of_the_request_is_kept(harness: GatewayHarness, client: SmartLeadClient) -> None:
    more = {
        "different_reply_to_address": "reply@acme.test",
        "imap_user_name": "john-imap",
        "imap_password": "other-canary",
        "max_email_per_day": 33,
        "custom_tracking_url": "track.acme.test",
        "bcc": "crm@acme.test",
        "time_to_wait_in_mins": 7,
        "signature": "<p>" + "x" * 5000,
        "total_warmup_per_day": 25,
        "daily_rampup": 2,
        "reply_rate_percentage": 30,
        "client_id": 9,
        "is_suspended": True,
        "from_name": "John  von Doe",
    }
    async with mail_services(harness) as asked:
        answer = await client.call("POST", SAVED, {**SAVE, **more})
    assert answer.status_code == 200, answer.text
    account = await client.get("/email-accounts/1")
    assert account["different_reply_to_address"] == "reply@acme.test"
    assert (account["imap_username"], account["is_different_imap_account"]) == ("john-imap", True)
    assert await secret_of(harness, asked[0]) == ("other-canary", "s3cret-canary")
    assert (account["message_per_day"], account["warmup_details"]["max_email_per_day"]) == (33, 33)
    assert account["custom_tracking_domain"] == "track.acme.test"
    assert account["bcc_email"] == "crm@acme.test"
    assert account["minTimeToWaitInMins"] == 7
    assert account["signature"] == more["signature"]
    assert account["warmup_details"]["warmup_max_count"] == 25
    assert account["warmup_details"]["reply_rate"] == 30
    assert (account["client_id"], account["is_suspended"]) == (9, True)
    assert account["warmup_details"]["status"] == "PAUSED"
    assert account["from_name"] == "John  von Doe"
    kinds = {type(event) for event in harness.history}
    assert {AccountUpdated, AccountSuspended} <= kinds
    (updated,) = (event for event in harness.history if isinstance(event, AccountUpdated))
    assert updated.settings is not None
    assert updated.settings.warmup_increase == 2


async def test_suspended_and_not_by_save(harness: GatewayHarness, client: SmartLeadClient) -> None:
    async with mail_services(harness):
        await client.call("POST", SAVED, SAVE)
        for suspended in (True, None, False):
            await client.call("POST", SAVED, {**SAVE, "id": 1, "is_suspended": suspended})
            assert (await client.get("/email-accounts/1"))["is_suspended"] is (suspended is not False)


async def test_what_real_clients_send(harness: GatewayHarness, client: SmartLeadClient) -> None:
    lenient = {
        **{name: value for name, value in SAVE.items() if name not in ("user_name", "warmup_enabled", "type")},
        "username": "john-login",
        "smtp_port": "587",
        "imap_port": "993",
        "max_email_per_day": None,
        "message_per_day": "40",
        "total_warmup_per_day": None,
        "id": None,
        "is_suspended": "false",
        "type": "smtp",
        "password": 123456,
        "surprise": {"deep": [1]},
        "smtp_port_type": "TLS",
        "imap_port_type": "SSL",
    }
    async with mail_services(harness) as asked:
        answer = await client.call("POST", SAVED, lenient)
    assert answer.status_code == 200, answer.text
    account = await client.get("/email-accounts/1")
    assert (account["username"], account["imap_username"]) == ("john-login", "john-login")
    assert (account["message_per_day"], account["type"], account["is_suspended"]) == (40, "SMTP", False)
    assert account["warmup_details"]["status"] == "INACTIVE"
    assert await secret_of(harness, asked[0]) == ("123456", "123456")


async def test_the_user_name_is_the_address_unless_it_is_said(harness: GatewayHarness, client: SmartLeadClient) -> None:
    async with mail_services(harness):
        await client.call("POST", SAVED, {**SAVE, "user_name": None})
    assert (await client.get("/email-accounts/1"))["username"] == "john@acme.test"


@pytest.mark.parametrize(
    ("port", "port_type", "security", "shown"),
    [
        (587, "SSL", "starttls", "TLS"),
        (465, "TLS", "tls", "SSL"),
        (2525, None, "starttls", "TLS"),
        (20587, "SSL", "tls", "SSL"),
        (20587, "STARTTLS", "starttls", "TLS"),
        (20587, "TLS", "auto", "TLS"),
        (20587, None, "auto", "TLS"),
    ],
)
async def test_how_tls_begins(
    harness: GatewayHarness, client: SmartLeadClient, port: int, port_type: str | None, security: str, shown: str
) -> None:
    async with mail_services(harness) as asked:
        await client.call("POST", SAVED, {**SAVE, "smtp_port": port, "smtp_port_type": port_type})
    (event,) = asked
    assert event.smtp is not None
    assert event.smtp.security == security
    assert (await client.get("/email-accounts/1"))["smtp_port_type"] == shown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"from_name": None}, "from_name is required"),
        ({"from_name": ""}, "from_name is not allowed to be empty"),
        ({"from_email": None}, "from_email is required"),
        ({"from_email": "nobody"}, "from_email must be a valid email"),
        ({"from_email": ["a@b.c"]}, "from_email must be a string"),
        ({"password": None}, "password is required"),
        ({"password": ""}, "password is required"),
        ({"password": "********"}, "password is the mask that is shown instead of passwords"),
        ({"imap_password": "********"}, "imap_password is the mask that is shown instead of passwords"),
        ({"smtp_host": None}, "smtp_host is required"),
        ({"smtp_port": None}, "smtp_port is required"),
        ({"smtp_port": "x"}, "smtp_port must be a number"),
        ({"smtp_port": 65536}, "smtp_port must be less than or equal to 65535"),
        ({"smtp_port": 0}, "smtp_port must be greater than or equal to 1"),
        ({"smtp_port": 10**30}, "smtp_port must be less than or equal to 65535"),
        ({"smtp_port": 587.5}, "smtp_port must be an integer"),
        ({"imap_host": None}, "imap_host is required"),
        ({"imap_port": None}, "imap_port is required"),
        ({"type": "YAHOO"}, "type must be one of [GMAIL, OUTLOOK, SMTP, ZOHO]"),
        ({"warmup_enabled": "maybe"}, "warmup_enabled must be a boolean"),
        ({"client_id": -1}, "client_id must be greater than or equal to 0"),
        ({"max_email_per_day": 2**40}, "max_email_per_day must be less than or equal to 2147483647"),
        ({"signature": "x\0"}, "signature contains characters that cannot be stored"),
        ({"bcc": "\ud800"}, "bcc contains characters that cannot be stored"),
        ({"password": "x\0"}, "password contains characters that cannot be stored"),
        ({"token": "x"}, "token must be an object"),
        ({"smtp_port_type": "NONE"}, "smtp_port_type must be one of [SSL, TLS, STARTTLS]"),
    ],
)
async def test_each_fault_names_its_field(
    harness: GatewayHarness, client: SmartLeadClient, changes: dict[str, Any], said: str
) -> None:
    answer = await client.call("POST", SAVED, {**SAVE, **changes})
    assert (answer.status_code, answer.json()) == (422, {"ok": False, "message": said, "error": said})
    assert await harness.published() == []
    assert await harness.credentials() == set()


async def test_all_faults_are_named_at_once(client: SmartLeadClient) -> None:
    answer = await client.call("POST", SAVED, {"from_name": "", "smtp_port": "x"})
    assert answer.json()["message"].split(", ") == [
        "from_name is not allowed to be empty",
        "from_email is required",
        "password is required",
        "smtp_host is required",
        "smtp_port must be a number",
        "imap_host is required",
        "imap_port is required",
    ]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"smtp_port": 25}, "smtp_port"),
        ({"imap_port": 80}, "imap_port"),
        ({"smtp_host": "127.0.0.1"}, "smtp_host"),
        ({"imap_host": "http://imap.acme.com"}, "imap_host"),
    ],
)
async def test_servers_that_are_not_dialled(client: SmartLeadClient, changes: dict[str, Any], field: str) -> None:
    answer = await client.call("POST", SAVED, {**SAVE, **changes})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(f"{field} is invalid: ")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"from_name": NaN}',
        b'{"id": ' + b"9" * 5000 + b"}",
    ],
)
async def test_what_is_no_json_object(client: SmartLeadClient, content: bytes) -> None:
    answer = await client.http.post(f"/api/v1{SAVED}", params={"api_key": client.key}, content=content)
    said = "body must be a JSON object"
    assert (answer.status_code, answer.json()) == (422, {"ok": False, "message": said, "error": said})


async def test_a_body_that_is_too_large(client: SmartLeadClient) -> None:
    answer = await client.call("POST", SAVED, {**SAVE, "signature": "x" * 1_000_000})
    assert (answer.status_code, answer.json()["ok"]) == (413, False)
    assert answer.json()["message"] == answer.json()["error"]


async def test_busy(harness: GatewayHarness, client: SmartLeadClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_: Any) -> None:
        raise ConcurrencyConflict

    monkeypatch.setattr(harness.gateway.services.connecting, "begin", busy)
    answer = await client.call("POST", SAVED, SAVE)
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["ok"]) == (503, "1", False)


async def test_no_seat_and_no_subscription(harness: GatewayHarness, client: SmartLeadClient, project: Project) -> None:
    await harness.subscribe(project.organization_id, monitoring=0)
    answer = await client.call("POST", SAVED, SAVE)
    assert answer.status_code == 403
    assert "seats are all taken" in answer.json()["message"]
    bare = await harness.project(await harness.organization(subscribed=False))
    async with bare.http:
        answer = await SmartLeadClient(harness.http, bare.key).call("POST", SAVED, SAVE)
    assert answer.status_code == 403, "SmartLead's clients know no 402"
    assert "subscription" in answer.json()["error"]


async def test_too_slow_to_wait_for(
    harness: GatewayHarness, client: SmartLeadClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness.gateway.services.connecting, "_deadline", 0.1)
    answer = await client.call("POST", SAVED, SAVE)
    assert (answer.status_code, answer.headers["retry-after"]) == (504, "5")
    monkeypatch.undo()
    again = asyncio.create_task(client.call("POST", SAVED, SAVE))
    await eventually(lambda: asyncio.sleep(0.05, again.done()), lambda done: not done, within=5, pause=0.01)
    async with mail_services(harness, lambda _: found(smtp=False)) as asked:
        assert (await again).status_code == 400
    assert len(asked) == 1, "the retry joined the verification that was there"
