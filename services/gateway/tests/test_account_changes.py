"""Changing accounts over HTTP: settings, names, tags, aliases, suspension, new verifications and checkups."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from berth_events.contracts import (
    AccountCheckedUp,
    AccountCheckupRequested,
    AccountRequested,
    AccountResumed,
    AccountSuspended,
    AccountUpdated,
    AccountVerificationRequested,
    Checkup,
)
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_results import verified


async def connect(harness: GatewayHarness, project: Project, **changes: Any) -> tuple[str, AccountRequested]:
    answer = await project.http.post("/v1/accounts", json=account_body(**changes))
    assert answer.status_code == 202, answer.text
    requested = next(event for event in await harness.published() if isinstance(event, AccountRequested))
    return f"/v1/accounts/{answer.json()['id']}", requested


async def feed_types(project: Project) -> list[str]:
    return [event["type"] for event in (await project.http.get("/v1/events")).json()["items"]]


async def test_what_is_changed_is_shown_published_and_told(harness: GatewayHarness, project: Project) -> None:
    place, _ = await connect(harness, project)
    body = {
        "last_name": "Roe",
        "signature": "<b>Alice</b>",
        "time_zone": "Europe/Paris",
        "settings": {"daily_limit": 50, "alive": False},
        "tags": ["Sales", "EU"],
    }
    answer = await project.http.patch(place, json=body)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["first_name"], shown["last_name"], shown["signature"]) == ("Alice", "Roe", "<b>Alice</b>")
    assert shown["settings"]["daily_limit"] == 50
    assert shown["settings"]["alive"] is False
    assert shown["settings"]["bcc"] is None
    assert [tag["name"] for tag in shown["tags"]] == ["Sales", "EU"]
    (event,) = await harness.published()
    assert isinstance(event, AccountUpdated)
    assert event.first_name is None
    assert event.last_name == "Roe"
    assert event.settings is not None
    assert event.settings.model_dump(exclude_none=True) == {"daily_limit": 50, "alive": False}
    assert event.tags == ("Sales", "EU")
    assert await feed_types(project) == ["AccountRequested", "AccountUpdated"]


async def test_what_is_so_already_is_no_change(harness: GatewayHarness, project: Project) -> None:
    place, _ = await connect(harness, project, tags=["sales"], settings={"daily_limit": 7})
    before = (await project.http.get(place)).json()
    answer = await project.http.patch(
        place, json={"first_name": "Alice", "settings": {"daily_limit": 7}, "tags": ["SALES"], "signature": None}
    )
    assert answer.status_code == 200
    assert await harness.published() == []
    assert answer.json() == before


async def test_an_account_comes_with_its_settings(harness: GatewayHarness, project: Project) -> None:
    place, _ = await connect(
        harness, project, settings={"bcc": "copy@acme.test"}, tags=["new"], time_zone="Asia/Tokyo", signature="Hi"
    )
    shown = (await project.http.get(place)).json()
    assert shown["settings"]["bcc"] == "copy@acme.test"
    assert (shown["time_zone"], shown["signature"], shown["tags"][0]["name"]) == ("Asia/Tokyo", "Hi", "new")
    assert await feed_types(project) == ["AccountRequested", "AccountUpdated"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"settings": {"warmup_conversations": 36}}, "settings.warmup_conversations"),
        ({"settings": {"warmup_target": 51}}, "settings.warmup_target"),
        ({"settings": {"nonsense": 1}}, "settings.nonsense"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"tags": [""]}, "tags.0"),
        ({"first_name": "a\0b"}, "first_name"),
        ({"settings": {"alias": "nobody@acme.test"}}, "alias"),
    ],
)
async def test_a_wrong_change_names_its_field(
    harness: GatewayHarness, project: Project, body: dict[str, Any], field: str
) -> None:
    place, _ = await connect(harness, project)
    before = (await project.http.get(place)).json()
    answer = await project.http.patch(place, json=body)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert (await project.http.get(place)).json() == before


async def test_an_alias_has_to_be_listed_before_it_is_used(harness: GatewayHarness, project: Project) -> None:
    place, _ = await connect(harness, project)
    aliases = {"aliases": [{"email": "Sales@acme.test", "name": "Sales"}]}
    assert (await project.http.put(f"{place}/aliases", json=aliases)).json() == aliases
    assert (await project.http.get(f"{place}/aliases")).json() == aliases
    answer = await project.http.patch(place, json={"settings": {"alias": "sales@acme.test"}})
    assert answer.json()["settings"]["alias"] == "sales@acme.test"
    cleared = await project.http.patch(place, json={"settings": {"alias": ""}})
    assert cleared.status_code == 200
    refused = await project.http.put(f"{place}/aliases", json={"aliases": [{"email": "no address"}]})
    assert refused.json()["errors"][0]["field"] == "aliases.0.email"


async def test_suspending_twice_says_it_once_and_keeps_the_seat(harness: GatewayHarness, project: Project) -> None:
    place, _ = await connect(harness, project)
    for _ in range(2):
        answer = await project.http.post(f"{place}/suspend", json={"reason": "on leave"})
        assert answer.json()["suspended"] is True
    (event,) = await harness.published()
    assert isinstance(event, AccountSuspended)
    assert event.reason == "on leave"
    assert (await harness.seats(project.organization_id))["monitoring"] == 1
    assert (await project.http.post(f"{place}/resume")).json()["suspended"] is False
    assert (await project.http.post(f"{place}/suspend")).json()["suspended"] is True
    assert [type(event) for event in await harness.published()] == [AccountResumed, AccountSuspended]


async def test_reconnecting_asks_for_a_verification(harness: GatewayHarness, project: Project) -> None:
    place, requested = await connect(harness, project)
    await harness.deliver(verified(requested, works=True))
    answer = await project.http.post(f"{place}/reconnect")
    assert answer.status_code == 202
    (event,) = await harness.published()
    assert isinstance(event, AccountVerificationRequested)
    assert event.reason == "reconnect"
    assert event.credential_ref == requested.credential_ref
    assert event.imap == requested.imap


async def test_a_refused_password_is_not_tried_again_within_a_minute(harness: GatewayHarness, project: Project) -> None:
    place, requested = await connect(harness, project)
    await harness.deliver(verified(requested, works=False))
    answer = await project.http.post(f"{place}/reconnect")
    assert answer.status_code == 202
    assert answer.json()["diagnosis"]["code"] == "AUTH_BAD_CREDENTIALS"
    assert await harness.published() == []
    harness.clock.shift = timedelta(seconds=61)
    await project.http.post(f"{place}/reconnect")
    assert [type(event) for event in await harness.published()] == [AccountVerificationRequested]


async def test_a_checkup_is_asked_for_and_shown(harness: GatewayHarness, project: Project) -> None:
    place, requested = await connect(harness, project)
    assert (await project.http.post(f"{place}/checkup")).status_code == 202
    (event,) = await harness.published()
    assert isinstance(event, AccountCheckupRequested)
    result = Checkup(
        started_at=harness.clock.now(), outcome="spam", delay_ms=900, folder="Junk", sending_ip="192.0.2.7"
    )
    await harness.deliver(
        AccountCheckedUp(
            account_id=requested.account_id,
            organization_id=requested.organization_id,
            project_id=requested.project_id,
            address=requested.address,
            checkup_id=event.checkup_id,
            checkup=result,
        )
    )
    shown = (await project.http.get(place)).json()["checkup"]
    assert (shown["outcome"], shown["folder"], shown["sending_ip"]) == ("spam", "Junk", "192.0.2.7")
    assert (await feed_types(project))[-1] == "AccountCheckedUp"


async def test_an_account_that_only_sends_has_no_checkup(harness: GatewayHarness, project: Project) -> None:
    place, _ = await connect(harness, project, imap=None)
    answer = await project.http.post(f"{place}/checkup")
    assert answer.status_code == 422
    assert await harness.published() == []


async def test_statistics_count_by_day(harness: GatewayHarness, project: Project) -> None:
    place, requested = await connect(harness, project)
    await harness.deliver(verified(requested, works=True), verified(requested, works=False))
    harness.clock.shift = timedelta(days=1)
    await harness.deliver(verified(requested, works=True))
    found = (await project.http.get(f"{place}/stats", params={"past_days": 1})).json()
    assert (found["checks"], found["failures"]) == (3, 1)
    assert found["availability"] == pytest.approx(2 / 3)
    assert found["mean_duration_ms"] == pytest.approx(12.5)
    assert [(day["checks"], day["failures"]) for day in found["days"]] == [(2, 1), (1, 0)]
    today = (await project.http.get(f"{place}/stats", params={"past_days": 0})).json()
    assert today["checks"] == 1
    assert (await project.http.get(f"{place}/stats", params={"past_days": 181})).status_code == 422


async def test_accounts_that_are_not_there_are_not_found(project: Project) -> None:
    place = f"/v1/accounts/{uuid4()}"
    for method, path, body in [
        ("PATCH", place, {"first_name": "x"}),
        ("PUT", f"{place}/credentials", {"password": "x"}),
        ("PUT", f"{place}/aliases", {"aliases": []}),
        ("GET", f"{place}/aliases", None),
        ("GET", f"{place}/stats", None),
        ("POST", f"{place}/suspend", None),
        ("POST", f"{place}/resume", None),
        ("POST", f"{place}/reconnect", None),
        ("POST", f"{place}/checkup", None),
    ]:
        answer = await project.http.request(method, path, json=body)
        assert answer.status_code == 404, (method, path)


async def test_a_batch_tells_of_each_account(harness: GatewayHarness, project: Project) -> None:
    first, _ = await connect(harness, project)
    second, _ = await connect(harness, project, email="bob@acme.test")
    ids = [first.rpartition("/")[2], str(uuid4()), second.rpartition("/")[2]]
    await project.http.post(f"{second}/suspend")
    report = (await project.http.post("/v1/accounts/batch", json={"action": "suspend", "account_ids": ids})).json()
    assert (report["done"], report["unchanged"], report["failed"]) == (1, 1, 1)
    assert [item["outcome"] for item in report["items"]] == ["done", "failed", "unchanged"]
    assert report["items"][1]["problem"] == "urn:berth:problem:not-found"
    tagged = await project.http.post(
        "/v1/accounts/batch", json={"action": "tag", "account_ids": [*ids, ids[0]], "tags": ["Q4"]}
    )
    assert tagged.json()["done"] == 2
    assert [tag["name"] for tag in (await project.http.get(first)).json()["tags"]] == ["Q4"]
    untag = {"action": "untag", "account_ids": ids, "tags": ["q4"]}
    assert (await project.http.post("/v1/accounts/batch", json=untag)).json()["done"] == 2
    removed = await project.http.post("/v1/accounts/batch", json={"action": "remove", "account_ids": ids})
    assert removed.json()["done"] == 2
    assert (await harness.seats(project.organization_id))["monitoring"] == 0
    assert await harness.credentials() == set()
    assert (
        await project.http.post("/v1/accounts/batch", json={"action": "tag", "account_ids": ids})
    ).status_code == 422


async def test_tags_are_made_renamed_and_deleted(harness: GatewayHarness, project: Project) -> None:
    place, _ = await connect(harness, project, tags=["sales"])
    made = await project.http.post("/v1/tags", json={"name": "Support"})
    assert made.status_code == 201
    assert made.json() == {"id": 2, "name": "Support", "color": "#4CAF50"}
    assert (await project.http.post("/v1/tags", json={"name": "SUPPORT"})).status_code == 409
    assert (await project.http.patch("/v1/tags/1", json={"name": "support"})).status_code == 409
    assert (await project.http.patch("/v1/tags/1", json={"color": "red"})).status_code == 422
    renamed = await project.http.patch("/v1/tags/1", json={"name": "Selling", "color": "#000000"})
    assert renamed.json() == {"id": 1, "name": "Selling", "color": "#000000"}
    assert (await project.http.get(place)).json()["tags"] == [renamed.json()]
    assert (await project.http.delete("/v1/tags/1")).status_code == 204
    assert (await project.http.delete("/v1/tags/1")).status_code == 404
    assert (await project.http.get(place)).json()["tags"] == []
    assert [tag["id"] for tag in (await project.http.get("/v1/tags")).json()["items"]] == [2]


async def test_lists_are_filtered(harness: GatewayHarness, project: Project) -> None:
    alice, requested = await connect(harness, project, tags=["sales"])
    await connect(harness, project, email="bob@other.test", first_name="Bob", tags=["Support"], imap=None)
    await connect(harness, project, email="carol@acme.test", seat_kind="spam_check")
    await project.http.post(f"{alice}/suspend")
    await harness.deliver(verified(requested, works=False))

    async def found(**params: Any) -> list[str]:
        answer = await project.http.get("/v1/accounts", params=params)
        assert answer.status_code == 200, answer.text
        return [account["email"].partition("@")[0] for account in answer.json()["items"]]

    assert await found() == ["alice", "bob", "carol"]
    assert await found(status="failed") == ["alice"]
    assert await found(status=["failed", "pending"]) == ["alice", "bob", "carol"]
    assert await found(domain="ACME.test") == ["alice", "carol"]
    assert await found(tag=["SALES", "support"]) == ["alice", "bob"]
    assert await found(seat_kind="spam_check") == ["carol"]
    assert await found(suspended="true") == ["alice"]
    assert await found(search="BOB d") == ["bob"]
    assert await found(search="acme") == ["alice", "carol"]
    assert await found(provider="gmail") == []
    assert await found(workspace_id=str(uuid4())) == []
    assert (await project.http.get("/v1/accounts", params={"colour": "red"})).status_code == 422


async def test_nobody_elses_tags_and_batches(harness: GatewayHarness, project: Project) -> None:
    place, _ = await connect(harness, project, tags=["secret"])
    other = await harness.project(await harness.organization())
    assert (await other.http.get("/v1/tags")).json() == {"items": []}
    account_id = UUID(place.rpartition("/")[2])
    report = await other.http.post("/v1/accounts/batch", json={"action": "remove", "account_ids": [str(account_id)]})
    assert report.json()["failed"] == 1
    assert (await project.http.get(place)).status_code == 200


async def test_statistics_are_kept_for_half_a_year(harness: GatewayHarness, project: Project) -> None:
    place, requested = await connect(harness, project)
    await harness.deliver(verified(requested, works=True))
    harness.clock.shift = timedelta(days=180)
    await harness.gateway.housekeeping.tidy()
    assert (await project.http.get(f"{place}/stats", params={"past_days": 180})).json()["checks"] == 1
    harness.clock.shift = timedelta(days=183)
    await harness.gateway.housekeeping.tidy()
    assert await harness.owner.fetchval("SELECT count(*) FROM check_day") == 0
    assert (await project.http.get(place)).json()["status"] == "connected"
