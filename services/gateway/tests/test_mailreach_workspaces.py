"""MailReach's email workspaces: Option B and Option C of its guide."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from berth_events.contracts import (
    AccountCredentialsReplaced,
    AccountRequested,
    AccountVerificationRequested,
    EmailWorkspaceCreated,
    EmailWorkspaceCredentialsReplaced,
)
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_results import DIAGNOSIS, verified
from berth_testing.gateway_workspaces import SECRET, service_account_key, workspace_result
from berth_testing.waiting import eventually

KEYS = {
    "id", "name", "created_at", "provider", "outlook_tenant_id", "outlook_client_id", "outlook_client_secret_expires_at"
}  # fmt: skip
GOOGLE = {"name": "Acme Google Workspace", "provider": "google", "file_key_json": json.dumps(service_account_key())}
OUTLOOK = {
    "name": "Acme Microsoft 365",
    "provider": "outlook",
    "outlook_client_id": "5c2a7b90-1d3e-4f6a-9b8c-7e6d5c4b3a29",
    "outlook_client_secret": "0d9a8b7c-6e5f-4a3b-8c2d-1e0f9a8b7c6d",
    "outlook_client_secret_value": SECRET,
    "outlook_tenant_id": "b1f0c3d2-6a55-4f0e-8c1b-3d2e1f0a9b87",
    "outlook_client_secret_expires_at": "31/12/2099",
}


@pytest.fixture
async def mailreach(harness: GatewayHarness, project: Project) -> AsyncIterator[httpx.AsyncClient]:
    async with harness.client({"X-Api-Key": f"Bearer {project.key}"}) as client:
        yield client


@pytest.mark.parametrize("prefix", ["/api/v1", "/v1"])
async def test_google_as_text_object_and_file(mailreach: httpx.AsyncClient, prefix: str) -> None:
    for request in (
        {"json": GOOGLE},
        {"json": {**GOOGLE, "file_key_json": service_account_key()}},
        {
            "data": {"name": GOOGLE["name"]},
            "files": {"file_key_json": ("key.json", GOOGLE["file_key_json"], "application/json")},
        },
    ):
        answer = await mailreach.post(f"{prefix}/email_workspaces", **request)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == KEYS
        assert (answer.json()["provider"], answer.json()["outlook_client_id"]) == ("google", None)
        assert "PRIVATE" not in answer.text


async def test_outlook_with_its_day(harness: GatewayHarness, mailreach: httpx.AsyncClient) -> None:
    answer = await mailreach.post("/api/v1/email_workspaces", json=OUTLOOK)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["provider"] == "outlook"
    assert shown["outlook_client_secret_expires_at"] == "2099-12-31T00:00:00.000Z"
    assert shown["outlook_tenant_id"] == OUTLOOK["outlook_tenant_id"]
    assert SECRET not in answer.text
    (event,) = await harness.published()
    assert isinstance(event, EmailWorkspaceCreated)
    assert event.secret_id == OUTLOOK["outlook_client_secret"]
    assert (await mailreach.get("/api/v1/email_workspaces")).json() == [shown]
    assert (await mailreach.get("/api/v1/email_workspaces/1/")).json() == shown


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"outlook_client_secret_value": OUTLOOK["outlook_client_secret"]}, "outlook_client_secret_value"),
        ({"outlook_client_secret_expires_at": "2099-12-31"}, "DD/MM/YYYY"),
        ({"outlook_client_secret_expires_at": "31/12/2001"}, "outlook_client_secret_expires_at"),
        ({"outlook_tenant_id": None}, "outlook_tenant_id is missing"),
        ({"name": None}, "name is missing"),
        ({"provider": "yahoo"}, "provider does not have a valid value"),
        ({"provider": "google", "file_key_json": "{}"}, "file_key_json"),
    ],
)
async def test_what_is_wrong_is_named(
    harness: GatewayHarness, mailreach: httpx.AsyncClient, changes: dict[str, Any], text: str
) -> None:
    answer = await mailreach.post("/api/v1/email_workspaces", json={**OUTLOOK, **changes})
    assert answer.status_code == 422
    assert text in answer.json()["error"]
    assert SECRET not in answer.text
    assert (await mailreach.get("/api/v1/email_workspaces")).json() == []
    assert await harness.credentials() == set()


async def test_changing_and_removing(harness: GatewayHarness, mailreach: httpx.AsyncClient) -> None:
    await mailreach.post("/api/v1/email_workspaces", json=OUTLOOK)
    assert (await mailreach.post("/api/v1/email_workspaces/1", json={})).json()["error"] == "name is missing"
    renamed = await mailreach.post(
        "/api/v1/email_workspaces/1", json={"name": "New", "outlook_client_secret_expires_at": "01/02/2098"}
    )
    assert renamed.json()["name"] == "New"
    assert renamed.json()["outlook_client_secret_expires_at"] == "2098-02-01T00:00:00.000Z"
    await harness.published()
    rotated = await mailreach.post(
        "/api/v1/email_workspaces/1", json={"name": "New", "outlook_client_secret_value": f"{SECRET}2"}
    )
    assert rotated.status_code == 200, rotated.text
    assert [type(event) for event in await harness.published()] == [EmailWorkspaceCredentialsReplaced]
    assert (await mailreach.delete("/api/v1/email_workspaces/1")).json() == {"success": True}
    assert (await mailreach.get("/api/v1/email_workspaces/1")).status_code == 404
    assert await harness.credentials() == set()


async def test_a_few_mailboxes_are_waited_for(
    harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient
) -> None:
    await mailreach.post("/api/v1/email_workspaces", json=GOOGLE)
    async with harness.connector():
        answer = await mailreach.post(
            "/api/v1/email_workspaces/1/accounts",
            json={"accounts": ["alice@acme.com", "bob@acme.com", "carol@acme.com"]},
        )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["completed"], answer.json()["errors"]) == (True, [])
    task = (await mailreach.get(f"/api/v1/tasks/{answer.json()['task_id']}")).json()
    assert (task["progress"], task["email_workspace_id"]) == (100, 1)
    shown = (await mailreach.get("/api/v1/accounts")).json()
    assert [account["email"] for account in shown] == ["alice@acme.com", "bob@acme.com", "carol@acme.com"]
    assert all(account["has_refresh_token"] and account["provider"] == "gmail" for account in shown)
    assert (await harness.seats(project.organization_id))["monitoring"] == 3
    again = await mailreach.post("/api/v1/email_workspaces/1/accounts", json={"accounts": ["alice@acme.com"]})
    assert (again.json()["completed"], again.json()["errors"]) == (True, [])


async def test_mailboxes_that_do_not_work_are_told_and_not_kept(
    harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient
) -> None:
    await mailreach.post("/api/v1/email_workspaces", json=GOOGLE)
    async with harness.connector(works=False):
        answer = await mailreach.post(
            "/api/v1/email_workspaces/1/accounts",
            json={"accounts": ["alice@acme.com", "no address"], "spamchecker_only": True},
        )
    assert answer.json()["completed"] is True
    assert {failure["email"] for failure in answer.json()["errors"]} == {"alice@acme.com", "no address"}
    assert all(failure["error"] for failure in answer.json()["errors"])
    assert (await mailreach.get("/api/v1/accounts")).json() == []
    assert await harness.seats(project.organization_id) == {"monitoring": 0, "spam_check": 0}


async def test_mailboxes_that_wait_for_another_credential_are_not_kept(
    harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient
) -> None:
    await mailreach.post("/api/v1/email_workspaces", json=GOOGLE)
    [created] = await harness.published()
    assert isinstance(created, EmailWorkspaceCreated)
    asking = asyncio.create_task(
        mailreach.post("/api/v1/email_workspaces/1/accounts", json={"accounts": ["alice@acme.com", "no address"]})
    )
    await eventually(lambda: harness.seats(project.organization_id), lambda seats: seats["monitoring"] == 1, within=5)
    await harness.deliver(workspace_result(created, works=False))
    answer = await asyncio.wait_for(asking, 5)
    assert answer.json()["completed"] is True
    errors = {failure["email"]: failure["error"] for failure in answer.json()["errors"]}
    assert errors.keys() == {"alice@acme.com", "no address"}
    assert DIAGNOSIS.meaning in errors["alice@acme.com"]
    assert (await mailreach.get("/api/v1/accounts")).json() == []
    assert await harness.seats(project.organization_id) == {"monitoring": 0, "spam_check": 0}
    answer = await mailreach.post(
        "/api/v1/email_workspaces/1/accounts", json={"accounts": [f"user{n}@acme.com" for n in range(5)]}
    )
    assert answer.json()["completed"] is False
    task = (await mailreach.get(f"/api/v1/tasks/{answer.json()['task_id']}")).json()
    assert (task["progress"], len(task["logs"])) == (0, 1)
    assert DIAGNOSIS.meaning in task["logs"][0]


async def test_more_than_four_go_on_in_the_background(harness: GatewayHarness, mailreach: httpx.AsyncClient) -> None:
    await mailreach.post("/api/v1/email_workspaces", json=GOOGLE)
    async with asyncio.timeout(5):
        answer = await mailreach.post(
            "/api/v1/email_workspaces/1/accounts", json={"accounts": [f"user{n}@acme.com" for n in range(5)]}
        )
    assert answer.json()["completed"] is False
    place = f"/api/v1/tasks/{answer.json()['task_id']}"
    assert (await mailreach.get(place)).json()["progress"] == 0
    requests = [event for event in await harness.published() if isinstance(event, AccountRequested)]
    await harness.deliver(*(verified(event, works=True) for event in requests[:2]))
    assert (await mailreach.get(place)).json()["progress"] == 40
    await harness.deliver(*(verified(event, works=True) for event in requests[2:]))
    assert (await mailreach.get(place)).json()["progress"] == 100


@pytest.mark.parametrize("works", [True, False])
async def test_an_account_is_relinked_once_that_is_proven(
    harness: GatewayHarness, project: Project, mailreach: httpx.AsyncClient, works: bool
) -> None:
    await mailreach.post("/api/v1/email_workspaces", json=GOOGLE)
    await project.http.post("/v1/accounts", json=account_body("alice@acme.com"))
    events = await harness.published()
    requested = next(event for event in events if isinstance(event, AccountRequested))
    created = next(event for event in events if isinstance(event, EmailWorkspaceCreated))
    await harness.deliver(verified(requested, works=True))
    before = await harness.credentials()
    body = {"accounts": ["alice@acme.com"], "imap_only": True, "account_id": 1}
    async with harness.connector(works=works) as asked:
        answer = await mailreach.post("/api/v1/email_workspaces/1/accounts", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["completed"] is True
    assert bool(answer.json()["errors"]) is not works
    probe = asked[0]
    assert isinstance(probe, AccountVerificationRequested)
    assert (probe.reason, probe.workspace_id) == ("dry_run", created.workspace_id)
    assert probe.credential_ref == created.credential_ref
    await harness.published()
    replaced = [event for event in harness.history if isinstance(event, AccountCredentialsReplaced)]
    assert bool(replaced) is works
    shown = (await mailreach.get("/api/v1/accounts/1")).json()
    assert shown["has_refresh_token"] is works
    own = (requested.account_id, requested.credential_ref.credential_id)
    assert await harness.credentials() == (before - {own} if works else before)


@pytest.mark.parametrize(
    "changes", [{"account_id": None}, {"accounts": ["a@acme.com", "b@acme.com"]}, {"accounts": ["bob@acme.com"]}]
)
async def test_relinking_needs_one_address_and_its_account(
    project: Project, mailreach: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    await mailreach.post("/api/v1/email_workspaces", json=GOOGLE)
    await project.http.post("/v1/accounts", json=account_body("alice@acme.com"))
    body = {"accounts": ["alice@acme.com"], "imap_only": True, "account_id": 1, **changes}
    assert (await mailreach.post("/api/v1/email_workspaces/1/accounts", json=body)).status_code == 422


async def test_a_workspace_that_is_not_there(mailreach: httpx.AsyncClient) -> None:
    for path in ("/api/v1/email_workspaces/7", "/api/v1/email_workspaces/x", "/v1/email_workspaces/7"):
        assert (await mailreach.get(path)).status_code == 404
        accounts = await mailreach.post(f"{path}/accounts", json={"accounts": ["a@acme.com"]})
        assert accounts.status_code == 404
