"""MailReach's `imap_auth`: an unmodified client finds what its reference documents."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from berth_events.contracts import (
    AccountCredentialsReplaced,
    AccountRemoved,
    AccountRequested,
    AccountUpdated,
    AccountVerificationRequested,
)
from berth_gateway.dialects.mailreach.examples import ACCOUNT
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_results import verified
from berth_testing.waiting import eventually
from berth_vault import Binding, CannotOpen, VaultReader

#: The example request of MailReach's reference, with only host, key and mailbox changed.
REFERENCE_EXAMPLE = {
    "email": "john@acme.com",
    "password": "s3cret",
    "first_name": "",
    "last_name": "",
    "provider": "gmail",
    "id": 1,
    "imap_server": "imap.acme.com",
    "imap_server_port": 993,
    "imap_server_username": "john@acme.com",
    "imap_server_password": "s3cret",
    "smtp_server": "smtp.acme.com",
    "smtp_server_port": 587,
    "smtp_server_username": "john@acme.com",
    "smtp_server_password": "s3cret",
    "smtp_server_auth_type": "plain",
    "smtp_server_starttls": True,
    "smtp_only": True,
    "imap_issue": True,
    "spamchecker_only": True,
    "test": True,
}
UNKNOWN = "The value is not one of those that are known."
DOMAIN_KEYS = set(ACCOUNT["domain"])


def body(email: str = "alice@acme.test", **changes: Any) -> dict[str, Any]:
    return {
        "email": email,
        "first_name": "Alice",
        "last_name": "Doe",
        "provider": "custom",
        "imap_server": "imap.acme.com",
        "imap_server_port": 993,
        "smtp_server": "smtp.acme.com",
        "smtp_server_port": 587,
        "password": "s3cret",
        **changes,
    }


async def accounts(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await project.http.get("/v1/accounts")).json()["items"]
    return found


@pytest.mark.parametrize("path", ["/api/v1/imap_auth", "/api/v1/imap_auth/", "/v1/imap_auth", "/v1/imap_auth/"])
@pytest.mark.parametrize("form", [False, True])
async def test_a_mailbox_that_works(harness: GatewayHarness, project: Project, path: str, *, form: bool) -> None:
    sent: dict[str, Any] = {"data": {k: str(v) for k, v in body().items()}} if form else {"json": body()}
    async with harness.connector() as asked:
        answer = await harness.http.post(path, headers={"X-Api-Key": f"Bearer {project.key}"}, **sent)
    assert answer.status_code == 200, answer.text
    account = answer.json()
    assert set(account) == set(ACCOUNT), "every documented key, and no other"
    assert set(account["domain"]) == DOMAIN_KEYS
    assert (account["id"], account["email"], account["alive"]) == (1, "alice@acme.test", True)
    assert account["domain"]["spf_value"] == "v=spf1 -all", "the domain's record was waited for"
    assert account["domain"]["mx_records"] == [["mx.acme.test", "203.0.113.7", "10"]]
    (event,) = asked
    assert isinstance(event, AccountRequested)
    assert event.on_failure == "remove"
    assert event.imap is not None
    assert (event.imap.security, event.smtp and event.smtp.security) == ("tls", "starttls")
    (kept,) = await accounts(project)
    assert kept["status"] == "connected"


async def test_a_mailbox_that_does_not_work_is_not_kept(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector(works=False):
        answer = await project.http.post("/api/v1/imap_auth", json=body())
    assert answer.status_code == 500
    refused = answer.json()
    assert refused["success"] is refused["imap_auth_success"] is refused["smtp_auth_success"] is False
    assert refused["error"] == "The server refused user name or password. Check the password."
    assert refused["diagnosis"]["code"] == "AUTH_BAD_CREDENTIALS"
    assert refused["request_id"] == answer.headers["x-request-id"]
    assert await accounts(project) == []
    assert await harness.credentials() == set()
    assert (await harness.seats(project.organization_id))["monitoring"] == 0
    types = [item["type"] for item in (await project.http.get("/v1/events")).json()["items"]]
    assert types == ["AccountRequested", "AccountConnectionFailed", "AccountRemoved"]


async def test_the_account_goes_even_when_the_client_went_first(harness: GatewayHarness, project: Project) -> None:
    request = asyncio.create_task(project.http.post("/api/v1/imap_auth", json=body()))
    events = await eventually(harness.published, bool, within=5, pause=0.01)
    request.cancel()
    (event,) = events
    assert isinstance(event, AccountRequested)
    await harness.deliver(verified(event, works=False))
    (removed,) = await harness.published()
    assert isinstance(removed, AccountRemoved)
    assert removed.reason == "verification_failed"
    assert await accounts(project) == []
    assert await harness.credentials() == set()


async def test_a_kept_account_stays_when_a_later_check_fails(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector() as asked:
        await project.http.post("/api/v1/imap_auth", json=body())
        (event,) = asked
        await harness.deliver(verified(event, works=False))
    assert len(await accounts(project)) == 1


@pytest.mark.parametrize("dry", [False, True])
async def test_repeating_a_refused_request_logs_in_once(
    harness: GatewayHarness, project: Project, *, dry: bool
) -> None:
    async with harness.connector(works=False) as asked:
        answers = [await project.http.post("/api/v1/imap_auth", json=body(test=dry)) for _ in range(4)]
        assert {answer.status_code for answer in answers} == {500}
        assert len(asked) == 1
        # the same credentials, now (not) only to be tested
        assert (await project.http.post("/api/v1/imap_auth", json=body(test=not dry))).status_code == 500
        assert len(asked) == 1
        other = await project.http.post("/api/v1/imap_auth", json=body(test=dry, password="other"))
        assert other.status_code == 500
        assert len(asked) == 2
        harness.clock.shift = timedelta(seconds=61)
        await project.http.post("/api/v1/imap_auth", json=body(test=dry))
        assert len(asked) == 3


async def test_simultaneous_equal_requests_log_in_once(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector(delay=0.1) as asked:
        answers = await asyncio.gather(*(project.http.post("/api/v1/imap_auth", json=body()) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(asked) == 1


async def test_repeating_a_request_that_succeeded_logs_in_once(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector() as asked:
        for _ in range(2):
            assert (await project.http.post("/api/v1/imap_auth", json=body())).status_code == 200
            assert (await project.http.post("/api/v1/imap_auth", json=body(test=True))).status_code == 200
    assert len(asked) == 2, "one that counts and one dry run"


async def test_a_result_does_not_answer_for_an_account_that_was_removed(
    harness: GatewayHarness, project: Project
) -> None:
    async with harness.connector() as asked:
        await project.http.post("/api/v1/imap_auth", json=body())
        (account,) = await accounts(project)
        await project.http.delete(f"/v1/accounts/{account['id']}")
        answer = await project.http.post("/api/v1/imap_auth", json=body())
    assert (answer.status_code, answer.json()["id"]) == (200, 2)
    assert len(asked) == 2


async def test_too_slow_to_wait_for(harness: GatewayHarness, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.gateway.services.connecting, "_deadline", 0.2)
    answer = await project.http.post("/api/v1/imap_auth", json=body())
    assert answer.status_code == 504
    assert answer.headers["retry-after"] == "5"
    assert "error" in answer.json()
    (event,) = await harness.published()
    assert isinstance(event, AccountRequested)
    await harness.deliver(verified(event, works=True))
    again = await project.http.post("/api/v1/imap_auth", json=body())
    assert (again.status_code, again.json()["id"]) == (200, 1)
    assert await harness.published() == [], "the retry joined the verification that was there"


# -- test: true


async def test_the_references_own_example(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector() as asked:
        answer = await harness.http.post(
            "/api/v1/imap_auth", json=REFERENCE_EXAMPLE, headers={"X-Api-Key": project.key}
        )
    assert answer.status_code == 200, answer.text
    account = answer.json()
    assert set(account) == {*ACCOUNT, "success", "imap_auth_success", "smtp_auth_success"}
    assert set(account["domain"]) == DOMAIN_KEYS
    assert account["domain"]["spf_valid"] is True
    assert account["success"] is account["imap_auth_success"] is account["smtp_auth_success"] is True
    assert (account["id"], account["email"], account["provider"]) == (1, "john@acme.com", "gmail")
    (event,) = asked
    assert isinstance(event, AccountVerificationRequested)
    assert (event.reason, event.imap) == ("dry_run", None)
    assert event.smtp is not None
    assert (event.smtp.host, event.smtp.mechanism) == ("smtp.acme.com", "plain")


@pytest.mark.parametrize("works", [True, False])
async def test_a_dry_run_leaves_nothing(harness: GatewayHarness, project: Project, *, works: bool) -> None:
    async with harness.connector(works=works):
        answer = await project.http.post("/api/v1/imap_auth", json=body(test="true", id=77))
    assert answer.status_code == (200 if works else 500)
    assert answer.json()["success"] is works
    if works:
        assert answer.json()["id"] == 77, "the id is not looked up"
    assert await accounts(project) == []
    assert await harness.credentials() == set()
    assert (await harness.seats(project.organization_id))["monitoring"] == 0
    assert (await project.http.get("/v1/events")).json()["items"] == []
    assert await harness.owner.fetchval("SELECT count(*) FROM domain") == 0


async def test_a_dry_run_needs_no_seat(harness: GatewayHarness) -> None:
    project = await harness.project(await harness.organization(subscribed=False))
    async with project.http, harness.connector():
        assert (await project.http.post("/api/v1/imap_auth", json=body(test=True))).status_code == 200
        refused = await project.http.post("/api/v1/imap_auth", json=body())
    assert refused.status_code == 402
    assert "subscription" in refused.json()["error"]


async def test_a_dry_run_that_is_never_answered_is_given_up(
    harness: GatewayHarness, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness.gateway.services.connecting, "_deadline", 0.05)
    assert (await project.http.post("/api/v1/imap_auth", json=body(test=True))).status_code == 504
    assert len(await harness.credentials()) == 1
    harness.clock.shift = timedelta(hours=2)
    await harness.gateway.housekeeping.tidy()
    assert await harness.credentials() == set()


async def test_a_dry_run_does_not_touch_the_account_of_the_address(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector():
        await project.http.post("/api/v1/imap_auth", json=body())
    (before,) = await accounts(project)
    async with harness.connector(works=False):
        assert (
            await project.http.post("/api/v1/imap_auth", json=body(test=True, password="new", id=1))
        ).status_code == 500
    assert await accounts(project) == [before]


# -- updates


@pytest.mark.parametrize("by_id", [True, False])
async def test_new_credentials_that_work(harness: GatewayHarness, project: Project, *, by_id: bool) -> None:
    async with harness.connector() as asked:
        await project.http.post("/api/v1/imap_auth", json=body())
        old = asked[0].credential_ref
        changes: dict[str, Any] = {
            "password": "new",
            "first_name": "Alicia",
            "smtp_server": "mail.acme.com",
            **({"id": 1} if by_id else {}),
        }
        answer = await project.http.post("/api/v1/imap_auth", json=body(**changes))
    assert answer.status_code == 200
    assert (answer.json()["id"], answer.json()["first_name"], answer.json()["alive"]) == (1, "Alicia", True)
    await harness.published()
    replaced, updated = harness.history[-2:]
    assert isinstance(replaced, AccountCredentialsReplaced)
    assert replaced.smtp is not None
    assert replaced.smtp.host == "mail.acme.com"
    assert isinstance(updated, AccountUpdated)
    assert (updated.first_name, updated.last_name) == ("Alicia", None)
    assert await harness.credentials() == {(replaced.account_id, replaced.credential_ref.credential_id)}
    assert replaced.credential_ref != old
    assert (await secret_of(harness, replaced)) == "new"
    assert (await harness.seats(project.organization_id))["monitoring"] == 1
    (shown,) = await accounts(project)
    assert shown["status"] == "pending", "until the connector has proven what is stored now"
    assert shown["smtp"]["host"] == "mail.acme.com"


async def test_new_credentials_that_do_not_work_leave_the_old(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector() as asked:
        await project.http.post("/api/v1/imap_auth", json=body())
        (created,) = asked
    (before,) = await accounts(project)
    async with harness.connector(works=False):
        answer = await project.http.post("/api/v1/imap_auth", json=body(password="wrong", first_name="Eve"))
    assert answer.status_code == 500
    assert await accounts(project) == [before]
    assert await harness.credentials() == {(created.account_id, created.credential_ref.credential_id)}
    assert await secret_of(harness, created) == "s3cret"


async def test_the_old_credentials_again_after_new_ones_are_tried_again(
    harness: GatewayHarness, project: Project
) -> None:
    async with harness.connector() as asked:
        for password in ("one", "two", "one"):
            assert (await project.http.post("/api/v1/imap_auth", json=body(password=password))).status_code == 200
    assert len(asked) == 3, "the first success does not hold any more"
    (account,) = await accounts(project)
    row = await harness.owner.fetchrow("SELECT account_id, organization_id, credential_id FROM account")
    assert row is not None
    assert await harness.credentials() == {(row["account_id"], row["credential_id"])}
    assert account["number"] == 1


async def test_an_account_of_the_canonical_api_is_updated_too(harness: GatewayHarness, project: Project) -> None:
    created = (await project.http.post("/v1/accounts", json=account_body())).json()
    await harness.published()
    async with harness.connector():
        answer = await project.http.post("/api/v1/imap_auth", json=body())
    assert (answer.status_code, answer.json()["id"]) == (200, created["number"])


async def remove_during_update(
    harness: GatewayHarness, project: Project, **changes: Any
) -> asyncio.Task[httpx.Response]:
    """Connect, begin an update, remove the account, and let the update's probe succeed."""
    async with harness.connector():
        await project.http.post("/api/v1/imap_auth", json=body())
    (account,) = await accounts(project)
    request = asyncio.create_task(project.http.post("/api/v1/imap_auth", json=body(password="new", **changes)))
    (probe,) = await eventually(harness.published, bool, within=5, pause=0.01)
    await project.http.delete(f"/v1/accounts/{account['id']}")
    assert isinstance(probe, AccountVerificationRequested)
    await harness.deliver(verified(probe, works=True))
    return request


