"""SmartLead's own page, which `tests/seeds` has word for word, and what the OpenAPI document says of the dialect."""

import re
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from pydantic import TypeAdapter

from berth_gateway.dialects.smartlead import answers, requests
from berth_gateway.dialects.smartlead.examples import DETAIL, EXAMPLES, LISTED, OAUTH, SAVE, SAVED
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.gateway_smartlead import OAUTH as OAUTH_SENT
from berth_testing.gateway_smartlead import SAVE as SAVE_SENT
from berth_testing.gateway_smartlead import SmartLeadClient, found, mail_services

SEED: Final = (Path(__file__).parents[3] / "tests/seeds/smartlead-add-smtp-email-account.txt").read_text(
    encoding="utf-8"
)

#: The page describes the fields without their names; a value of each, in the order of the page, and how it is shown.
FIELDS: Final[list[tuple[str, str, Any, str | None]]] = [
    ("Display name for outgoing emails", "from_name", "John Doe", "from_name"),
    ("Email address (must be valid", "from_email", "john@acme.test", "from_email"),
    ("SMTP username", "user_name", "login", "username"),
    ("SMTP password", "password", "canary", None),
    ("SMTP server hostname", "smtp_host", "smtp.acme.com", "smtp_host"),
    ("SMTP server port", "smtp_port", 465, "smtp_port"),
    ("IMAP server hostname", "imap_host", "imap.acme.com", "imap_host"),
    ("IMAP server port", "imap_port", 143, "imap_port"),
    ("Whether to enable email warmup", "warmup_enabled", True, None),
    ("Email account ID", "id", None, None),
    ("Email provider type", "type", "OUTLOOK", "type"),
    ("GMAIL, OUTLOOK, SMTPOAuth token object", "token", None, None),
    ("Custom reply-to email address", "different_reply_to_address", "r@acme.test", "different_reply_to_address"),
    ("IMAP username", "imap_user_name", "imap-login", "imap_username"),
    ("IMAP password", "imap_password", "imap-canary", None),
    ("Maximum emails allowed per day", "max_email_per_day", 44, "message_per_day"),
    ("Custom domain for tracking links", "custom_tracking_url", "t.acme.test", "custom_tracking_domain"),
    ("BCC email address", "bcc", "b@acme.test", "bcc_email"),
    ("Minimum time to wait", "time_to_wait_in_mins", 6, "minTimeToWaitInMins"),
    ("Email signature HTML", "signature", "<p>John</p>", "signature"),
    ("Number of warmup emails", "total_warmup_per_day", 20, None),
    ("Daily increase in warmup", "daily_rampup", 2, None),
    ("Target reply rate", "reply_rate_percentage", 30, None),
    ("Client ID for multi-tenant", "client_id", 12, "client_id"),
    ("Whether the account should be suspended", "is_suspended", True, "is_suspended"),
]
#: The page's response codes, in its order.
CODES: Final = [
    ("Email account added successfully with connection validation", 200),
    ("SMTP or IMAP connection failed - check credentials and server settings", 400),
    ("Invalid or missing API key", 401),
    ("Missing required fields or invalid field values", 422),
    ("Server error occurred", 500),
]


@pytest.fixture
def client(harness: GatewayHarness, project: Project) -> SmartLeadClient:
    return SmartLeadClient(harness.http, project.key)


def section(begins: str, ends: str) -> list[str]:
    _, _, behind = SEED.partition(f"{begins}\n")
    return behind.partition(f"{ends}\n")[0].splitlines()


def test_the_page_has_these_fields_and_no_other() -> None:
    lines = [line for line in section("Request Body", "Response Codes") if line != "Email provider type. Valid values:"]
    described = [entry for entry in FIELDS if entry[1] != "type"]
    assert len(lines) == len(described)
    for line, (text, *_) in zip(lines, described, strict=True):
        assert line.startswith(text)
    assert section("Response Codes", "Configuration Examples") == [text for text, _ in CODES]
    assert not re.search(r"curl|requests\.|fetch\(", SEED), "the page has no request to be run"


async def test_every_field_of_the_page(harness: GatewayHarness, client: SmartLeadClient) -> None:
    async with mail_services(harness):
        answer = await client.call("POST", "/email-accounts/save", {name: value for _, name, value, _ in FIELDS})
    assert answer.status_code == 200, answer.text
    account = await client.get("/email-accounts/1")
    for _, name, value, shown in FIELDS:
        if shown is not None:
            assert account[shown] == value, name


