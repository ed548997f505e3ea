"""SmartLead's `save-oauth`: an account that signs in with the caller's access token."""

from typing import Any

import pytest

from berth_events.contracts import AccountCredentialsReplaced, AccountRequested
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.gateway_smartlead import OAUTH, SAVE, SmartLeadClient, found, mail_services
from berth_vault import Binding, VaultReader

PATH = "/email-accounts/save-oauth"


@pytest.fixture
def client(harness: GatewayHarness, project: Project) -> SmartLeadClient:
    return SmartLeadClient(harness.http, project.key)


@pytest.mark.parametrize(
    ("kind", "imap", "smtp"),
    [
        ("GMAIL", ("imap.gmail.com", 993), ("smtp.gmail.com", 587)),
        ("outlook", ("outlook.office365.com", 993), ("smtp.office365.com", 587)),
    ],
)
async def test_a_token_that_works(
    harness: GatewayHarness, client: SmartLeadClient, kind: str, imap: tuple[str, int], smtp: tuple[str, int]
) -> None:
    async with mail_services(harness) as asked:
        answer = await client.call("POST", PATH, {**OAUTH, "type": kind})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body == {
        "ok": True,
        "message": "OAuth account added successfully",
        "data": {
            "id": 1,
            "from_email": "john@acme.test",
            "type": kind.upper(),
            "is_smtp_success": True,
            "is_imap_success": True,
        },
        "emailAccountId": 1,
        "warmupKey": body["warmupKey"],
    }
    (event,) = asked
    assert isinstance(event, AccountRequested)
    assert event.imap is not None
    assert event.smtp is not None
    assert (event.imap.host, event.imap.port) == imap
    assert (event.smtp.host, event.smtp.port) == smtp
    assert event.imap.mechanism == event.smtp.mechanism == "xoauth2"
    assert event.workspace_id is None
    binding = Binding(
        organization_id=event.organization_id,
        owner_id=event.account_id,
        credential_id=event.credential_ref.credential_id,
        version=event.credential_ref.version,
    )
    async with harness.owner.acquire() as connection:
        credential = await VaultReader(harness.opener).read(connection, binding)
    assert credential.names == ("imap_password", "smtp_password"), "what the connector reads, and no refresh token"
    assert credential.reveal("imap_password") == credential.reveal("smtp_password") == "token-canary"
    account = await client.get("/email-accounts/1")
    assert account["password"] is account["imap_password"] is None
    assert account["use_whitelabel_credentials"] is False
    events = (await harness.http.get("/v1/events", headers={"X-Api-Key": client.key})).text
    assert "canary" not in answer.text + str(account) + events


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("OAUTH_TOKEN_REJECTED", "Invalid or expired OAuth token"),
        ("AUTH_BAD_CREDENTIALS", "Invalid or expired OAuth token"),
        ("SMTP_AUTH_DISABLED_TENANT", "SMTP connection failed"),
    ],
)
async def test_a_token_that_does_not_work(
    harness: GatewayHarness, client: SmartLeadClient, code: str, message: str
) -> None:
    async with mail_services(harness, lambda _: found(imap=False, smtp=False, code=code)) as asked:
        answers = [await client.call("POST", PATH, OAUTH) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {400}
    assert (
        answers[0].json()
        == answers[2].json()
        == {
            "ok": False,
            "message": message,
            "error": "smtp said no. Mend it.",
            "errorCode": "ACCOUNT_VERIFICATION_FAILED",
            "emailAccountId": 1,
        }
    )
    assert len(asked) == 1
    (kept,) = await client.get("/email-accounts", isSmtpSuccess="false")
    assert kept["smtp_failure_error"] == "smtp said no. Mend it."


async def test_a_fresh_token(harness: GatewayHarness, client: SmartLeadClient) -> None:
    async with mail_services(harness, lambda _: found(imap=False, smtp=False, code="OAUTH_TOKEN_REJECTED")):
        await client.call("POST", PATH, OAUTH)
    fresh = {**OAUTH, "id": 1, "token": {"access_token": "fresh"}}
    async with mail_services(harness) as asked:
        answer = await client.call("POST", PATH, fresh)
    assert (answer.status_code, answer.json()["message"]) == (200, "OAuth account updated successfully")
    (event,) = asked
    assert isinstance(event, AccountCredentialsReplaced)
    assert (await client.get("/email-accounts/1"))["is_smtp_success"] is True


async def test_an_address_that_is_an_account_already(harness: GatewayHarness, client: SmartLeadClient) -> None:
    async with mail_services(harness):
        await client.call("POST", "/email-accounts/save", SAVE)
        answer = await client.call("POST", PATH, OAUTH)
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "ACCOUNT_ALREADY_EXIST")


async def test_save_with_a_token(harness: GatewayHarness, client: SmartLeadClient) -> None:
    body = {name: value for name, value in SAVE.items() if name != "password"}
    async with mail_services(harness) as asked:
        answer = await client.call("POST", "/email-accounts/save", {**body, "token": OAUTH["token"]})
    assert answer.status_code == 200
    (event,) = asked
    assert event.smtp is not None
    assert (event.smtp.host, event.smtp.mechanism) == ("smtp.acme.com", "xoauth2")


async def test_what_real_clients_send(harness: GatewayHarness, client: SmartLeadClient) -> None:
    lenient = {
        **{name: value for name, value in OAUTH.items() if name not in ("username", "use_whitelabel_credentials")},
        "user_name": "john-login",
        "warmup_enabled": None,
        "id": None,
        "token": {**OAUTH["token"], "id_token": None, "expires_at": "2026-11-22T00:00:00Z", "expires_in": "3599"},
    }
    async with mail_services(harness):
        assert (await client.call("POST", PATH, lenient)).status_code == 200
    account = await client.get("/email-accounts/1")
    assert (account["username"], account["warmup_details"]["status"]) == ("john-login", "INACTIVE")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": "SMTP"}, "type must be one of [GMAIL, OUTLOOK]"),
        ({"type": None}, "type is required"),
        ({"token": None}, "token is required"),
        ({"token": "abc"}, "token must be an object"),
        ({"token": {}}, "token.access_token is required"),
        ({"token": {"access_token": ""}}, "token.access_token is not allowed to be empty"),
        ({"from_name": None}, "from_name is required"),
        ({"from_email": "x"}, "from_email must be a valid email"),
        ({"use_whitelabel_credentials": "perhaps"}, "use_whitelabel_credentials must be a boolean"),
    ],
)
async def test_each_fault_names_its_field(
    harness: GatewayHarness, client: SmartLeadClient, changes: dict[str, Any], said: str
) -> None:
    answer = await client.call("POST", PATH, {**OAUTH, **changes})
    assert (answer.status_code, answer.json()) == (422, {"ok": False, "message": said, "error": said})
    assert await harness.published() == []


async def test_an_unknown_id(client: SmartLeadClient) -> None:
    answer = await client.call("POST", PATH, {**OAUTH, "id": 5})
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "ACCOUNT_NOT_FOUND")
