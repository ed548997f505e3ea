"""ETag, If-None-Match, If-Match."""

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from berth_gateway.api.conditional import etag_of
from berth_testing.gateway_harness import OPERATOR_KEY, GatewayHarness, Project, account_body
from berth_testing.neighbours import application, neighbour
from berth_testing.waiting import eventually

OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}


class Anything(BaseModel):
    shown: Any


@pytest.fixture
def path(project: Project) -> str:
    """A resource: the project itself."""
    return f"/v1/projects/{project.project_id}"


async def get(harness: GatewayHarness, path: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await harness.http.get(path, headers={**OPERATOR, **named})


async def rename(harness: GatewayHarness, path: str, name: str, **headers: str) -> httpx.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return await harness.http.patch(path, json={"name": name}, headers={**OPERATOR, **named})


async def test_what_is_known_is_not_sent_again(harness: GatewayHarness, path: str) -> None:
    first = await get(harness, path)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert first.headers["cache-control"] == "private, no-cache"
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await get(harness, path, if_none_match=known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert "x-ratelimit-remaining" in again.headers
    for unknown in ('"other"', tag.strip('"'), ""):
        assert (await get(harness, path, if_none_match=unknown)).json() == first.json()


async def test_a_change_is_seen(harness: GatewayHarness, path: str) -> None:
    tag = (await get(harness, path)).headers["etag"]
    changed = await rename(harness, path, "Other")
    assert changed.headers["etag"] != tag
    seen = await get(harness, path, if_none_match=tag)
    assert (seen.status_code, seen.headers["etag"]) == (200, changed.headers["etag"])


async def test_what_somebody_else_changed_is_not_overwritten(harness: GatewayHarness, path: str) -> None:
    tag = (await get(harness, path)).headers["etag"]
    assert (await rename(harness, path, "First", if_match=tag)).status_code == 200
    for condition in (tag, f"W/{tag}", '"other"', "nonsense", ""):
        refused = await rename(harness, path, "Second", if_match=condition)
        assert (refused.status_code, refused.json()["type"]) == (412, "urn:berth:problem:precondition-failed")
    assert (await get(harness, path)).json()["name"] == "First"
    now = (await get(harness, path)).headers["etag"]
    assert (await rename(harness, path, "Third", if_match=f'"other", {now}')).status_code == 200
    assert (await rename(harness, path, "Fourth", if_match="*")).status_code == 200


async def test_of_two_at_once_one_wins(harness: GatewayHarness, path: str) -> None:
    tag = (await get(harness, path)).headers["etag"]
    answers = await asyncio.gather(*(rename(harness, path, f"Name {number}", if_match=tag) for number in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]


async def test_a_removal_has_conditions_too(harness: GatewayHarness, path: str) -> None:
    refused = await harness.http.delete(path, headers={**OPERATOR, "If-Match": '"other"'})
    assert refused.status_code == 412
    tag = (await get(harness, path)).headers["etag"]
    assert (await harness.http.delete(path, headers={**OPERATOR, "If-Match": tag})).status_code == 204
    assert (await harness.http.delete(path, headers={**OPERATOR, "If-Match": "*"})).status_code == 404


async def test_a_rotation_and_a_revocation_have_conditions(harness: GatewayHarness, path: str) -> None:
    key = (await harness.http.get(f"{path}/keys", headers=OPERATOR)).json()["items"][0]
    place = f"/v1/keys/{key['id']}"
    stale = {**OPERATOR, "If-Match": '"other"'}
    assert (await harness.http.post(f"{place}/rotate", headers=stale)).status_code == 412
    assert (await harness.http.delete(place, headers=stale)).status_code == 412
    assert (await harness.http.delete(f"{path}/keys/{key['id']}", headers=stale)).status_code == 412
    fresh = {**OPERATOR, "If-Match": (await get(harness, place)).headers["etag"]}
    assert (await harness.http.post(f"{place}/rotate", headers=fresh)).status_code == 200
    assert (await harness.http.delete(place, headers=fresh)).status_code == 412


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_a_tag_can_be_sent_and_is_the_same_for_the_same(shown: object) -> None:
    tag = etag_of(Anything(shown=shown))
    assert tag == etag_of(Anything(shown=shown))
    assert tag.isascii()
    assert len(tag) == 34
    assert tag != etag_of(Anything(shown=[shown]))


async def test_accounts_have_conditions(project: Project) -> None:
    made = await project.http.post("/v1/accounts", json=account_body())
    place = made.headers["location"]
    first = await project.http.get(place)
    tag = first.headers["etag"]
    assert tag == made.headers["etag"]
    assert (await project.http.get(place, headers={"If-None-Match": tag})).status_code == 304
    report = await project.http.get(f"{place}/verification")
    known = {"If-None-Match": report.headers["etag"]}
    assert (await project.http.get(f"{place}/verification", headers=known)).status_code == 304
    changed = await project.http.patch(place, json={"first_name": "Grace"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json()["first_name"]) == (200, "Grace")
    assert (await project.http.get(place)).headers["etag"] == changed.headers["etag"] != tag
    stale = await project.http.patch(place, json={"first_name": "Ada"}, headers={"If-Match": tag})
    assert stale.status_code == 412
    assert (await project.http.get(place)).json()["first_name"] == "Grace"
    assert (await project.http.delete(place, headers={"If-Match": tag})).status_code == 412
    assert (await project.http.delete(place, headers={"If-Match": changed.headers["etag"]})).status_code == 204
    assert (await project.http.delete(place, headers={"If-Match": "*"})).status_code == 404


async def test_a_result_changes_what_was_seen(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector():
        made = await project.http.post("/v1/accounts", json=account_body())
        place = made.headers["location"]
        await eventually(
            lambda: project.http.get(place), lambda shown: shown.json()["status"] == "connected", within=10
        )
    assert (await project.http.delete(place, headers={"If-Match": made.headers["etag"]})).status_code == 412


async def test_an_account_cannot_join_a_project_that_goes(harness: GatewayHarness, project: Project) -> None:
    """A request that was let in before the project was removed finds it gone."""
    async with harness.owner.acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE project SET removed_at = now() WHERE project_id = $1", project.project_id
        )  # not committed yet
        request = asyncio.create_task(project.http.post("/v1/accounts", json=account_body()))
        await asyncio.sleep(0.3)
        assert not request.done()
    answer = await request
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:berth:problem:not-found")
    assert await harness.published() == []
    assert (await harness.seats(project.organization_id))["monitoring"] == 0


async def test_every_single_resource_has_a_tag(harness: GatewayHarness) -> None:
    app = application(harness)
    async with neighbour(harness, app, "tagged", 7) as tenant:
        ids = tenant.ids
        paths = [
            f"/v1/organizations/{ids['organization']}",
            f"/v1/projects/{ids['project']}",
            f"/v1/keys/{ids['key']}",
            f"/v1/accounts/{ids['account']}",
            f"/v1/accounts/{ids['account']}/verification",
            f"/v1/probes/{ids['probe']}",
            f"/v1/domains/{ids['domain']}",
            f"/v1/email-workspaces/{ids['workspace']}",
            f"/v1/imports/{ids['import']}",
            f"/v1/webhooks/{ids['webhook']}",
        ]
        for path in paths:
            tag = (await tenant.platform.get(path)).headers["etag"]
            assert (await tenant.platform.get(path, headers={"If-None-Match": tag})).status_code == 304, path
        stale = {"If-Match": '"other"'}
        for kind in ("account", "workspace", "webhook"):
            path = f"/v1/{'email-' if kind == 'workspace' else ''}{kind}s/{ids[kind]}"
            change = {"description": "new"} if kind == "webhook" else {"name": "new"} if kind == "workspace" else {}
            tag = (await tenant.platform.get(path)).headers["etag"]
            assert (await tenant.platform.patch(path, json=change, headers=stale)).status_code == 412, path
            assert (await tenant.platform.delete(path, headers=stale)).status_code == 412, path
            changed = await tenant.platform.patch(path, json=change, headers={"If-Match": tag})
            assert changed.status_code == 200, path
            assert changed.headers["etag"] == (await tenant.platform.get(path)).headers["etag"], path
            gone = await tenant.platform.delete(path, headers={"If-Match": changed.headers["etag"]})
            assert gone.status_code in (202, 204), path
