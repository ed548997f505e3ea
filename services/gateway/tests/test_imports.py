"""Imports over HTTP: what is accepted, what each row becomes, and how far an import is."""

import asyncio
import csv
import io
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from berth_events.contracts import (
    AccountConnectionFailed,
    AccountRequested,
    EmailWorkspaceCreated,
    WorkspaceImportRequested,
)
from berth_events.runtime.store import Context
from berth_gateway.accounts.addresses import MailAddress
from berth_gateway.accounts.mailboxes import Tenant
from berth_gateway.errors import AddressTaken, NotFound, SeatLimitReached
from berth_gateway.workspaces.mailboxes import ImportedMailbox
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.gateway_imports import imported, nothing_is_stored, requests, rows, shown, workspace
from berth_testing.gateway_results import verified
from berth_testing.gateway_workspaces import google_body, microsoft_body
from berth_vault import Binding, VaultReader


async def test_mailboxes_of_a_workspace_become_accounts(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await workspace(project)
    [created] = await harness.published()
    assert isinstance(created, EmailWorkspaceCreated)
    mailboxes = ["Ada@acme.test", {"email": "bob@acme.test", "first_name": "Bob", "last_name": "Doe"}]
    made = await imported(project, workspace_id, mailboxes)
    assert made["number"] == 1
    assert made["state"] == "running"
    assert made["progress"] == {
        "total": 2, "accepted": 2, "rejected": 0, "pending": 2, "connected": 0, "failed": 0, "removed": 0, "percent": 0,
    }  # fmt: skip
    *requested, part = sorted(await harness.published(), key=lambda event: type(event).__name__)
    assert isinstance(part, WorkspaceImportRequested)
    assert str(part.import_id) == made["id"]
    assert [account.address for account in part.accounts] == ["Ada@acme.test", "bob@acme.test"]
    ada, bob = requested
    assert isinstance(ada, AccountRequested)
    assert isinstance(bob, AccountRequested)
    assert ada.credential_ref == created.credential_ref
    assert ada.workspace_id == workspace_id
    assert str(ada.import_id) == made["id"]
    assert ada.provider == "gmail"
    assert ada.imap is not None
    assert ada.smtp is not None
    assert (ada.imap.host, ada.imap.username, ada.imap.mechanism) == ("imap.gmail.com", "Ada@acme.test", "xoauth2")
    assert (ada.smtp.host, ada.smtp.port, ada.smtp.security) == ("smtp.gmail.com", 587, "starttls")
    assert (bob.first_name, bob.last_name) == ("Bob", "Doe")
    assert await harness.seats(project.organization_id) == {"monitoring": 2, "spam_check": 0}
    accounts = (await project.http.get("/v1/accounts")).json()["items"]
    assert [(account["email"], account["number"]) for account in accounts] == [
        ("Ada@acme.test", 1),
        ("bob@acme.test", 2),
    ]
    types = [item["type"] for item in (await project.http.get("/v1/events")).json()["items"]]
    assert types == ["EmailWorkspaceCreated", "WorkspaceImportRequested", "AccountRequested", "AccountRequested"]


async def test_mailboxes_of_microsoft_are_elsewhere(harness: GatewayHarness, project: Project) -> None:
    await imported(project, await workspace(project, microsoft_body()), ["ada@acme.test"])
    [event] = await requests(harness)
    assert event.provider == "outlook"
    assert event.imap is not None
    assert event.smtp is not None
    assert (event.imap.host, event.smtp.host) == ("outlook.office365.com", "smtp.office365.com")


async def test_rows_that_cannot_be_accepted_say_why(harness: GatewayHarness, project: Project) -> None:
    workspace_id, other = await workspace(project), await workspace(project, microsoft_body())
    await imported(project, workspace_id, ["here@acme.test"])
    await imported(project, other, ["there@acme.test"])
    await harness.subscribe(project.organization_id, monitoring=4)
    await harness.published()
    made = await imported(
        project,
        workspace_id,
        ["a@acme.test", "no address", "A@ACME.test", "HERE@acme.test", "there@acme.test", "b@acme.test", "c@acme.test"],
    )
    assert made["progress"]["accepted"] == 2
    assert made["progress"]["rejected"] == 5
    found = await rows(project, made)
    assert [(row["row"], row["state"], row["code"]) for row in found] == [
        (1, "pending", None),
        (2, "rejected", "invalid_fields"),
        (3, "rejected", "duplicate_address"),
        (4, "rejected", "already_connected"),
        (5, "rejected", "address_taken"),
        (6, "pending", None),
        (7, "rejected", "seat_limit_reached"),
    ]
    assert "row 1" in found[2]["detail"]
    assert found[3]["existing_account_id"] is not None
    assert all(row["remedy"] for row in found if row["state"] == "rejected")
    assert "seat limit reached" in found[6]["detail"].lower()
    assert {reason["code"] for reason in made["rejections"]} == {row["code"] for row in found if row["code"]}
    assert len(await requests(harness)) == 2
    assert (await harness.seats(project.organization_id))["monitoring"] == 4

    only = await rows(project, made, "?state=rejected&limit=2")
    assert [row["row"] for row in only] == [2, 3]
    page = (await project.http.get(f"/v1/imports/{made['id']}/accounts?limit=5")).json()
    rest = (await project.http.get(f"/v1/imports/{made['id']}/accounts?cursor={page['next_cursor']}")).json()
    assert page["items"] + rest["items"] == found
    assert rest["next_cursor"] is None


async def test_rejected_rows_are_a_file_that_spreadsheets_take_for_text(project: Project) -> None:
    made = await imported(project, await workspace(project), ["=cmd|'/c calc'!A1@acme test", "ok@acme.test", 'a"b,@c'])
    answer = await project.http.get(f"/v1/imports/{made['id']}/rejected.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    heading, *lines = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert heading == ["row", "email", "code", "detail", "remedy", "existing_account_id"]
    assert [line[:3] for line in lines] == [
        ["1", "'=cmd|'/c calc'!A1@acme test", "invalid_fields"],
        ["3", 'a"b,@c', "invalid_fields"],
    ]


async def test_all_or_nothing_is_nothing_when_one_row_is_wrong(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await workspace(project)
    await harness.published()
    path = f"/v1/email-workspaces/{workspace_id}/imports"
    body = {"accounts": ["a@acme.test", "nonsense@", "a@acme.test"], "mode": "all_or_nothing"}
    answer = await project.http.post(path, json=body)
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:berth:problem:import-refused"
    assert answer.json()["rejected"] == 2
    assert [(row["row"], row["code"]) for row in answer.json()["rows"]] == [
        (2, "invalid_fields"),
        (3, "duplicate_address"),
    ]
    body["accounts"] = [f"a{number}@acme.test" for number in range(11)]
    answer = await project.http.post(path, json=body)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:berth:problem:seat-limit-reached"
    assert answer.json()["requested"] == 11
    await nothing_is_stored(harness, project)
    body["accounts"] = [f"a{number}@acme.test" for number in range(10)]
    assert (await project.http.post(path, json=body)).status_code == 202


async def test_a_dry_run_tells_and_stores_nothing(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await workspace(project)
    await harness.published()
    addresses = [f"a{number}@acme.test" for number in range(12)]
    plan = await imported(project, workspace_id, [*addresses, addresses[0]], dry_run=True, mode="all_or_nothing")
    assert (plan["total"], plan["accepted"], plan["rejected"]) == (13, 10, 3)
    assert plan["seats"] == {"kind": "monitoring", "needed": 12, "free": 10}
    assert plan["refused"] is True
    plan = await imported(project, workspace_id, [*addresses, addresses[0]], dry_run=True)
    assert (plan["accepted"], plan["refused"]) == (10, False)
    assert [row["row"] for row in plan["rows"]] == list(range(1, 14))
    assert [row["code"] for row in plan["rows"][9:]] == [
        None,
        "seat_limit_reached",
        "seat_limit_reached",
        "duplicate_address",
    ]
    assert await harness.owner.fetchval("SELECT count(*) FROM domain") == 0
    await nothing_is_stored(harness, project)


async def test_a_dry_run_says_what_the_import_then_says(harness: GatewayHarness, project: Project) -> None:
    """It waits for nobody who imports just now."""
    workspace_id = await workspace(project)
    await imported(project, workspace_id, ["here@acme.test"])
    addresses = [
        "a@acme.test",
        "no address",
        "A@ACME.test",
        "HERE@acme.test",
        *(f"b{each}@acme.test" for each in range(9)),
    ]
    async with harness.owner.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM seat_ledger, project, workspace FOR UPDATE")
        plan = await asyncio.wait_for(imported(project, workspace_id, addresses, dry_run=True), 5)
    made = await imported(project, workspace_id, addresses)
    told = ("row", "email", "existing_account_id", "code", "detail", "remedy")
    assert [[row[name] for name in told] for row in plan["rows"]] == [
        [row[name] for name in told] for row in await rows(project, made)
    ]
    assert [row["code"] for row in plan["rows"]].count("seat_limit_reached") == 1


async def test_an_organization_without_a_subscription_imports_nothing(harness: GatewayHarness) -> None:
    project = await harness.project(await harness.organization(subscribed=False))
    async with project.http as http:
        workspace_id = (await http.post("/v1/email-workspaces", json=google_body())).json()["id"]
        answer = await http.post(f"/v1/email-workspaces/{workspace_id}/imports", json={"accounts": ["a@acme.test"]})
        assert answer.status_code == 402


async def test_a_repeated_import_is_done_once(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await workspace(project)
    key = {"Idempotency-Key": str(uuid4())}
    path, body = f"/v1/email-workspaces/{workspace_id}/imports", {"accounts": ["a@acme.test"]}
    first, second = [await project.http.post(path, json=body, headers=key) for _ in range(2)]
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert len(await requests(harness)) == 1
    again = await imported(project, workspace_id, ["a@acme.test"])
    assert again["state"] == "finished"
    [row] = await rows(project, again)
    assert row["code"] == "already_connected"
    assert row["existing_account_id"] == (await rows(project, first.json()))[0]["account_id"]


async def test_two_imports_at_once_share_addresses_and_seats(harness: GatewayHarness, project: Project) -> None:
    first, second = await workspace(project), await workspace(project, microsoft_body())
    addresses = [f"a{number}@d{number % 3}.test" for number in range(14)]
    made = await asyncio.gather(
        imported(project, first, addresses), imported(project, second, list(reversed(addresses)))
    )
    assert sum(each["progress"]["accepted"] for each in made) == 10
    assert len({event.address for event in await requests(harness)}) == 10
    assert (await harness.seats(project.organization_id))["monitoring"] == 10


async def test_everything_at_once_waits_for_nothing_for_ever(harness: GatewayHarness, project: Project) -> None:
    """Imports, single accounts, removals and results lock the same rows; they do it in one order."""
    await harness.subscribe(project.organization_id, monitoring=100)
    first, second = await workspace(project), await workspace(project, microsoft_body())
    await imported(project, first, [f"old{number}@d{number}.test" for number in range(12)], on_failure="remove")
    old = await requests(harness)

    async def importing(number: int) -> int:
        addresses = [f"new{number * 3 % 7 + each}@d{(each + number) % 9}.test" for each in range(8)]
        through = first if number % 2 else second
        answer = await project.http.post(f"/v1/email-workspaces/{through}/imports", json={"accounts": addresses})
        return answer.status_code

    async def connecting(number: int) -> int:
        body = {"email": f"one{number}@d{number}.test", "provider": "gmail", "password": "x"}
        return (await project.http.post("/v1/accounts", json=body)).status_code

    async def removing(event: AccountRequested) -> int:
        return (await project.http.delete(f"/v1/accounts/{event.account_id}")).status_code

    async def telling(events: Sequence[AccountRequested]) -> int:
        await harness.deliver(*(verified(event, works=number % 2 > 0) for number, event in enumerate(events)))
        return 200

    told = await asyncio.gather(
        *(importing(number) for number in range(6)),
        *(connecting(number) for number in range(6)),
        *(removing(event) for event in old[::3]),
        telling(old[:6]),
        telling(old[6:]),
    )
    assert set(told) <= {200, 202, 204, 404}, told
    taken = (await harness.seats(project.organization_id))["monitoring"]
    assert taken == await harness.owner.fetchval("SELECT count(*) FROM account WHERE removed_at IS NULL")
    assert await harness.owner.fetchval("SELECT count(DISTINCT number) = count(*) FROM account") is True


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"accounts": []}, "accounts"),
        ({"accounts": ["a@acme.test"], "mode": "some"}, "mode"),
        ({"accounts": ["a@acme.test"] * 10_001}, "accounts"),
        ({"accounts": ["a@acme.test"], "on_failure": "hide"}, "on_failure"),
        ({"accounts": ["a@acme.test", 7]}, "accounts.1"),
        ({"accounts": ["a@acme.test", {"email": 7}]}, "accounts.1.email"),
        ({"accounts": ["a\0@acme.test"]}, "accounts.0.email"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(project: Project, body: dict[str, Any], field: str) -> None:
    answer = await project.http.post(f"/v1/email-workspaces/{await workspace(project)}/imports", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_failure_in_the_middle_stores_nothing(
    harness: GatewayHarness, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace_id = await workspace(project)
    await harness.published()

    async def broken(*_: object) -> None:
        raise OSError("the database is away")

    monkeypatch.setattr("berth_gateway.feed.publish", broken)  # the last write of the transaction
    answer = await project.http.post(f"/v1/email-workspaces/{workspace_id}/imports", json={"accounts": ["a@acme.test"]})
    assert answer.status_code == 503
    assert (await project.http.delete(f"/v1/email-workspaces/{workspace_id}")).status_code == 503
    monkeypatch.undo()
    await nothing_is_stored(harness, project)
    assert len(await harness.credentials()) == 1
    assert (await imported(project, workspace_id, ["a@acme.test"]))["number"] == 1


async def test_single_accounts_are_connected_through_a_workspace(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await workspace(project)
    await harness.published()
    through = harness.gateway.services.workspace_accounts
    tenant = Tenant(organization_id=project.organization_id, project_id=project.project_id)

    async def connect(*addresses: str, into: UUID = workspace_id) -> list[UUID]:
        mailboxes = [ImportedMailbox(address=MailAddress.parse(address)) for address in addresses]
        async with harness.pool.acquire() as connection, connection.transaction():
            return await through.connect_through(
                connection, tenant, into, mailboxes, Context(), seat_kind="spam_check", on_failure="remove"
            )

    [account_id] = await connect("ada@acme.test")
    [event] = await harness.published()
    assert isinstance(event, AccountRequested)
    assert (event.account_id, event.import_id, event.on_failure) == (account_id, None, "remove")
    assert (await harness.seats(project.organization_id))["spam_check"] == 1
    with pytest.raises(AddressTaken):
        await connect("bob@acme.test", "ADA@acme.test")
    with pytest.raises(NotFound):
        await connect("bob@acme.test", into=uuid4())
    with pytest.raises(SeatLimitReached):
        await connect(*(f"a{number}@acme.test" for number in range(10)))
    assert await harness.published() == []
    assert (await harness.seats(project.organization_id))["spam_check"] == 1


async def test_two_thousand_mailboxes(harness: GatewayHarness, project: Project) -> None:
    """The same with 10,000 takes a few seconds: docs/performance.md."""
    await harness.subscribe(project.organization_id, monitoring=5000)
    workspace_id = await workspace(project)
    await harness.published()
    made = await imported(project, workspace_id, [f"a{number}@d{number % 50}.test" for number in range(2000)])
    assert made["progress"]["accepted"] == 2000
    events = await harness.published()
    parts = [event for event in events if isinstance(event, WorkspaceImportRequested)]
    assert [(part.part, part.parts, len(part.accounts)) for part in parts] == [(1, 2, 1000), (2, 2, 1000)]
    asked = [event for event in events if isinstance(event, AccountRequested)]
    assert {account.account_id for part in parts for account in part.accounts} == {event.account_id for event in asked}
    await harness.deliver(*(verified(event, works=number % 10 > 0) for number, event in enumerate(asked)))
    now = await shown(project, made)
    assert (now["state"], now["progress"]["connected"], now["progress"]["failed"]) == ("finished", 1800, 200)
    assert (await project.http.delete(f"/v1/email-workspaces/{workspace_id}")).status_code == 204
    assert len(await harness.published()) == 2001
    assert (await harness.seats(project.organization_id))["monitoring"] == 0
    assert (await shown(project, made))["progress"] == now["progress"], "it never goes back"


async def test_mailboxes_with_passwords_become_accounts(harness: GatewayHarness, project: Project) -> None:
    body = {
        "accounts": [
            {
                "email": "ada@acme.test",
                "password": "s3cret one",
                "imap": {"host": "IMAP.acme.com", "port": 993},
                "smtp": {"host": "smtp.acme.com", "port": 587, "username": "relay"},
            },
            {"email": "bob@gmail.com", "password": "s3cret two", "provider": "gmail"},
            {"email": "eve@acme.test", "password": "s3cret three", "imap": {"host": "imap.acme.com", "port": 25}},
            {"email": "fay@acme.test", "pasword": "s3cret four"},
            {"email": "gus@acme.test", "provider": "gmail"},
            {"email": "h\0@acme.test", "imap": {"\0" * 9999: 1}, "smtp": {"host": "\0", "port": 2**70}},
            {"email": "ian@gmail.com", "password": "\U0001f511" * 10_000, "provider": "gmail"},
        ]
    }
    answer = await project.http.post("/v1/imports", json=body)
    assert answer.status_code == 202, answer.text
    made = answer.json()
    assert made["workspace_id"] is None
    found = await rows(project, made)
    assert [row["state"] for row in found] == ["pending", "pending", *["rejected"] * 5]
    assert "imap.port" in found[2]["detail"]
    assert "password" in found[4]["detail"]
    assert "too long" in found[6]["detail"]
    ada, bob = await requests(harness)
    assert ada.smtp is not None
    assert bob.imap is not None
    assert (ada.smtp.username, ada.workspace_id, bob.imap.host) == ("relay", None, "imap.gmail.com")
    for event, secret in ((ada, "s3cret one"), (bob, "s3cret two")):
        async with harness.owner.acquire() as connection:
            credential = await VaultReader(harness.opener).read(
                connection,
                Binding(
                    organization_id=event.organization_id,
                    owner_id=event.account_id,
                    credential_id=event.credential_ref.credential_id,
                    version=event.credential_ref.version,
                ),
            )
        assert credential.reveal("imap_password") == secret
    assert len(await harness.credentials()) == 2, "no credential of a rejected row is kept"
    everything = answer.text + (await project.http.get(f"/v1/imports/{made['id']}/rejected.csv")).text
    assert "s3cret" not in everything
    await harness.deliver(verified(ada, works=True), verified(bob, works=False))
    assert (await shown(project, made))["state"] == "finished"


async def test_a_csv_file_is_imported(harness: GatewayHarness, project: Project) -> None:
    content = (
        "\ufeffEmail;Password;SMTPHost;smtpport;smtpsecure;imaphost;imapport;imapsecure;DisplayName\r\n"
        'ada@acme.test;"s3;cret";smtp.acme.com;587;false;imap.acme.com;993;true;Ada King Lovelace\r\n'
        "\r\n"
        "bob@acme.test;;smtp.acme.com;;;imap.acme.com;;;\r\n"
        "ada@acme.test;x;smtp.acme.com;;;imap.acme.com;;;\r\n"
    )
    path, headers = "/v1/imports?on_failure=remove", {"Content-Type": "text/csv", "Idempotency-Key": str(uuid4())}
    answer = await project.http.post(path, content=content.encode(), headers=headers)
    assert answer.status_code == 202, answer.text
    again = await project.http.post(path, content=content.encode(), headers=headers)
    assert again.json() == answer.json()
    reused = await project.http.post("/v1/imports", content=content.encode(), headers=headers)
    assert reused.status_code == 422
    assert [(row["row"], row["code"]) for row in await rows(project, answer.json())] == [
        (2, None),
        (4, "invalid_fields"),
        (5, "duplicate_address"),
    ]
    [event] = await requests(harness)
    assert event.imap is not None
    assert event.smtp is not None
    assert (event.first_name, event.last_name, event.on_failure) == ("Ada", "King Lovelace", "remove")
    assert (event.imap.port, event.imap.security, event.smtp.port, event.smtp.security) == (993, "tls", 587, "starttls")


async def test_a_reason_and_its_remedy_are_of_one_row(project: Project) -> None:
    content = "email,password,imaphost\nno address,x,imap.acme.com\nada@acme.com,x,127.0.0.1\n"
    answer = await project.http.post("/v1/imports", content=content.encode(), headers={"Content-Type": "text/csv"})
    assert answer.status_code == 202, answer.text
    [reason] = answer.json()["rejections"]
    found = await rows(project, answer.json())
    assert (reason["code"], reason["count"]) == ("invalid_fields", 2)
    assert (reason["detail"], reason["remedy"]) in {(row["detail"], row["remedy"]) for row in found}


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"email\xff;x", "text/csv", 422),
        (b"", "text/csv", 422),
        (b"email,password\n", "text/csv", 422),
        (b'{"accounts": ["ada@acme.test"]}', "application/json", 422),
        (b"<xml/>", "application/xml", 415),
        (b"{", "application/json", 400),
        (b'{"accounts": "ada"}', "application/json", 422),
        (b'{"accounts": [1]}', "application/json", 422),
    ],
)
async def test_a_body_that_is_no_import_is_refused(
    harness: GatewayHarness, project: Project, content: bytes, media_type: str, status: int
) -> None:
    answer = await project.http.post("/v1/imports", content=content, headers={"Content-Type": media_type})
    assert answer.status_code == status, answer.text
    await nothing_is_stored(harness, project)


async def test_imports_may_be_larger_than_other_bodies(project: Project) -> None:
    body = {"accounts": [{"email": f"a{number}@acme.test", "note": "x" * 1000} for number in range(1500)]}
    assert (await project.http.post("/v1/imports", json=body)).status_code == 202
    assert (await project.http.post("/v1/accounts", json=body)).status_code == 413
    body["accounts"] *= 6
    answer = await project.http.post("/v1/imports", json=body)
    assert answer.status_code == 413
    assert "8,000,000" in answer.json()["detail"]


async def test_a_result_of_an_account_without_an_import_is_no_rows(harness: GatewayHarness, project: Project) -> None:
    made = await imported(project, await workspace(project), ["a@acme.test"])
    [request] = await requests(harness)
    stranger = verified(request.model_copy(update={"account_id": uuid4()}), works=False)
    assert isinstance(stranger, AccountConnectionFailed)
    await harness.deliver(stranger)
    assert (await shown(project, made))["progress"]["pending"] == 1
