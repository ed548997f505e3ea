"""SendKit's imports: many mailboxes from a CSV file, each tested, a few at a time."""

import asyncio
from typing import Any

import httpx
import pytest

from berth_events.contracts import AccountRequested, AccountVerificationRequested
from berth_gateway.dialects.sendkit import importing
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.gateway_results import verified
from berth_testing.sendkit import create_mailbox, failure

HEADING = "email,password,smtphost,imaphost"
REFUSED = "The server refused user name or password. Check the password."


async def send(project: Project, csv: str, kind: str = "smtp", **fields: str) -> httpx.Response:
    files = {"file": ("mailboxes.csv", csv.encode(), "text/csv")}
    return await project.http.post(f"/v1/mailboxes/import/{kind}", files=files, data=fields)


async def imported(project: Project, csv: str, kind: str = "smtp", **fields: str) -> dict[str, Any]:
    answer = await send(project, csv, kind, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"success", "data"}
    report: dict[str, Any] = answer.json()["data"]
    assert report.keys() == {"imported", "skipped", "failed", "errors"}
    return report


async def mailboxes(project: Project) -> dict[str, dict[str, Any]]:
    return {m["email"]: m for m in (await project.http.get("/v1/mailboxes?limit=200")).json()["data"]}


def row(name: str, password: str = "s3cret") -> str:
    return f"{name}@acme.test,{password},smtp.acme.com,imap.acme.com"


async def play(harness: GatewayHarness, refuse: str, running: list[int]) -> None:
    """A connector that refuses the mailboxes of a name, and sees how many are tested at once."""
    while True:
        events = [each for each in await harness.published() if isinstance(each, AccountRequested)]
        running.append(len(events))
        for event in events:
            await harness.deliver(verified(event, works=not event.address.startswith(refuse)))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("slash", ["", "/"])
async def test_what_became_of_each_row(harness: GatewayHarness, project: Project, slash: str) -> None:
    await create_mailbox(project, "there@acme.test")
    csv = "\n".join(
        [
            HEADING,
            row("alice"),
            row("THERE"),
            row("bad"),
            row("Alice"),
            "carol@acme.test,,smtp.acme.com,imap.acme.com",
            "dave@acme.test,x,,imap.acme.com",
            "erin@acme.test,x,smtp.acme.com,",
            "no-address,x,smtp.acme.com,imap.acme.com",
            "fay@acme.test,x,10.0.0.1,imap.acme.com",
            "",
            row("bob"),
        ]
    )
    running: list[int] = []
    connector = asyncio.create_task(play(harness, "bad", running))
    files = {"file": ("mailboxes.csv", csv.encode(), "text/csv")}
    answer = await project.http.post(f"/v1/mailboxes/import/smtp{slash}", files=files, data={"tag": "batch"})
    connector.cancel()
    assert answer.status_code == 200, answer.text
    report = answer.json()["data"]
    assert (report["imported"], report["skipped"], report["failed"]) == (2, 2, 6)
    errors = {error["email"]: error["error"] for error in report["errors"]}
    missing = "Missing SMTP host or password"
    assert errors["bad@acme.test"] == REFUSED
    assert (errors["carol@acme.test"], errors["dave@acme.test"]) == (missing, missing)
    assert errors["erin@acme.test"] == "Missing IMAP host"
    assert "email" in errors["no-address"]
    assert "smtp.host" in errors["fay@acme.test"]
    kept = await mailboxes(project)
    assert kept.keys() == {"there@acme.test", "alice@acme.test", "bob@acme.test"}
    assert (kept["alice@acme.test"]["status"], kept["alice@acme.test"]["tags"]) == ("active", ["batch"])
    assert (await harness.seats(project.organization_id))["monitoring"] == 3


async def test_optional_columns(harness: GatewayHarness, project: Project) -> None:
    csv = (
        "email;password;smtphost;imaphost;smtpport;imapport;smtpsecure;imapsecure;displayname;surprise\r\n"
        "Alice@acme.test; s3 ;smtp.acme.com;imap.acme.com;465;143;true;false;Alice Ann Doe;x\r\n"
    )
    assert (await imported(project, csv, skipConnectionTest="true"))["imported"] == 1
    mailbox = (await mailboxes(project))["alice@acme.test"]
    assert (mailbox["smtpPort"], mailbox["imapPort"], mailbox["displayName"]) == (465, 143, "Alice Ann Doe")
    (event,) = [each for each in await harness.published() if isinstance(each, AccountRequested)]
    assert event.smtp is not None
    assert event.imap is not None
    assert (event.smtp.security, event.imap.security, event.smtp.username) == ("tls", "starttls", "Alice@acme.test")


async def test_without_the_test_mailboxes_are_pending(harness: GatewayHarness, project: Project) -> None:
    csv = "\n".join([HEADING, row("alice"), row("bad")])
    assert await imported(project, csv, skipConnectionTest="TRUE") == {
        "imported": 2, "skipped": 0, "failed": 0, "errors": [],
    }  # fmt: skip
    assert {mailbox["status"] for mailbox in (await mailboxes(project)).values()} == {"pending"}
    for event in await harness.published():
        if isinstance(event, AccountRequested):
            await harness.deliver(verified(event, works=event.address.startswith("alice")))
    kept = await mailboxes(project)
    assert (kept["alice@acme.test"]["status"], kept["bad@acme.test"]["status"]) == ("active", "failed")
    assert kept["bad@acme.test"]["lastError"] == REFUSED


