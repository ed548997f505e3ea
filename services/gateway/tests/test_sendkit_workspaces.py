"""SendKit's workspaces are projects, its account is the organization, and a platform key acts in any of its workspaces."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from berth_gateway.dialects.sendkit.examples import EXAMPLES
from berth_gateway.tenants.scopes import SCOPES
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.sendkit import create_mailbox, failure, mailbox_body

WORKSPACE = EXAMPLES["sendkitGetWorkspace"]["200"]["data"]
ACCOUNT = EXAMPLES["sendkitAccount"]["200"]["data"]
NOT_FOUND = failure("NOT_FOUND", "Workspace not found")


@dataclass(frozen=True)
class Platform:
    """The project's organization, by its platform key."""

    key: str
    http: httpx.AsyncClient


@pytest.fixture
async def platform(harness: GatewayHarness, project: Project) -> AsyncIterator[Platform]:
    terms = {"name": "platform", "scopes": list(SCOPES)}
    made = await harness.platform(f"/v1/organizations/{project.organization_id}/keys", terms)
    async with harness.client({"X-Api-Key": made["key"]}) as http:
        yield Platform(made["key"], http)


def own(project: Project) -> str:
    return project.project_id.hex[:24]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_life_of_a_workspace(project: Project, platform: Platform, slash: str) -> None:
    made = await platform.http.post(f"/v1/workspaces{slash}", json={"name": "Clients", "surprise": 1})
    assert made.status_code == 201, made.text
    assert made.json().keys() == {"success", "data"}
    workspace = made.json()["data"]
    assert workspace.keys() == WORKSPACE.keys()
    assert (workspace["name"], workspace["memberCount"], workspace["usage"]) == ("Clients", 1, {"totalMailboxes": 0})
    assert workspace["ownerId"] == project.organization_id.hex[:24]
    assert len(workspace["id"]) == 24
    place = f"/v1/workspaces/{workspace['id']}{slash}"
    assert (await platform.http.get(place)).json() == {"success": True, "data": workspace}
    renamed = await platform.http.patch(place, json={"name": "Customers"})
    assert (renamed.status_code, renamed.json()["data"]) == (200, {**workspace, "name": "Customers"})
    listed = (await platform.http.get(f"/v1/workspaces{slash}")).json()
    assert [each["name"] for each in listed["data"]] == ["Main", "Customers"]
    assert listed["pagination"] == {"page": 1, "limit": 1000, "total": 2, "pages": 1, "nextCursor": None}
    deleted = await platform.http.delete(place)
    assert (deleted.status_code, deleted.json()) == (200, {"success": True, "data": {"message": "Workspace removed"}})
    for call in ("GET", "DELETE", "PATCH"):
        gone = await platform.http.request(call, place, json={"name": "x"})
        assert (gone.status_code, gone.json()) == (404, NOT_FOUND)
    assert len((await platform.http.get("/v1/workspaces")).json()["data"]) == 1


async def test_pages_of_workspaces(platform: Platform) -> None:
    for number in range(3):
        await platform.http.post("/v1/workspaces", json={"name": f"W{number}"})
    page = (await platform.http.get("/v1/workspaces?limit=2&page=2")).json()
    assert [each["name"] for each in page["data"]] == ["W1", "W2"]
    assert page["pagination"] == {"page": 2, "limit": 2, "total": 4, "pages": 2, "nextCursor": None}
    assert (await platform.http.get("/v1/workspaces?page=x")).status_code == 400


async def test_a_workspace_key_has_its_own_workspace(
    harness: GatewayHarness, project: Project, platform: Platform
) -> None:
    other = (await platform.http.post("/v1/workspaces", json={"name": "Other"})).json()["data"]
    await create_mailbox(project)
    listed = (await project.http.get("/v1/workspaces")).json()["data"]
    assert [(each["id"], each["usage"]["totalMailboxes"]) for each in listed] == [(own(project), 1)]
    assert (await project.http.get(f"/v1/workspaces/{own(project)}")).json()["data"] == listed[0]
    renamed = await project.http.patch(f"/v1/workspaces/{own(project)}", json={"name": "Mine"})
    assert renamed.json()["data"]["name"] == "Mine"
    for call in ("GET", "PATCH"):
        answer = await project.http.request(call, f"/v1/workspaces/{other['id']}", json={"name": "x"})
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    for call, place in (("POST", "/v1/workspaces"), ("DELETE", f"/v1/workspaces/{own(project)}")):
        answer = await project.http.request(call, place, json={"name": "x"})
        assert (answer.status_code, answer.json()) == (403, failure("FORBIDDEN", "This needs a platform key."))
    stranger = await harness.project(await harness.organization())
    async with stranger.http:
        assert (await stranger.http.get(f"/v1/workspaces/{own(project)}")).status_code == 404


