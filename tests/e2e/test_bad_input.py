"""What is wrong with a request is said with the field and the remedy, and nothing of it is stored."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from berth_testing.mail_bed import MailBed
from berth_testing.platform import Platform
from berth_testing.tenant import Tenant

SECRET = "s3cret-of-a-bad-request"
#: `await refused(response, 422)`: the problem document.
Refused = Callable[[httpx.Response, int], Awaitable[dict[str, Any]]]


@pytest.fixture(scope="module")
async def tenant(platform: Platform) -> Tenant:
    return await platform.tenant(monitoring=5)


@pytest.fixture
def body(mail_bed: MailBed) -> dict[str, Any]:
    """A request that is right."""
    return {
        "email": "alice@test.example",
        "first_name": "Alice",
        "last_name": "A",
        "provider": "custom",
        "password": SECRET,
        **mail_bed.servers(),
    }


async def stored(platform: Platform, tenant: Tenant) -> list[int]:
    """How much the gateway keeps for the organization."""
    [row] = await platform.fetch(
        "gateway",
        """SELECT (SELECT count(*) FROM account WHERE organization_id = $1),
                  (SELECT count(*) FROM vault.credential WHERE organization_id = $1),
                  (SELECT count(*) FROM event WHERE data ->> 'organization_id' = $1::text),
                  (SELECT sum(used) FROM seat_ledger WHERE organization_id = $1)""",
        tenant.organization_id,
    )
    return list(row)


@pytest.fixture
async def refused(platform: Platform, tenant: Tenant) -> Refused:
    """Checks what has to hold of every refusal, and that nothing was stored since the test began."""
    before = await stored(platform, tenant)

    async def check(response: httpx.Response, status: int) -> dict[str, Any]:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = response.json()
        assert problem["status"] == status
        assert problem["type"].startswith("urn:berth:problem:")
        assert len(problem["detail"]) > 20
        assert SECRET not in response.text
        assert await stored(platform, tenant) == before
        return problem

    return check


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("email",), 7, "email"),
        (("email",), "not an address", "email"),
        (("email",), "a@b@c..example", "email"),
        (("provider",), "yahoo", "provider"),
        (("password",), "", "password"),
        (("password",), None, "password"),
        (("imap", "port"), 70_000, "imap.port"),
        (("imap", "port"), "many", "imap.port"),
        (("imap", "port"), 25, "imap.port"),
        (("imap", "host"), "internal.test.example", "imap.host"),  # 127.0.0.9, which the operator has not allowed
        (("imap", "host"), "169.254.169.254", "imap.host"),
        (("smtp", "host"), "10.1.2.3", "smtp.host"),
        (("imap", "security"), "none", "imap.security"),
        (("smtp",), [], "smtp"),
        (("colour",), "blue", "colour"),
        (("imap", "hots"), "mail.test.example", "imap.hots"),
        (("first_name",), {"a": 1}, "first_name"),
    ],
)
async def test_a_wrong_field_is_named_with_its_remedy(
    refused: Refused, tenant: Tenant, body: dict[str, Any], path: tuple[str, ...], value: object, field: str
) -> None:
    *parents, last = path
    place = body
    for parent in parents:
        place = place[parent]
    place[last] = value
    problem = await refused(await tenant.http.post("/v1/accounts", json=body), 422)
    assert {fault["field"] for fault in problem["errors"]} == {field}
    assert all(len(fault["detail"]) > 10 and len(fault["remedy"]) > 5 for fault in problem["errors"])


async def test_every_wrong_field_is_named_at_once(refused: Refused, tenant: Tenant, body: dict[str, Any]) -> None:
    body["email"], body["imap"]["port"], body["password"] = 1, 0, ""
    problem = await refused(await tenant.http.post("/v1/accounts", json=body), 422)
    assert {fault["field"] for fault in problem["errors"]} == {"email", "imap.port", "password"}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]x", b'{"email": "\xff"}', b"null", b'"text"', b"[" * 100_000, b'{"a": 1e999999}']
)
async def test_what_is_no_json_object_is_refused(refused: Refused, tenant: Tenant, content: bytes) -> None:
    response = await tenant.http.post("/v1/accounts", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code in {400, 422}, response.text
    await refused(response, response.status_code)


async def test_a_form_is_refused(refused: Refused, tenant: Tenant) -> None:
    await refused(await tenant.http.post("/v1/accounts", data={"email": "a@test.example"}), 415)


async def test_a_body_of_2_mb_is_refused(refused: Refused, tenant: Tenant, body: dict[str, Any]) -> None:
    body["first_name"] = "x" * 2_000_000
    content = json.dumps(body).encode()
    await refused(await post_in_chunks(tenant, content), 413)
    await refused(await tenant.http.post("/v1/accounts", content=content), 413)


async def post_in_chunks(tenant: Tenant, content: bytes) -> httpx.Response:
    """Without Content-Length."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    return await tenant.http.post("/v1/accounts", content=chunks(), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer berth_aaaaaaaa_wrong", "Basic YTpi"])
async def test_without_a_known_key_nothing_is_done(
    platform: Platform, refused: Refused, body: dict[str, Any], key: str
) -> None:
    async with httpx.AsyncClient(base_url=platform.url("gateway")) as http:
        response = await http.post("/v1/accounts", json=body, headers={"Authorization": key} if key else {})
    await refused(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_with_one_letter_changed_is_unknown(
    platform: Platform, refused: Refused, tenant: Tenant, body: dict[str, Any]
) -> None:
    wrong = tenant.key[:-1] + ("A" if tenant.key[-1] != "A" else "B")
    async with httpx.AsyncClient(base_url=platform.url("gateway")) as http:
        response = await http.post("/v1/accounts", json=body, headers={"Authorization": f"Bearer {wrong}"})
    await refused(response, 401)


async def test_another_tenants_account_does_not_exist(
    platform: Platform, refused: Refused, tenant: Tenant, mail_bed: MailBed
) -> None:
    other = await platform.tenant(monitoring=1)
    account_id = await other.connect(
        email="alice@test.example", provider="custom", password="correct horse", **mail_bed.servers()
    )
    for method, path in [("GET", ""), ("GET", "/verification"), ("DELETE", "")]:
        response = await tenant.http.request(method, f"/v1/accounts/{account_id}{path}")
        unknown = await tenant.http.request(method, f"/v1/accounts/00000000-0000-4000-8000-000000000000{path}")
        problem = await refused(response, 404)
        assert without_request_id(problem) == without_request_id(unknown.json())
    assert (await other.account(account_id))["id"] == account_id
    listed = await tenant.http.get("/v1/accounts")
    assert listed.json()["items"] == []


def without_request_id(problem: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in problem.items() if name != "request_id"}
