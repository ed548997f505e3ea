"""What is refused, how it is said, and that nothing is left of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import structlog

from berth_gateway.tenants.keyring import Keyring
from berth_testing.gateway_harness import GatewayHarness, Project, account_body

SECRET = "canary-5e4d"


def server(**changes: Any) -> dict[str, Any]:
    return {"host": "imap.acme.com", "port": 993, **changes}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "no-at-sign"}, "email"),
        ({"email": "a b@acme.test"}, "email"),
        ({"email": "alice@localhost"}, "email"),
        ({"email": 17}, "email"),
        ({"provider": "hotmail"}, "provider"),
        ({"password": ""}, "password"),
        ({"password": [SECRET]}, "password"),
        ({"password": f"{SECRET}\0"}, "password"),
        ({"password": None}, "password"),
        ({"first_name": "A\0"}, "first_name"),
        ({"surprise": SECRET}, "surprise"),
        ({"seat_kind": "premium"}, "seat_kind"),
        ({"imap": server(port=0)}, "imap.port"),
        ({"imap": server(port=70000)}, "imap.port"),
        ({"imap": server(port="993x")}, "imap.port"),
        ({"imap": server(port=22)}, "imap.port"),
        ({"imap": server(security="ssl")}, "imap.security"),
        ({"imap": server(user="alice")}, "imap.user"),
        ({"imap": server(password="")}, "imap.password"),
        ({"imap": SECRET}, "imap"),
        ({"imap": server(host="")}, "imap.host"),
        ({"imap": server(host="10.0.0.1")}, "imap.host"),
        ({"imap": server(host="127.1")}, "imap.host"),
        ({"imap": server(host="imap.internal")}, "imap.host"),
        ({"imap": server(host="metadata.google.internal")}, "imap.host"),
        ({"imap": server(host="https://imap.acme.com/")}, "imap.host"),
        ({"smtp": server(host="[::1]", port=587)}, "smtp.host"),
        ({"imap": None, "smtp": None}, "smtp"),
    ],
)
async def test_each_fault_names_its_field(
    harness: GatewayHarness, project: Project, changes: dict[str, Any], field: str
) -> None:
    answer = await project.http.post("/v1/accounts", json=account_body(**{"password": SECRET, **changes}))
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:berth:problem:invalid-fields"
    assert field in [error["field"] for error in problem["errors"]]
    assert all(error["detail"] and error["remedy"] for error in problem["errors"])
    assert SECRET not in answer.text
    await nothing_is_stored(harness, project)


async def test_all_faults_are_named_at_once(project: Project) -> None:
    answer = await project.http.post("/v1/accounts", json={"email": "x", "provider": "custom"})
    fields = [error["field"] for error in answer.json()["errors"]]
    assert fields == ["email", "imap", "smtp"]


async def nothing_is_stored(harness: GatewayHarness, project: Project) -> None:
    assert await harness.published() == []
    assert await harness.credentials() == set()
    assert await harness.seats(project.organization_id) == {"monitoring": 0, "spam_check": 0}
    for count in (
        await harness.owner.fetchval("SELECT count(*) FROM account"),
        await harness.owner.fetchval("SELECT count(*) FROM idempotency"),
        await harness.owner.fetchval("SELECT count(*) FROM domain"),
    ):
        assert count == 0


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"nul", b"[" * 100_000, b'{"email": "\\ud800"'])
async def test_what_is_not_json(project: Project, content: bytes) -> None:
    answer = await project.http.post("/v1/accounts", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    if content:
        assert answer.json()["type"] == "urn:berth:problem:invalid-json"


@pytest.mark.parametrize("content", ["[]", "17", '"text"', "null"])
async def test_json_that_is_no_object(project: Project, content: str) -> None:
    answer = await project.http.post("/v1/accounts", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body"


async def test_a_form_is_no_json(project: Project) -> None:
    answer = await project.http.post("/v1/accounts", data={"email": "a@b.c", "password": SECRET})
    assert answer.status_code == 415
    assert answer.json()["type"] == "urn:berth:problem:unsupported-media-type"


async def test_an_announced_body_that_is_too_large(project: Project) -> None:
    answer = await project.http.post("/v1/accounts", json=account_body(first_name="x" * 1_000_001))
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:berth:problem:body-too-large"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_body_that_grows_too_large(project: Project) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 100_000
            yield b" " * 100_000

    answer = await project.http.post("/v1/accounts", content=chunks(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert sent <= 1_200_000


async def test_surrogates_are_refused(project: Project) -> None:
    content = json.dumps(account_body()).replace("Alice", "\\ud800")
    answer = await project.http.post("/v1/accounts", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "first_name"


async def test_unknown_paths_and_methods_are_problems(project: Project) -> None:
    missing = await project.http.get("/v1/nothing")
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:berth:problem:not-found")
    wrong = await project.http.put("/v1/accounts", json={})
    assert wrong.status_code == 405
    assert wrong.headers["content-type"] == "application/problem+json"
    assert "allow" in wrong.headers


async def test_the_request_id_is_the_callers(project: Project) -> None:
    own = "5b8d1f0e-6f2f-4b9a-8a44-0b1f6a1d2c3e"
    answer = await project.http.get("/v1/nothing", headers={"X-Request-Id": own})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == own
    answer = await project.http.get("/v1/nothing", headers={"X-Request-Id": "<script>"})
    assert answer.headers["x-request-id"] != "<script>"


async def test_a_host_with_a_private_address(harness: GatewayHarness, project: Project) -> None:
    harness.resolver.known = {"imap.acme.com": "10.1.2.3", "smtp.acme.com": "9.9.9.9"}
    answer = await project.http.post("/v1/accounts", json=account_body())
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "imap.host"
    assert "10.1.2.3" not in answer.text, "what our network looks like is nobody's business"
    await nothing_is_stored(harness, project)


async def test_what_is_not_known_of_a_host_is_left_to_the_connector(harness: GatewayHarness, project: Project) -> None:
    harness.resolver.known = {"smtp.acme.com": "9.9.9.9"}  # imap.acme.com does not exist
    assert (await project.http.post("/v1/accounts", json=account_body())).status_code == 202


async def test_a_silent_resolver_delays_but_does_not_refuse(harness: GatewayHarness, project: Project) -> None:
    harness.resolver.silent = True
    async with asyncio.timeout(4):
        assert (await project.http.post("/v1/accounts", json=account_body())).status_code == 202


async def test_an_unknown_path_of_a_dialect_is_empty(project: Project) -> None:
    answer = await project.http.get("/api/v1/nothing")
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize(("path", "envelope"), [("/v1/accounts", "type"), ("/api/v1/imap_auth", "error")])
async def test_a_mistake_of_ours_tells_nothing(
    harness: GatewayHarness, project: Project, monkeypatch: pytest.MonkeyPatch, path: str, envelope: str
) -> None:
    async def broken(_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(type(harness.gateway.services.vetting), "vet", lambda _self, _servers: broken(None))
    mailbox = {"email": "a@b.test", "first_name": "", "last_name": "", "provider": "gmail", "password": "x"}
    with structlog.testing.capture_logs() as logged:
        answer = await project.http.post(path, json=mailbox)
    assert answer.status_code == 500
    assert envelope in answer.json()
    assert SECRET not in answer.text
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    [failure] = [entry for entry in logged if entry["event"] == "request.failed"]
    assert (failure["request_id"], failure["error"]) == (answer.json()["request_id"], "RuntimeError")


@pytest.mark.parametrize("path", ["/v1/accounts", "/api/v1/imap_auth"])
@pytest.mark.parametrize(
    "error", [ConnectionRefusedError("down"), asyncpg.LockNotAvailableError("busy"), TimeoutError()]
)
async def test_a_database_that_is_away(
    harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch, path: str, error: Exception
) -> None:
    async def away(*_: object) -> None:
        raise error

    monkeypatch.setattr(Keyring, "recognise", away)
    answer = await harness.http.post(path, json={}, headers={"X-Api-Key": "berth_abcdefgh_x"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


async def test_an_empty_password_is_called_empty(project: Project) -> None:
    answer = await project.http.post("/v1/accounts", json=account_body(password=""))
    assert answer.json()["errors"] == [
        {"field": "password", "detail": "The value is empty.", "remedy": "Send a value that is not empty."}
    ]
