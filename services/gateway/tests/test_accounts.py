"""Connecting, showing, listing and removing accounts over HTTP."""

from uuid import UUID, uuid4

from berth_events.contracts import (
    AccountChecked,
    AccountConnected,
    AccountDisconnected,
    AccountRemoved,
    AccountRequested,
    CredentialRef,
)
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_results import audited, verification, verified
from berth_vault import Binding, VaultReader


async def connect(project: Project, email: str = "alice@acme.test") -> UUID:
    answer = await project.http.post("/v1/accounts", json=account_body(email))
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["id"])


async def requested(harness: GatewayHarness) -> AccountRequested:
    (event,) = await harness.published()
    assert isinstance(event, AccountRequested)
    return event


async def test_an_account_is_accepted_whole(harness: GatewayHarness, project: Project) -> None:
    answer = await project.http.post("/v1/accounts", json=account_body())
    assert answer.status_code == 202
    account = answer.json()
    assert answer.headers["location"] == f"/v1/accounts/{account['id']}"
    assert account["status"] == "pending"
    assert account["number"] == 1
    assert account["imap"] == {
        "host": "imap.acme.com",
        "port": 993,
        "security": "tls",
        "username": "alice@acme.test",
    }
    assert account["smtp"]["host"] == "smtp.acme.com"
    assert account["smtp"]["security"] == "starttls"
    assert account["domain"]["checks"] == {"mx": "unknown", "spf": "unknown", "dkim": "unknown", "dmarc": "unknown"}
    assert "s3cret" not in answer.text

    event = await requested(harness)
    assert event.account_id == UUID(account["id"])
    assert event.domain == "acme.test"
    assert event.on_failure == "keep"
    assert await harness.seats(project.organization_id) == {"monitoring": 1, "spam_check": 0}
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
    assert credential.reveal("imap_password") == credential.reveal("smtp_password") == "s3cret-pässword"


async def test_the_gateway_cannot_read_a_credential_back(harness: GatewayHarness, project: Project) -> None:
    await connect(project)
    rights = await harness.pool.fetchrow(
        """SELECT has_column_privilege('vault.credential', 'sealed', 'SELECT') AS reads,
                  has_schema_privilege('public', 'CREATE') AS makes_tables"""
    )
    assert rights is not None
    assert dict(rights) == {"reads": False, "makes_tables": False}


async def test_gmail_needs_no_servers(project: Project) -> None:
    answer = await project.http.post(
        "/v1/accounts", json={"email": "bob@gmail.com", "provider": "gmail", "password": "abcd efgh"}
    )
    assert answer.status_code == 202
    assert answer.json()["imap"]["host"] == "imap.gmail.com"
    assert answer.json()["smtp"]["port"] == 587


