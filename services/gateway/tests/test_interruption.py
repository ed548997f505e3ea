"""Requests that are still being served when the gateway stops: the server cancels them."""

import asyncio
from typing import Any

import httpx
import pytest

from berth_gateway.api.middleware import Interruption
from berth_gateway.api.problems import problem_response
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.gateway_smartlead import SAVE, SmartLeadClient, mail_services

MAILREACH = {
    "email": "john@acme.test", "first_name": "John", "last_name": "Doe", "provider": "custom", "password": "s3cret",
    "imap_server": "imap.acme.test", "imap_server_port": 993, "smtp_server": "smtp.acme.test", "smtp_server_port": 587,
}  # fmt: skip


async def interrupted(harness: GatewayHarness, path: str, key: str, body: dict[str, Any]) -> httpx.Response:
    """The answer to a request that is cancelled while it waits for a verification."""
    headers = {"X-Api-Key": key}
    request = asyncio.create_task(harness.http.post(path, json=body, headers=headers))
    for _ in range(500):  # until it waits
        if await harness.owner.fetchval("SELECT exists(SELECT FROM outbox)"):
            break
        await asyncio.sleep(0.01)
    request.cancel()
    return await request


async def test_smartlead_is_told_to_come_again(harness: GatewayHarness, project: Project) -> None:
    answer = await interrupted(harness, "/api/v1/email-accounts/save", project.key, SAVE)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (answer.json()["ok"], answer.json()["message"]) == (False, answer.json()["error"])
    async with mail_services(harness):
        again = await SmartLeadClient(harness.http, project.key).call("POST", "/email-accounts/save", SAVE)
    assert again.json()["emailAccountId"] == 1


async def test_mailreach_is_not_told_that_the_password_is_wrong(harness: GatewayHarness, project: Project) -> None:
    answer = await interrupted(harness, "/api/v1/imap_auth", project.key, MAILREACH)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json().keys() == {"error", "request_id"}
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_an_answer_that_has_begun_is_cut_off() -> None:
    async def begins(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(60)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    async def serve() -> None:
        await Interruption(begins, lambda _path, error, request: problem_response(error, request))(
            {"type": "http", "path": "/"}, receive, send
        )

    serving = asyncio.create_task(serve())
    await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert [message["type"] for message in sent] == ["http.response.start"]