async def test_an_account_that_is_removed_while_it_is_updated(harness: GatewayHarness, project: Project) -> None:
    request = await remove_during_update(harness, project, id=1)
    assert (await request).status_code == 404
    assert await harness.credentials() == set()
    assert await accounts(project) == []


async def test_without_an_id_the_account_is_created_again(harness: GatewayHarness, project: Project) -> None:
    request = await remove_during_update(harness, project)
    async with harness.connector():
        answer = await request
    assert (answer.status_code, answer.json()["id"]) == (200, 2)
    assert len(await harness.credentials()) == 1


async def test_a_corrected_password_while_the_wrong_one_is_tried(harness: GatewayHarness, project: Project) -> None:
    wrong = asyncio.create_task(project.http.post("/api/v1/imap_auth", json=body(password="wrong")))
    (created,) = await eventually(harness.published, bool, within=5, pause=0.01)
    right = asyncio.create_task(project.http.post("/api/v1/imap_auth", json=body(password="right")))
    (probe,) = await eventually(harness.published, bool, within=5, pause=0.01)
    assert isinstance(created, AccountRequested)
    assert isinstance(probe, AccountVerificationRequested)
    await harness.deliver(verified(created, works=False))
    await harness.deliver(verified(probe, works=True))
    async with harness.connector():
        assert (await wrong).status_code == 500
        answer = await right
    assert (answer.status_code, answer.json()["id"]) == (200, 2)
    assert (await harness.seats(project.organization_id))["monitoring"] == 1


