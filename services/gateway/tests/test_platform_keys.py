"""Platform keys: all projects of one organization, by header; what they manage, and that nobody gives what they lack."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from berth_testing.gateway_harness import OPERATOR_KEY, GatewayHarness, Project, account_body

ALL = ["accounts:read", "accounts:write", "events:read", "projects:read", "projects:write"]


@pytest.fixture
async def platform(harness: GatewayHarness, project: Project) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a platform key of the project's organization."""
    async with harness.client({"X-Api-Key": await key_of(harness, project.organization_id, ALL)}) as http:
        yield http


async def key_of(harness: GatewayHarness, organization_id: UUID, scopes: list[str]) -> str:
    path = f"/v1/organizations/{organization_id}/keys"
    made = await harness.platform(path, {"name": "platform", "scopes": scopes})
    assert (made["kind"], made["project_id"]) == ("platform", None)
    return str(made["key"])


@pytest.mark.parametrize("header", ["X-Project-Id", "x-workspace-id"])
async def test_the_header_chooses_the_project(
    harness: GatewayHarness, project: Project, platform: httpx.AsyncClient, header: str
) -> None:
    other = await harness.project(project.organization_id)
    async with other.http:
        mine = {header: str(project.project_id)}
        made = await platform.post("/v1/accounts", json=account_body(), headers=mine)
        assert made.status_code == 202
        assert [each["id"] for each in (await project.http.get("/v1/accounts")).json()["items"]] == [made.json()["id"]]
        assert (await other.http.get("/v1/accounts")).json()["items"] == []
        path = f"/v1/accounts/{made.json()['id']}"
        assert (await platform.get(path, headers=mine)).status_code == 200
        assert (await platform.get(path, headers={header: str(other.project_id)})).status_code == 404


async def test_without_the_header_the_project_is_asked_for(platform: httpx.AsyncClient) -> None:
    answer = await platform.get("/v1/accounts")
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:berth:problem:project-required")


@pytest.mark.parametrize("named", ["foreign", "unknown", "nonsense", "removed"])
async def test_projects_that_the_key_does_not_have(
    harness: GatewayHarness, platform: httpx.AsyncClient, project: Project, named: str
) -> None:
    stranger = await harness.project(await harness.organization())
    gone = await harness.project(project.organization_id)
    async with stranger.http, gone.http:
        assert (await platform.delete(f"/v1/projects/{gone.project_id}")).status_code == 204
        asked = {
            "foreign": str(stranger.project_id),
            "unknown": str(uuid4()),
            "nonsense": "all",
            "removed": str(gone.project_id),
        }[named]
        answer = await platform.get("/v1/accounts", headers={"X-Project-Id": asked})
        same = await platform.get("/v1/accounts", headers={"X-Project-Id": str(uuid4())})
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:berth:problem:not-found")
    assert {**answer.json(), "request_id": ""} == {**same.json(), "request_id": ""}


@pytest.mark.parametrize(
    ("named", "status"),
    [
        (lambda own, _: own.project_id, 200),
        (lambda _, other: other.project_id, 404),
        (lambda *_: uuid4(), 404),
        (lambda *_: "x", 404),
    ],
)
async def test_a_projects_key_may_name_its_own_project(
    harness: GatewayHarness, project: Project, named: Callable[[Project, Project], object], status: int
) -> None:
    sibling = await harness.project(project.organization_id)
    async with sibling.http:
        headers = {"X-Project-Id": str(named(project, sibling))}
        assert (await project.http.get("/v1/accounts", headers=headers)).status_code == status


