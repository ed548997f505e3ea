"""Limits of requests per key and of wrong keys per address, and what clients are told of them."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from berth_gateway.api.rate_limits import RateLimits
from berth_gateway.errors import TooManyRequests
from berth_testing.gateway_harness import OPERATOR_KEY, GatewayHarness, Project, account_body

OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}
WRONG = {"X-Api-Key": "berth_aaaaaaaa_wrong"}


async def limited(harness: GatewayHarness, project: Project, rate_limit: str, **terms: Any) -> dict[str, str]:
    body = {"name": "limited", "scopes": ["accounts:read", "accounts:write"], "rate_limit": rate_limit, **terms}
    made = await harness.platform(f"/v1/projects/{project.project_id}/keys", body)
    return {"X-Api-Key": made["key"]}


async def test_every_answer_says_what_is_left(harness: GatewayHarness, project: Project) -> None:
    headers = await limited(harness, project, "5/minute")
    answers = [
        await harness.http.get("/v1/accounts", headers=headers),
        await harness.http.get("/v1/events", headers=headers),  # the key lacks the scope
        await harness.http.post("/v1/accounts", json={}, headers=headers),
        await harness.http.get("/v1/accounts/x", headers=headers),
        await harness.http.get("/v1/accounts?limit=0", headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [200, 403, 422, 404, 422]
    for left, answer in zip([4, 3, 2, 1, 0], answers, strict=True):
        assert answer.headers["ratelimit-policy"] == '"default";q=5;w=60'
        seconds = int(answer.headers["ratelimit"].removeprefix(f'"default";r={left};t='))
        assert 55 <= seconds <= 60
        assert answer.headers["x-ratelimit-limit"] == "5"
        assert answer.headers["x-ratelimit-remaining"] == str(left)
        assert 0 <= int(answer.headers["x-ratelimit-reset"]) - time.time() <= 61


async def test_one_too_many(harness: GatewayHarness, project: Project) -> None:
    headers = await limited(harness, project, "2/minute")
    other = await limited(harness, project, "2/minute")
    for _ in range(2):
        assert (await harness.http.get("/v1/accounts", headers=headers)).status_code == 200
    refused = await harness.http.post("/v1/accounts", json=account_body(), headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:berth:problem:too-many-requests")
    assert refused.headers["content-type"] == "application/problem+json"
    assert 55 <= int(refused.headers["retry-after"]) == refused.json()["retry_after"] <= 60
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert await harness.published() == []
    assert (await harness.http.get("/v1/accounts", headers=other)).status_code == 200


async def test_the_next_window_is_another(harness: GatewayHarness, project: Project) -> None:
    headers = await limited(harness, project, "1/second")
    found = [(await harness.http.get("/v1/accounts", headers=headers)).status_code for _ in range(2)]
    assert found == [200, 429]
    await asyncio.sleep(1.05)
    assert (await harness.http.get("/v1/accounts", headers=headers)).status_code == 200


async def test_the_default_and_the_operator(harness: GatewayHarness, project: Project) -> None:
    assert (await project.http.get("/v1/accounts")).headers["x-ratelimit-limit"] == "6000"
    assert (await harness.http.get("/v1/organizations", headers=OPERATOR)).headers["x-ratelimit-limit"] == "6000"


async def test_a_new_limit_holds_at_once(harness: GatewayHarness, project: Project) -> None:
    listed = await harness.http.get(f"/v1/projects/{project.project_id}/keys", headers=OPERATOR)
    await project.http.get("/v1/accounts")
    path = f"/v1/keys/{listed.json()['items'][0]['id']}"
    await harness.http.patch(path, json={"rate_limit": "1/hour"}, headers=OPERATOR)
    found = [(await project.http.get("/v1/accounts")).status_code for _ in range(2)]
    assert found == [200, 429]


@pytest.mark.parametrize("path", ["/api/v1/imap_auth", "/v1/imap_auth/"])
async def test_a_dialect_says_it_in_its_own_words(harness: GatewayHarness, project: Project, path: str) -> None:
    headers = await limited(harness, project, "1/minute")
    await harness.http.get("/v1/accounts", headers=headers)
    refused = await harness.http.post(path, json={}, headers=headers)
    assert refused.status_code == 429
    assert set(refused.json()) == {"error", "request_id"}
    assert int(refused.headers["retry-after"]) > 0


async def test_what_is_said_is_not_kept_by_caches(harness: GatewayHarness, project: Project) -> None:
    assert (await project.http.get("/v1/accounts")).headers["cache-control"] == "no-store"
    made = await harness.http.post("/v1/organizations", json={"name": "Acme"}, headers=OPERATOR)
    assert made.headers["cache-control"] == "no-store"


async def test_guessing_ends(harness: GatewayHarness, project: Project) -> None:
    """The address is shut out, but for the keys that were right before."""
    late = await limited(harness, project, "9/minute")
    assert (await project.http.get("/v1/accounts")).status_code == 200
    found = [await guess(harness) for _ in range(61)]
    assert [answer.status_code for answer in found] == [401] * 60 + [429]
    assert found[-1].json()["type"] == "urn:berth:problem:too-many-requests"
    assert 0 < int(found[-1].headers["retry-after"]) <= 60
    assert "x-ratelimit-limit" not in found[-1].headers
    assert (await project.http.get("/v1/accounts")).status_code == 200
    assert (await harness.http.get("/v1/accounts", headers=late)).status_code == 429
    operator = {"Authorization": f"Bearer {OPERATOR_KEY}x"}
    assert (await harness.http.get("/v1/organizations", headers=operator)).status_code == 429
    elsewhere = httpx.ASGITransport(harness.app, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=elsewhere, base_url="http://gateway") as http:
        assert (await http.get("/v1/accounts", headers=late)).status_code == 200
    assert (await harness.http.get("/v1/accounts", headers=late)).status_code == 200  # it is known to be right by now


async def guess(harness: GatewayHarness) -> httpx.Response:
    return await harness.http.get("/v1/accounts", headers=WRONG)


async def test_a_missing_key_is_no_guess(harness: GatewayHarness) -> None:
    assert {(await harness.http.get("/v1/accounts")).status_code for _ in range(70)} == {401}
    assert (await guess(harness)).status_code == 401


def test_a_network_of_ipv6_is_one_client() -> None:
    limits = RateLimits("10/minute", "2/minute")
    for address in ("2001:db8::1", "2001:db8::2:1"):
        limits.was_wrong(address)
    limits.refuse_guesses("2001:db8:0:1::1", "key")
    limits.refuse_guesses("192.0.2.1", "key")
    with pytest.raises(TooManyRequests):
        limits.refuse_guesses("2001:db8::99", "key")


def test_only_so_many_keys_are_remembered() -> None:
    limits = RateLimits("10/minute", "1/minute")
    for number in range(10_001):
        limits.was_right(str(number))
    limits.was_wrong("192.0.2.1")
    limits.refuse_guesses("192.0.2.1", "1")
    with pytest.raises(TooManyRequests):
        limits.refuse_guesses("192.0.2.1", "0")
