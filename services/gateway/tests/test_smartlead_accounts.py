"""SmartLead's calls on accounts: list, show, update, delete, suspend, warm up."""

from typing import Any

import httpx
import pytest

from berth_events.contracts import AccountRemoved, AccountResumed, AccountSuspended, AccountUpdated
from berth_gateway.dialects.smartlead.examples import DETAIL, LISTED
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_smartlead import OAUTH, SAVE, SmartLeadClient, found, mail_services

#: The keys of the list in SmartLead's reference ("get-all"), and the two observed besides; `campaign_ids` on demand.
DOCUMENTED = {
    "id", "created_at", "updated_at", "user_id", "from_name", "from_email", "minTimeToWaitInMins", "username", "password",
    "smtp_host", "smtp_port", "smtp_port_type", "message_per_day", "different_reply_to_address",
    "is_different_imap_account", "imap_username", "imap_password", "imap_host", "imap_port", "imap_port_type", "signature",
    "custom_tracking_domain", "bcc_email", "is_smtp_success", "is_imap_success", "smtp_failure_error", "imap_failure_error",
    "type", "daily_sent_count", "client_id", "campaign_count", "tags", "warmup_details",
}  # fmt: skip
OBSERVED = {"is_suspended", "use_whitelabel_credentials", "expires_at", "is_connected_to_campaign"}
WARMUP = {
    "status", "total_sent_count", "total_spam_count", "warmup_reputation", "warmup_key_id", "warmup_created_at", "reply_rate",
    "blocked_reason",
}  # fmt: skip
DETAILED_WARMUP = {
    "id", "status", "created_at", "reply_rate", "warmup_key_id", "blocked_reason", "total_sent_count", "total_spam_count",
    "warmup_max_count", "warmup_min_count", "is_warmup_blocked", "max_email_per_day", "warmup_reputation",
}  # fmt: skip
NOT_FOUND = {
    "ok": False,
    "message": "Email account not found!",
    "error": "Email account not found",
    "errorCode": "ACCOUNT_NOT_FOUND",
}


@pytest.fixture
def client(harness: GatewayHarness, project: Project) -> SmartLeadClient:
    return SmartLeadClient(harness.http, project.key)


@pytest.fixture
async def account(harness: GatewayHarness, client: SmartLeadClient) -> int:
    """An account that works."""
    async with mail_services(harness):
        saved = await client.call("POST", "/email-accounts/save", SAVE)
    number: int = saved.json()["emailAccountId"]
    return number


# -- keys


async def test_where_the_key_may_stand(harness: GatewayHarness, client: SmartLeadClient, account: int) -> None:
    path = f"/api/v1/email-accounts/{account}"
    http, key = harness.http, client.key
    answers = [
        await http.get(path, params={"api_key": key}),
        await http.get(path, headers={"Authorization": f"Bearer {key}"}),
        await http.get(path, headers={"X-Api-Key": key}),
        await http.post(path, json={"api_key": key}),
        await http.patch(path, json={"api_key": key}),
        await http.request("DELETE", path, json={"api_key": key}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 6


@pytest.mark.parametrize("query", [{}, {"api_key": ""}, {"api_key": "wrong"}, {"api_key": "berth_aaaaaaaa_\0"}])
async def test_without_a_key_that_is_right(harness: GatewayHarness, query: dict[str, str]) -> None:
    for method, path in (("GET", "/email-accounts/"), ("POST", "/email-accounts/save"), ("POST", "/tags")):
        answer = await harness.http.request(method, f"/api/v1{path}", params=query, json={"api_key": 17})
        assert (answer.status_code, answer.json()) == (401, {"message": "Invalid API Key"})


async def test_a_key_that_may_only_read(harness: GatewayHarness, project: Project, account: int) -> None:
    reading = await harness.project(project.organization_id, scopes=["accounts:read"])
    async with reading.http:
        client = SmartLeadClient(harness.http, reading.key)
        assert await client.get("/email-accounts/") == [], "accounts of other projects are not shown"
        answer = await client.call("POST", "/email-accounts/save", SAVE)
        assert (answer.status_code, answer.json()["ok"]) == (403, False)
        other = await client.http.get(f"/api/v1/email-accounts/{account}", params={"api_key": reading.key})
        assert other.status_code == 404


async def test_a_platform_key_names_the_project(harness: GatewayHarness, project: Project, account: int) -> None:
    terms = {"name": "platform", "scopes": ["accounts:read"]}
    key = (await harness.platform(f"/v1/organizations/{project.organization_id}/keys", terms))["key"]
    path, query = f"/api/v1/email-accounts/{account}", {"api_key": key}
    answer = await harness.http.get(path, params=query)
    assert (answer.status_code, answer.json()["ok"]) == (400, False)
    assert "X-Project-Id" in answer.json()["error"]
    answer = await harness.http.get(path, params=query, headers={"X-Project-Id": str(project.project_id)})
    assert (answer.status_code, answer.json()["id"]) == (200, account)


async def test_too_many_requests(harness: GatewayHarness, project: Project) -> None:
    key = await harness.platform(
        f"/v1/projects/{project.project_id}/keys",
        {"name": "slow", "scopes": ["accounts:read"], "rate_limit": "1/minute"},
    )
    client = SmartLeadClient(harness.http, key["key"])
    await client.get("/email-accounts/")
    answer = await client.call("GET", "/email-accounts/")
    assert answer.status_code == 429
    wait = int(answer.headers["retry-after"])
    said = f"Too many requests. Please retry after {wait} seconds."
    assert answer.json() == {
        "message": said,
        "error": {"code": "RATE_LIMIT_EXCEEDED", "message": said, "retry_after": wait},
    }
    assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= set(answer.headers)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/email-accounts/1/nothing", 404),
        ("POST", "/email-accounts/1/fetch-messages", 404),
        ("GET", "/campaigns/1", 404),
        ("PUT", "/email-accounts/1", 405),
    ],
)
async def test_what_is_not_served_is_json_too(client: SmartLeadClient, method: str, path: str, status: int) -> None:
    answer = await client.call(method, path)
    assert answer.status_code == status
    assert answer.json()["ok"] is False
    assert answer.json()["message"] == answer.json()["error"]