async def test_a_workspace_with_mailboxes_is_not_deleted(project: Project, platform: Platform) -> None:
    mailbox = await create_mailbox(project)
    place = f"/v1/workspaces/{own(project)}"
    refused = await platform.http.delete(place)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "CONFLICT")
    await project.http.delete(f"/v1/mailboxes/{mailbox['_id']}")
    assert (await platform.http.delete(place)).status_code == 200
    assert (await project.http.get("/v1/mailboxes")).status_code == 401, "its keys are revoked"


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": None}, {"name": "x" * 201}, {"name": ["x"]}, [], {"name": "\0"}]
)
async def test_names_that_are_none(project: Project, platform: Platform, body: object) -> None:
    for call, place in (("POST", "/v1/workspaces"), ("PATCH", f"/v1/workspaces/{own(project)}")):
        answer = await platform.http.request(call, place, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


async def test_a_platform_key_names_the_workspace(
    harness: GatewayHarness, project: Project, platform: Platform
) -> None:
    for workspace in (own(project), own(project).upper(), str(project.project_id)):
        answer = await platform.http.get("/v1/mailboxes", headers={"X-Workspace-Id": workspace})
        assert answer.status_code == 200
    headers = {"X-Workspace-Id": own(project)}
    assert (await platform.http.post("/v1/mailboxes", json=mailbox_body(), headers=headers)).status_code == 201
    assert len((await project.http.get("/v1/mailboxes")).json()["data"]) == 1
    without = await platform.http.get("/v1/mailboxes")
    message = "A platform key needs the header X-Workspace-Id."
    assert (without.status_code, without.json()) == (400, failure("VALIDATION_ERROR", message))
    stranger = await harness.project(await harness.organization())
    for workspace in (own(stranger), str(stranger.project_id), "0" * 24, "none", "%00"):
        answer = await platform.http.get("/v1/mailboxes", headers={"X-Workspace-Id": workspace})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_a_workspace_key_with_the_header(harness: GatewayHarness, project: Project) -> None:
    assert (await project.http.get("/v1/mailboxes", headers={"X-Workspace-Id": own(project)})).status_code == 200
    other = await harness.project(project.organization_id)
    answer = await project.http.get("/v1/mailboxes", headers={"X-Workspace-Id": own(other)})
    assert answer.status_code == 404


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_account(project: Project, platform: Platform, slash: str) -> None:
    await create_mailbox(project)
    account = (await project.http.get(f"/v1/account{slash}")).json()
    assert account["data"].keys() == ACCOUNT.keys()
    assert account["data"]["usage"] == {"currentUsage": 1, "maxMailboxes": 10}
    assert (account["data"]["name"], account["data"]["subscribed"], account["data"]["workspaceCount"]) == (
        "Acme",
        True,
        1,
    )
    assert account["data"]["workspaceId"] == own(project)
    of_platform = (await platform.http.get(f"/v1/account{slash}")).json()
    assert of_platform["data"] == {**account["data"], "workspaceId": None}


async def test_the_account_without_a_subscription(harness: GatewayHarness) -> None:
    project = await harness.project(await harness.organization(subscribed=False))
    async with project.http:
        account = (await project.http.get("/v1/account")).json()["data"]
    assert (account["subscribed"], account["usage"]) == (False, {"currentUsage": 0, "maxMailboxes": 0})


@pytest.mark.parametrize("place", ["/v1/workspaces", "/v1/account", "/v1/warmup/stats", "/v1/workspaces/x"])
async def test_each_part_has_the_envelope(harness: GatewayHarness, place: str) -> None:
    answer = await harness.http.get(place)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")


async def test_a_key_without_the_scope(harness: GatewayHarness, project: Project) -> None:
    terms = {"name": "narrow", "scopes": ["events:read"]}
    made = await harness.platform(f"/v1/projects/{project.project_id}/keys", terms)
    answer = await harness.http.get("/v1/account", headers={"X-Api-Key": made["key"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