async def test_it_manages_projects_and_their_keys(
    harness: GatewayHarness, platform: httpx.AsyncClient, project: Project
) -> None:
    organization = f"/v1/organizations/{project.organization_id}"
    made = await platform.post(f"{organization}/projects", json={"name": "Second"})
    assert made.status_code == 201
    path = f"/v1/projects/{made.json()['id']}"
    listed = (await platform.get(f"{organization}/projects")).json()
    assert [each["id"] for each in listed["items"]] == [str(project.project_id), made.json()["id"]]
    renamed = await platform.patch(path, json={"name": "Renamed"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Renamed")
    assert (await platform.get(path)).json() == renamed.json()
    key = await platform.post(f"{path}/keys", json={"name": "k", "scopes": ["accounts:read"]})
    assert (key.status_code, key.json()["kind"], key.json()["project_id"]) == (201, "project", made.json()["id"])
    async with harness.client({"X-Api-Key": key.json()["key"]}) as http:
        assert (await http.get("/v1/accounts")).status_code == 200
        assert (await platform.delete(path)).status_code == 204
        assert (await http.get("/v1/accounts")).status_code == 401
    assert (await platform.get(path)).status_code == 404
    assert (await platform.get(f"{path}/keys")).status_code == 404
    assert (await platform.delete(path)).status_code == 404


async def test_it_sees_one_organization(harness: GatewayHarness, platform: httpx.AsyncClient, project: Project) -> None:
    stranger = await harness.organization()
    listed = (await platform.get("/v1/organizations")).json()["items"]
    assert [each["id"] for each in listed] == [str(project.organization_id)]
    assert (await platform.get(f"/v1/organizations/{project.organization_id}")).json() == listed[0]
    assert (await platform.get(f"/v1/organizations/{stranger}")).status_code == 404
    assert (await platform.patch(f"/v1/organizations/{stranger}", json={"name": "x"})).status_code == 404
    assert (await platform.post(f"/v1/organizations/{stranger}/projects", json={"name": "x"})).status_code == 404
    for path in (f"/v1/organizations/{stranger}/keys", f"/v1/organizations/{stranger}/projects"):
        assert (await platform.get(path)).status_code == 404
    renamed = await platform.patch(f"/v1/organizations/{project.organization_id}", json={"name": "Globex"})
    assert renamed.json() == {**listed[0], "name": "Globex"}
    made = await platform.post("/v1/organizations", json={"name": "Evil"})
    assert (made.status_code, made.json()["type"]) == (403, "urn:berth:problem:missing-scope")


async def test_the_operator_sees_all_in_pages(harness: GatewayHarness) -> None:
    made = [str(await harness.organization(subscribed=False)) for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await operator(harness, "GET", "/v1/organizations", params={"limit": "2", **cursor})).json()
        assert len(page["items"]) <= 2
        seen += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == made


@pytest.mark.parametrize("cursor", ["", "x", "bzE", "YTE", "b3guMDA", "bzk5OTk5OTk5OTk5OTk5OTk5OTkuMDA"])
async def test_cursors_that_are_none_of_ours(harness: GatewayHarness, cursor: str) -> None:
    answer = await operator(harness, "GET", "/v1/organizations", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:berth:problem:invalid-cursor")


async def test_a_project_with_accounts_stays(platform: httpx.AsyncClient, project: Project) -> None:
    account = await project.http.post("/v1/accounts", json=account_body())
    refused = await platform.delete(f"/v1/projects/{project.project_id}")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:berth:problem:project-in-use")
    assert refused.json()["accounts"] == 1
    assert (await project.http.delete(f"/v1/accounts/{account.json()['id']}")).status_code == 204
    assert (await platform.delete(f"/v1/projects/{project.project_id}")).status_code == 204


async def test_scopes_of_platform_keys(harness: GatewayHarness, project: Project) -> None:
    reader = {"X-Api-Key": await key_of(harness, project.organization_id, ["projects:read"])}
    path = f"/v1/projects/{project.project_id}"
    assert (await harness.http.get(path, headers=reader)).status_code == 200
    for answer in (
        await harness.http.patch(path, json={"name": "x"}, headers=reader),
        await harness.http.delete(path, headers=reader),
        await harness.http.post(f"{path}/keys", json={"name": "x", "scopes": ["events:read"]}, headers=reader),
        await harness.http.get("/v1/accounts", headers={**reader, "X-Project-Id": str(project.project_id)}),
    ):
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:berth:problem:missing-scope")


async def test_a_projects_key_manages_nothing(project: Project) -> None:
    for path in ("/v1/organizations", f"/v1/projects/{project.project_id}", f"/v1/projects/{project.project_id}/keys"):
        answer = await project.http.get(path)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:berth:problem:missing-scope")


async def test_nobody_gives_what_they_lack(harness: GatewayHarness, project: Project) -> None:
    scopes = ["projects:read", "projects:write", "accounts:read"]
    headers = {"X-Api-Key": await key_of(harness, project.organization_id, scopes)}
    strong = await operator(
        harness, "POST", f"/v1/projects/{project.project_id}/keys", {"name": "s", "scopes": ALL[:3]}
    )
    key = f"/v1/keys/{strong.json()['id']}"
    more: dict[str, Any] = {"name": "more", "scopes": ["accounts:read", "accounts:write"]}
    for answer in (
        await harness.http.post(f"/v1/projects/{project.project_id}/keys", json=more, headers=headers),
        await harness.http.post(f"/v1/organizations/{project.organization_id}/keys", json=more, headers=headers),
        await harness.http.patch(key, json={"scopes": more["scopes"]}, headers=headers),
        await harness.http.post(f"{key}/rotate", headers=headers),
    ):
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:berth:problem:missing-scope")
        assert answer.json()["scope"] == "accounts:write"
    allowed = await harness.http.patch(key, json={"name": "renamed"}, headers=headers)
    assert (allowed.status_code, allowed.json()["name"]) == (200, "renamed")
    faster = {"name": "fast", "scopes": ["accounts:read"], "rate_limit": "200/second"}
    refused = await harness.http.post(f"/v1/projects/{project.project_id}/keys", json=faster, headers=headers)
    assert [error["field"] for error in refused.json()["errors"]] == ["rate_limit"]
    slower = {**faster, "rate_limit": "100/second"}
    made = await harness.http.post(f"/v1/projects/{project.project_id}/keys", json=slower, headers=headers)
    assert (made.status_code, made.json()["rate_limit"]) == (201, "100/second")


async def test_projects_keys_have_no_scope_beyond_their_project(harness: GatewayHarness, project: Project) -> None:
    body = {"name": "x", "scopes": ["accounts:read", "projects:write"]}
    path = f"/v1/projects/{project.project_id}/keys"
    made = await operator(harness, "POST", path, {"name": "x", "scopes": ["accounts:read"]})
    for answer in (
        await operator(harness, "POST", path, body),
        await operator(harness, "PATCH", f"/v1/keys/{made.json()['id']}", {"scopes": body["scopes"]}),
    ):
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == ["scopes.1"]


async def test_keys_of_others_are_not_found(harness: GatewayHarness, platform: httpx.AsyncClient) -> None:
    stranger = await harness.project(await harness.organization())
    async with stranger.http:
        listed = (await operator(harness, "GET", f"/v1/projects/{stranger.project_id}/keys")).json()["items"]
        path = f"/v1/keys/{listed[0]['id']}"
        for answer in (
            await platform.get(path),
            await platform.patch(path, json={"name": "x"}),
            await platform.post(f"{path}/rotate"),
            await platform.delete(path),
        ):
            assert (answer.status_code, answer.json()["type"]) == (404, "urn:berth:problem:not-found")
        assert (await stranger.http.get("/v1/accounts")).status_code == 200


async def operator(harness: GatewayHarness, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {OPERATOR_KEY}"}
    return await harness.http.request(method, path, json=body, headers=headers, **options)