async def test_every_response_code_of_the_page(
    harness: GatewayHarness, client: SmartLeadClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/email-accounts/save"
    async with mail_services(harness):
        statuses = [(await client.call("POST", path, SAVE_SENT)).status_code]
    async with mail_services(harness, lambda _: found(smtp=False)):
        statuses.append((await client.call("POST", path, {**SAVE_SENT, "from_email": "x@acme.test"})).status_code)
    statuses.append((await SmartLeadClient(harness.http, "wrong").call("POST", path, SAVE_SENT)).status_code)
    statuses.append((await client.call("POST", path, {})).status_code)

    async def broken(*_: Any) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(harness.gateway.services.connecting, "begin", broken)
    failed = await client.call("POST", path, {**SAVE_SENT, "from_email": "y@acme.test"})
    statuses.append(failed.status_code)
    assert failed.json()["ok"] is False
    assert "canary" not in failed.text
    assert statuses == [status for _, status in CODES]


# -- the OpenAPI document


@pytest.fixture
async def document(harness: GatewayHarness) -> dict[str, Any]:
    document: dict[str, Any] = (await harness.http.get("/openapi.json")).json()
    return document


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Those of the dialect, by method and path."""
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["tags"] == ["SmartLead dialect"]
    }


def test_every_call_is_there(document: dict[str, Any]) -> None:
    assert set(operations(document)) == {
        "POST /email-accounts/save",
        "POST /email-accounts/save-oauth",
        "GET /email-accounts",
        "POST /email-accounts/reconnect-failed-email-accounts",
        "GET /email-accounts/tags",
        "POST /email-accounts/tag-manager",
        "POST /email-accounts/tag-list",
        "POST /email-accounts/tag-mapping",
        "DELETE /email-accounts/tag-mapping",
        "PUT /email-accounts/suspend/{account_id}",
        "DELETE /email-accounts/unsuspend/{account_id}",
        "PUT /email-accounts/unsuspend/{account_id}",
        "GET /email-accounts/{account_id}",
        "POST /email-accounts/{account_id}",
        "PATCH /email-accounts/{account_id}",
        "DELETE /email-accounts/{account_id}",
        "POST /email-accounts/{account_id}/warmup",
        "GET /email-accounts/{account_id}/warmup-stats",
        "POST /tags",
        "GET /campaigns/{campaign_id}/email-accounts",
        "POST /campaigns/{campaign_id}/email-accounts",
        "DELETE /campaigns/{campaign_id}/email-accounts",
    }


def test_every_answer_has_an_example_that_fits(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        assert set(operation["responses"]) >= {"200", "400", "401", "403", "404", "413", "422", "429", "500", "503"}
        for status, response in operation["responses"].items():
            content = response["content"]["application/json"]
            assert "example" in content, (name, status)
            jsonschema.validate(content["example"], {**content["schema"], "components": document["components"]})
        if "requestBody" in operation:
            (example,) = operation["requestBody"]["content"]["application/json"]["examples"].values()
            jsonschema.validate(example["value"], operation["requestBody"]["content"]["application/json"]["schema"])
    assert {operation["operationId"] for operation in operations(document).values()} == EXAMPLES.keys()


@pytest.mark.parametrize(
    ("model", "example"),
    [(answers.Saved, SAVED), (answers.ListedAccount, LISTED), (answers.AccountDetail, DETAIL)],
)
def test_answers_are_shown_as_they_are_sent(model: Any, example: dict[str, Any]) -> None:
    assert model.model_validate(example).model_dump(mode="json") == example


def test_requests_are_valid() -> None:
    requests.parsed(requests.SaveRequest, SAVE)
    requests.parsed(requests.SaveOAuthRequest, OAUTH)


async def test_real_answers_fit_the_document(
    harness: GatewayHarness, client: SmartLeadClient, document: dict[str, Any]
) -> None:
    async with mail_services(harness):
        saved = (await client.call("POST", "/email-accounts/save", SAVE_SENT)).json()
        oauth = await client.call("POST", "/email-accounts/save-oauth", {**OAUTH_SENT, "from_email": "o@acme.test"})
    await client.call("POST", "/tags", {"name": "One"})
    await client.call("POST", "/email-accounts/tag-mapping", {"email_account_ids": [1], "tag_ids": [1]})
    real: dict[str, Any] = {
        "POST /email-accounts/save": saved,
        "POST /email-accounts/save-oauth": oauth.json(),
        "GET /email-accounts": await client.get("/email-accounts", fetch_campaigns="true"),
        "GET /email-accounts/{account_id}": await client.get("/email-accounts/1"),
        "GET /email-accounts/{account_id}/warmup-stats": await client.get("/email-accounts/1/warmup-stats"),
        "GET /email-accounts/tags": await client.get("/email-accounts/tags"),
    }
    for name, answer in real.items():
        schema = operations(document)[name]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(answer, {**schema, "components": document["components"]})
    TypeAdapter(answers.AccountList).validate_python(real["GET /email-accounts"], extra="forbid")
