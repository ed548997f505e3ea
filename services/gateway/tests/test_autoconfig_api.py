"""Autoconfiguration by the API: what is answered, and what requests that leave servers out get."""

from typing import Any, Final

from berth_events.contracts import AccountRequested, AccountVerificationRequested
from berth_net import ServiceRecord
from berth_testing.gateway_harness import GatewayHarness, Project, account_body

SECURE: Final = {"_imaps": ServiceRecord("imap.acme.com", 993), "_submissions": ServiceRecord("smtp.acme.com", 465)}


async def found(project: Project, email: str) -> dict[str, Any]:
    answer = await project.http.get("/v1/autoconfig", params={"email": email})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_an_address_is_looked_up(harness: GatewayHarness, project: Project) -> None:
    harness.resolver.exchanged["acme.com"] = ("aspmx.l.google.com",)
    body = await found(project, "Alice@ACME.com")
    assert (body["email"], body["domain"], body["provider"], body["complete"]) == (
        "Alice@ACME.com",
        "acme.com",
        "gmail",
        True,
    )
    assert body["service"]["sign_in"] == ["app_password", "oauth"]
    assert body["service"]["help_url"].startswith("https://support.google.com/")
    assert body["imap"] == [
        {
            "host": "imap.gmail.com",
            "port": 993,
            "security": "tls",
            "username": "Alice@ACME.com",
            "username_form": "address",
            "authentication": ["password", "oauth"],
            "source": "mail_exchanger",
            "confidence": "high",
        }
    ]
    assert [server["port"] for server in body["smtp"]] == [587, 465]
    assert [lookup["outcome"] for lookup in body["looked_up"]] == ["nothing", "nothing", "found", *["nothing"] * 4]


async def test_nothing_is_an_answer_too(project: Project) -> None:
    body = await found(project, "alice@unknown.test")
    assert (body["provider"], body["service"], body["imap"], body["smtp"], body["complete"]) == (
        "custom",
        None,
        [],
        [],
        True,
    )


async def test_no_address_and_no_scope(harness: GatewayHarness, project: Project) -> None:
    answer = await project.http.get("/v1/autoconfig", params={"email": "nobody"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "email"
    assert "no @" in answer.json()["errors"][0]["detail"]
    other = await harness.project(project.organization_id, scopes=["accounts:write"])
    assert (await other.http.get("/v1/autoconfig", params={"email": "a@b.test"})).status_code == 403


def without_servers(**changes: Any) -> dict[str, Any]:
    body = account_body(**changes)
    return {name: value for name, value in body.items() if name not in {"imap", "smtp"}}


def offer(harness: GatewayHarness) -> None:
    harness.resolver.known = {"imap.acme.com": "9.9.9.9", "smtp.acme.com": "9.9.9.9", "mail.host.test": "9.9.9.9"}
    for label, record in SECURE.items():
        harness.resolver.offered[f"{label}._tcp.acme.com"] = (record,)


async def test_servers_that_are_left_out_are_filled_in(harness: GatewayHarness, project: Project) -> None:
    offer(harness)
    answer = await project.http.post("/v1/accounts", json=without_servers(email="alice@acme.com"))
    assert answer.status_code == 202, answer.text
    assert answer.json()["filled_in"] == {"imap": "service_record", "smtp": "service_record"}
    [event] = [each for each in await harness.published() if isinstance(each, AccountRequested)]
    assert event.imap is not None
    assert event.smtp is not None
    assert (event.imap.host, event.imap.port, event.imap.security) == ("imap.acme.com", 993, "tls")
    assert (event.smtp.host, event.smtp.port, event.smtp.username) == ("smtp.acme.com", 465, "alice@acme.com")


async def test_only_what_is_left_out_is_filled_in(harness: GatewayHarness, project: Project) -> None:
    offer(harness)
    named = account_body(email="alice@acme.com")
    del named["smtp"]
    answer = await project.http.post("/v1/accounts", json=named)
    assert (answer.status_code, answer.json()["filled_in"]) == (202, {"smtp": "service_record"})
    sends = {**without_servers(email="bob@acme.com"), "imap": None}
    answer = await project.http.post("/v1/accounts", json=sends)
    assert (answer.status_code, answer.json()["imap"], answer.json()["filled_in"]) == (
        202,
        None,
        {"smtp": "service_record"},
    )
    assert "filled_in" not in (await project.http.post("/v1/accounts", json=account_body())).json()


async def test_a_password_goes_to_no_host_elsewhere_that_a_record_names(
    harness: GatewayHarness, project: Project
) -> None:
    offer(harness)
    harness.resolver.offered["_imaps._tcp.acme.com"] = (ServiceRecord("mail.host.test", 993),)
    answer = await project.http.post("/v1/accounts", json=without_servers(email="alice@acme.com"))
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["imap"])
    assert "mail.host.test" in answer.json()["errors"][0]["detail"]
    assert [server["confidence"] for server in (await found(project, "alice@acme.com"))["imap"]] == ["medium"]


async def test_a_user_name_is_what_the_service_wants(harness: GatewayHarness, project: Project) -> None:
    answer = await project.http.post("/v1/accounts", json=without_servers(email="alice@free.fr"))
    assert (answer.status_code, answer.json()["filled_in"]) == (202, {"imap": "ispdb", "smtp": "ispdb"})
    [event] = [each for each in await harness.published() if isinstance(each, AccountRequested)]
    assert event.imap is not None
    assert event.smtp is not None
    assert (event.imap.host, event.imap.username, event.smtp.username) == ("imap.free.fr", "alice", "alice")


async def test_a_server_without_a_host_is_found_and_what_was_said_of_it_counts(
    harness: GatewayHarness, project: Project
) -> None:
    offer(harness)
    body = account_body(email="alice@acme.com", imap={"username": "mailbox-7", "password": "of imap"})
    answer = await project.http.post("/v1/accounts", json=body)
    assert (answer.status_code, answer.json()["filled_in"]) == (202, {"imap": "service_record"}), answer.text
    assert answer.json()["imap"] == {
        "host": "imap.acme.com",
        "port": 993,
        "security": "tls",
        "username": "mailbox-7",
    }
    place = f"/v1/accounts/{answer.json()['id']}/credentials"
    changed = {"password": "new", "imap": {"username": "mailbox-8"}, "smtp": {"port": 465, "password": "of smtp"}}
    answer = await project.http.put(place, json=changed)
    assert answer.status_code == 202, answer.text
    [*_, event] = [each for each in await harness.published() if isinstance(each, AccountVerificationRequested)]
    assert event.imap is not None
    assert event.smtp is not None
    assert (event.imap.host, event.imap.port, event.imap.username) == ("imap.acme.com", 993, "mailbox-8")
    assert (event.smtp.host, event.smtp.port, event.smtp.security) == ("smtp.acme.com", 465, "tls")


async def test_what_belongs_to_a_host_needs_it(harness: GatewayHarness, project: Project) -> None:
    offer(harness)
    body = account_body(email="alice@acme.com", imap={"port": 993, "security": "tls"}, smtp={"host": "smtp.acme.com"})
    answer = await project.http.post("/v1/accounts", json=body)
    fields = [error["field"] for error in answer.json()["errors"]]
    assert (answer.status_code, fields) == (422, ["imap.port", "imap.security", "smtp.port"])
    body = account_body(email="alice@unknown.test", imap={"username": "x"})
    answer = await project.http.post("/v1/accounts", json=body)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["imap.host"])
    body = account_body(email="alice@acme.com", provider="gmail", imap={"username": "x"}, smtp={})
    answer = await project.http.post("/v1/accounts", json=body)
    assert (answer.status_code, answer.json()["imap"]["host"]) == (202, "imap.gmail.com")


