"""SmartLead's calls on many accounts: reconnect what failed, tags, and the accounts of campaigns."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from berth_events.contracts import AccountUpdated, AccountVerificationRequested
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.gateway_smartlead import SAVE, SmartLeadClient, found, mail_services

RECONNECT = "/email-accounts/reconnect-failed-email-accounts"
QUEUED = {
    "ok": True,
    "message": "Email account(s) added to the queue to reconnect. We will send you an email once completed.",
}
TOO_OFTEN = {"ok": True, "message": "Bulk reconnect API cannot be consumed more than 3 times a day"}
NONE_FAILED = {"ok": True, "message": "No failed email account found!"}


@pytest.fixture
def client(harness: GatewayHarness, project: Project) -> SmartLeadClient:
    return SmartLeadClient(harness.http, project.key)


async def save(harness: GatewayHarness, client: SmartLeadClient, *names: str, code: str | None = None) -> None:
    """Add accounts; with a code they fail with it."""
    fine = code is None
    async with mail_services(harness, lambda _: found(smtp=fine, imap=fine, code=code or "")):
        for name in names:
            await client.call("POST", "/email-accounts/save", {**SAVE, "from_email": f"{name}@acme.test"})


# -- reconnect


async def test_nothing_to_reconnect(harness: GatewayHarness, client: SmartLeadClient) -> None:
    await save(harness, client, "works")
    for _ in range(4):  # those do not count
        answer = await client.call("POST", RECONNECT)
        assert (answer.status_code, answer.json()) == (404, NONE_FAILED)


async def test_what_failed_is_tried_again_three_times_a_day(harness: GatewayHarness, client: SmartLeadClient) -> None:
    await save(harness, client, "works")
    await save(harness, client, "bad", "worse", "left-alone", code="CONNECT_TIMEOUT")
    await client.call("PUT", "/email-accounts/suspend/4")
    harness.clock.shift = timedelta(minutes=2)
    await harness.published()
    for slash in ("", "/", ""):
        answer = await client.call("POST", RECONNECT + slash)
        assert (answer.status_code, answer.json()) == (200, QUEUED)
        asked = await harness.published()
        assert {event.address for event in asked if isinstance(event, AccountVerificationRequested)} == {
            "bad@acme.test",
            "worse@acme.test",
        }
        assert len(asked) == 2
    answer = await client.call("POST", RECONNECT)
    assert (answer.status_code, answer.json()) == (406, TOO_OFTEN)
    harness.clock.shift = timedelta(hours=24, minutes=3)
    assert (await client.call("POST", RECONNECT)).status_code == 200
    feed = (await harness.http.get("/v1/events", headers={"X-Api-Key": client.key})).json()["items"]
    assert [item["type"] for item in feed].count("AccountVerificationRequested") == 8


async def test_simultaneous_calls_are_counted(harness: GatewayHarness, client: SmartLeadClient) -> None:
    await save(harness, client, "bad", code="CONNECT_TIMEOUT")
    answers = await asyncio.gather(*(client.call("POST", RECONNECT) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 406, 406]


async def test_a_password_that_was_refused_just_now_is_left_alone(
    harness: GatewayHarness, client: SmartLeadClient
) -> None:
    await save(harness, client, "bad", code="AUTH_BAD_CREDENTIALS")
    await harness.published()
    assert (await client.call("POST", RECONNECT)).status_code == 200
    assert await harness.published() == []
    harness.clock.shift = timedelta(seconds=61)
    assert (await client.call("POST", RECONNECT)).status_code == 200
    (event,) = await harness.published()
    assert isinstance(event, AccountVerificationRequested)


async def test_the_projects_do_not_share_their_number(harness: GatewayHarness, project: Project) -> None:
    other = await harness.project(project.organization_id)
    async with other.http:
        for each in (project, other):
            client = SmartLeadClient(harness.http, each.key)
            await save(harness, client, "bad", code="CONNECT_TIMEOUT")
            assert [(await client.call("POST", RECONNECT)).status_code for _ in range(4)] == [200, 200, 200, 406]


# -- tags


async def test_the_life_of_a_tag(client: SmartLeadClient) -> None:
    assert await client.get("/email-accounts/tags") == {"ok": True, "data": []}
    first = await client.call("POST", "/tags", {"name": "Winners"})
    assert (first.status_code, first.json()) == (
        200,
        {"ok": True, "data": {"id": 1, "name": "Winners", "color": "#4CAF50"}},
    )
    second = {"id": 2, "name": "Losers", "color": "#b1FCCF"}
    assert (await client.call("POST", "/tags/", second)).json() == {"ok": True, "data": second}
    changed = {"id": 1, "name": "Best", "color": "#000000"}
    for slash in ("", "/"):
        answer = await client.call("POST", f"/email-accounts/tag-manager{slash}", changed)
        assert (answer.status_code, answer.json()) == (200, {"ok": True, "data": changed})
        assert await client.get(f"/email-accounts/tags{slash}") == {"ok": True, "data": [changed, second]}
    answer = await client.call("POST", "/email-accounts/tag-manager", {**changed, "name": "losers"})
    assert (answer.status_code, answer.json()["ok"]) == (409, False)
    answer = await client.call("POST", "/email-accounts/tag-manager", {**changed, "id": 9})
    assert (answer.status_code, answer.json()) == (
        404,
        {"ok": False, "message": "Tag not found", "error": "Tag not found"},
    )


async def test_a_tag_is_made_once(client: SmartLeadClient) -> None:
    made = {"id": 1, "name": "Winners", "color": "#123456"}
    bodies = [
        made,
        {"name": "WINNERS"},
        {"id": 0, "name": "winners", "color": "#654321"},
        {"id": None, "name": "Winners"},
    ]
    for path in ("/tags", "/email-accounts/tag-manager"):
        for body in bodies[path != "/tags" :]:
            answer = await client.call("POST", path, body)
            assert (answer.status_code, answer.json()) == (200, {"ok": True, "data": made})
    answer = await client.call("POST", "/email-accounts/tag-manager", {"name": "New"})
    assert answer.json()["data"] == {"id": 2, "name": "New", "color": "#4CAF50"}
    answer = await client.call("POST", "/email-accounts/tag-manager", {"id": 2, "name": "Newer"})
    assert answer.json()["data"] == {"id": 2, "name": "Newer", "color": "#4CAF50"}


@pytest.mark.parametrize("slash", ["", "/"])
async def test_mapping_tags(harness: GatewayHarness, client: SmartLeadClient, slash: str) -> None:
    await save(harness, client, "a", "b")
    for name in ("One", "Two", "Three"):
        await client.call("POST", "/tags", {"name": name})
    path = f"/email-accounts/tag-mapping{slash}"

    async def names() -> list[list[str]]:
        return [[tag["tag_name"] for tag in each["tags"]] for each in await client.get("/email-accounts/")]

    given = await client.call("POST", path, {"email_account_ids": [1, 2], "tag_ids": [1]})
    assert (given.status_code, given.json()) == (
        200,
        {
            "ok": True,
            "success": True,
            "message": "Tags added to email accounts successfully",
            "data": {"summary": {"total_processed": 2, "created": 2, "skipped": 0, "failed": 0}},
        },
    )
    assert await names() == [["One"], ["One"]]
    given = await client.call("POST", path, {"email_account_ids": ["1"], "tag_ids": ["2", 3, 1]})
    summary = {"total_processed": 3, "created": 2, "skipped": 1, "failed": 0}
    assert given.json()["data"]["summary"] == summary
    assert await names() == [["One", "Two", "Three"], ["One"]]
    await harness.published()
    await client.call("POST", path, {"emails": ["B@acme.test"], "tag_ids": [1, 2]})
    assert await names() == [["One", "Two", "Three"], ["One", "Two"]]
    (event,) = await harness.published()
    assert isinstance(event, AccountUpdated)
    assert event.tags == ("One", "Two")
    taken = await client.call("DELETE", path, {"email_account_ids": [1, 2, 77], "tag_ids": [2, 3, 88]})
    assert (taken.status_code, taken.json()) == (
        200,
        {
            "ok": True,
            "success": True,
            "message": "Tags removed from email accounts successfully",
            "data": {"summary": {"total_processed": 9, "deleted": 3, "skipped": 6, "failed": 0}},
        },
    )
    assert await names() == [["One"], ["One"]]
    (listed,) = (await client.call("POST", "/email-accounts/tag-list", {"email_ids": ["a@acme.test"]})).json()["data"]
    shown = {"id": 1, "name": "One", "color": "#4CAF50", "tag_id": 1, "tag_name": "One", "tag_color": "#4CAF50"}
    tagged = {"email_account_id": 1, "from_email": "a@acme.test", "email_id": "a@acme.test", "tags": [shown]}
    assert listed == tagged
    assert (await client.get("/email-accounts/1"))["tags"] == [shown]


async def test_mapping_is_all_or_nothing(harness: GatewayHarness, client: SmartLeadClient) -> None:
    await save(harness, client, "a")
    await client.call("POST", "/tags", {"name": "One"})
    for body, number in (
        ({"email_account_ids": [1, 9], "tag_ids": [1]}, 9),
        ({"emails": ["a@acme.test", "nobody@acme.test"], "tag_ids": [1]}, None),
        ({"email_account_ids": [1], "emails": ["nobody@acme.test"], "tag_ids": [1]}, None),
    ):
        answer = await client.call("POST", "/email-accounts/tag-mapping", body)
        assert (answer.status_code, answer.json()["emailAccountId"]) == (404, number)
        assert answer.json()["errorCode"] == "ACCOUNT_NOT_FOUND"
    answer = await client.call("POST", "/email-accounts/tag-mapping", {"email_account_ids": [1], "tag_ids": [1, 7]})
    assert (answer.status_code, answer.json()["message"]) == (404, "Tag not found")
    assert (await client.get("/email-accounts/"))[0]["tags"] == []


@pytest.mark.parametrize("slash", ["", "/"])
async def test_tags_by_address(harness: GatewayHarness, client: SmartLeadClient, slash: str) -> None:
    await save(harness, client, "a", "b")
    body = {"email_ids": ["b@acme.test", "A@ACME.TEST", "nobody@acme.test", "no address"]}
    answer = await client.call("POST", f"/email-accounts/tag-list{slash}", body)
    assert answer.json() == {
        "ok": True,
        "data": [
            {"email_account_id": 1, "from_email": "a@acme.test", "email_id": "a@acme.test", "tags": []},
            {"email_account_id": 2, "from_email": "b@acme.test", "email_id": "b@acme.test", "tags": []},
        ],
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/tags", {}, "name is required"),
        ("POST", "/tags", {"name": ""}, "name is not allowed to be empty"),
        ("POST", "/tags", {"name": "x", "color": "red"}, "color must be # and six hexadecimal digits"),
        ("POST", "/tags", {"name": "x", "color": "#12345g"}, "color must be # and six hexadecimal digits"),
        (
            "POST",
            "/email-accounts/tag-manager",
            {},
            "name is required",
        ),
        ("POST", "/email-accounts/tag-list", {"email_ids": []}, "email_ids must contain at least 1 items"),
        ("POST", "/email-accounts/tag-list", {"email_ids": "x"}, "email_ids must be an array"),
        ("POST", "/email-accounts/tag-mapping", {"tag_ids": [1]}, "email_account_ids is required"),
        ("POST", "/email-accounts/tag-mapping", {"email_account_ids": [1]}, "tag_ids is required"),
        (
            "POST",
            "/email-accounts/tag-mapping",
            {"email_account_ids": list(range(1, 27)), "tag_ids": [1]},
            "email_account_ids must contain less than or equal to 25 items",
        ),
        (
            "DELETE",
            "/email-accounts/tag-mapping",
            {"email_account_ids": [], "tag_ids": [1]},
            "email_account_ids must contain at least 1 items",
        ),
        (
            "DELETE",
            "/email-accounts/tag-mapping",
            {"email_account_ids": [1], "tag_ids": [2**31]},
            "tag_ids.0 must be less than or equal to 2147483647",
        ),
        ("POST", "/campaigns/1/email-accounts", {}, "email_account_ids is required"),
        (
            "DELETE",
            "/campaigns/1/email-accounts",
            {"email_account_ids": ["x"]},
            "email_account_ids.0 must be a number",
        ),
    ],
)
async def test_each_fault_names_its_field(
    client: SmartLeadClient, method: str, path: str, body: dict[str, Any], said: str
) -> None:
    answer = await client.call(method, path, body)
    assert (answer.status_code, answer.json()) == (422, {"ok": False, "message": said, "error": said})


# -- campaigns


@pytest.mark.parametrize("name", ["email_account_ids", "email_accounts_ids"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_accounts_of_a_campaign(
    harness: GatewayHarness, client: SmartLeadClient, name: str, slash: str
) -> None:
    await save(harness, client, "a", "b", "c")
    path = f"/campaigns/101/email-accounts{slash}"
    assert await client.get(path) == []
    added = await client.call("POST", path, {name: [2, 1]})
    assert added.status_code == 200
    assert added.json()["ok"] is True
    first, second = added.json()["result"]
    assert set(first) == {"id", "email_campaign_id", "email_account_id", "updated_at"}
    assert (first["email_account_id"], second["email_account_id"]) == (1, 2)
    assert first["email_campaign_id"] == 101
    again = (await client.call("POST", path, {name: [1]})).json()["result"]
    assert [member["id"] for member in again] == [first["id"]], "it is in it once"
    await client.call("POST", "/campaigns/7/email-accounts", {name: [1]})

    accounts = await client.get("/email-accounts/", fetch_campaigns="true")
    assert [account["campaign_ids"] for account in accounts] == [[7, 101], [101], []]
    assert [account["campaign_count"] for account in accounts] == [2, 1, 0]
    assert [account["is_connected_to_campaign"] for account in accounts] == [True, True, False]
    assert (await client.get("/email-accounts/1"))["campaign_ids"] == [7, 101]
    members = await client.get(path)
    assert [(member["id"], member["campaign_count"]) for member in members] == [(1, 2), (2, 1)]

    removed = await client.call("DELETE", path, {name: [1, 3, 99]})
    assert (removed.status_code, removed.json()) == (200, {"ok": True, "result": 1})
    assert [member["id"] for member in await client.get(path)] == [2]
    assert (await client.get("/email-accounts/1"))["campaign_ids"] == [7]


async def test_a_campaign_takes_all_or_none(harness: GatewayHarness, client: SmartLeadClient) -> None:
    await save(harness, client, "a")
    answer = await client.call("POST", "/campaigns/1/email-accounts", {"email_account_ids": [1, 8]})
    assert (answer.status_code, answer.json()["emailAccountId"]) == (404, 8)
    assert await client.get("/campaigns/1/email-accounts") == []


@pytest.mark.parametrize("campaign", ["x", "-1", "9" * 20])
async def test_what_is_no_campaign(client: SmartLeadClient, campaign: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = await client.call(method, f"/campaigns/{campaign}/email-accounts", {"email_account_ids": [1]})
        assert (answer.status_code, answer.json()["error"]) == (404, "Campaign not found")


async def test_projects_share_neither_campaigns_nor_tags(harness: GatewayHarness, project: Project) -> None:
    client = SmartLeadClient(harness.http, project.key)
    await save(harness, client, "a")
    await client.call("POST", "/tags", {"name": "One"})
    await client.call("POST", "/campaigns/1/email-accounts", {"email_account_ids": [1]})
    other = await harness.project(project.organization_id)
    async with other.http:
        stranger = SmartLeadClient(harness.http, other.key)
        await save(harness, stranger, "b")
        assert await stranger.get("/campaigns/1/email-accounts") == []
        assert (await stranger.get("/email-accounts/tags"))["data"] == []
        answer = await stranger.call("DELETE", "/campaigns/1/email-accounts", {"email_account_ids": [1]})
        assert answer.json()["result"] == 0
    assert [member["id"] for member in await client.get("/campaigns/1/email-accounts")] == [1]