# -- list and detail


@pytest.mark.parametrize("path", ["/email-accounts", "/email-accounts/"])
async def test_the_list(client: SmartLeadClient, account: int, path: str) -> None:
    (listed,) = await client.get(path)
    assert set(listed) == DOCUMENTED | OBSERVED
    assert set(listed["warmup_details"]) == WARMUP
    assert set(LISTED) == DOCUMENTED | OBSERVED | {"campaign_ids"}
    for name, value in listed.items():
        assert type(value) in {type(LISTED[name]), type(None)}, name
    assert listed["id"] == account
    assert (listed["from_name"], listed["from_email"]) == ("John Doe", "john@acme.test")
    assert (listed["username"], listed["password"], listed["imap_password"]) == (
        "john@acme.test", "********", "********",
    )  # fmt: skip
    assert (listed["smtp_port_type"], listed["imap_port_type"]) == ("TLS", "SSL")
    assert (listed["message_per_day"], listed["minTimeToWaitInMins"]) == (50, 5)
    assert (listed["daily_sent_count"], listed["campaign_count"]) == (0, 0)
    assert listed["warmup_details"]["warmup_reputation"] == "0%", "a string, as older clients want it"
    (with_campaigns,) = await client.get(path, fetch_campaigns="true")
    assert with_campaigns == {**listed, "campaign_ids": []}


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_detail(client: SmartLeadClient, account: int, slash: str) -> None:
    shown = await client.get(f"/email-accounts/{account}{slash}")
    assert set(shown) == DOCUMENTED | OBSERVED | {"campaign_ids"} == set(DETAIL)
    assert set(shown["warmup_details"]) == DETAILED_WARMUP == set(DETAIL["warmup_details"])
    (listed,) = await client.get("/email-accounts/")
    assert {**shown, "warmup_details": None, "campaign_ids": None} == {
        **listed,
        "warmup_details": None,
        "campaign_ids": None,
    }
    assert shown == await client.get(f"/email-accounts/{account}", fetch_campaigns="true")


async def test_an_account_without_imap_or_settings(harness: GatewayHarness, client: SmartLeadClient) -> None:
    created = await harness.http.post(
        "/v1/accounts", json=account_body(imap=None, last_name=""), headers={"X-Api-Key": client.key}
    )
    assert created.status_code == 202
    (listed,) = await client.get("/email-accounts/")
    assert [listed[f"imap_{name}"] for name in ("host", "port", "username", "password", "port_type")] == [None] * 5
    assert (listed["from_name"], listed["type"]) == ("Alice", "SMTP")
    assert listed["is_smtp_success"] is listed["is_imap_success"] is False, "not proven yet"
    assert listed["smtp_failure_error"] is listed["imap_failure_error"] is None
    assert listed["warmup_details"]["status"] == "INACTIVE"