async def test_what_is_not_found_has_to_be_named(harness: GatewayHarness, project: Project) -> None:
    answer = await project.http.post("/v1/accounts", json=without_servers())
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["imap", "smtp"])
    assert "Name the server" in answer.json()["errors"][0]["remedy"]
    answer = await project.http.post("/v1/accounts", json=without_servers(email="alice@proton.me"))
    assert "Proton Mail lets no other program sign in" in answer.json()["errors"][0]["detail"]
    assert await harness.published() == []


async def test_probes_fill_in_too(harness: GatewayHarness, project: Project) -> None:
    offer(harness)
    answer = await project.http.post("/v1/probes", json=without_servers(email="alice@acme.com"))
    assert (answer.status_code, answer.json()["filled_in"]["imap"]) == (202, "service_record")
    [event] = [each for each in await harness.published() if isinstance(each, AccountVerificationRequested)]
    assert event.imap is not None
    assert event.imap.host == "imap.acme.com"


async def test_imports_fill_in_too(harness: GatewayHarness, project: Project) -> None:
    offer(harness)
    rows = [{"email": f"{name}", "password": "x"} for name in ("a@acme.com", "b@yahoo.com", "c@unknown.test")]
    plan = (await project.http.post("/v1/imports", json={"accounts": rows, "mode": "per_row", "dry_run": True})).json()
    assert [(row["accepted"], row["filled_in"].get("smtp")) for row in plan["rows"]] == [
        (True, "service_record"),
        (True, "service_table"),
        (False, None),
    ]


async def test_sendkits_clients_get_the_imap_server_of_the_same_service(
    harness: GatewayHarness, project: Project
) -> None:
    offer(harness)

    async def imap_of(email: str, smtp_host: str) -> str:
        login = {"username": email, "password": "x"}
        body = {"email": email, "smtp": {"host": smtp_host, "port": 465, **login}}
        answer = await project.http.post("/v1/mailboxes", json=body)
        assert answer.status_code == 201, answer.text
        host: str = answer.json()["data"]["imapHost"]
        return host

    assert await imap_of("a@other.test", "smtp.zoho.eu") == "imap.zoho.eu"
    assert await imap_of("b@other.test", "SMTP.free.fr") == "imap.free.fr", "of Thunderbird's database"
    assert await imap_of("a@acme.com", "smtp.acme.com") == "imap.acme.com"
    harness.resolver.exchanged["relayed.test"] = ("aspmx.l.google.com",)
    assert await imap_of("a@relayed.test", "smtp.relay.test") == "smtp.relay.test", "not Google's, which has another"
