"""What becomes of an import's rows, and how far it is."""

import asyncio
import base64
import csv
import io
import json
from datetime import timedelta
from uuid import UUID

from berth_events.contracts import (
    AccountRemoved,
    EmailWorkspaceCreated,
    ImportProgressed,
)
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.gateway_imports import imported, requests, rows, shown, workspace
from berth_testing.gateway_results import DIAGNOSIS, verified
from berth_testing.gateway_workspaces import google_body, workspace_result


async def test_each_row_keeps_its_first_result(harness: GatewayHarness, project: Project) -> None:
    made = await imported(project, await workspace(project), [f"a{number}@acme.test" for number in range(4)])
    ada, bob, cal, dan = await requests(harness)
    await harness.deliver(verified(ada, works=True), verified(bob, works=False))
    now = await shown(project, made)
    assert now["progress"]["percent"] == 50
    assert (now["progress"]["connected"], now["progress"]["failed"], now["progress"]["pending"]) == (1, 1, 2)
    assert now["failures"] == [
        {"code": DIAGNOSIS.code, "count": 1, "detail": DIAGNOSIS.meaning, "remedy": DIAGNOSIS.remedy}
    ]
    assert now["state"] == "running"
    await harness.deliver(
        verified(ada, works=False), verified(bob, works=True)
    )  # later, it is not the import's any more
    assert (await project.http.delete(f"/v1/accounts/{ada.account_id}")).status_code == 204
    assert (await project.http.delete(f"/v1/accounts/{cal.account_id}")).status_code == 204
    await harness.deliver(verified(cal, works=True))  # too late: it was removed before
    await harness.deliver(verified(dan, works=True))
    assert [row["state"] for row in await rows(project, made)] == ["connected", "failed", "removed", "connected"]
    now = await shown(project, made)
    assert now["progress"]["percent"] == 100
    assert now["state"] == "finished"
    assert now["finished_at"] is not None
    answer = await project.http.get(f"/v1/imports/{made['id']}/rejected.csv?state=failed&state=rejected")
    _, line = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert line[:5] == ["2", "a1@acme.test", DIAGNOSIS.code, DIAGNOSIS.meaning, DIAGNOSIS.remedy]
    assert (await project.http.get(f"/v1/imports/{made['id']}/rejected.csv?state=connected")).status_code == 422
    [failed] = await rows(project, made, "?state=failed")
    assert failed["diagnosis"]["code"] == failed["code"] == DIAGNOSIS.code


async def test_accounts_that_fail_go_when_that_was_asked_for(harness: GatewayHarness, project: Project) -> None:
    made = await imported(project, await workspace(project), ["a@acme.test", "b@acme.test"], on_failure="remove")
    first, second = await requests(harness)
    await harness.deliver(verified(first, works=False), verified(second, works=True))
    assert [event.reason for event in await harness.published() if isinstance(event, AccountRemoved)] == [
        "verification_failed"
    ]
    assert [row["state"] for row in await rows(project, made)] == ["failed", "connected"]
    assert (await harness.seats(project.organization_id))["monitoring"] == 1
    assert len(await harness.credentials()) == 1, "the workspace's"