async def test_pages(harness: GatewayHarness, client: SmartLeadClient) -> None:
    async with mail_services(harness):
        for name in "abcde":
            await client.call("POST", "/email-accounts/save", {**SAVE, "from_email": f"{name}@acme.test"})

    async def page(**query: str) -> list[int]:
        return [each["id"] for each in await client.get("/email-accounts/", **query)]

    assert await page() == [1, 2, 3, 4, 5]
    assert await page(limit="2") == [1, 2]
    assert await page(limit="2", offset="2") == [3, 4]
    assert await page(offset="5") == []
    assert await page(offset="", limit="") == [1, 2, 3, 4, 5]


async def test_filters(harness: GatewayHarness, client: SmartLeadClient) -> None:
    def finds(event: Any) -> Any:
        return found(smtp=event.address != "bad@acme.test")

    async with mail_services(harness, finds):
        for changes in (
            {"from_email": "bad@acme.test", "type": "SMTP", "warmup_enabled": False},
            {"from_email": "gmail@acme.test", "user_name": "Login-2", "client_id": 9},
        ):
            await client.call("POST", "/email-accounts/save", {**SAVE, **changes})
        await client.call("POST", "/email-accounts/save-oauth", {**OAUTH, "type": "OUTLOOK"})
    await client.call("POST", "/campaigns/5/email-accounts", {"email_account_ids": [3]})

    async def ids(**query: str) -> list[int]:
        return [each["id"] for each in await client.get("/email-accounts/", **query)]

    assert await ids(isSmtpSuccess="false") == [1]
    assert await ids(isSmtpSuccess="true") == [2, 3]
    assert await ids(emailWarmupStatus="ACTIVE") == [2, 3]
    assert await ids(emailWarmupStatus="INACTIVE") == [1]
    assert await ids(isWarmupBlocked="true") == []
    assert await ids(isWarmupBlocked="false") == [1, 2, 3]
    assert await ids(esp="GMAIL") == [2]
    assert await ids(esp="OUTLOOK") == [3]
    assert await ids(esp="SMTP") == [1]
    assert await ids(username="login") == [2]
    assert await ids(client_id="9") == [2]
    assert await ids(isInUse="true") == [3]
    assert await ids(isInUse="false", isSmtpSuccess="true") == [2]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"limit": "101"}, "limit must be less than or equal to 100"),
        ({"limit": "0"}, "limit must be greater than or equal to 1"),
        ({"limit": "x"}, "limit must be a number"),
        ({"limit": "9" * 5000}, "limit must be a safe number"),
        ({"offset": "-1"}, "offset must be greater than or equal to 0"),
        ({"offset": str(2**31)}, "offset must be less than or equal to 2147483647"),
        ({"isInUse": "perhaps"}, "isInUse must be a boolean"),
        ({"emailWarmupStatus": "PAUSED"}, "emailWarmupStatus must be one of [ACTIVE, INACTIVE]"),
        ({"esp": "YAHOO"}, "esp must be one of [GMAIL, OUTLOOK, SMTP]"),
        ({"client_id": "x"}, "client_id must be a number"),
        ({"username": "x\0"}, "username contains characters that cannot be stored"),
    ],
)
async def test_each_fault_of_a_query(client: SmartLeadClient, query: dict[str, str], said: str) -> None:
    answer = await client.http.get("/api/v1/email-accounts/", params={"api_key": client.key, **query})
    assert (answer.status_code, answer.json()) == (422, {"ok": False, "message": said, "error": said})


# -- unknown accounts


@pytest.mark.parametrize("number", ["99", "0", "x", "-1", "9" * 30, "1.0"])
@pytest.mark.usefixtures("account")
async def test_an_account_that_is_not_there(client: SmartLeadClient, number: str) -> None:
    sent = int(number) if number in {"99", "0"} else None
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/warmup"),
        ("GET", "/warmup-stats"),
    ):
        answer = await client.call(method, f"/email-accounts/{number}{path}", {"warmup_enabled": True})
        assert (answer.status_code, answer.json()) == (404, {**NOT_FOUND, "emailAccountId": sent}), (method, path)
    for method, path in (("PUT", "suspend"), ("DELETE", "unsuspend"), ("PUT", "unsuspend")):
        answer = await client.call(method, f"/email-accounts/{path}/{number}")
        if sent is None:
            said = "Invalid email account id"
            assert (answer.status_code, answer.json()) == (
                400,
                {"success": False, "ok": False, "message": said, "error": said},
            )
        else:
            assert (answer.status_code, answer.json()["emailAccountId"]) == (404, sent)


