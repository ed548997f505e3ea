"""Connecting, showing, listing and removing accounts over HTTP."""

from uuid import UUID

from berth_events.contracts import AccountRequested
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_vault import Binding, VaultReader


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

    (event,) = await harness.published()
    assert isinstance(event, AccountRequested)
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
