"""What SmartLead's clients send besides JSON: forms, and what belongs into the body of a DELETE in the query."""

from typing import Any

import httpx
import pytest

from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.gateway_smartlead import SAVE, SmartLeadClient, mail_services


@pytest.fixture
def client(harness: GatewayHarness, project: Project) -> SmartLeadClient:
    return SmartLeadClient(harness.http, project.key)


async def form(client: SmartLeadClient, method: str, path: str, fields: dict[str, Any]) -> httpx.Response:
    return await client.http.request(method, f"/api/v1{path}", params={"api_key": client.key}, data=fields)


async def test_an_account_by_a_form(harness: GatewayHarness, client: SmartLeadClient) -> None:
    async with mail_services(harness):
        answer = await form(client, "POST", "/email-accounts/save", {**SAVE, "warmup_enabled": "False", "bcc": ""})
    assert (answer.status_code, answer.json()["emailAccountId"]) == (200, 1)
    answer = await form(client, "POST", "/email-accounts/1", {"max_email_per_day": "7", "signature": "a&b"})
    assert answer.status_code == 200
    shown = await client.get("/email-accounts/1")
    assert (shown["message_per_day"], shown["signature"]) == (7, "a&b")
    answer = await form(client, "POST", "/email-accounts/1/warmup", {"warmup_enabled": "True", "daily_rampup": "9"})
    assert (answer.status_code, answer.json()["ok"]) == (200, True)


@pytest.mark.parametrize(
    "ids", [{"email_account_ids": "[1,2]"}, {"email_account_ids": ["1", "2"]}, {"email_account_ids[]": ["1", "2"]}]
)
async def test_lists_in_forms(harness: GatewayHarness, client: SmartLeadClient, ids: dict[str, Any]) -> None:
    async with mail_services(harness):
        for name in ("a", "b"):
            await client.call("POST", "/email-accounts/save", {**SAVE, "from_email": f"{name}@acme.test"})
    await form(client, "POST", "/campaigns/5/email-accounts", ids)
    assert [each["id"] for each in await client.get("/campaigns/5/email-accounts")] == [1, 2]
    answer = await form(client, "DELETE", "/campaigns/5/email-accounts", ids)
    assert answer.json() == {"ok": True, "result": 2}


@pytest.mark.parametrize("content", ["[1, 2", "\xff", "&".join(f"a{number}=1" for number in range(1001))])
async def test_what_is_neither_json_nor_a_form(client: SmartLeadClient, content: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.http.post(
        "/api/v1/tags", params={"api_key": client.key}, content=content.encode("latin-1"), headers=headers
    )
    assert (answer.status_code, answer.json()["ok"]) == (422, False)


async def test_a_delete_without_a_body(harness: GatewayHarness, client: SmartLeadClient) -> None:
    async with mail_services(harness):
        await client.call("POST", "/email-accounts/save", {**SAVE, "from_email": "a@acme.test"})
    await client.call("POST", "/tags", {"name": "One"})
    await client.call("POST", "/email-accounts/tag-mapping", {"emails": ["a@acme.test"], "tag_ids": [1]})
    await client.call("POST", "/campaigns/5/email-accounts", {"email_account_id": 1})

    async def delete(path: str, **query: str) -> httpx.Response:
        return await client.http.delete(f"/api/v1{path}", params={"api_key": client.key, **query})

    answer = await delete("/email-accounts/tag-mapping", emails="A@acme.test,nobody@acme.test", tag_ids="1,2")
    assert answer.json()["data"]["summary"] == {"total_processed": 4, "deleted": 1, "skipped": 3, "failed": 0}
    assert (await client.get("/email-accounts/1"))["tags"] == []
    answer = await delete("/campaigns/5/email-accounts", email_account_id="1")
    assert answer.json() == {"ok": True, "result": 1}
    answer = await delete("/campaigns/5/email-accounts", **{f"a{number}": "1" for number in range(1001)})
    assert (answer.status_code, answer.json()["ok"]) == (422, False)
    answer = await delete("/campaigns/5/email-accounts")
    assert (answer.status_code, answer.json()["message"]) == (422, "email_account_ids is required")
