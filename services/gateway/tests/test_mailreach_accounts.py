"""MailReach's calls on accounts that exist."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from berth_events.contracts import (
    AccountCheckupRequested,
    AccountRemoved,
    AccountRequested,
    AccountResumed,
    AccountSuspended,
    AccountUpdated,
    AccountVerificationRequested,
)
from berth_gateway.dialects.mailreach.examples import ACCOUNT
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_results import audited, verified

#: The example request of MailReach's page on updates, without the alias, which has to be listed first.
UPDATE = {
    "config_rampup_target": 25,
    "config_rampup_increase": 2,
    "config_max_conversation_running": 10,
    "time_zone": "Paris",
    "signature": "Best,<br/>John Doe",
    "first_name": "John",
    "last_name": "Doe",
    "alive": True,
    "autopilot": True,
    "imap_issue": True,
    "config_smtp_append_after_sent": True,
    "desc": "Primary sales mailbox",
}


@pytest.fixture
async def mailreach(harness: GatewayHarness, project: Project) -> AsyncIterator[httpx.AsyncClient]:
    async with harness.client({"X-Api-Key": f"Bearer {project.key}"}) as client:
        yield client


async def connect(harness: GatewayHarness, project: Project, **changes: Any) -> AccountRequested:
    answer = await project.http.post("/v1/accounts", json=account_body(**changes))
    assert answer.status_code == 202, answer.text
    requested = next(event for event in await harness.published() if isinstance(event, AccountRequested))
    await harness.deliver(verified(requested, works=True))
    return requested


async def test_ping_knows_a_key(harness: GatewayHarness, mailreach: httpx.AsyncClient) -> None:
    for path in ("/api/v1/ping", "/v1/ping/"):
        answer = await mailreach.get(path)
        assert (answer.status_code, answer.json()) == (200, {"success": True})
    wrong = await harness.http.get("/api/v1/ping", headers={"X-Api-Key": "Bearer nonsense"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "Invalid API key")


async def test_an_unknown_path_is_an_empty_404(mailreach: httpx.AsyncClient) -> None:
    answer = await mailreach.get("/api/v1/nothing")
    assert (answer.status_code, answer.content) == (404, b"")


async def test_no_accounts_are_an_empty_list(mailreach: httpx.AsyncClient) -> None:
    answer = await mailreach.get("/api/v1/accounts")
    assert (answer.status_code, answer.json()) == (200, [])


async def test_the_list_is_bare_and_its_pages_begin_at_one(
    harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient
) -> None:
    await harness.subscribe(project.organization_id, monitoring=200)
    for number in range(103):
        assert (await project.http.post("/v1/accounts", json=account_body(f"u{number}@acme.test"))).status_code == 202
    first = (await mailreach.get("/api/v1/accounts/")).json()
    assert [account["id"] for account in first] == list(range(1, 101))
    assert first[0].keys() >= ACCOUNT.keys()
    for page in ("0", "1", "-1"):
        assert (await mailreach.get("/api/v1/accounts", params={"page": page})).json() == first
    second = (await mailreach.get("/api/v1/accounts", params={"page": "2"})).json()
    assert [account["id"] for account in second] == [101, 102, 103]
    assert (await mailreach.get("/api/v1/accounts", params={"page": "3"})).json() == []
    wrong = await mailreach.get("/api/v1/accounts", params={"page": "many"})
    assert wrong.status_code == 422
    assert wrong.json()["error"].startswith("page does not have a valid value")


async def test_an_account_with_every_documented_key(
    harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient
) -> None:
    await connect(harness, project, tags=["sales-team"])
    await harness.deliver(audited("acme.test"), source="/berth/dns-auditor")
    shown = (await mailreach.get("/api/v1/accounts/1")).json()
    assert shown.keys() == ACCOUNT.keys() | {"custom_message_content_ref"}
    assert shown["custom_message_content_ref"] == ""
    assert shown["domain"].keys() == ACCOUNT["domain"].keys()
    assert (shown["id"], shown["alive"], shown["suspended"]) == (1, True, False)
    assert shown["tags"] == [{"id": 1, "name": "sales-team"}]
    assert shown["domain"]["mx_records"] == [["mx.acme.test", "203.0.113.7", "10"]]
    for number in ("2", "0", "x", str(2**31), str(2**70)):
        answer = await mailreach.get(f"/api/v1/accounts/{number}")
        assert (answer.status_code, answer.json()["error"]) == (404, "Account not found"), number


async def test_an_update_in_the_query(harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient) -> None:
    await connect(harness, project)
    query = {"config_rampup_target": "9", "first_name": "Query"}
    answer = await mailreach.post("/api/v1/accounts/1", params=query)
    assert (answer.status_code, answer.json()["config_rampup_target"], answer.json()["first_name"]) == (200, 9, "Query")
    answer = await mailreach.post(
        "/api/v1/accounts/1", params=query, json={"first_name": "Body", "config_rampup_target": None}
    )
    assert (answer.json()["first_name"], answer.json()["config_rampup_target"]) == ("Body", 9)
    answer = await mailreach.post("/api/v1/accounts/1", params={"config_rampup_target": "99"})
    assert answer.status_code == 422


@pytest.mark.parametrize("form", [False, True])
async def test_the_documented_update(
    harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient, form: bool
) -> None:
    requested = await connect(harness, project)
    aliases = {"aliases": [{"email": "john.doe@acme.com"}]}
    await project.http.put(f"/v1/accounts/{requested.account_id}/aliases", json=aliases)
    await harness.published()
    body: dict[str, Any] = {**UPDATE, "alias": "john.doe@acme.com"}
    if form:
        texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in body.items()}
        answer = await mailreach.post("/api/v1/accounts/1", data=texts)
    else:
        answer = await mailreach.post("/api/v1/accounts/1", json=body)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    for name in UPDATE.keys() - {"desc", "time_zone"}:
        assert shown[name] == UPDATE[name], name
    assert shown["time_zone"] == "Europe/Paris"
    (event,) = await harness.published()
    assert isinstance(event, AccountUpdated)
    assert event.settings is not None
    assert event.settings.alias == "john.doe@acme.com"
    assert event.settings.description == "Primary sales mailbox"
    assert (await mailreach.get("/api/v1/accounts/1")).json() == shown


async def test_what_is_not_passed_or_null_stays(
    harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient
) -> None:
    await connect(harness, project)
    before = (await mailreach.get("/api/v1/accounts/1")).json()
    nothing = {"first_name": None, "alive": None, "colour": "red"}
    assert (await mailreach.post("/api/v1/accounts/1", json=nothing)).json() == before
    assert (await mailreach.post("/api/v1/accounts/1")).json() == before
    paused = (await mailreach.post("/api/v1/accounts/1/", json={"alive": False})).json()
    assert paused == {**before, "alive": False}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("config_max_conversation_running", 36),
        ("config_max_conversation_running", -1),
        ("config_rampup_increase", 6),
        ("config_rampup_target", 2),
        ("config_rampup_target", 36),
        ("config_rampup_target", "many"),
        ("alive", "perhaps"),
        ("time_zone", "Atlantis"),
        ("alias", "nobody@acme.test"),
        ("first_name", {"a": 1}),
        ("signature", "a\0b"),
    ],
)
async def test_a_value_out_of_range(
    harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient, field: str, value: Any
) -> None:
    await connect(harness, project)
    before = (await mailreach.get("/api/v1/accounts/1")).json()
    answer = await mailreach.post("/api/v1/accounts/1", json={"last_name": "Changed", field: value})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(f"{field} does not have a valid value")
    assert (await mailreach.get("/api/v1/accounts/1")).json() == before


@pytest.mark.parametrize("content", [b"{", b"[1]", b'"x"', b"{" * 100_000])
async def test_a_body_that_is_no_object(
    harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient, content: bytes
) -> None:
    await connect(harness, project)
    answer = await mailreach.post("/api/v1/accounts/1", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]


async def test_deleting(harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient) -> None:
    requested = await connect(harness, project)
    answer = await mailreach.delete("/api/v1/accounts/1", params={"disconnect_reason": "moved"})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    (event,) = await harness.published()
    assert isinstance(event, AccountRemoved)
    assert event.account_id == requested.account_id
    assert (await harness.seats(project.organization_id))["monitoring"] == 0
    assert (await mailreach.delete("/api/v1/accounts/1")).status_code == 404


async def test_reconnecting_resumes_and_verifies(
    harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient
) -> None:
    await connect(harness, project)
    suspended = await mailreach.post("/api/v1/accounts/1/suspend")
    assert (suspended.status_code, suspended.json()["suspended"], suspended.json()["alive"]) == (200, True, False)
    answer = await mailreach.post("/api/v1/accounts/1/reconnect")
    assert answer.status_code == 201
    assert answer.json()["queued"] is True
    assert UUID(answer.json()["job_id"])
    assert [type(event) for event in await harness.published()] == [
        AccountSuspended,
        AccountResumed,
        AccountVerificationRequested,
    ]
    assert (await mailreach.get("/api/v1/accounts/1")).json()["suspended"] is False


async def test_a_checkup(harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient) -> None:
    await connect(harness, project)
    answer = await mailreach.post("/api/v1/accounts/1/checkup")
    assert (answer.status_code, answer.json()["queued"]) == (201, True)
    assert [type(event) for event in await harness.published()] == [AccountCheckupRequested]


async def test_statistics_are_zeros(harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient) -> None:
    await connect(harness, project)
    for params in ({}, {"provider": "others", "past_days": "180"}):
        answer = await mailreach.get("/api/v1/accounts/1/stats", params=params)
        assert answer.json() == {
            "total_messages_sent": 0,
            "total_messages_received": 0,
            "total_spam": 0,
            "config_current_conversation_running": 0,
            "consolidated_cutoff": None,
        }
    for wrong in ({"past_days": "181"}, {"past_days": "x"}, {"provider": "aol"}):
        assert (await mailreach.get("/api/v1/accounts/1/stats", params=wrong)).status_code == 422
    assert (await mailreach.get("/api/v1/accounts/2/stats")).status_code == 404
    graph = await mailreach.get("/api/v1/conversation_message_logs/1/sent/graph", params={"past_days": "7"})
    assert graph.json() == {"labels": [], "data": [], "consolidated": True}


async def test_aliases_and_tags(harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient) -> None:
    requested = await connect(harness, project)
    assert (await mailreach.get("/api/v1/accounts/1/aliases")).json() == []
    aliases = {"aliases": [{"email": "sales@acme.test", "name": "Sales"}]}
    await project.http.put(f"/v1/accounts/{requested.account_id}/aliases", json=aliases)
    assert (await mailreach.get("/api/v1/accounts/1/aliases")).json() == aliases["aliases"]
    tag = (await project.http.post("/v1/tags", json={"name": "sales-team"})).json()
    linked = await mailreach.post(f"/api/v1/tags/{tag['id']}/link", json={"account_id": 1})
    assert (linked.status_code, linked.json()) == (200, {"id": tag["id"], "name": "sales-team"})
    assert (await mailreach.get("/api/v1/accounts/1")).json()["tags"] == [linked.json()]
    assert (await mailreach.post("/api/v1/tags/9/link", json={"account_id": 1})).status_code == 404
    assert (await mailreach.post("/api/v1/tags/1/link", json={"account_id": 9})).status_code == 404
    assert (await mailreach.post("/api/v1/tags/1/link", json={})).json()["error"] == "account_id is missing"


async def test_a_batch_is_a_task(harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient) -> None:
    await connect(harness, project)
    await connect(harness, project, email="bob@acme.test")
    answer = await mailreach.post("/api/v1/accounts/batch", json={"account_ids": [1, 2, 9], "action": "suspend"})
    assert answer.status_code == 200, answer.text
    task = answer.json()
    assert task.keys() == {"id", "progress", "logs", "email_workspace_id"}
    assert task["logs"] == ["1: suspend done", "2: suspend done", "9: Account not found"]
    assert (await mailreach.get(f"/api/v1/tasks/{task['id']}")).json() == task
    assert (await mailreach.get("/api/v1/tasks/99")).status_code == 404
    assert all(account["suspended"] for account in (await mailreach.get("/api/v1/accounts")).json())
    deleted = await mailreach.post("/api/v1/accounts/batch", json={"account_ids": [1, 2], "action": "delete"})
    assert deleted.json()["progress"] == 100
    assert (await mailreach.get("/api/v1/accounts")).json() == []
    for wrong in (
        {"account_ids": [], "action": "delete"},
        {"account_ids": [1], "action": "explode"},
        {"action": "delete"},
    ):
        assert (await mailreach.post("/api/v1/accounts/batch", json=wrong)).status_code == 422


async def test_nobody_elses_accounts(harness: GatewayHarness, project: Project) -> None:
    await connect(harness, project)
    other = await harness.project(await harness.organization())
    async with harness.client({"X-Api-Key": other.key}) as client:
        assert (await client.get("/api/v1/accounts")).json() == []
        assert (await client.get("/api/v1/accounts/1")).status_code == 404
        batch = await client.post("/api/v1/accounts/batch", json={"account_ids": [1], "action": "delete"})
        assert batch.json()["logs"] == ["1: Account not found"]
    assert (await harness.seats(project.organization_id))["monitoring"] == 1


async def test_alerts_are_webhooks(harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient) -> None:
    harness.resolver.known["hooks.acme.com"] = "93.184.216.34"
    made = await mailreach.post("/api/v1/alerts", json={"url": "https://hooks.acme.com/mail"})
    assert made.status_code == 200, made.text
    assert made.json()["secret"].startswith("whsec_")
    (alert,) = (await mailreach.get("/api/v1/alerts")).json()
    assert alert == {**made.json(), "secret": None}
    (webhook,) = (await project.http.get("/v1/webhooks")).json()["items"]
    assert set(webhook["types"]) == {"AccountConnectionFailed", "AccountDisconnected"}
    refused = await mailreach.post("/api/v1/alerts", json={"url": "http://127.0.0.1/", "event": "Boredom"})
    assert refused.status_code == 422
    assert (await mailreach.delete(f"/api/v1/alerts/{alert['id']}")).json() == {"success": True}
    assert (await mailreach.delete(f"/api/v1/alerts/{alert['id']}")).status_code == 404
    assert (await mailreach.get("/api/v1/alerts")).json() == []
