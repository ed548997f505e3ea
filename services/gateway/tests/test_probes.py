"""Trying credentials out: dry runs, and new credentials for accounts."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from berth_events.contracts import (
    AccountCredentialsReplaced,
    AccountRequested,
    AccountVerificationRequested,
)
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_results import verified


async def test_a_dry_run_keeps_nothing(harness: GatewayHarness, project: Project) -> None:
    answer = await project.http.post("/v1/probes", json=account_body())
    assert answer.status_code == 202, answer.text
    place = answer.headers["location"]
    assert (await project.http.get(place)).json()["status"] == "pending"
    (event,) = await harness.published()
    assert isinstance(event, AccountVerificationRequested)
    assert event.reason == "dry_run"
    await harness.deliver(verified(event, works=False))
    found = (await project.http.get(place)).json()
    assert (found["status"], found["diagnosis"]["code"]) == ("failed", "AUTH_BAD_CREDENTIALS")
    assert found["steps"]
    assert (await project.http.get("/v1/accounts")).json()["items"] == []
    assert await harness.seats(project.organization_id) == {"monitoring": 0, "spam_check": 0}
    assert await harness.credentials() == set()


async def test_a_repeated_dry_run_is_the_same_one(harness: GatewayHarness, project: Project) -> None:
    places = [(await project.http.post("/v1/probes", json=account_body())).headers["location"] for _ in range(2)]
    assert places[0] == places[1]
    (event,) = await harness.published()
    await harness.deliver(verified(event, works=False))
    again = await project.http.post("/v1/probes", json=account_body())
    assert again.headers["location"] == places[0]
    assert await harness.published() == []


async def test_probes_of_others_are_not_found(harness: GatewayHarness, project: Project) -> None:
    place = (await project.http.post("/v1/probes", json=account_body())).headers["location"]
    other = await harness.project(await harness.organization())
    assert (await other.http.get(place)).status_code == 404
    assert (await project.http.get(f"/v1/probes/{uuid4()}")).status_code == 404


async def account(harness: GatewayHarness, project: Project, **changes: Any) -> tuple[str, AccountRequested]:
    answer = await project.http.post("/v1/accounts", json=account_body(**changes))
    requested = next(event for event in await harness.published() if isinstance(event, AccountRequested))
    await harness.deliver(verified(requested, works=True))
    return f"/v1/accounts/{answer.json()['id']}", requested


async def test_new_credentials_come_once_they_are_proven(harness: GatewayHarness, project: Project) -> None:
    place, requested = await account(harness, project)
    answer = await project.http.put(f"{place}/credentials", json={"password": "another"})
    assert answer.status_code == 202, answer.text
    (probe,) = await harness.published()
    assert isinstance(probe, AccountVerificationRequested)
    assert probe.imap == requested.imap
    assert (await project.http.get(place)).json()["status"] == "connected"
    await harness.deliver(verified(probe, works=True))
    (replaced,) = await harness.published()
    assert isinstance(replaced, AccountCredentialsReplaced)
    assert replaced.account_id == requested.account_id
    assert (await project.http.get(answer.headers["location"])).json()["status"] == "connected"


async def test_credentials_that_do_not_work_change_nothing(harness: GatewayHarness, project: Project) -> None:
    place, requested = await account(harness, project)
    answer = await project.http.put(f"{place}/credentials", json={"password": "wrong"})
    (probe,) = await harness.published()
    await harness.deliver(verified(probe, works=False))
    assert await harness.published() == []
    assert (await project.http.get(place)).json()["status"] == "connected"
    assert (await project.http.get(answer.headers["location"])).json()["status"] == "failed"
    assert await harness.credentials() == {(requested.account_id, requested.credential_ref.credential_id)}
    again = await project.http.put(f"{place}/credentials", json={"password": "wrong"})
    assert again.headers["location"] == answer.headers["location"]
    assert await harness.published() == []


async def test_new_credentials_at_once(harness: GatewayHarness, project: Project) -> None:
    place, requested = await account(harness, project)
    smtp = {"host": "relay.acme.com", "port": 465, "password": "p2"}
    answer = await project.http.put(f"{place}/credentials", json={"imap": None, "smtp": smtp, "apply": "now"})
    assert answer.status_code == 202, answer.text
    (replaced,) = await harness.published()
    assert isinstance(replaced, AccountCredentialsReplaced)
    assert replaced.imap is None
    assert replaced.smtp is not None
    assert replaced.smtp.host == "relay.acme.com"
    shown = (await project.http.get(place)).json()
    assert shown["status"] == "pending"
    assert shown["imap"] is None
    assert await harness.credentials() == {(requested.account_id, replaced.credential_ref.credential_id)}
    await harness.deliver(
        verified(requested.model_copy(update={"imap": None}), works=False, reference=replaced.credential_ref)
    )
    assert (await project.http.get(place)).json()["status"] == "failed"


async def test_a_refused_password_is_not_tried_twice_in_a_minute_even_at_once(
    harness: GatewayHarness, project: Project
) -> None:
    place, requested = await account(harness, project)
    body = {"password": "wrong", "apply": "now"}
    await project.http.put(f"{place}/credentials", json=body)
    (replaced,) = await harness.published()
    assert isinstance(replaced, AccountCredentialsReplaced)
    await harness.deliver(verified(requested, works=False, reference=replaced.credential_ref))
    assert (await project.http.put(f"{place}/credentials", json=body)).status_code == 202
    assert await harness.published() == []
    harness.clock.shift = timedelta(seconds=61)
    await project.http.put(f"{place}/credentials", json=body)
    assert [type(event) for event in await harness.published()] == [AccountCredentialsReplaced]


async def test_credentials_need_a_password_and_a_server(harness: GatewayHarness, project: Project) -> None:
    place, _ = await account(harness, project)
    for body, field in [
        ({}, "password"),
        ({"password": "x", "imap": None, "smtp": None}, "smtp"),
        ({"password": "x", "smtp": {"host": "127.0.0.1", "port": 465}}, "smtp.host"),
    ]:
        answer = await project.http.put(f"{place}/credentials", json=body)
        assert answer.status_code == 422, body
        assert field in {fault["field"] for fault in answer.json()["errors"]}
    assert UUID(place.rpartition("/")[2])
