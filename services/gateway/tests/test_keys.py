"""Organizations, projects and API keys: who may do what."""

from uuid import uuid4

import pytest

from berth_testing.gateway_harness import OPERATOR_KEY, GatewayHarness, Project, account_body

OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}


@pytest.mark.parametrize(
    "form", ["Authorization: Bearer {}", "X-Api-Key: {}", "X-Api-Key: Bearer {}", "x-api-key: bearer {}"]
)
async def test_every_form_of_the_key(harness: GatewayHarness, project: Project, form: str) -> None:
    name, _, value = form.format(project.key).partition(": ")
    assert (await harness.http.get("/v1/accounts", headers={name: value})).status_code == 200


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({}, "missing-api-key"),
        ({"Authorization": "Basic YTpi"}, "missing-api-key"),
        ({"Authorization": "Bearer "}, "missing-api-key"),
        ({"X-Api-Key": "Bearer"}, "missing-api-key"),
        ({"X-Api-Key": "nonsense"}, "invalid-api-key"),
        ({"X-Api-Key": "berth_aaaaaaaa_" + "x" * 43}, "invalid-api-key"),
        ({"Authorization": "Bearer berth__"}, "invalid-api-key"),
    ],
)
async def test_without_a_good_key(harness: GatewayHarness, headers: dict[str, str], problem: str) -> None:
    answer = await harness.http.get("/v1/accounts", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["type"] == f"urn:berth:problem:{problem}"


async def test_a_key_is_stored_as_a_hash_and_shown_once(harness: GatewayHarness, project: Project) -> None:
    rows = await harness.owner.fetch("SELECT k::text AS text, length(secret_hash) AS size FROM api_key k")
    secret = project.key.split("_", 2)[2]
    assert len(secret) >= 43
    assert all(secret not in row["text"] and row["size"] == 32 for row in rows)


async def test_scopes(harness: GatewayHarness) -> None:
    reader = await harness.project(await harness.organization(), scopes=["accounts:read"])
    async with reader.http:
        assert (await reader.http.get("/v1/accounts")).status_code == 200
        for answer in (
            await reader.http.post("/v1/accounts", json=account_body()),
            await reader.http.delete(f"/v1/accounts/{uuid4()}"),
            await reader.http.get("/v1/events"),
        ):
            assert answer.status_code == 403
            assert answer.json()["type"] == "urn:berth:problem:missing-scope"


async def test_the_operator_key_makes_tenants_and_nothing_else(harness: GatewayHarness, project: Project) -> None:
    answer = await harness.http.get("/v1/accounts", headers=OPERATOR)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:berth:problem:missing-scope")
    answer = await project.http.post("/v1/organizations", json={"name": "Evil"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:berth:problem:missing-scope")
    answer = await harness.http.post("/v1/organizations", json={"name": "x"}, headers={"X-Api-Key": "wrong"})
    assert answer.status_code == 401


async def test_unknown_organizations_and_projects(harness: GatewayHarness) -> None:
    for path, body in (
        (f"/v1/organizations/{uuid4()}/projects", {"name": "x"}),
        ("/v1/organizations/nonsense/projects", {"name": "x"}),
        (f"/v1/projects/{uuid4()}/keys", {"name": "x", "scopes": ["accounts:read"]}),
    ):
        assert (await harness.http.post(path, json=body, headers=OPERATOR)).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["all"]}, "scopes.0"),
    ],
)
async def test_bad_keys(harness: GatewayHarness, project: Project, body: dict[str, object], field: str) -> None:
    path = f"/v1/projects/{project.project_id}/keys"
    answer = await harness.http.post(path, json={"scopes": ["accounts:read"], **body}, headers=OPERATOR)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_revoked_key_is_refused_at_once(harness: GatewayHarness, project: Project) -> None:
    path = f"/v1/projects/{project.project_id}/keys"
    made = await harness.platform(path, {"name": "second", "scopes": ["accounts:read"]})
    headers = {"X-Api-Key": made["key"]}
    assert (await harness.http.get("/v1/accounts", headers=headers)).status_code == 200
    assert (await harness.http.delete(f"{path}/{made['id']}", headers=OPERATOR)).status_code == 204
    assert (await harness.http.get("/v1/accounts", headers=headers)).status_code == 401
    assert (await harness.http.delete(f"{path}/{made['id']}", headers=OPERATOR)).status_code == 404
    assert (await project.http.get("/v1/accounts")).status_code == 200


async def test_the_last_use_is_noted(harness: GatewayHarness, project: Project) -> None:
    assert await harness.owner.fetchval("SELECT last_used_at FROM api_key") is None
    await project.http.get("/v1/accounts")
    assert await harness.owner.fetchval("SELECT last_used_at IS NOT NULL FROM api_key")
