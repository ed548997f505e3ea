"""The event feed: pages and streams."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import uvicorn

from berth_events.contracts import AccountRequested, DomainHealthChanged, domain_id
from berth_gateway.api.app import make_app
from berth_gateway.api.services import StreamTiming
from berth_local.ports import free_port
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_results import audited, verified
from berth_testing.waiting import eventually


async def connect(harness: GatewayHarness, project: Project, email: str = "alice@acme.test") -> AccountRequested:
    answer = await project.http.post("/v1/accounts", json=account_body(email))
    assert answer.status_code == 202
    event = (await harness.published())[-1]
    assert isinstance(event, AccountRequested)
    return event


async def events(project: Project, **parameters: Any) -> dict[str, Any]:
    answer = await project.http.get("/v1/events", params=parameters)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_the_feed_tells_what_happened(harness: GatewayHarness, project: Project) -> None:
    event = await connect(harness, project)
    await harness.deliver(verified(event, works=True), audited("acme.test"))
    await project.http.delete(f"/v1/accounts/{event.account_id}")
    page = await events(project)
    assert [item["type"] for item in page["items"]] == [
        "AccountRequested",
        "AccountConnected",
        "DomainAudited",
        "AccountRemoved",
    ]
    first = page["items"][0]
    assert first["source"] == "/berth/gateway"
    assert first["subject"] == str(event.account_id)
    assert first["data"]["credential_ref"]["credential_id"] == str(event.credential_ref.credential_id)
    assert page["items"][2]["subject"] == str(domain_id("acme.test"))
    assert "s3cret" not in json.dumps(page)


async def test_pages_miss_nothing_and_go_on(harness: GatewayHarness, project: Project) -> None:
    for number in range(5):
        await connect(harness, project, f"u{number}@acme.test")
    seen = []
    page = await events(project, limit=2)
    while page["items"]:
        seen += [item["data"]["address"] for item in page["items"]]
        page = await events(project, limit=2, cursor=page["next_cursor"])
    assert seen == [f"u{number}@acme.test" for number in range(5)]
    await connect(harness, project, "late@acme.test")
    page = await events(project, cursor=page["next_cursor"])
    assert [item["data"]["address"] for item in page["items"]] == ["late@acme.test"]


async def test_what_happened_to_one_account(harness: GatewayHarness, project: Project) -> None:
    alice = await connect(harness, project)
    await connect(harness, project, "bob@acme.test")
    await harness.deliver(verified(alice, works=True))
    found = (await events(project, subject=str(alice.account_id)))["items"]
    assert [event["type"] for event in found] == ["AccountRequested", "AccountConnected"]
    assert {event["subject"] for event in found} == {str(alice.account_id)}
    for wrong in ({"subject": "alice"}, {"type": "a\0b"}):
        assert (await project.http.get("/v1/events", params=wrong)).status_code == 422


async def test_now_and_types(harness: GatewayHarness, project: Project) -> None:
    event = await connect(harness, project)
    now = (await events(project, cursor="now"))["next_cursor"]
    assert (await events(project, cursor="now"))["items"] == []
    await harness.deliver(verified(event, works=False), audited("acme.test"))
    page = await events(project, cursor=now, type=["AccountConnectionFailed", "AccountConnected"])
    assert [item["type"] for item in page["items"]] == ["AccountConnectionFailed"]


async def test_others_see_nothing_of_it(harness: GatewayHarness, project: Project) -> None:
    event = await connect(harness, project)
    stranger = await harness.project(await harness.organization())
    async with stranger.http:
        await harness.deliver(verified(event, works=True), audited("acme.test"))
        types = [item["type"] for item in (await events(stranger))["items"]]
    assert types == []


async def test_a_domain_of_several_projects_is_told_to_each_of_them(harness: GatewayHarness, project: Project) -> None:
    await connect(harness, project)
    second = await harness.project(await harness.organization())
    async with second.http:
        await connect(harness, second, "bob@acme.test")
        changed = DomainHealthChanged(
            domain_id=domain_id("acme.test"),
            domain="acme.test",
            raised=audited("acme.test").record.findings,
            cleared=(),
        )
        await harness.deliver(changed)
        for reader in (project, second):
            assert [item["type"] for item in (await events(reader))["items"]][-1] == "DomainHealthChanged"


async def test_an_event_that_comes_twice_is_told_once(harness: GatewayHarness, project: Project) -> None:
    event = await connect(harness, project)
    envelopes = await harness.deliver(verified(event, works=True))
    await harness.apply(envelopes)
    assert [item["type"] for item in (await events(project))["items"]] == ["AccountRequested", "AccountConnected"]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/stream"])
async def test_a_misspelt_cursor_is_refused(project: Project, path: str) -> None:
    answer = await project.http.get(path, params={"after": "ZTgz", "type": "AccountRequested"})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["after"])


async def test_a_cursor_of_another_list_is_refused(project: Project) -> None:
    answer = await project.http.get("/v1/events", params={"cursor": "YTE"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:berth:problem:invalid-cursor")
    answer = await project.http.get("/v1/events", params={"limit": 0})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "limit")


# -- the reader's promise


async def test_a_position_that_is_drawn_but_not_committed_is_waited_for(
    harness: GatewayHarness, project: Project
) -> None:
    insert = """INSERT INTO feed (project_id, event_id, source, type, subject, sequence, time, data)
                VALUES ($1, gen_random_uuid(), '/berth/test', $2, gen_random_uuid(), 1, now(), '{}')"""
    reader = harness.gateway.services.feed
    async with harness.pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("SELECT pg_advisory_xact_lock_shared(7205101)")
        await slow.execute(insert, project.project_id, "Slow")  # draws the lower position
        async with harness.pool.acquire() as quick, quick.transaction():
            await quick.execute("SELECT pg_advisory_xact_lock_shared(7205101)")
            await quick.execute(insert, project.project_id, "Quick")
        reading = asyncio.create_task(reader.read(project.project_id, after=0, limit=10))
        await asyncio.sleep(0.1)
        assert not reading.done(), "what is behind an undecided position is not shown yet"
        await transaction.commit()
    assert [event.type for event in await reading] == ["Slow", "Quick"]


async def test_a_writer_that_hangs_hides_only_what_is_new(harness: GatewayHarness, project: Project) -> None:
    await connect(harness, project)
    assert len((await events(project))["items"]) == 1
    async with harness.pool.acquire() as hanging, hanging.transaction():
        await hanging.execute("SELECT pg_advisory_xact_lock_shared(7205101)")
        await connect(harness, project, "bob@acme.test")
        async with asyncio.timeout(3):
            page = await events(project)
        assert [item["data"]["address"] for item in page["items"]] == ["alice@acme.test"]
    assert len((await events(project))["items"]) == 2


async def test_readers_miss_nothing_under_concurrent_writers(harness: GatewayHarness, project: Project) -> None:
    done = asyncio.Event()
    seen: list[str] = []

    async def read() -> None:
        cursor: dict[str, str] = {}
        last = False
        while True:
            page = await events(project, limit=7, **cursor)
            seen.extend(item["subject"] for item in page["items"])
            cursor = {"cursor": page["next_cursor"]}
            if not page["items"]:
                if last:
                    return
                last = done.is_set()

    await harness.subscribe(project.organization_id, monitoring=100)
    reading = asyncio.create_task(read())
    answers = await asyncio.gather(
        *(project.http.post("/v1/accounts", json=account_body(f"u{n}@acme.test")) for n in range(40))
    )
    done.set()
    await reading
    accepted = [answer.json()["id"] for answer in answers if answer.status_code == 202]
    told = [subject for subject in seen if subject in accepted]
    assert sorted(told) == sorted(accepted)


# -- streams


@contextlib.asynccontextmanager
async def served(harness: GatewayHarness, **timing: float) -> AsyncIterator[str]:
    """The application on a port, because the in-process transport does not stream."""
    services = replace(harness.gateway.services, timing=StreamTiming(**timing))
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(make_app(services), port=port, log_level="error", timeout_graceful_shutdown=1, lifespan="off")
    )
    task = asyncio.create_task(server.serve())
    await eventually(lambda: asyncio.sleep(0, server.started), bool, within=5, pause=0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await task


async def frames(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    frame: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            frame[name] = value.strip()
        elif frame:
            yield frame
            frame = {}


@pytest.mark.parametrize(
    ("path", "headers"), [("/v1/events", {"Accept": "text/event-stream"}), ("/v1/events/stream", {})]
)
async def test_a_stream_tells_what_comes(
    harness: GatewayHarness, project: Project, path: str, headers: dict[str, str]
) -> None:
    await connect(harness, project)
    async with served(harness, heartbeat=0.2) as url, httpx.AsyncClient(base_url=url, timeout=10) as http:
        key = {"X-Api-Key": project.key}
        async with http.stream("GET", path, headers={**headers, **key}) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-store"
            stream = frames(response)
            assert await anext(stream) == {"retry": "1000"}
            first = await anext(stream)
            assert first["event"] == "AccountRequested"
            assert json.loads(first["data"])["cursor"] == first["id"]
            assert await anext(stream) == {"": "still here"}
            await connect(harness, project, "bob@acme.test")
            frame = await anext(stream)
            while "" in frame:
                frame = await anext(stream)
            assert json.loads(frame["data"])["data"]["address"] == "bob@acme.test"
        # reconnecting where it was
        async with http.stream("GET", path, headers={**headers, **key, "Last-Event-ID": first["id"]}) as response:
            stream = frames(response)
            await anext(stream)
            assert await anext(stream) == frame


async def test_a_stream_ends_after_its_time(harness: GatewayHarness, project: Project) -> None:
    async with (
        served(harness, heartbeat=0.05, cap=0.3) as url,
        httpx.AsyncClient(base_url=url, timeout=5) as http,
        http.stream("GET", "/v1/events/stream", headers={"X-Api-Key": project.key}) as response,
    ):
        told = [frame async for frame in frames(response)]
    assert told[0] == {"retry": "1000"}
    assert set(map(str, told[1:])) == {str({"": "still here"})}


async def test_a_listener_that_leaves_is_forgotten(harness: GatewayHarness, project: Project) -> None:
    tail = harness.gateway.services.tail
    async with served(harness) as url, httpx.AsyncClient(base_url=url, timeout=5) as http:
        async with http.stream("GET", "/v1/events/stream", headers={"X-Api-Key": project.key}) as response:
            await anext(frames(response))
            await eventually(lambda: asyncio.sleep(0, tail.listeners), lambda count: count == 1, within=5)
        await eventually(lambda: asyncio.sleep(0, tail.listeners), lambda count: count == 0, within=5)


async def test_a_stream_needs_a_key_and_a_good_cursor(harness: GatewayHarness, project: Project) -> None:
    assert (await harness.http.get("/v1/events/stream")).status_code == 401
    answer = await project.http.get("/v1/events/stream", headers={"Last-Event-ID": "nonsense"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:berth:problem:invalid-cursor")