# -- update


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_an_update(
    harness: GatewayHarness, client: SmartLeadClient, account: int, method: str, slash: str
) -> None:
    changes = {
        "max_email_per_day": 0,
        "from_name": "Jane van Doe",
        "custom_tracking_url": "t.acme.test",
        "bcc": "crm@acme.test",
        "signature": "<p>J</p>",
        "client_id": "22",
        "time_to_wait_in_mins": 9,
        "is_suspended": True,
    }
    answer = await client.call(method, f"/email-accounts/{account}{slash}", changes)
    assert (answer.status_code, answer.json()) == (
        200,
        {"ok": True, "message": "Email account updated successfully", "emailAccountId": account},
    )
    shown = await client.get(f"/email-accounts/{account}")
    names = (
        "message_per_day", "from_name", "custom_tracking_domain", "bcc_email", "signature", "client_id",
        "minTimeToWaitInMins", "is_suspended",
    )  # fmt: skip
    expected = {name: 22 if value == "22" else value for name, value in zip(names, changes.values(), strict=True)}
    assert {name: shown[name] for name in names} == expected
    await harness.published()
    updated, suspended = harness.history[-2:]
    assert isinstance(updated, AccountUpdated)
    assert (updated.first_name, updated.last_name) == ("Jane", "van Doe")
    assert isinstance(suspended, AccountSuspended)


async def test_what_an_update_leaves_out_stays(harness: GatewayHarness, client: SmartLeadClient, account: int) -> None:
    path = f"/email-accounts/{account}"
    await client.call("POST", path, {"bcc": "crm@acme.test", "is_suspended": True})
    before = await client.get(path)
    await harness.published()
    assert (await client.call("POST", path, {"bcc": None, "surprise": 1})).status_code == 200
    assert await harness.published() == []
    assert await client.get(path) == before
    await client.call("POST", path, {"bcc": "", "is_suspended": "false"})
    assert (await client.get(path))["bcc_email"] is None
    assert isinstance((await harness.published())[-1], AccountResumed)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_email_per_day": -1}, "max_email_per_day must be greater than or equal to 0"),
        ({"client_id": "x"}, "client_id must be a number"),
        ({"from_name": []}, "from_name must be a string"),
        ({"is_suspended": 7}, "is_suspended must be a boolean"),
    ],
)
async def test_each_fault_of_an_update(
    client: SmartLeadClient, account: int, changes: dict[str, Any], said: str
) -> None:
    answer = await client.call("POST", f"/email-accounts/{account}", changes)
    assert (answer.status_code, answer.json()["error"]) == (422, said)


# -- delete and suspend


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_deletion(
    harness: GatewayHarness, project: Project, client: SmartLeadClient, account: int, slash: str
) -> None:
    await client.call("POST", "/campaigns/5/email-accounts", {"email_account_ids": [account]})
    answer = await client.call("DELETE", f"/email-accounts/{account}{slash}")
    assert (answer.status_code, answer.json()) == (
        200,
        {"ok": True, "message": "Email account deleted successfully!", "emailAccountId": account},
    )
    assert await client.get("/email-accounts/") == []
    assert await client.get("/campaigns/5/email-accounts") == []
    assert await harness.credentials() == set()
    assert (await harness.seats(project.organization_id))["monitoring"] == 0
    assert isinstance((await harness.published())[-1], AccountRemoved)
    assert (await client.call("DELETE", f"/email-accounts/{account}")).status_code == 404
    async with mail_services(harness):
        again = await client.call("POST", "/email-accounts/save", SAVE)
    assert (again.status_code, again.json()["emailAccountId"]) == (200, account + 1)


