"""Idempotency-Key: done once, answered the same."""

import asyncio
from datetime import timedelta

import pytest

from berth_testing.gateway_harness import OPERATOR_KEY, GatewayHarness, Project, account_body


async def test_a_repeated_request_is_answered_the_same(harness: GatewayHarness, project: Project) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = await project.http.post("/v1/accounts", json=account_body(), headers=key)
    again = await project.http.post("/v1/accounts", json=account_body(), headers=key)
    assert first.status_code == again.status_code == 202
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(await harness.published()) == 1
    assert (await harness.seats(project.organization_id))["monitoring"] == 1


async def test_the_order_of_fields_does_not_matter(project: Project) -> None:
    body = account_body()
    key = {"Idempotency-Key": "k-2"}
    first = await project.http.post("/v1/accounts", json=body, headers=key)
    again = await project.http.post("/v1/accounts", json=dict(reversed(body.items())), headers=key)
    assert again.json()["id"] == first.json()["id"]


async def test_another_request_with_the_key_is_refused(project: Project) -> None:
    key = {"Idempotency-Key": "k-3"}
    await project.http.post("/v1/accounts", json=account_body(), headers=key)
    other = await project.http.post("/v1/accounts", json=account_body(password="another"), headers=key)
    assert other.status_code == 422
    assert other.json()["type"] == "urn:berth:problem:idempotency-key-reused"


async def test_simultaneous_requests_are_done_once(harness: GatewayHarness, project: Project) -> None:
    answers = await asyncio.gather(
        *(project.http.post("/v1/accounts", json=account_body(), headers={"Idempotency-Key": "k-4"}) for _ in range(6))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await harness.published()) == 1


async def test_a_refused_request_may_be_sent_again(harness: GatewayHarness) -> None:
    organization_id = await harness.organization(subscribed=False)
    project = await harness.project(organization_id)
    async with project.http:
        key = {"Idempotency-Key": "k-5"}
        assert (await project.http.post("/v1/accounts", json=account_body(), headers=key)).status_code == 402
        await harness.subscribe(organization_id)
        assert (await project.http.post("/v1/accounts", json=account_body(), headers=key)).status_code == 202


async def test_keys_of_others_are_others(harness: GatewayHarness, project: Project) -> None:
    stranger = await harness.project(await harness.organization())
    async with stranger.http:
        key = {"Idempotency-Key": "k-6"}
        first = await project.http.post("/v1/accounts", json=account_body(), headers=key)
        other = await stranger.http.post("/v1/accounts", json=account_body(), headers=key)
    assert other.status_code == 202
    assert other.json()["id"] != first.json()["id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\tin", "é"])
async def test_unusable_keys(project: Project, key: str) -> None:
    answer = await project.http.post(
        "/v1/accounts", json=account_body(), headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:berth:problem:invalid-idempotency-key"


async def test_organizations_are_made_once(harness: GatewayHarness) -> None:
    headers = {"Authorization": f"Bearer {OPERATOR_KEY}", "Idempotency-Key": "org"}
    made = [await harness.http.post("/v1/organizations", json={"name": "Acme"}, headers=headers) for _ in range(2)]
    assert made[0].json() == made[1].json()


async def test_keys_are_forgotten_after_a_day(harness: GatewayHarness, project: Project) -> None:
    key = {"Idempotency-Key": "k-7"}
    await project.http.post("/v1/accounts", json=account_body(), headers=key)
    await harness.gateway.housekeeping.tidy()
    assert await harness.owner.fetchval("SELECT count(*) FROM idempotency WHERE key = 'k-7'") == 1
    harness.clock.shift = timedelta(hours=25)
    await harness.gateway.housekeeping.tidy()
    assert await harness.owner.fetchval("SELECT count(*) FROM idempotency WHERE key = 'k-7'") == 0


async def test_no_password_is_in_the_row(harness: GatewayHarness, project: Project) -> None:
    await project.http.post("/v1/accounts", json=account_body(), headers={"Idempotency-Key": "k-8"})
    row = await harness.owner.fetchval("SELECT i::text FROM idempotency i WHERE key = 'k-8'")
    assert "s3cret" not in row