async def test_different_requests_for_one_address_at_once(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector(delay=0.02):
        requests = (project.http.post("/api/v1/imap_auth", json=body(password=f"p{n}")) for n in range(4))
        answers = await asyncio.gather(*requests)
    assert [answer.status_code for answer in answers] == [200] * 4
    assert {answer.json()["id"] for answer in answers} == {1}
    assert len(await harness.credentials()) == 1
    assert (await harness.seats(project.organization_id))["monitoring"] == 1


async def test_a_probe_opens_only_as_what_it_is(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector():
        await project.http.post("/api/v1/imap_auth", json=body())
    (account,) = await accounts(project)
    request = asyncio.create_task(project.http.post("/api/v1/imap_auth", json=body(password="new")))
    events = await eventually(harness.published, bool, within=5, pause=0.01)
    (probe,) = events
    assert isinstance(probe, AccountVerificationRequested)
    assert str(probe.account_id) != account["id"]
    assert await secret_of(harness, probe) == "new"
    with pytest.raises(CannotOpen):
        await secret_of(harness, probe.model_copy(update={"account_id": account["id"]}))
    await harness.deliver(verified(probe, works=False))
    assert (await request).status_code == 500


async def secret_of(
    harness: GatewayHarness, event: AccountRequested | AccountCredentialsReplaced | AccountVerificationRequested
) -> str:
    binding = Binding(
        organization_id=event.organization_id,
        owner_id=event.account_id,
        credential_id=event.credential_ref.credential_id,
        version=event.credential_ref.version,
    )
    async with harness.owner.acquire() as connection:
        return (await VaultReader(harness.opener).read(connection, binding)).reveal("smtp_password")


# -- what is asked for


async def test_smtp_only(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector() as asked:
        sent = {k: v for k, v in body(smtp_only="true").items() if not k.startswith("imap")}
        assert (await project.http.post("/api/v1/imap_auth", json=sent)).status_code == 200
    assert asked[0].imap is None
    (account,) = await accounts(project)
    assert account["imap"] is None


async def test_a_failed_smtp_only_mailbox_reports_imap_as_working(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector(works=False):
        refused = (await project.http.post("/api/v1/imap_auth", json=body(imap_issue=True))).json()
    assert (refused["imap_auth_success"], refused["smtp_auth_success"]) == (True, False)


async def test_spam_check_accounts_take_no_monitoring_seat(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector():
        account = (await project.http.post("/api/v1/imap_auth", json=body(spamchecker_only=True))).json()
    assert (account["spamchecker_enabled"], account["warming_enabled"]) == (True, False)
    assert await harness.seats(project.organization_id) == {"monitoring": 0, "spam_check": 1}


async def test_gmail_with_one_password(harness: GatewayHarness, project: Project) -> None:
    sent = {
        "email": "bob@gmail.com",
        "first_name": "Bob",
        "last_name": "B",
        "provider": "gmail",
        "password": "app pass",
    }
    async with harness.connector() as asked:
        answer = await project.http.post("/api/v1/imap_auth", json=sent)
    assert answer.json()["detected_sending_provider"] == "google"
    event = asked[0]
    assert event.imap is not None
    assert event.smtp is not None
    assert (event.imap.host, event.smtp.host, event.smtp.port) == ("imap.gmail.com", "smtp.gmail.com", 587)


@pytest.mark.parametrize(
    ("port", "hint", "security"),
    [
        ("587", False, "starttls"),
        (587, None, "starttls"),
        (465, True, "tls"),
        (465, None, "tls"),
        (20587, True, "auto"),
        (20587, "", "auto"),
        (20465, True, "auto"),
    ],
)
async def test_the_port_decides_not_the_starttls_hint(
    harness: GatewayHarness, project: Project, port: object, hint: object, security: str
) -> None:
    async with harness.connector() as asked:
        sent = body(smtp_server_port=port, smtp_server_starttls=hint)
        answer = await project.http.post("/api/v1/imap_auth", json=sent)
    assert answer.status_code == 200, answer.text
    assert asked[0].smtp is not None
    assert asked[0].smtp.security == security


@pytest.mark.parametrize(("sent", "mechanism"), [("plain", "plain"), ("login", "login"), (None, "auto"), ("", "auto")])
async def test_how_to_log_in(harness: GatewayHarness, project: Project, sent: str | None, mechanism: str) -> None:
    async with harness.connector() as asked:
        await project.http.post("/api/v1/imap_auth", json=body(smtp_server_auth_type=sent))
    assert asked[0].smtp is not None
    assert asked[0].smtp.mechanism == mechanism


async def test_nulls_blanks_and_unknown_fields_are_absent(harness: GatewayHarness, project: Project) -> None:
    sent = body(
        id=None, test=None, smtp_only="", imap_server_password="", smtp_server_username=None, surprise={"a": 1},
        imap_server_port="993", last_name=None, password=12345678,
    )  # fmt: skip
    sent["last_name"] = ""
    async with harness.connector() as asked:
        answer = await project.http.post("/api/v1/imap_auth", json=sent)
    assert answer.status_code == 200, answer.text
    assert isinstance(asked[0], AccountRequested)
    assert asked[0].imap is not None
    assert asked[0].imap.username == "alice@acme.test"
    assert await secret_of(harness, asked[0]) == "12345678"


async def test_json_without_its_content_type(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector():
        answer = await project.http.post(
            "/api/v1/imap_auth",
            content=json.dumps(body()),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
    assert answer.status_code == 200


# -- errors


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({}, "email is missing, first_name is missing, last_name is missing, provider is missing"),
        (body(provider="hotmail"), f"provider does not have a valid value ({UNKNOWN} Send 'gmail', 'outlook' or 'custom')"),
        (body(password=None), "imap_server_password is missing, smtp_server_password is missing"),
        (body(smtp_server=None), "smtp_server is missing"),
        (body(imap_server=" "), "imap_server is missing"),
    ],
)  # fmt: skip
async def test_faults_stand_in_one_sentence(project: Project, sent: dict[str, Any], error: str) -> None:
    answer = await project.http.post("/api/v1/imap_auth", json=sent)
    assert answer.status_code == 422
    assert answer.json()["error"] == error


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "x"}, "email"),
        ({"imap_server_port": 70000}, "imap_server_port"),
        ({"imap_server_port": "abc"}, "imap_server_port"),
        ({"smtp_server_port": 22}, "smtp_server_port"),
        ({"imap_server": "10.0.0.1"}, "imap_server"),
        ({"smtp_server": "smtp.internal"}, "smtp_server"),
        ({"id": 2**31}, "id"),
        ({"id": 0}, "id"),
        ({"test": "maybe"}, "test"),
        ({"smtp_server_auth_type": "cram-md5"}, "smtp_server_auth_type"),
        ({"password": "canary\0"}, "password"),
    ],
)
async def test_each_fault_names_its_field(
    harness: GatewayHarness, project: Project, changes: dict[str, Any], field: str
) -> None:
    answer = await project.http.post("/api/v1/imap_auth", json=body(**changes))
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(f"{field} does not have a valid value (")
    assert "canary" not in answer.text
    assert await harness.published() == []


async def test_an_unknown_id(harness: GatewayHarness, project: Project) -> None:
    answer = await project.http.post("/api/v1/imap_auth", json=body(id=99))
    assert (answer.status_code, answer.json()["error"]) == (404, "Account not found")
    assert await harness.published() == []


async def test_the_id_of_another_address(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector():
        await project.http.post("/api/v1/imap_auth", json=body())
        answer = await project.http.post("/api/v1/imap_auth", json=body("bob@acme.test", id=1))
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("email does not have a valid value")


@pytest.mark.parametrize("key", [None, "wrong", "Bearer wrong"])
async def test_without_a_good_key(harness: GatewayHarness, key: str | None) -> None:
    answer = await harness.http.post("/api/v1/imap_auth", json=body(), headers={"X-Api-Key": key} if key else {})
    assert (answer.status_code, answer.json()["error"]) == (401, "Invalid API key")


async def test_without_a_seat(harness: GatewayHarness) -> None:
    organization_id = await harness.organization(subscribed=False)
    await harness.subscribe(organization_id, monitoring=0)
    project = await harness.project(organization_id)
    async with project.http:
        answer = await project.http.post("/api/v1/imap_auth", json=body())
    assert answer.status_code == 403
    assert answer.json()["error"].startswith("The organization's monitoring seats are all taken (0 of 0)")


@pytest.mark.parametrize("content", [b"{", b"[]", b"17"])
async def test_what_is_not_json(project: Project, content: bytes) -> None:
    answer = await project.http.post("/api/v1/imap_auth", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "request_id"}


async def test_a_body_that_is_too_large(project: Project) -> None:
    answer = await project.http.post("/api/v1/imap_auth", json=body(first_name="x" * 1_000_001))
    assert answer.status_code == 413
    assert set(answer.json()) == {"error", "request_id"}
