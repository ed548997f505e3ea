"""SendKit's warm-up: settings that are kept and told, of a warm-up that Berth does not run."""

from typing import Any

import pytest

from berth_events.contracts import AccountUpdated
from berth_gateway.dialects.sendkit.examples import EXAMPLES
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.sendkit import create_mailbox, failure

DEFAULTS = {"startingVolume": 5, "dailyIncrease": 2, "targetVolume": 25}
NOT_FOUND = failure("NOT_FOUND", "Mailbox not found")


async def config(project: Project, mailbox_id: str) -> dict[str, Any]:
    answer = await project.http.get(f"/v1/warmup/config/{mailbox_id}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()["data"]
    return found


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_course_of_a_warm_up(harness: GatewayHarness, project: Project, slash: str) -> None:
    identity = (await create_mailbox(project))["_id"]
    assert await config(project, identity) == {
        "mailboxId": identity, "enabled": False, "status": "not_started", **DEFAULTS,
    }  # fmt: skip
    await harness.published()
    for operation, enabled, status in (
        ("start", True, "active"),
        ("pause", True, "paused"),
        ("resume", True, "active"),
        ("pause", True, "paused"),
        ("start", True, "active"),
        ("stop", False, "not_started"),
    ):
        answer = await project.http.post(f"/v1/warmup/{operation}/{identity}{slash}")
        assert answer.status_code == 200, answer.text
        expected = {"mailboxId": identity, "enabled": enabled, "status": status, **DEFAULTS}
        assert answer.json() == {"success": True, "data": expected}
        assert await config(project, identity) == expected
        shown = (await project.http.get(f"/v1/mailboxes/{identity}")).json()["data"]["warmup"]
        assert shown == {
            "enabled": enabled, "status": status, "currentDay": 0, "currentVolume": 0, "config": DEFAULTS, "metrics": {},
        }  # fmt: skip
    events = [event for event in await harness.published() if isinstance(event, AccountUpdated)]
    assert [event.settings and event.settings.warmup_enabled for event in events] == [
        True,
        None,
        None,
        None,
        None,
        False,
    ]


@pytest.mark.parametrize("nested", [False, True])
async def test_the_configuration(harness: GatewayHarness, project: Project, *, nested: bool) -> None:
    identity = (await create_mailbox(project))["_id"]
    await harness.published()
    wanted: dict[str, Any] = {"startingVolume": "3", "dailyIncrease": 4, "targetVolume": None, "surprise": 1}
    body = {"config": wanted} if nested else wanted
    answer = await project.http.patch(f"/v1/warmup/config/{identity}", json=body)
    assert answer.status_code == 200
    kept = {
        "mailboxId": identity,
        "enabled": False,
        "status": "not_started",
        **DEFAULTS,
        "startingVolume": 3,
        "dailyIncrease": 4,
    }
    assert answer.json()["data"] == kept
    assert await config(project, identity) == kept
    (event,) = await harness.published()
    assert isinstance(event, AccountUpdated)
    assert event.settings is not None
    assert (event.settings.warmup_initial, event.settings.warmup_increase, event.settings.warmup_target) == (3, 4, None)
    started = await project.http.post(f"/v1/warmup/start/{identity}", json={"targetVolume": 40})
    assert started.json()["data"] == {**kept, "enabled": True, "status": "active", "targetVolume": 40}


@pytest.mark.parametrize("body", [{"targetVolume": -1}, {"startingVolume": "x"}, {"dailyIncrease": 10**9}, [], "x"])
async def test_configurations_that_are_refused(project: Project, body: object) -> None:
    identity = (await create_mailbox(project))["_id"]
    for call, place in (("PATCH", "config"), ("POST", "start")):
        answer = await project.http.request(call, f"/v1/warmup/{place}/{identity}", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


async def test_statistics(project: Project) -> None:
    identity = (await create_mailbox(project))["_id"]
    await create_mailbox(project, "bob@acme.test")
    await project.http.post(f"/v1/warmup/start/{identity}")
    nothing = {"totalSent": 0, "totalReceived": 0, "inboxRate": None, "spamRate": None}
    for slash in ("", "/"):
        listed = (await project.http.get(f"/v1/warmup/stats{slash}?days=7&limit=1")).json()
        assert listed["summary"] == {"totalMailboxes": 2, "active": 1, "paused": 0, "notStarted": 1, **nothing}
        one = (await project.http.get(f"/v1/warmup/stats/{identity}{slash}")).json()["data"]
        assert one == {
            "mailboxId": identity, "email": "alice@acme.test", "enabled": True, "status": "active", "currentDay": 0,
            "currentVolume": 0, "config": DEFAULTS, "metrics": {}, **nothing,
        }  # fmt: skip
        assert listed["data"] == [one]
        rest = {"limit": "1", "cursor": listed["pagination"]["nextCursor"]}
        last = (await project.http.get(f"/v1/warmup/stats{slash}", params=rest)).json()
        assert [each["email"] for each in last["data"]] == ["bob@acme.test"]
        assert last["pagination"]["nextCursor"] is None
    await project.http.post(f"/v1/warmup/pause/{identity}")
    found = (await project.http.get("/v1/warmup/stats", params={"search": "bob"})).json()
    assert (len(found["data"]), found["summary"]["paused"]) == (1, 1)
    for place in ("", f"/{identity}"):
        paths = [f"/v1/warmup/stats{place}", f"/v1/warmup-stats{place}", f"/v1/warmup-stats{place}/"]
        answers = [await project.http.get(path) for path in paths]
        assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert (await project.http.get("/v1/warmup-stats/x")).json()["error"]["code"] == "NOT_FOUND"
    assert one.keys() == EXAMPLES["sendkitWarmupStatistics"]["200"]["data"].keys()


@pytest.mark.parametrize("slash", ["", "/"])
async def test_many_at_once(harness: GatewayHarness, project: Project, slash: str) -> None:
    ids = [(await create_mailbox(project, f"user{number}@acme.test"))["_id"] for number in range(3)]
    missing = "0" * 24
    body = {"operation": "start", "mailboxes": [*ids, ids[0].upper(), missing], "config": {"targetVolume": 30}}
    answer = await project.http.post(f"/v1/warmup/bulk{slash}", json=body)
    assert answer.status_code == 200
    done = [{"mailboxId": identity, "success": True, "error": None} for identity in ids]
    assert answer.json()["data"] == {
        "operation": "start",
        "succeeded": 3,
        "failed": 1,
        "results": [*done, {"mailboxId": missing, "success": False, "error": "Mailbox not found"}],
    }
    assert [(await config(project, identity))["targetVolume"] for identity in ids] == [30] * 3
    stranger = await harness.project(await harness.organization())
    async with stranger.http:
        of_others = await stranger.http.post("/v1/warmup/bulk", json={"operation": "stop", "mailboxes": ids})
    assert (of_others.json()["data"]["succeeded"], of_others.json()["data"]["failed"]) == (0, 3)
    assert (await config(project, ids[0]))["enabled"] is True


@pytest.mark.parametrize(
    "body",
    [{}, {"operation": "explode", "mailboxes": ["x"]}, {"operation": "start", "mailboxes": []}, {"operation": "start"},
     {"operation": "start", "mailboxes": ["x"] * 501},
     {"operation": "update", "mailboxes": ["x"], "config": {"targetVolume": "x"}},
     {"operation": "start", "mailboxes": [None]}],
)  # fmt: skip
async def test_bulks_that_are_refused(project: Project, body: dict[str, Any]) -> None:
    answer = await project.http.post("/v1/warmup/bulk", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


async def test_mailboxes_that_are_not_there(project: Project) -> None:
    for call, place in (
        ("GET", "config"), ("PATCH", "config"), ("GET", "stats"), ("POST", "start"), ("POST", "stop"), ("POST", "pause"),
        ("POST", "resume"),
    ):  # fmt: skip
        answer = await project.http.request(call, f"/v1/warmup/{place}/{'0' * 24}", json={})
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