async def test_an_account_that_only_sends(harness: GatewayHarness, project: Project) -> None:
    body = account_body(imap=None, password=None, smtp={"host": "smtp.acme.com", "port": 465, "password": "x"})
    answer = await project.http.post("/v1/accounts", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json()["imap"] is None
    assert answer.json()["smtp"]["security"] == "tls"
    event = await requested(harness)
    assert event.imap is None


async def test_the_result_shows_in_the_account(harness: GatewayHarness, project: Project) -> None:
    account_id = await connect(project)
    event = await requested(harness)
    await harness.deliver(verified(event, works=False), audited("acme.test"))
    account = (await project.http.get(f"/v1/accounts/{account_id}")).json()
    assert account["status"] == "failed"
    assert account["diagnosis"]["code"] == "AUTH_BAD_CREDENTIALS"
    assert account["diagnosis"]["retry_policy"] == "never"
    assert account["verification"]["started_at"] == "2026-11-21T12:00:00.123Z"
    assert account["verification"]["imap"] is False
    domain = account["domain"]
    assert domain["spf_valid"] is True
    assert domain["dkim_valid"] is True, "the last definite answer stands while the check is unknown"
    assert domain["dkim_selector"] == "s1"
    assert domain["dmarc_valid"] is False
    assert domain["checks"]["dkim"] == "unknown"
    assert domain["mx_records"] == [["mx.acme.test", "203.0.113.7", "10"]]
    assert domain["findings"][0]["code"] == "DMARC_MISSING"
    assert domain["last_check_at"] == "2026-11-21T12:00:01.000Z"

    report = (await project.http.get(f"/v1/accounts/{account_id}/verification")).json()
    assert report["status"] == "failed"
    assert report["steps"][0]["transcript"] == ["C: AUTH PLAIN ***", "S: 535 no"]
    assert report["diagnosis"]["meaning"] == "The server refused user name or password."


async def test_a_pending_account_has_no_steps(project: Project) -> None:
    account_id = await connect(project)
    report = (await project.http.get(f"/v1/accounts/{account_id}/verification")).json()
    assert report == {
        "account_id": str(account_id),
        "status": "pending",
        "outcome": None,
        "started_at": None,
        "duration_ms": None,
        "imap": None,
        "smtp": None,
        "diagnosis": None,
        "steps": [],
    }


async def test_the_status_follows_the_events(harness: GatewayHarness, project: Project) -> None:
    account_id = await connect(project)
    event = await requested(harness)
    connected = verified(event, works=True)
    assert isinstance(connected, AccountConnected)
    lost = AccountDisconnected(**{**dict(connected), "verification": verification(works=False)})
    unchanged = AccountChecked(**dict(lost))
    for happened, status in (
        ([connected], "connected"),
        ([AccountChecked(**dict(connected))], "connected"),
        ([lost, unchanged], "disconnected"),
    ):
        await harness.deliver(*happened)
        account = (await project.http.get(f"/v1/accounts/{account_id}")).json()
        assert account["status"] == status


async def test_a_result_of_another_credential_does_not_count(harness: GatewayHarness, project: Project) -> None:
    account_id = await connect(project)
    event = await requested(harness)
    await harness.deliver(verified(event, works=True, reference=CredentialRef(credential_id=uuid4(), version=1)))
    account = (await project.http.get(f"/v1/accounts/{account_id}")).json()
    assert (account["status"], account["verification"]) == ("pending", None)


async def test_pages_and_status(harness: GatewayHarness, project: Project) -> None:
    ids = [await connect(project, f"user{number}@acme.test") for number in range(5)]
    events = [event for event in await harness.published() if isinstance(event, AccountRequested)]
    await harness.deliver(*(verified(event, works=number % 2 == 0) for number, event in enumerate(events)))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await project.http.get("/v1/accounts", params=parameters)).json()
        assert len(page["items"]) <= 2
        seen += [account["id"] for account in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [str(account_id) for account_id in ids]
    failed = (await project.http.get("/v1/accounts", params={"status": "failed"})).json()
    assert [account["number"] for account in failed["items"]] == [2, 4]
    assert (await project.http.get("/v1/accounts", params={"status": "pending"})).json()["items"] == []


async def test_a_broken_cursor_is_refused(project: Project) -> None:
    for cursor in ("?", "ZTQy", "YTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "é"):
        answer = await project.http.get("/v1/accounts", params={"cursor": cursor})
        assert answer.status_code == 400
        assert answer.json()["type"] == "urn:berth:problem:invalid-cursor"


async def test_removing_erases_and_frees(harness: GatewayHarness, project: Project) -> None:
    account_id = await connect(project)
    await harness.published()
    assert await harness.credentials()
    answer = await project.http.delete(f"/v1/accounts/{account_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    (removed,) = await harness.published()
    assert isinstance(removed, AccountRemoved)
    assert removed.reason == "requested"
    assert await harness.credentials() == set()
    assert await harness.seats(project.organization_id) == {"monitoring": 0, "spam_check": 0}
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/verification")):
        assert (await project.http.request(method, f"/v1/accounts/{account_id}{path}")).status_code == 404
    assert (await project.http.get("/v1/accounts")).json()["items"] == []
    again = await project.http.post("/v1/accounts", json=account_body())
    assert again.status_code == 202
    assert again.json()["number"] == 2


async def test_an_address_is_one_account_of_a_project(harness: GatewayHarness, project: Project) -> None:
    account_id = await connect(project)
    answer = await project.http.post("/v1/accounts", json=account_body("ALICE@Acme.Test"))
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:berth:problem:address-taken"
    assert problem["account_id"] == str(account_id)
    assert await harness.seats(project.organization_id) == {"monitoring": 1, "spam_check": 0}
    other = await harness.project(project.organization_id)
    async with other.http:
        assert (await other.http.post("/v1/accounts", json=account_body())).status_code == 202


async def test_foreign_accounts_are_not_found(harness: GatewayHarness, project: Project) -> None:
    account_id = await connect(project)
    stranger = await harness.project(await harness.organization())
    async with stranger.http:
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/verification")):
            problems = []
            for wanted in (account_id, uuid4(), "nonsense"):
                answer = await stranger.http.request(method, f"/v1/accounts/{wanted}{path}")
                assert answer.status_code == 404
                problems.append({**answer.json(), "request_id": None})
            assert problems[0]["type"] == "urn:berth:problem:not-found"
            assert problems[0] == problems[1] == problems[2]
    assert (await project.http.get(f"/v1/accounts/{account_id}")).status_code == 200
