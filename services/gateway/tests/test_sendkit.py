"""SendKit's way to add a mailbox: accepted at once, then kept or deleted, and the test remembers why."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from berth_events.contracts import (
    AccountConnectionFailed,
    AccountRemoved,
    AccountRequested,
    AccountUpdated,
    AccountVerificationRequested,
    Step,
    SubscriptionEnded,
)
from berth_gateway.dialects.sendkit.examples import CREATED
from berth_testing.gateway_harness import OPERATOR_KEY, GatewayHarness, Project, account_body
from berth_testing.gateway_results import verification, verified
from berth_testing.sendkit import create_mailbox, failure, mailbox_body, outcome
from berth_testing.waiting import until

POLL = (
    "Mailbox queued for SMTP verification. Poll GET /v1/mailboxes/:id/connection-test until status is no longer "
    '"inactive".'
)
TAKEN = failure("CONFLICT", "Mailbox already exists")


async def monitoring(harness: GatewayHarness, project: Project) -> int:
    return (await harness.seats(project.organization_id))["monitoring"]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
async def test_a_mailbox_that_works(harness: GatewayHarness, project: Project, slash: str, header: str) -> None:
    key = {header: f"Bearer {project.key}" if header == "Authorization" else project.key}
    answer = await harness.http.post(f"/v1/mailboxes{slash}", json=mailbox_body("Sarah@ACME.test"), headers=key)
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert shown.keys() == {"success", "data", "message"}
    assert (shown["success"], shown["message"]) == (True, POLL)
    mailbox = shown["data"]
    assert mailbox.keys() == CREATED.keys(), "every documented key, and no other"
    assert (mailbox["email"], mailbox["displayName"]) == ("sarah@acme.test", "sarah")
    assert (mailbox["status"], mailbox["sendingEnabled"], mailbox["dailySendLimit"]) == ("inactive", False, 15)
    assert "s3cret" not in answer.text
    place = f"/v1/mailboxes/{mailbox['_id']}"
    assert (await project.http.get(f"{place}/connection-test{slash}")).json() == {
        "success": True,
        "data": {"status": "pending"},
    }
    assert (await project.http.get(place)).json()["data"]["status"] == "inactive"
    async with harness.connector() as asked:
        test = await outcome(project, mailbox["_id"])
    assert test.keys() == {"status", "testedAt"}
    assert test["status"] == "passed"
    (event,) = asked
    assert isinstance(event, AccountRequested)
    assert event.on_failure == "remove"
    kept = (await project.http.get(place)).json()["data"]
    assert (kept["status"], kept["sendingEnabled"], kept["lastError"]) == ("active", True, None)
    assert await monitoring(harness, project) == 1


async def test_a_mailbox_that_does_not_work_is_deleted(harness: GatewayHarness, project: Project) -> None:
    mailbox = await create_mailbox(project)
    assert await monitoring(harness, project) == 1, "the seat is charged at once"
    async with harness.connector(works=False):
        test = await outcome(project, mailbox["_id"])
    assert test["status"] == "failed"
    assert test["error"] == "The server refused user name or password. Check the password."
    assert test["diagnosis"]["code"] == "AUTH_BAD_CREDENTIALS"
    assert test["testedAt"].endswith("Z")
    place = f"/v1/mailboxes/{mailbox['_id']}"
    assert (await outcome(project, mailbox["_id"])) == test, "it is remembered"
    for gone in (await project.http.get(place), await project.http.get(f"{place}/health")):
        assert (gone.status_code, gone.json()) == (404, failure("NOT_FOUND", "Mailbox not found"))
    assert (await project.http.get("/v1/mailboxes")).json()["data"] == []
    assert await monitoring(harness, project) == 0, "and released"
    assert await harness.credentials() == set()
    await harness.published()
    assert isinstance(harness.history[-1], AccountRemoved)


async def test_failed_but_not_deleted_yet_is_pending(
    harness: GatewayHarness, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(_self: object, _connection: object, _envelopes: object) -> None:
        """The process manager comes later."""

    mailbox = await create_mailbox(project)
    (event,) = await harness.published()
    assert isinstance(event, AccountRequested)
    with monkeypatch.context() as patch:
        patch.setattr(type(harness.gateway.manager), "apply", busy)
        envelopes = await harness.deliver(verified(event, works=False))
    found = await project.http.get(f"/v1/mailboxes/{mailbox['_id']}/connection-test")
    assert found.json()["data"] == {"status": "pending"}, "the seat is not free yet"
    assert (await project.http.get(f"/v1/mailboxes/{mailbox['_id']}")).json()["data"]["status"] == "inactive"
    async with harness.pool.acquire() as connection, connection.transaction():
        await harness.gateway.manager.apply(connection, envelopes)
    assert (await outcome(project, mailbox["_id"]))["status"] == "failed"


async def test_a_refused_mailbox_sent_again_is_not_tried_again(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector(works=False) as asked:
        first = await project.http.post("/v1/mailboxes", json=mailbox_body())
        await outcome(project, first.json()["data"]["_id"])
        for _ in range(3):
            again = await project.http.post("/v1/mailboxes", json=mailbox_body())
            assert (again.status_code, again.json()) == (201, first.json())
        assert len(asked) == 1
        assert await monitoring(harness, project) == 0
        other = await create_mailbox(project, smtp={**mailbox_body()["smtp"], "password": "other"})
        assert other["_id"] != first.json()["data"]["_id"]
        await outcome(project, other["_id"])
        assert len(asked) == 2
        harness.clock.shift = timedelta(seconds=61)
        third = await create_mailbox(project)
        assert third["_id"] not in {other["_id"], first.json()["data"]["_id"]}
        await outcome(project, third["_id"])
        assert len(asked) == 3


async def test_refused_in_another_apis_dry_run(harness: GatewayHarness, project: Project) -> None:
    async with harness.connector(works=False) as asked:
        login = {"username": "alice@acme.test", "password": "s3cret"}
        servers = {
            "imap": {"host": "imap.acme.com", "port": 993, **login},
            "smtp": {"host": "smtp.acme.com", "port": 587, **login},
        }
        dry = {"email": "alice@acme.test", "provider": "custom", **servers}
        probe = await project.http.post("/v1/probes", json=dry)
        assert probe.status_code == 202, probe.text
        await until(lambda: asked)
        await asyncio.sleep(0.1)
        answer = await project.http.post("/v1/mailboxes", json=mailbox_body())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == ["smtp.password"]
    assert len(asked) == 1


async def test_an_address_that_is_there(harness: GatewayHarness, project: Project) -> None:
    await create_mailbox(project)
    for body in (mailbox_body(), mailbox_body("ALICE@acme.test"), mailbox_body(displayName="Other")):
        answer = await project.http.post("/v1/mailboxes", json=body)
        assert (answer.status_code, answer.json()) == (409, TAKEN)
    other = await harness.project(project.organization_id)
    async with other.http:
        await create_mailbox(other)  # unique per workspace
    assert await monitoring(harness, project) == 2


async def test_simultaneous_equal_requests_make_one_mailbox(harness: GatewayHarness, project: Project) -> None:
    answers = await asyncio.gather(*(project.http.post("/v1/mailboxes", json=mailbox_body()) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert await monitoring(harness, project) == 1


async def test_without_a_subscription(harness: GatewayHarness) -> None:
    project = await harness.project(await harness.organization(subscribed=False))
    async with project.http:
        answer = await project.http.post("/v1/mailboxes", json=mailbox_body())
    message = "Workspace owner needs an active subscription to add mailboxes"
    assert (answer.status_code, answer.json()) == (403, failure("SUBSCRIPTION_REQUIRED", message))


async def test_with_a_subscription_that_ended(harness: GatewayHarness, project: Project) -> None:
    await harness.deliver(SubscriptionEnded(organization_id=project.organization_id), source="/berth/billing")
    answer = await project.http.post("/v1/mailboxes", json=mailbox_body())
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "SUBSCRIPTION_REQUIRED")


async def test_at_the_limit(harness: GatewayHarness, project: Project) -> None:
    await harness.subscribe(project.organization_id, monitoring=1)
    await create_mailbox(project)
    answer = await project.http.post("/v1/mailboxes", json=mailbox_body("bob@acme.test"))
    numbers = {"currentUsage": 1, "maxMailboxes": 1, "requested": 1}
    assert (answer.status_code, answer.json()) == (
        403,
        failure("LIMIT_REACHED", "Mailbox limit reached for your plan", **numbers),
    )


async def test_defaults(harness: GatewayHarness, project: Project) -> None:
    server = {"host": "smtp.acme.com", "username": "alice", "password": "s3cret"}
    mailbox = await create_mailbox(project, smtp=server, imap={"host": "imap.acme.com"})
    assert mailbox == {
        **CREATED,
        **{name: mailbox[name] for name in ("_id", "createdAt", "updatedAt")},
        "email": "alice@acme.test",
        "displayName": "alice",
        "signature": "",
        "tags": [],
        "smtpHost": "smtp.acme.com",
        "imapHost": "imap.acme.com",
    }
    (event,) = [e for e in await harness.published() if isinstance(e, AccountRequested)]
    assert event.imap is not None
    assert event.smtp is not None
    assert (event.smtp.username, event.imap.username, event.smtp.security, event.imap.security) == (
        "alice", "alice", "starttls", "tls",
    )  # fmt: skip


async def test_nulls_strings_and_unknown_fields(project: Project) -> None:
    login = {"username": "alice", "password": "s3cret"}
    mailbox = await create_mailbox(
        project,
        displayName=None,
        provider=None,
        imap=None,
        tags=None,
        signature=None,
        dailySendLimit="20",
        surprise={"deep": [1]},
        smtp={"host": "smtp.acme.com", "port": "465", "secure": "false", "surprise": 1, **login},
    )
    assert (mailbox["dailySendLimit"], mailbox["smtpPort"], mailbox["smtpSecure"]) == (20, 465, False)
    assert (mailbox["provider"], mailbox["tags"]) == ("custom", [])


@pytest.mark.parametrize(("sent", "kept"), [(0, 1), (-5, 1), (1, 1), (50, 50), (51, 50), (10**30, 50), ("40", 40)])
async def test_the_daily_limit_is_clamped(project: Project, sent: object, kept: int) -> None:
    assert (await create_mailbox(project, dailySendLimit=sent))["dailySendLimit"] == kept


@pytest.mark.parametrize(
    ("port", "secure", "security"),
    [(465, True, "tls"), (587, True, "starttls"), (2525, True, "starttls"), (20587, True, "auto"), (587, False, "auto"),
     (465, False, "auto")],
)  # fmt: skip
async def test_secure_means_encrypted(
    harness: GatewayHarness, project: Project, port: int, security: str, *, secure: bool
) -> None:
    smtp = {**mailbox_body()["smtp"], "port": port, "secure": secure}
    mailbox = await create_mailbox(project, smtp=smtp)
    (event,) = [e for e in await harness.published() if isinstance(e, AccountRequested)]
    assert event.smtp is not None
    assert event.smtp.security == security
    assert mailbox["smtpSecure"] is secure


@pytest.mark.parametrize("name", ["Sarah", "Sarah Johnson", "Sarah  Jane Johnson", "Prof. Dr. Ünal"])
async def test_the_display_name_comes_back_as_it_was(project: Project, name: str) -> None:
    assert (await create_mailbox(project, displayName=f" {name} "))["displayName"] == name


@pytest.mark.parametrize(
    ("provider", "shown"), [("gmail", "gmail"), ("outlook", "outlook"), ("azure", "outlook"), ("zoho", "custom")]
)
async def test_providers(project: Project, provider: str, shown: str) -> None:
    assert (await create_mailbox(project, provider=provider))["provider"] == shown


# -- imap left out


async def without_imap(
    harness: GatewayHarness, project: Project, **changes: Any
) -> tuple[dict[str, Any], AccountRequested]:
    body = mailbox_body(**changes)
    del body["imap"]
    answer = await project.http.post("/v1/mailboxes", json=body)
    assert answer.status_code == 201, answer.text
    (event,) = [e for e in await harness.published() if isinstance(e, AccountRequested)]
    return answer.json()["data"], event


@pytest.mark.parametrize(
    ("host", "provider", "imap"),
    [
        ("smtp.gmail.com", "custom", "imap.gmail.com"),
        ("smtp.office365.com", "custom", "outlook.office365.com"),
        ("smtp.acme.com", "gmail", "imap.gmail.com"),
        ("smtp.acme.com", "custom", "imap.acme.com"),
        ("smtp.other.com", "custom", "smtp.other.com"),
        ("mail.acme.com", "custom", "mail.acme.com"),
    ],
)
async def test_where_imap_is_looked_for(
    harness: GatewayHarness, project: Project, host: str, provider: str, imap: str
) -> None:
    harness.resolver.known = {"imap.acme.com": "9.9.9.9"}
    mailbox, event = await without_imap(
        harness, project, provider=provider, smtp={**mailbox_body()["smtp"], "host": host}
    )
    assert (mailbox["imapHost"], mailbox["imapPort"], mailbox["imapSecure"]) == (imap, 993, True)
    assert event.imap is not None
    assert (event.imap.host, event.imap.username) == (imap, "alice@acme.test")


def no_imap(event: AccountRequested, *, smtp: bool = True, greeted: bool = False) -> AccountConnectionFailed:
    """SMTP works, and nothing answers where IMAP was looked for; or something does."""
    failed = verified(event, works=False)
    assert isinstance(failed, AccountConnectionFailed)
    found = verification(works=False, imap=False, smtp=smtp)
    (step,) = found.steps
    greeting = [Step(protocol="imap", name="greet", outcome="ok", started_at=step.started_at, duration_ms=1)]
    connecting = step.model_copy(update={"protocol": "imap", "name": "connect"})
    steps = (*(greeting if greeted else []), connecting)
    return failed.model_copy(update={"verification": found.model_copy(update={"steps": steps})})


async def test_no_server_where_imap_was_guessed(harness: GatewayHarness, project: Project) -> None:
    mailbox, event = await without_imap(harness, project)
    place = f"/v1/mailboxes/{mailbox['_id']}"
    await harness.deliver(no_imap(event))
    updated, asked = await harness.published()
    assert isinstance(updated, AccountUpdated)
    assert updated.imap_issue is True
    assert isinstance(asked, AccountVerificationRequested)
    assert (asked.imap, asked.smtp, asked.credential_ref) == (None, event.smtp, event.credential_ref)
    assert (await project.http.get(f"{place}/connection-test")).json()["data"] == {"status": "pending"}
    await harness.deliver(verified(asked, works=True))
    assert (await outcome(project, mailbox["_id"]))["status"] == "passed"
    kept = (await project.http.get(place)).json()["data"]
    assert (kept["status"], kept["imapHost"], kept["imapPort"], kept["imapSecure"]) == ("active", None, None, None)
    assert await harness.published() == []


async def test_no_server_where_imap_was_guessed_and_then_smtp_fails(harness: GatewayHarness, project: Project) -> None:
    mailbox, event = await without_imap(harness, project)
    await harness.deliver(no_imap(event))
    _, asked = await harness.published()
    assert isinstance(asked, AccountVerificationRequested)
    await harness.deliver(verified(asked, works=False))
    assert (await outcome(project, mailbox["_id"]))["status"] == "failed"
    assert await monitoring(harness, project) == 0


@pytest.mark.parametrize("found", [{"smtp": False}, {"greeted": True}])
async def test_an_imap_server_that_was_found_counts(
    harness: GatewayHarness, project: Project, found: dict[str, bool]
) -> None:
    mailbox, event = await without_imap(harness, project)
    await harness.deliver(no_imap(event, **found))
    assert (await outcome(project, mailbox["_id"]))["status"] == "failed"


async def test_an_imap_server_that_was_named_counts(harness: GatewayHarness, project: Project) -> None:
    mailbox = await create_mailbox(project)
    (event,) = await harness.published()
    assert isinstance(event, AccountRequested)
    await harness.deliver(no_imap(event))
    assert (await outcome(project, mailbox["_id"]))["status"] == "failed"


# -- connection tests of mailboxes that went otherwise


async def test_deleted_before_it_was_verified(project: Project) -> None:
    mailbox = await create_mailbox(project)
    assert (await project.http.delete(f"/v1/mailboxes/{mailbox['_id']}")).status_code == 200
    test = await outcome(project, mailbox["_id"])
    assert test == {"status": "failed", "error": "The mailbox was deleted before it was verified."}


async def test_of_an_account_that_another_api_keeps(harness: GatewayHarness, project: Project) -> None:
    account = (await project.http.post("/v1/accounts", json=account_body())).json()
    mailbox_id = account["id"].replace("-", "")[:24]
    assert (await project.http.get(f"/v1/mailboxes/{mailbox_id}")).json()["data"]["status"] == "pending"
    async with harness.connector(works=False):
        assert (await outcome(project, mailbox_id))["status"] == "failed"
    kept = (await project.http.get(f"/v1/mailboxes/{mailbox_id}")).json()["data"]
    assert kept["status"] == "failed"
    assert kept["lastError"] == "The server refused user name or password. Check the password."
    assert kept["displayName"] == "Alice Doe"


@pytest.mark.parametrize("identity", ["665b1c2d3e4f5a6b7c8d9e0f", "0" * 24, "zz", "a" * 25, "%00", "…"])
async def test_an_id_that_was_never_issued(project: Project, identity: str) -> None:
    for place in (f"/v1/mailboxes/{identity}/connection-test", f"/v1/mailboxes/{identity}"):
        answer = await project.http.get(place)
        assert (answer.status_code, answer.json()) == (404, failure("NOT_FOUND", "Mailbox not found"))


async def test_an_id_of_another_workspace(harness: GatewayHarness, project: Project) -> None:
    mailbox = await create_mailbox(project)
    stranger = await harness.project(await harness.organization())
    async with stranger.http:
        for call, place in (
            ("GET", ""), ("GET", "/connection-test"), ("GET", "/health"), ("PATCH", ""), ("DELETE", ""),
        ):  # fmt: skip
            answer = await stranger.http.request(call, f"/v1/mailboxes/{mailbox['_id']}{place}", json={})
            assert answer.status_code == 404
    assert (await project.http.get(f"/v1/mailboxes/{mailbox['_id']}")).status_code == 200


# -- what is refused


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": None}, "email"),
        ({"email": "no-at-sign"}, "email"),
        ({"email": ["a"]}, "email"),
        ({"email": "a\0b@acme.test"}, "email"),
        ({"smtp": None}, "smtp"),
        ({"smtp": "smtp.acme.com"}, "smtp"),
        ({"smtp": {"host": "smtp.acme.com"}}, "smtp.username"),
        ({"smtp": {"host": "smtp.acme.com", "username": "a"}}, "smtp.password"),
        ({"smtp": {"username": "a", "password": "canary-1"}}, "smtp.host"),
        ({"smtp": {**mailbox_body()["smtp"], "port": 70000}}, "smtp.port"),
        ({"smtp": {**mailbox_body()["smtp"], "port": 22}}, "smtp.port"),
        ({"smtp": {**mailbox_body()["smtp"], "port": "x"}}, "smtp.port"),
        ({"smtp": {**mailbox_body()["smtp"], "secure": "maybe"}}, "smtp.secure"),
        ({"smtp": {**mailbox_body()["smtp"], "host": "10.0.0.1"}}, "smtp.host"),
        ({"smtp": {**mailbox_body()["smtp"], "password": "canary-1\0"}}, "smtp.password"),
        ({"smtp": {**mailbox_body()["smtp"], "password": ["canary-1"]}}, "smtp.password"),
        ({"imap": {"port": 993}}, "imap.host"),
        ({"dailySendLimit": "many"}, "dailySendLimit"),
        ({"dailySendLimit": [1]}, "dailySendLimit"),
        ({"tags": "outreach"}, "tags"),
        ({"tags": [{}]}, "tags.0"),
        ({"tags": ["a\0"]}, "tags.0"),
        ({"displayName": {"a": 1}}, "displayName"),
        ({"signature": "\0"}, "signature"),
    ],
)
async def test_each_fault_names_its_field(project: Project, changes: dict[str, Any], field: str) -> None:
    answer = await project.http.post("/v1/mailboxes", json=mailbox_body(**changes))
    assert answer.status_code == 400, answer.text
    refused = answer.json()
    assert (refused["success"], refused["error"]["code"]) == (False, "VALIDATION_ERROR")
    assert field in [detail["field"] for detail in refused["error"]["details"]]
    assert field in refused["error"]["message"]
    assert "canary-1" not in answer.text


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"17", b'"x"', b"\xff\xfe", b"[" * 50_000, b'{"a":' * 50_000, b'{"email": NaN}',
     b'{"email": ' + b"9" * 5000 + b"}", json.dumps(mailbox_body()).replace("alice@", "\\\\ud800@").encode()],
)  # fmt: skip
async def test_what_is_no_mailbox(project: Project, content: bytes) -> None:
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        answer = await project.http.post("/v1/mailboxes", content=content, headers={"Content-Type": content_type})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


async def test_a_body_that_is_too_large(project: Project) -> None:
    answer = await project.http.post("/v1/mailboxes", json=mailbox_body(signature="x" * 1_000_001))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_method_that_is_none(project: Project) -> None:
    answer = await project.http.put("/v1/mailboxes", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")


async def test_a_path_that_is_none(project: Project) -> None:
    answer = await project.http.get("/v1/mailboxes/a/b/c")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


# -- keys


@pytest.mark.parametrize("headers", [{}, {"X-Api-Key": "sk_wrong"}, {"Authorization": "Bearer sk_user_wrong"}])
async def test_without_a_key(harness: GatewayHarness, headers: dict[str, str]) -> None:
    answer = await harness.http.get("/v1/mailboxes", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")


async def test_a_key_that_may_only_read(harness: GatewayHarness) -> None:
    project = await harness.project(await harness.organization(), scopes=["accounts:read"])
    async with project.http:
        assert (await project.http.get("/v1/mailboxes")).status_code == 200
        answer = await project.http.post("/v1/mailboxes", json=mailbox_body())
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")


async def test_the_operator_is_no_client(harness: GatewayHarness) -> None:
    answer = await harness.http.get("/v1/mailboxes", headers={"X-Api-Key": OPERATOR_KEY})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")


async def test_too_many_requests(harness: GatewayHarness) -> None:
    organization_id = await harness.organization()
    made = await harness.platform(f"/v1/organizations/{organization_id}/projects", {"name": "Main"})
    terms = {"name": "slow", "scopes": ["accounts:read"], "rate_limit": "1/minute"}
    key = (await harness.platform(f"/v1/projects/{made['id']}/keys", terms))["key"]
    answers = [await harness.http.get("/v1/mailboxes", headers={"X-Api-Key": key}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert "X-RateLimit-Limit" in answers[0].headers
    assert answers[1].json()["error"]["code"] == "RATE_LIMITED"
    assert int(answers[1].headers["retry-after"]) > 0


@pytest.mark.parametrize("product", ["google", "outlook"])
async def test_consent_is_not_offered(project: Project, product: str) -> None:
    answer = await project.http.post(f"/v1/mailboxes/connect/{product}")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "OAUTH_NOT_CONFIGURED"
    assert "POST /v1/email-workspaces" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(RuntimeError("canary-1"), 500, "INTERNAL_ERROR"), (ConnectionRefusedError("canary-1"), 503, "UNAVAILABLE")],
)
async def test_mistakes_of_ours(
    harness: GatewayHarness, project: Project, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    async def broken(_self: object, _servers: object) -> None:
        raise error

    monkeypatch.setattr(type(harness.gateway.services.vetting), "vet", broken)
    answer = await project.http.post("/v1/mailboxes", json=mailbox_body())
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "canary-1" not in answer.text
