"""Webhooks as the API makes, shows, changes and removes them."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import BaseModel

from berth_gateway.api.examples import webhooks as examples
from berth_gateway.webhooks import schemas
from berth_gateway.webhooks.secrets import SecretBox, SecretUnreadable, new_secret, parse_webhook_key
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.webhook_bed import HOST, WebhookBed

PUBLIC = "https://hooks.example.com/berth"


@pytest.fixture(autouse=True)
def hosts(harness: GatewayHarness) -> None:
    harness.resolver.known |= {"hooks.example.com": "93.184.216.34", "inside.example.com": "10.0.0.1"}


async def create(project: Project, **changes: Any) -> dict[str, Any]:
    answer = await project.http.post("/v1/webhooks", json={"url": PUBLIC, **changes})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/v1/webhooks/{made['id']}"
    return made


async def test_the_secret_is_shown_once(harness: GatewayHarness, project: Project) -> None:
    made = await create(project, description="CRM", types=["AccountConnected", "AccountConnected"])
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made == {
        "id": made["id"],
        "url": PUBLIC,
        "description": "CRM",
        "types": ["AccountConnected"],
        "enabled": True,
        "disabled_reason": None,
        "failing_since": None,
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert (await project.http.get(f"/v1/webhooks/{made['id']}")).json() == made
    assert (await project.http.get("/v1/webhooks")).json() == {"items": [made], "next_cursor": None}
    stored = await harness.owner.fetchval("SELECT sealed FROM webhook_secret")
    assert secret.encode() not in stored


async def test_a_repeated_request_is_answered_the_same_and_stores_no_secret(
    harness: GatewayHarness, project: Project
) -> None:
    key = {"Idempotency-Key": "one"}
    first, second = [
        await project.http.post("/v1/webhooks", json={"url": PUBLIC}, headers=key) for _ in range(2)
    ]  # fmt: skip
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert await harness.owner.fetchval("SELECT count(*) FROM webhook") == 1
    path = f"/v1/webhooks/{first.json()['id']}"
    rotated, again = [await project.http.post(f"{path}/rotate", headers={"Idempotency-Key": "two"}) for _ in range(2)]
    assert rotated.json()["secret"] == again.json()["secret"] != first.json()["secret"]
    rows = await harness.owner.fetch("SELECT body FROM idempotency")
    assert len(rows) == 2
    assert "whsec_" not in "".join(row["body"] for row in rows)
    await project.http.delete(path)
    gone = await project.http.post("/v1/webhooks", json={"url": PUBLIC}, headers=key)
    assert (gone.status_code, gone.json()["secret"]) == (201, None)
    answer = await project.http.post("/v1/webhooks", json={"url": f"{PUBLIC}/2"}, headers=key)
    assert answer.json()["type"] == "urn:berth:problem:idempotency-key-reused"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "hooks.example.com"}, "url"),
        ({"url": "ftp://hooks.example.com/"}, "url"),
        ({"url": "http://hooks.example.com/"}, "url"),  # could be read by anybody
        ({"url": "https://user:s3cret@hooks.example.com/"}, "url"),
        ({"url": "https://hooks.example.com/#x"}, "url"),
        ({"url": "https://hooks.example.com:6379/"}, "url"),
        ({"url": "https://hooks.example.com\0.evil.example/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://2130706433/"}, "url"),
        ({"url": "https://[::ffff:169.254.169.254]/"}, "url"),
        ({"url": "https://93.184.216.34/"}, "url"),
        ({"url": "https://localhost/"}, "url"),
        ({"url": "https://metadata.google.internal/"}, "url"),
        ({"url": "https://inside.example.com/"}, "url"),
        ({"url": "https://none.example.com/"}, "url"),
        ({"url": "https://hooks.example.com/" + "a" * 1000}, "url"),
        ({"url": "https://hooks.example.com/" + "ä" * 900}, "url"),
        ({"url": 7}, "url"),
        ({"url": PUBLIC, "types": []}, "types"),
        ({"url": PUBLIC, "types": ["AccountConnected", "AccountExploded"]}, "types.1"),
        ({"url": PUBLIC, "types": "AccountConnected"}, "types"),
        ({"url": PUBLIC, "enabled": 1.5}, "enabled"),
        ({"url": PUBLIC, "description": None}, "description"),
        ({"url": PUBLIC, "secret": "whsec_mine"}, "secret"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_stored(
    harness: GatewayHarness, project: Project, body: dict[str, Any], field: str
) -> None:
    answer = await project.http.post("/v1/webhooks", json=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:berth:problem:invalid-fields")
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert error["remedy"]
    assert "s3cret" not in answer.text
    assert "10.0.0.1" not in answer.text
    assert await harness.owner.fetchval("SELECT count(*) FROM webhook") == 0
    made = await create(project)
    changed = await project.http.patch(f"/v1/webhooks/{made['id']}", json=body)
    assert changed.status_code == (422 if body else 200)
    assert (await project.http.get(f"/v1/webhooks/{made['id']}")).json()["url"] == PUBLIC


async def test_a_lookup_that_is_not_answered_is_no_refusal(harness: GatewayHarness, project: Project) -> None:
    harness.resolver.silent = True
    await create(project)


async def test_http_is_for_allowed_networks(bed: WebhookBed) -> None:
    assert (await bed.create())["url"] == f"http://{HOST}:{bed.receiver.port}/hook"


async def test_what_is_left_out_stays(project: Project) -> None:
    made = await create(project, description="CRM", types=["AccountConnected"])
    path = f"/v1/webhooks/{made['id']}"
    del made["secret"]
    for change in ({"description": ""}, {"types": None}, {"url": f"{PUBLIC}?v=2"}, {"types": ["AccountRemoved"]}):
        made |= change
        changed = (await project.http.patch(path, json=change)).json()
        made["updated_at"] = changed["updated_at"]
        assert changed == made
        assert (await project.http.get(path)).json() == made
    paused = (await project.http.patch(path, json={"enabled": False})).json()
    assert (paused["enabled"], paused["disabled_reason"]) == (False, "requested")
    begun = (await project.http.patch(path, json={"enabled": True})).json()
    assert (begun["enabled"], begun["disabled_reason"]) == (True, None)


async def test_a_disabled_webhook_is_asked_for_nothing(project: Project) -> None:
    made = await create(project, enabled=False)
    assert made["disabled_reason"] == "requested"
    path = f"/v1/webhooks/{made['id']}"
    for call, body in (
        ("test", None),
        (f"deliveries/{uuid4()}/redeliver", None),
        ("recover", {"since": "2026-11-21T00:00:00Z"}),
    ):
        answer = await project.http.post(f"{path}/{call}", json=body)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:berth:problem:webhook-disabled")


async def test_lists_have_pages(bed: WebhookBed) -> None:
    made = [await bed.create(description=str(number)) for number in range(5)]
    assert await pages(bed.http, "/v1/webhooks", "description") == [str(number) for number in range(5)]
    subjects = [UUID(int=number) for number in range(5)]
    await bed.publish(*subjects)
    log = f"/v1/webhooks/{made[0]['id']}/deliveries"
    assert await pages(bed.http, log, "subject") == [str(subject) for subject in reversed(subjects)]
    assert (await bed.http.get(log, params={"state": "failed"})).json()["items"] == []
    (delivery, *_) = (await bed.http.get(log, params={"state": "pending"})).json()["items"]
    assert (await bed.http.get(f"{log}/{delivery['id']}")).json() == delivery
    for wrong, status in (({"cursor": "YTE"}, 400), ({"state": "lost"}, 422), ({"limit": 0}, 422)):
        assert (await bed.http.get(log, params=wrong)).status_code == status


async def pages(http: httpx.AsyncClient, path: str, name: str) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await http.get(path, params={"limit": 2, **cursor})).json()
        found += [item[name] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_there_are_not_too_many(project: Project) -> None:
    for _ in range(20):
        await create(project)
    answer = await project.http.post("/v1/webhooks", json={"url": PUBLIC})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:berth:problem:webhook-limit-reached")
    assert answer.json()["limit"] == 20


async def test_others_find_nothing(harness: GatewayHarness, bed: WebhookBed) -> None:
    made = await bed.create()
    await bed.publish(UUID(int=1))
    (delivery,) = await bed.deliveries(made)
    path = f"/v1/webhooks/{made['id']}"
    since = {"since": "2026-11-21T00:00:00Z"}
    calls = [
        ("GET", path, None),
        ("PATCH", path, {"description": "mine"}),
        ("DELETE", path, None),
        ("POST", f"{path}/rotate", None),
        ("POST", f"{path}/test", None),
        ("POST", f"{path}/recover", since),
        ("GET", f"{path}/deliveries", None),
        ("GET", f"{path}/deliveries/{delivery['id']}", None),
        ("POST", f"{path}/deliveries/{delivery['id']}/redeliver", None),
    ]
    stranger = await harness.project(await harness.organization())
    async with stranger.http:
        own = await create(stranger)
        calls += [(method, call.replace(delivery["id"], str(uuid4())), body) for method, call, body in calls[-2:]]
        calls += [("POST", f"/v1/webhooks/{own['id']}/deliveries/{delivery['id']}/redeliver", None)]
        calls += [("GET", "/v1/webhooks/7", None)]
        for method, call, body in calls:
            answer = await stranger.http.request(method, call, json=body)
            assert (answer.status_code, answer.json()["type"]) == (404, "urn:berth:problem:not-found"), (method, call)
        assert [item["id"] for item in (await stranger.http.get("/v1/webhooks")).json()["items"]] == [own["id"]]
    assert (await bed.http.get(path)).json()["description"] == ""
    assert await bed.states() == {"pending": 1}


async def test_scopes(harness: GatewayHarness) -> None:
    reader = await harness.project(await harness.organization(), scopes=["webhooks:read"])
    async with reader.http:
        assert (await reader.http.get("/v1/webhooks")).status_code == 200
        answer = await reader.http.post("/v1/webhooks", json={"url": PUBLIC})
        assert (answer.status_code, answer.json()["scope"]) == (403, "webhooks:write")
    writer = await harness.project(await harness.organization(), scopes=["webhooks:write", "events:read"])
    async with writer.http:
        await create(writer)
        answer = await writer.http.get("/v1/webhooks")
        assert (answer.status_code, answer.json()["scope"]) == (403, "webhooks:read")


async def test_an_unreadable_time_is_named(project: Project) -> None:
    made = await create(project)
    for since in ("yesterday", "2026-11-21T00:00:00", None):
        answer = await project.http.post(f"/v1/webhooks/{made['id']}/recover", json={"since": since})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "since")


async def test_secrets_stay_out_of_everything_else(
    bed: WebhookBed, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    made = await bed.create()
    rotated = (await bed.http.post(f"/v1/webhooks/{made['id']}/rotate")).json()
    async with bed.delivering():
        await bed.publish(UUID(int=1))
        await bed.until(delivered=1)
    bed.harness.clock.shift = timedelta(hours=1)
    tables = [
        row["tablename"]
        for row in await bed.harness.owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ]
    rows = [str(await bed.harness.owner.fetch(f"SELECT to_jsonb(t)::text FROM {table} t")) for table in tables]
    seen = json.dumps([*rows, caplog.text, *capfd.readouterr(), [each.body for each in bed.receiver.requests]])
    for secret in (made["secret"], rotated["secret"]):
        assert secret.removeprefix("whsec_") not in seen
        assert secret.encode().hex() not in seen


def test_a_secret_opens_in_its_row_alone() -> None:
    box, webhook, row = SecretBox(bytes(range(32))), uuid4(), uuid4()
    secret = new_secret()
    sealed = box.seal(webhook, row, secret)
    assert box.open(webhook, row, sealed) == secret
    assert box.seal(webhook, row, secret) != sealed
    for other, key in ((box, uuid4()), (SecretBox(bytes(32)), row)):
        with pytest.raises(SecretUnreadable):
            other.open(webhook, key, sealed)
    with pytest.raises(SecretUnreadable):
        box.open(webhook, row, sealed[:-1] + bytes([sealed[-1] ^ 1]))


@pytest.mark.parametrize("text", ["", "short", "A" * 43, "A" * 44 + "=", "ä" * 44, "!" * 44])
def test_other_keys_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="32 bytes in base64"):
        parse_webhook_key(text)


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (schemas.Webhook, examples.WEBHOOK),
        (schemas.RevealedWebhook, examples.REVEALED),
        (schemas.WebhookPage, examples.WEBHOOK_PAGE),
        (schemas.Delivery, examples.DELIVERY),
        (schemas.DeliveryPage, examples.DELIVERY_PAGE),
    ],
)
def test_answers_are_shown_as_they_are_sent(model: type[BaseModel], example: dict[str, Any]) -> None:
    assert model.model_validate(example).model_dump(mode="json") == example


@pytest.mark.parametrize("example", examples.WEBHOOK_INPUTS.values())
def test_requests_are_valid(example: dict[str, Any]) -> None:
    schemas.WebhookInput.model_validate(example["value"])
