"""Email workspaces over HTTP: what is accepted, what is refused, and what becomes of their credentials."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from berth_events.contracts import (
    AccountRemoved,
    AccountRequested,
    CredentialRef,
    EmailWorkspaceCreated,
    EmailWorkspaceCredentialsReplaced,
    EmailWorkspaceRemoved,
    EmailWorkspaceUpdated,
    WorkspaceSecretExpiring,
)
from berth_gateway.settings import GatewaySettings
from berth_gateway.workspaces.hosts import MailHosts
from berth_testing.gateway_harness import OPERATOR_KEY, GatewayHarness, Project
from berth_testing.gateway_results import verified
from berth_testing.gateway_workspaces import (
    SECRET,
    google_body,
    microsoft_body,
    service_account_key,
    workspace_result,
)
from berth_vault import Binding, Credential, VaultReader


async def create(project: Project, body: dict[str, Any] | None = None) -> UUID:
    answer = await project.http.post("/v1/email-workspaces", json=body or microsoft_body())
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["id"])


async def shown(project: Project, workspace_id: UUID) -> dict[str, Any]:
    answer = await project.http.get(f"/v1/email-workspaces/{workspace_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def credential(harness: GatewayHarness, event: Any, reference: CredentialRef) -> Credential:
    async with harness.owner.acquire() as connection:
        return await VaultReader(harness.opener).read(
            connection,
            Binding(
                organization_id=event.organization_id,
                owner_id=event.workspace_id,
                credential_id=reference.credential_id,
                version=reference.version,
            ),
        )


async def versions(harness: GatewayHarness) -> list[int]:
    rows = await harness.owner.fetch("SELECT version FROM vault.credential ORDER BY version")
    return [row["version"] for row in rows]


async def feed_types(project: Project) -> list[str]:
    items = (await project.http.get("/v1/events")).json()["items"]
    return [item["type"] for item in items]


@pytest.mark.parametrize("as_text", [False, True])
async def test_a_google_key_is_accepted_and_sealed(harness: GatewayHarness, project: Project, *, as_text: bool) -> None:
    body = google_body() if as_text else google_body(service_account_key=service_account_key())
    answer = await project.http.post("/v1/email-workspaces", json=body)
    assert answer.status_code == 202, answer.text
    workspace = answer.json()
    assert answer.headers["location"] == f"/v1/email-workspaces/{workspace['id']}"
    assert workspace["status"] == "pending"
    assert workspace["number"] == 1
    assert workspace["service_account"] == "berth@acme-mail.iam.gserviceaccount.com"
    assert workspace["client_id"] == "104242424242424242424"
    assert workspace["key_id"] == "6f2c1d0b9a8e7f65"
    assert "PRIVATE KEY" not in answer.text

    [event] = await harness.published()
    assert isinstance(event, EmailWorkspaceCreated)
    assert event.workspace_id == UUID(workspace["id"])
    assert event.credential_ref.version == 1
    assert "PRIVATE KEY" not in event.model_dump_json()
    sealed = (await credential(harness, event, event.credential_ref)).reveal("service_account_key")
    assert json.loads(sealed)["private_key"] == service_account_key()["private_key"]
    assert "token_uri" not in sealed, "where the key is shown is not the upload's to say"
    assert await feed_types(project) == ["EmailWorkspaceCreated"]


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda key: "\ufeff" + json.dumps(key),
        lambda key: {**key, "private_key": key["private_key"].replace("\n", "\\n")},
        lambda key: {**key, "private_key": key["private_key"].replace("\n", "\\r\\n")},
    ],
)
async def test_what_editors_do_to_a_key_file_is_undone(
    harness: GatewayHarness, project: Project, spoilt: Callable[[dict[str, Any]], object]
) -> None:
    key = service_account_key()
    answer = await project.http.post("/v1/email-workspaces", json=google_body(service_account_key=spoilt(key)))
    assert answer.status_code == 202, answer.text
    [event] = await harness.published()
    assert isinstance(event, EmailWorkspaceCreated)
    sealed = (await credential(harness, event, event.credential_ref)).reveal("service_account_key")
    assert json.loads(sealed)["private_key"] == key["private_key"]


async def test_a_microsoft_secret_is_accepted_and_sealed(harness: GatewayHarness, project: Project) -> None:
    answer = await project.http.post("/v1/email-workspaces", json=microsoft_body(secret_id=str(uuid4())))
    assert answer.status_code == 202, answer.text
    assert SECRET not in answer.text
    workspace = answer.json()
    assert workspace["tenant_id"] == "b1f0c3d2-6a55-4f0e-8c1b-3d2e1f0a9b87"
    assert workspace["secret_expires_at"] == "2099-01-29T00:00:00.000Z"
    assert workspace["secret_days_left"] > 20_000
    [event] = await harness.published()
    assert isinstance(event, EmailWorkspaceCreated)
    assert event.secret_id == workspace["secret_id"]
    assert event.secret_expires_at == datetime(2099, 1, 29, tzinfo=UTC)
    assert (await credential(harness, event, event.credential_ref)).reveal("client_secret") == SECRET


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("no JSON", "not a JSON object"),
        ("{}", "not the key of a service account"),
        ("[" * 15_000, "not a JSON object"),
        ({"type": "authorized_user"}, "not the key of a service account"),
        (service_account_key(type=None), "not the key of a service account"),
        (
            service_account_key(private_key="-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            "private_key",
        ),
        (service_account_key(private_key=None), "no `private_key`"),
        (service_account_key(private_key=17), "private_key"),
        (service_account_key(client_email="nobody"), "client_email"),
        (service_account_key(client_email=None), "no `client_email`"),
        (service_account_key(client_id="1\n2"), "client_id"),
        (service_account_key(universe_domain="example.com"), "universe"),
    ],
)
async def test_a_key_file_that_cannot_work_is_refused(
    harness: GatewayHarness, project: Project, key: object, said: str
) -> None:
    answer = await project.http.post("/v1/email-workspaces", json=google_body(service_account_key=key))
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error["field"] == "service_account_key"
    assert said in error["detail"]
    assert "AAAA" not in answer.text
    assert await harness.published() == []
    assert await harness.credentials() == set()


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        (
            {"client_secret": "0e1f2a3b-4c5d-4e6f-8a9b-0c1d2e3f4a5b"},
            "client_secret",
            "the ID of a secret and not its value",
        ),
        ({"client_secret": "   "}, "client_secret", "characters"),
        ({"client_secret": "sécret"}, "client_secret", "characters"),
        ({"client_secret": None}, "client_secret", "missing"),
        ({"tenant_id": "a/../b?x=#"}, "tenant_id", "neither"),
        ({"tenant_id": None}, "tenant_id", "missing"),
        ({"client_id": "acme"}, "client_id", "GUID"),
        ({"secret_id": "acme"}, "secret_id", "GUID"),
        ({"secret_expires_at": "2020-01-01"}, "secret_expires_at", "expired"),
        ({"secret_expires_at": "29/01/2099"}, "secret_expires_at", ""),
        ({"service_account_key": {}}, "service_account_key", "google"),
        ({"name": ""}, "name", "empty"),
        ({"provider": "yahoo"}, "provider", ""),
    ],
)
async def test_an_app_registration_that_cannot_work_is_refused(
    project: Project, changes: dict[str, Any], field: str, said: str
) -> None:
    answer = await project.http.post("/v1/email-workspaces", json=microsoft_body(**changes))
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert said in error["detail"]
    assert SECRET not in answer.text


async def test_a_repeated_request_makes_one_workspace(harness: GatewayHarness, project: Project) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    answers = [await project.http.post("/v1/email-workspaces", json=google_body(), headers=key) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert len(await harness.published()) == 1


async def test_the_connectors_word_is_the_status(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await create(project)
    [event] = await harness.published()
    assert isinstance(event, EmailWorkspaceCreated)
    await harness.deliver(workspace_result(event, works=False))
    workspace = await shown(project, workspace_id)
    assert workspace["status"] == "rejected"
    assert workspace["diagnosis"]["code"] == "AUTH_BAD_CREDENTIALS"
    assert "paused" in workspace["note"]
    await harness.deliver(
        WorkspaceSecretExpiring(
            workspace_id=workspace_id,
            organization_id=event.organization_id,
            project_id=event.project_id,
            expires_at=datetime(2099, 1, 29, tzinfo=UTC),
            days_left=30,
        ),
        workspace_result(event, works=True),
    )
    workspace = await shown(project, workspace_id)
    assert workspace["status"] == "verified"
    assert workspace["diagnosis"] is workspace["note"] is None
    assert workspace["verified_at"] is not None
    assert (await feed_types(project))[-4:] == [
        "EmailWorkspaceCreated",
        "EmailWorkspaceRejected",
        "WorkspaceSecretExpiring",
        "EmailWorkspaceVerified",
    ]


@pytest.mark.parametrize(
    ("works", "proven", "kept", "told"),
    [(True, None, [2], None), (False, None, [2], "are paused"), (False, 1, [1, 2], "go on with the one before")],
)
async def test_a_replaced_credential_is_erased_when_the_accounts_do_not_go_on_with_it(
    harness: GatewayHarness, project: Project, *, works: bool, proven: int | None, kept: list[int], told: str | None
) -> None:
    workspace_id = await create(project)
    [created] = await harness.published()
    assert isinstance(created, EmailWorkspaceCreated)
    await harness.deliver(workspace_result(created, works=True))
    new = microsoft_body(name=None, provider=None, client_secret="another~Secret")
    answer = await project.http.put(f"/v1/email-workspaces/{workspace_id}/credentials", json=new)
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "pending"
    assert answer.json()["credential_version"] == 2
    assert "being verified" in answer.json()["note"]
    [replaced] = await harness.published()
    assert isinstance(replaced, EmailWorkspaceCredentialsReplaced)
    assert replaced.credential_ref == CredentialRef(credential_id=created.credential_ref.credential_id, version=2)
    assert await versions(harness) == [1, 2]
    await harness.deliver(workspace_result(created, works=True))  # what was under way with the old one
    assert await versions(harness) == [1, 2]
    assert (await shown(project, workspace_id))["status"] == "pending"

    result = workspace_result(replaced, works=works)
    await harness.deliver(result if works else result.model_copy(update={"proven_version": proven}))
    assert await versions(harness) == kept
    assert (await credential(harness, replaced, replaced.credential_ref)).reveal("client_secret") == "another~Secret"
    workspace = await shown(project, workspace_id)
    assert workspace["status"] == ("verified" if works else "rejected")
    assert told in workspace["note"] if told else workspace["note"] is None
    if proven:  # and then that one ends as well
        await harness.deliver(result)
        assert await versions(harness) == [2]
        assert "are paused" in (await shown(project, workspace_id))["note"]


async def test_credentials_of_the_other_provider_are_refused(project: Project) -> None:
    workspace_id = await create(project)
    new = {"service_account_key": service_account_key()}
    answer = await project.http.put(f"/v1/email-workspaces/{workspace_id}/credentials", json=new)
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {
        "service_account_key", "tenant_id", "client_id", "client_secret",
    }  # fmt: skip


async def test_name_and_expiry_are_changed(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await create(project)
    await harness.published()
    path = f"/v1/email-workspaces/{workspace_id}"
    answer = await project.http.patch(path, json={"name": "Sales", "secret_expires_at": "2099-02-01"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == "Sales"
    assert answer.json()["secret_expires_at"] == "2099-02-01T00:00:00.000Z"
    [event] = await harness.published()
    assert isinstance(event, EmailWorkspaceUpdated)
    assert (event.name, event.secret_expires_at) == ("Sales", datetime(2099, 2, 1, tzinfo=UTC))
    again = await project.http.patch(path, json={"name": "Sales"})
    assert again.status_code == 200
    assert await harness.published() == [], "nothing is different"
    for body in (
        {"name": None},
        {"secret_expires_at": None},
        {"secret_expires_at": "2001-01-01"},
        {"provider": "google"},
    ):
        assert (await project.http.patch(path, json=body)).status_code == 422


async def test_changes_may_be_conditional(project: Project) -> None:
    workspace_id = await create(project)
    path = f"/v1/email-workspaces/{workspace_id}"
    tag = (await project.http.get(path)).headers["etag"]
    assert (await project.http.get(path, headers={"If-None-Match": tag})).status_code == 304
    assert (await project.http.patch(path, json={"name": "One"}, headers={"If-Match": tag})).status_code == 200
    assert (await project.http.patch(path, json={"name": "Two"}, headers={"If-Match": tag})).status_code == 412
    assert (await project.http.delete(path, headers={"If-Match": tag})).status_code == 412
    assert (await shown(project, workspace_id))["name"] == "One"


async def test_the_list_is_read_in_pages(project: Project) -> None:
    ids = [str(await create(project, microsoft_body(name=f"W{number}"))) for number in range(3)]
    first = (await project.http.get("/v1/email-workspaces?limit=2")).json()
    second = (await project.http.get(f"/v1/email-workspaces?limit=2&cursor={first['next_cursor']}")).json()
    assert [item["id"] for item in first["items"] + second["items"]] == ids
    assert second["next_cursor"] is None


async def test_a_workspace_goes_with_its_accounts(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await create(project)
    other = await create(project, google_body())
    for through, names in ((workspace_id, ["ada", "bob"]), (other, ["eve"])):
        body = {"accounts": [f"{name}@acme.test" for name in names]}
        assert (await project.http.post(f"/v1/email-workspaces/{through}/imports", json=body)).status_code == 202
    await harness.published()
    assert (await harness.seats(project.organization_id))["monitoring"] == 3
    answer = await project.http.delete(f"/v1/email-workspaces/{workspace_id}")
    assert answer.status_code == 204, answer.text
    events = await harness.published()
    removed = [event for event in events if isinstance(event, AccountRemoved)]
    assert {(event.address, event.reason) for event in removed} == {
        ("ada@acme.test", "workspace_removed"),
        ("bob@acme.test", "workspace_removed"),
    }
    assert [event for event in events if isinstance(event, EmailWorkspaceRemoved)]
    assert (await harness.seats(project.organization_id))["monitoring"] == 1
    assert {owner for owner, _ in await harness.credentials()} == {other}, "the other workspace keeps its key"
    assert (await project.http.get(f"/v1/email-workspaces/{workspace_id}")).status_code == 404
    assert (await project.http.delete(f"/v1/email-workspaces/{workspace_id}")).status_code == 404
    assert len((await project.http.get("/v1/accounts")).json()["items"]) == 1


async def test_a_project_with_a_workspace_is_not_removed(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await create(project)
    operator = {"Authorization": f"Bearer {OPERATOR_KEY}"}
    path = f"/v1/projects/{project.project_id}"
    refused = await harness.http.delete(path, headers=operator)
    assert (refused.status_code, refused.json()["workspaces"]) == (409, 1)
    await project.http.delete(f"/v1/email-workspaces/{workspace_id}")
    assert (await harness.http.delete(path, headers=operator)).status_code == 204


async def test_removing_one_account_leaves_the_key_to_the_others(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await create(project)
    body = {"accounts": ["ada@acme.test", "bob@acme.test"]}
    await project.http.post(f"/v1/email-workspaces/{workspace_id}/imports", json=body)
    account = (await project.http.get("/v1/accounts")).json()["items"][0]
    assert (await project.http.delete(f"/v1/accounts/{account['id']}")).status_code == 204
    assert {owner for owner, _ in await harness.credentials()} == {workspace_id}


async def test_accounts_are_counted_by_status_whatever_the_version_of_the_credential(
    harness: GatewayHarness, project: Project
) -> None:
    workspace_id = await create(project)
    body = {"accounts": ["ada@acme.test", "bob@acme.test", "eve@acme.test"]}
    await project.http.post(f"/v1/email-workspaces/{workspace_id}/imports", json=body)
    requests = [event for event in await harness.published() if isinstance(event, AccountRequested)]
    reference = requests[0].credential_ref.model_copy(update={"version": 2})
    await harness.deliver(verified(requests[0], works=True, reference=reference), verified(requests[1], works=False))
    counts = (await shown(project, workspace_id))["accounts"]
    assert counts == {"total": 3, "pending": 1, "connected": 1, "failed": 1, "disconnected": 0}


async def test_others_see_and_change_nothing(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await create(project)
    stranger = await harness.project(await harness.organization())
    path = f"/v1/email-workspaces/{workspace_id}"
    new = microsoft_body(name=None, provider=None)
    async with stranger.http as http:
        assert (await http.get("/v1/email-workspaces")).json()["items"] == []
        assert (await http.get(path)).status_code == 404
        assert (await http.patch(path, json={"name": "Mine"})).status_code == 404
        assert (await http.put(f"{path}/credentials", json=new)).status_code == 404
        assert (await http.delete(path)).status_code == 404
        assert (await http.post(f"{path}/imports", json={"accounts": ["a@b.test"]})).status_code == 404
    assert (await shown(project, workspace_id))["name"] == "Acme on Microsoft"


async def test_a_key_needs_the_scope(harness: GatewayHarness) -> None:
    reader = await harness.project(await harness.organization(), scopes=["workspaces:read"])
    async with reader.http as http:
        assert (await http.get("/v1/email-workspaces")).status_code == 200
        answer = await http.post("/v1/email-workspaces", json=microsoft_body())
        assert (answer.status_code, answer.json()["scope"]) == (403, "workspaces:write")


async def test_days_left_are_counted(harness: GatewayHarness, project: Project) -> None:
    workspace_id = await create(project)
    harness.clock.shift = datetime(2099, 1, 26, 12, tzinfo=UTC) - datetime.now(UTC)
    assert (await shown(project, workspace_id))["secret_days_left"] == 2
    harness.clock.shift += timedelta(days=10)
    assert (await shown(project, workspace_id))["secret_days_left"] == 0


def test_the_operator_names_other_hosts() -> None:
    hosts = MailHosts.of("google", "imap.host.test:20993:tls, SMTP.host.test:20587:starttls")
    imap, smtp = hosts.servers("ada@acme.test")
    assert (imap.host, imap.port, imap.security, imap.mechanism) == ("imap.host.test", 20993, "tls", "xoauth2")
    assert (smtp.host, smtp.port, smtp.security, smtp.username) == (
        "smtp.host.test",
        20587,
        "starttls",
        "ada@acme.test",
    )
    assert MailHosts.of("microsoft").imap == ("outlook.office365.com", 993, "tls")
    assert MailHosts.of("google").smtp[0] == "smtp.gmail.com"


@pytest.mark.parametrize("text", ["imap.host.test:993:tls", "a:1:tls,b:2:plain", "a.test:0:tls,b.test:1:tls", "::,::"])
def test_hosts_that_are_none_are_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="berth_google_mail_hosts"):
        GatewaySettings.model_validate({"berth_google_mail_hosts": text})


async def test_one_account_is_connected_through_a_workspace(harness: GatewayHarness, project: Project) -> None:
    made = await project.http.post("/v1/email-workspaces", json=google_body())
    body = {"email": "alice@acme.com", "workspace_id": made.json()["id"], "tags": ["sales"], "time_zone": "Asia/Tokyo"}
    answer = await project.http.post("/v1/accounts", json=body)
    assert answer.status_code == 202, answer.text
    shown = answer.json()
    assert (shown["provider"], shown["workspace_id"], shown["status"]) == ("gmail", made.json()["id"], "pending")
    assert (shown["tags"][0]["name"], shown["time_zone"]) == ("sales", "Asia/Tokyo")
    assert (await project.http.post("/v1/accounts", json=body)).status_code == 409
    assert (await harness.seats(project.organization_id))["monitoring"] == 1
    for wrong, field in (
        ({"password": "x"}, "password"),
        ({"provider": "gmail"}, "provider"),
        ({"email": "x"}, "email"),
    ):
        refused = await project.http.post("/v1/accounts", json={**body, **wrong})
        assert refused.status_code == 422
        assert [fault["field"] for fault in refused.json()["errors"]] == [field]
    probe = await project.http.post("/v1/probes", json=body)
    assert probe.json()["errors"][0]["field"] == "workspace_id"
    unknown = await project.http.post(
        "/v1/accounts", json={**body, "email": "b@acme.com", "workspace_id": str(uuid4())}
    )
    assert unknown.status_code == 404