async def test_sent_again(harness: GatewayHarness, project: Project) -> None:
    csv = "\n".join([HEADING, row("alice"), row("bad")])
    running: list[int] = []
    connector = asyncio.create_task(play(harness, "bad", running))
    first = await imported(project, csv)
    tried = sum(running)
    again = await imported(project, csv)
    connector.cancel()
    assert (first["imported"], first["failed"]) == (1, 1)
    assert (again["imported"], again["skipped"], again["failed"]) == (0, 1, 1)
    assert again["errors"] == first["errors"]
    assert sum(running) == tried, "nobody logged in again"


async def test_500_rows_20_at_a_time(harness: GatewayHarness, project: Project) -> None:
    await harness.subscribe(project.organization_id, monitoring=1000)
    running: list[int] = []
    connector = asyncio.create_task(play(harness, "bad", running))
    report = await imported(project, "\n".join([HEADING, *(row(f"user{number}") for number in range(60))]))
    connector.cancel()
    assert report["imported"] == 60
    assert max(running) <= 20
    many = "\n".join([HEADING, *(row(f"user{number}") for number in range(501))])
    answer = await send(project, many)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert "500" in answer.json()["error"]["message"]
    assert len((await project.http.get("/v1/mailboxes?limit=200")).json()["data"]) == 60


async def test_tests_that_take_too_long_go_on(
    harness: GatewayHarness, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_PATIENCE_S", 0.2)
    report = await imported(project, "\n".join([HEADING, row("alice"), row("bad")]))
    assert report["imported"] == 2
    assert {mailbox["status"] for mailbox in (await mailboxes(project)).values()} == {"inactive"}
    for event in await harness.published():
        if isinstance(event, AccountRequested):
            await harness.deliver(verified(event, works=event.address.startswith("alice")))
    assert list(await mailboxes(project)) == ["alice@acme.test"]


async def test_more_than_the_plan_has(harness: GatewayHarness, project: Project) -> None:
    await harness.subscribe(project.organization_id, monitoring=3)
    await create_mailbox(project, "there@acme.test")
    csv = "\n".join([HEADING, row("there"), row("a"), row("b"), row("c")])
    answer = await send(project, csv)
    numbers = {"currentUsage": 1, "maxMailboxes": 3, "requested": 3}
    assert (answer.status_code, answer.json()) == (
        403,
        failure("LIMIT_REACHED", "Mailbox limit reached for your plan", **numbers),
    )
    assert list(await mailboxes(project)) == ["there@acme.test"]


async def test_without_a_subscription(harness: GatewayHarness) -> None:
    project = await harness.project(await harness.organization(subscribed=False))
    async with project.http:
        answer = await send(project, "\n".join([HEADING, row("a")]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "SUBSCRIPTION_REQUIRED")


@pytest.mark.parametrize("slash", ["", "/"])
async def test_outlook(harness: GatewayHarness, project: Project, slash: str) -> None:
    csv = "email,password,name,totpsecret\nAlice@acme.test,s3cret,Alice Doe,canary-totp\nbob@acme.test,,,\n"
    files = {"file": ("mailboxes.csv", csv.encode(), "text/csv")}
    answer = await project.http.post(f"/v1/mailboxes/import/outlook{slash}", files=files)
    assert answer.json() == {
        "success": True,
        "data": {
            "imported": 1, "skipped": 0, "failed": 1, "errors": [{"email": "bob@acme.test", "error": "Missing password"}],
        },
    }  # fmt: skip
    (event,) = [each for each in await harness.published() if isinstance(each, AccountRequested)]
    assert event.smtp is not None
    assert (event.imap, event.provider, event.on_failure) == (None, "outlook", "keep")
    assert (event.smtp.host, event.smtp.port, event.smtp.security) == ("smtp.office365.com", 587, "starttls")
    mailbox = (await mailboxes(project))["alice@acme.test"]
    assert (mailbox["status"], mailbox["displayName"], mailbox["provider"]) == ("pending", "Alice Doe", "outlook")
    assert mailbox["imapHost"] is None
    stored = await harness.owner.fetchval("SELECT string_agg(a::text, '') FROM account a")
    assert "canary-totp" not in stored


async def test_a_file_of_another_name_and_a_text_field(project: Project) -> None:
    csv = "\n".join([HEADING, row("alice")])
    as_text = await project.http.post(
        "/v1/mailboxes/import/smtp", files={"file": (None, csv), "skipConnectionTest": (None, "true")}
    )
    assert as_text.json()["data"]["imported"] == 1


@pytest.mark.parametrize("kind", ["smtp", "outlook"])
@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"json": {"file": "x"}},
        {"data": {"tag": "x"}},
        {"content": b"junk", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"content": b"junk", "headers": {"Content-Type": "multipart/form-data"}},
        {"files": {"file": ("a.csv", b"", "text/csv")}},
        {"files": {"file": ("a.csv", b"\xff\xfe\x00", "text/csv")}},
        {"files": {"file": ("a.csv", b"name,password\nx,y\n", "text/csv")}},
        {"files": {"file": ("a.csv", b'email,password\n"x,y\n', "text/csv")}},
        {"files": {"upload": ("a.csv", b"email,password\nx,y\n", "text/csv")}},
    ],
)
async def test_what_is_no_file(project: Project, kind: str, sent: dict[str, Any]) -> None:
    answer = await project.http.post(f"/v1/mailboxes/import/{kind}", **sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == ["file"]


async def test_cells_that_cannot_be_stored(harness: GatewayHarness, project: Project) -> None:
    csv = f"{HEADING},displayname\n" + "\n".join(
        [row("alice") + ",A\0B", row("bob", "p\0w") + ",Bob", row("carol") + ",Carol"]
    )
    report = await imported(project, csv, skipConnectionTest="true")
    assert (report["imported"], report["failed"]) == (1, 2)
    assert "p\0w" not in str(report)
    asked = [each for each in await harness.published() if isinstance(each, AccountVerificationRequested)]
    assert asked == []