@pytest.mark.parametrize("method", ["DELETE", "PUT"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_suspending(client: SmartLeadClient, account: int, method: str, slash: str) -> None:
    for how, word in (("PUT", "suspend"), (method, "unsuspend")):
        answer = await client.call(how, f"/email-accounts/{word}/{account}{slash}")
        suspended = word == "suspend"
        assert (answer.status_code, answer.json()) == (
            200,
            {
                "success": True,
                "message": f"Email account {word}ed successfully",
                "data": {"accountId": account, "isSuspended": suspended},
            },
        )
        shown = await client.get(f"/email-accounts/{account}")
        assert shown["is_suspended"] is suspended
        assert shown["warmup_details"]["status"] == ("PAUSED" if suspended else "ACTIVE")


# -- warm-up


@pytest.mark.parametrize("slash", ["", "/"])
async def test_warm_up(harness: GatewayHarness, client: SmartLeadClient, account: int, slash: str) -> None:
    path = f"/email-accounts/{account}/warmup{slash}"
    body = {
        "warmup_enabled": "true",
        "total_warmup_per_day": 35,
        "daily_rampup": 5,
        "reply_rate_percentage": "30",
        "warmup_key_id": "apple-keyes",
        "auto_adjust_warmup": True,
        "is_rampup_enabled": False,
    }
    answer = await client.call("POST", path, body)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "ok": True,
            "message": "Warmup settings updated successfully",
            "emailAccountId": account,
            "warmupKey": "apple-keyes",
        },
    )
    await harness.published()
    updated = harness.history[-1]
    assert isinstance(updated, AccountUpdated)
    assert updated.settings is not None
    assert updated.settings.model_dump(exclude_none=True) == {
        "warmup_target": 35,
        "warmup_increase": 5,
        "warmup_reply_rate": 30,
        "warmup_key": "apple-keyes",
        "warmup_auto_adjust": True,
        "warmup_rampup": False,
    }
    warmup = (await client.get(f"/email-accounts/{account}"))["warmup_details"]
    assert (warmup["status"], warmup["warmup_max_count"], warmup["reply_rate"]) == ("ACTIVE", 35, 30)
    await client.call("POST", path, {"warmup_enabled": "false"})
    warmup = (await client.get(f"/email-accounts/{account}"))["warmup_details"]
    assert (warmup["status"], warmup["warmup_max_count"]) == ("INACTIVE", 35)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "warmup_enabled is required"),
        ({"warmup_enabled": "x"}, "warmup_enabled must be a boolean"),
        (
            {"warmup_enabled": True, "total_warmup_per_day": 51},
            "total_warmup_per_day must be less than or equal to 50",
        ),
        (
            {"warmup_enabled": True, "total_warmup_per_day": 0},
            "total_warmup_per_day must be greater than or equal to 1",
        ),
        ({"warmup_enabled": True, "daily_rampup": 4}, "daily_rampup must be greater than or equal to 5"),
        ({"warmup_enabled": True, "daily_rampup": 21}, "daily_rampup must be less than or equal to 20"),
        (
            {"warmup_enabled": True, "reply_rate_percentage": "19"},
            "reply_rate_percentage must be greater than or equal to 20",
        ),
        (
            {"warmup_enabled": True, "reply_rate_percentage": 101},
            "reply_rate_percentage must be less than or equal to 100",
        ),
    ],
)
async def test_each_fault_of_warm_up(client: SmartLeadClient, account: int, body: dict[str, Any], said: str) -> None:
    answer = await client.call("POST", f"/email-accounts/{account}/warmup", body)
    assert (answer.status_code, answer.json()) == (422, {"ok": False, "message": said, "error": said})


async def test_warm_up_statistics(harness: GatewayHarness, client: SmartLeadClient, account: int) -> None:
    stats = await client.get(f"/email-accounts/{account}/warmup-stats")
    today = harness.clock.now().date().isoformat()
    counters = ("sent_count", "spam_count", "inbox_count", "warmup_email_received_count")
    assert {name: stats.pop(name) for name in counters} == dict.fromkeys(counters, "0")
    assert (stats.pop("id"), stats.pop("total_sent"), stats.pop("reputation_score")) == (account, 0, 0)
    old, new = stats.pop("stats_by_date"), stats.pop("daily_stats")
    assert stats == {}
    assert len(old) == len(new) == 7
    assert old[-1] == {"id": 7, "date": today, "sent_count": 0, "reply_count": 0, "save_from_spam_count": 0}
    assert new[-1] == {"date": today, "sent": 0, "spam": 0, "delivered": 0, "opened": 0, "replied": 0}


async def test_no_call_redirects(client: SmartLeadClient, account: int) -> None:
    for path in (f"/email-accounts/{account}/warmup-stats", "/email-accounts/tags", "/campaigns/1/email-accounts"):
        for slash in ("", "/"):
            answer = await client.http.get(f"/api/v1{path}{slash}", params={"api_key": client.key})
            assert answer.status_code == httpx.codes.OK