async def test_a_rejected_workspace_stops_an_import_until_it_works(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await workspace(project)
    [created] = await harness.published()
    assert isinstance(created, EmailWorkspaceCreated)
    made = await imported(project, workspace_id, ["a@acme.test", "b@acme.test"])
    assert (made["state"], made["diagnosis"]) == ("running", None)
    first, second = await requests(harness)
    await harness.deliver(verified(first, works=True))
    waiting = asyncio.create_task(harness.gateway.services.import_settled.wait(UUID(made["id"]), within=5))
    watching = asyncio.create_task(project.http.get(f"/v1/imports/{made['id']}/events"))
    await harness.deliver(workspace_result(created, works=False))
    assert await waiting == 1, "nothing more comes by itself"
    now = await shown(project, made)
    assert (now["state"], now["diagnosis"]["code"], now["failures"]) == ("stopped", DIAGNOSIS.code, [])
    assert (now["progress"]["pending"], now["progress"]["percent"], now["finished_at"]) == (1, 50, None)
    await asyncio.sleep(0.7)  # the stream looks twice a second
    answer = await project.http.put(
        f"/v1/email-workspaces/{workspace_id}/credentials",
        json={"service_account_key": google_body()["service_account_key"]},
    )
    assert answer.status_code == 202, answer.text
    assert (await shown(project, made))["state"] == "running"
    await harness.deliver(verified(second, works=True))
    now = await shown(project, made)
    assert (now["state"], now["diagnosis"], now["progress"]["connected"]) == ("finished", None, 2)
    told = [json.loads(line.removeprefix("data: ")) for line in (await watching).text.splitlines() if "data: " in line]
    assert [each["state"] for each in told if each["state"] != "running"] == ["stopped", "finished"]
    assert [each["progress"]["percent"] for each in told] == sorted(each["progress"]["percent"] for each in told)


async def test_progress_is_published_by_tenths(harness: GatewayHarness, project: Project) -> None:
    await harness.subscribe(project.organization_id, monitoring=40)
    workspace_id = await workspace(project)
    [created] = await harness.published()
    assert isinstance(created, EmailWorkspaceCreated)
    made = await imported(
        project, workspace_id, [*(f"a{each}@acme.test" for each in range(38)), "no address", "nor this"]
    )
    asked = await requests(harness)
    told: list[ImportProgressed] = []

    async def announced() -> list[tuple[str, int]]:
        """What three replicas say that look at once, and then once more."""
        for _ in range(2):
            await asyncio.gather(*(harness.gateway.announcer.announce() for _ in range(3)))
        new = [event for event in await harness.published() if isinstance(event, ImportProgressed)]
        told.extend(new)
        return [(event.state, event.pending) for event in new]

    assert await announced() == [("running", 38)]
    await harness.deliver(verified(asked[0], works=True))
    assert await announced() == []
    await harness.deliver(*(verified(event, works=True) for event in asked[1:12]))
    assert await announced() == [("running", 26)]
    await harness.deliver(workspace_result(created, works=False))
    assert await announced() == [("stopped", 26)]
    await harness.deliver(verified(asked[12], works=False))
    assert await announced() == []
    await project.http.delete(f"/v1/email-workspaces/{workspace_id}")
    assert await announced() == [("finished", 0)]
    assert await announced() == []
    last = told[-1]
    assert (last.total, last.rejected, last.connected, last.failed, last.removed) == (40, 2, 12, 1, 25)
    assert (str(last.import_id), last.workspace_id) == (made["id"], workspace_id)
    items = (await project.http.get(f"/v1/events?subject={made['id']}")).json()["items"]
    assert [(item["type"], item["sequence"]) for item in items] == [("ImportProgressed", each) for each in (1, 2, 3, 4)]


async def test_an_import_of_which_nothing_is_accepted_is_finished_at_once(
    harness: GatewayHarness, project: Project
) -> None:
    assert (await project.http.post("/v1/imports", json={"accounts": [{"email": "nonsense"}]})).status_code == 202
    await harness.gateway.announcer.announce()
    [event] = await harness.published()
    assert isinstance(event, ImportProgressed)
    assert (event.state, event.rejected, event.workspace_id) == ("finished", 1, None)


async def test_removing_the_workspace_ends_its_imports(project: Project) -> None:
    workspace_id = await workspace(project)
    made = await imported(project, workspace_id, ["a@acme.test"])
    await project.http.delete(f"/v1/email-workspaces/{workspace_id}")
    now = await shown(project, made)
    assert (now["state"], now["progress"]["removed"]) == ("finished", 1)


async def test_progress_is_streamed(harness: GatewayHarness, project: Project) -> None:
    made = await imported(project, await workspace(project), ["a@acme.test", "b@acme.test"])
    first, second = await requests(harness)

    async def connect() -> None:
        for request in (first, second):
            await asyncio.sleep(0.7)
            await harness.deliver(verified(request, works=True))

    connecting = asyncio.create_task(connect())
    answer = await asyncio.wait_for(project.http.get(f"/v1/imports/{made['id']}/events"), 10)
    await connecting
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [frame.split("\n") for frame in answer.text.strip().split("\n\n") if frame.startswith("event:")]
    told = [(name, json.loads(data.removeprefix("data: "))["progress"]["percent"]) for name, data in frames]
    assert told == [("event: progress", 0), ("event: progress", 50), ("event: finished", 100)]


async def test_others_see_nothing(harness: GatewayHarness, project: Project) -> None:
    made = await imported(project, await workspace(project), ["a@acme.test"])
    stranger = await harness.project(await harness.organization())
    async with stranger.http as http:
        assert (await http.get("/v1/imports")).json()["items"] == []
        for path in ("", "/accounts", "/rejected.csv", "/events"):
            assert (await http.get(f"/v1/imports/{made['id']}{path}")).status_code == 404, path
        mine = await http.post("/v1/email-workspaces", json=google_body())
        same = await http.post(f"/v1/email-workspaces/{mine.json()['id']}/imports", json={"accounts": ["a@acme.test"]})
        assert same.json()["progress"]["accepted"] == 1, "an address is unique in a project, not beyond it"
        assert same.json()["number"] == mine.json()["number"] == 1


async def test_imports_are_listed_the_newest_first(project: Project) -> None:
    workspace_id = await workspace(project)
    made = [await imported(project, workspace_id, [f"a{number}@acme.test"]) for number in range(3)]
    first = (await project.http.get("/v1/imports?limit=2")).json()
    second = (await project.http.get(f"/v1/imports?limit=2&cursor={first['next_cursor']}")).json()
    assert first["items"] + second["items"] == made[::-1]
    assert second["next_cursor"] is None
    far = base64.urlsafe_b64encode(b"i9999999999").decode().rstrip("=")
    assert len((await project.http.get(f"/v1/imports?cursor={far}")).json()["items"]) == 3
    far = base64.urlsafe_b64encode(b"r9999999999").decode().rstrip("=")
    assert await rows(project, made[0], f"?cursor={far}") == []


async def test_imports_are_forgotten_after_a_while(harness: GatewayHarness, project: Project) -> None:
    made = await imported(project, await workspace(project), ["a@acme.test"])
    harness.clock.shift += timedelta(days=91)
    await harness.gateway.housekeeping.tidy()
    assert (await project.http.get(f"/v1/imports/{made['id']}")).status_code == 404
    assert await harness.owner.fetchval("SELECT count(*) FROM import_row") == 0
    assert len((await project.http.get("/v1/accounts")).json()["items"]) == 1
