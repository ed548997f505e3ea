"""Keys of service accounts, client secrets, access tokens and webhook secrets stay where they belong, as passwords do."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from berth_testing.canaries import Canaries
from berth_testing.nsd import NameServer
from berth_testing.oauth_bed import OAuthBed
from berth_testing.platform import Platform, Surroundings, run_platform
from berth_testing.postgres import PostgresServer
from berth_testing.servers import working_directory
from berth_testing.tenant import Tenant
from berth_testing.waiting import eventually

ADA, EVE = "ada@acme.example", "eve@acme.example"
#: No secret: it has to be found, so that it is known that tables, events and answers were really searched.
DECOY: Final = "decoy"
#: May hold a secret of the receiver's: whoever made the webhook sees it again, and nobody else.
URL: Final = "path of a webhook's URL"
#: What a client secret may have, and quotings treat in their own ways.
ODD: Final = "\"\\%+/=<&'"
JSON: Final = {"Content-Type": "application/json"}


@pytest.fixture
async def platform(postgres_server: PostgresServer, oauth_bed: OAuthBed, nsd: NameServer) -> AsyncIterator[Platform]:
    """Of its own, with token endpoints, the embedded bus, and logs that say everything."""
    mail, service = oauth_bed.mail, oauth_bed.service
    hosts = ",".join(f"{mail.hostname}:{mail.ports[name]}:tls" for name in ("imaps", "smtps"))
    with working_directory("berth-canaries-") as directory:
        surroundings = Surroundings(
            kafka_bootstrap=None,
            dns_server=nsd.endpoint,
            ca_file=_joined(directory / "authorities.pem", mail.ca_file, service.ca_file),
            mail_ports=sorted(mail.ports.values()),
            settings={
                "PYTHONASYNCIODEBUG": "1",  # slow callbacks are logged with what they were called with
                "BERTH_GOOGLE_TOKEN_URL": service.google_url,
                "BERTH_MICROSOFT_AUTHORITY": service.authority,
                "BERTH_GOOGLE_MAIL_HOSTS": hosts,
                "BERTH_MICROSOFT_MAIL_HOSTS": hosts,
            },
        )
        async with run_platform(postgres_server.dsn, directory, surroundings) as running:
            yield running


@pytest.mark.timeout(150)
async def test_secrets_of_workspaces_and_webhooks_are_nowhere(
    platform: Platform, oauth_bed: OAuthBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    canaries = Canaries()
    canaries.add(DECOY, ADA)
    tokens = remember_tokens(canaries, oauth_bed, monkeypatch)
    tenant = await platform.tenant(monitoring=20)

    await import_through_google(canaries, tenant, oauth_bed)
    await import_through_microsoft(canaries, tenant, oauth_bed)
    await import_with_passwords(canaries, tenant, oauth_bed)
    await send_secrets_with_bad_requests(canaries, tenant)
    await make_webhooks(canaries, tenant)
    assert len(tokens) >= 2
    for path in ("/v1/accounts", "/v1/email-workspaces", "/v1/webhooks", "/v1/imports", "/v1/events?limit=200"):
        canaries.in_text("an answer", (await tenant.http.get(path)).text)
    accounts = (await tenant.http.get("/v1/accounts")).json()["items"]
    for account in accounts:
        transcript = await tenant.http.get(f"/v1/accounts/{account['id']}/verification")
        if account["status"] == "connected":
            assert re.search(r'XOAUTH2 \*\*\*|"C: \*\*\*"', transcript.text), transcript.text  # where the token was
        canaries.in_text("a verification", transcript.text)
    await look_at_streams(canaries, tenant)
    for service in ("gateway", "connector", "dns-auditor", "billing"):
        async with httpx.AsyncClient(base_url=platform.url(service)) as http:
            canaries.in_text(f"the metrics of {service}", (await http.get("/metrics")).raise_for_status().text)

    for service in ("gateway", "connector", "dns-auditor", "billing"):
        await canaries.in_database(platform.owner_dsn(service))
    await canaries.in_database(platform.databases.owned("bus"))
    logs = platform.logs()
    for service, text in logs.items():
        canaries.in_text(f"the log of {service}", text)

    assert [leak for leak in canaries.leaks if leak.canary not in {DECOY, URL}] == []
    shown = {leak.where for leak in canaries.leaks if leak.canary == URL}
    assert shown == {
        "an answer",
        "public.webhook.url",
        "public.idempotency.body",
    }  # the last is the answer, to be repeated
    found = {leak.where for leak in canaries.leaks}
    assert found >= {"public.event.data", "an answer"}
    assert canaries.searched["cells"] > 1000
    assert all(logs.values())
    assert {account["status"] for account in accounts} == {"connected", "failed"}


def remember_tokens(canaries: Canaries, bed: OAuthBed, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every access token is a secret as soon as it is given, each half of it."""
    given: list[str] = []
    issue = bed.service.identity.tokens.issue

    def remembering(token: str, *arguments: Any) -> str:
        given.append(token)
        half = len(token) // 2
        canaries.add(f"access token {len(given)}, first half", token[half // 2 : half])  # a JWT's beginning is in each
        canaries.add(f"access token {len(given)}, second half", token[half:])
        return issue(token, *arguments)

    monkeypatch.setattr(bed.service.identity.tokens, "issue", remembering)
    return given


async def import_through_google(canaries: Canaries, tenant: Tenant, bed: OAuthBed) -> None:
    """One mailbox that Google knows, and one that it does not; then a key that Google does not take."""
    _, key_file = bed.service.google_workspace(ADA)
    canaries.add("service account key", json.loads(key_file)["private_key"])
    workspace = await made(tenant, provider="google", service_account_key=key_file)
    await imported(tenant, workspace, ADA, EVE)
    _, stranger = bed.service.google_workspace("bob@other.example")
    strange = json.loads(stranger)
    canaries.add("another service account key", strange["private_key"])
    strange["client_email"] = json.loads(key_file)["client_email"]  # whose key it is not
    await replaced(canaries, tenant, workspace, service_account_key=strange)


async def import_through_microsoft(canaries: Canaries, tenant: Tenant, bed: OAuthBed) -> None:
    """A secret that works, and then one that does not."""
    secret = canaries.plant("client secret", between=ODD)
    directory, application = bed.service.microsoft_workspace("grace@contoso.example", secret=secret)
    ids = {"tenant_id": directory.tenant_id, "client_id": application.client_id}
    workspace = await made(tenant, provider="microsoft", client_secret=secret, **ids)
    await imported(tenant, workspace, "grace@contoso.example", "mallory@contoso.example")
    await replaced(canaries, tenant, workspace, client_secret=canaries.plant("wrong client secret", between=ODD), **ids)
    await goes_on(tenant, workspace, "grace@contoso.example")


async def import_with_passwords(canaries: Canaries, tenant: Tenant, bed: OAuthBed) -> None:
    """As JSON and as a file, with rows that are rejected: those are shown again, without their passwords."""

    def row(email: object, **fields: object) -> dict[str, object]:
        password = canaries.plant(f"imported password {uuid4()}", between="-%+/'")
        return {"email": email, "provider": "custom", "password": password, **bed.mail.servers(), **fields}

    rows = [row("new@test.example"), row("nobody"), row("new@test.example"), row("odd@test.example", password=[7])]
    head = "email,password,imap_host,imap_port,imap_password,smtp_host,smtp_port,smtp_password\n"
    servers = bed.mail.hostname, bed.mail.ports["imaps"], bed.mail.hostname, bed.mail.ports["smtps"]
    lines = [
        ",".join(map(str, (email, plant(), *servers[:2], plant(), *servers[2:], plant())))
        for email in ("filed@test.example", "not an address", "filed@test.example")
        for plant in [lambda: canaries.plant(f"filed password {uuid4()}", between="-")]
    ]
    body = (head + "\n".join(lines)).encode()
    answers = [
        await tenant.http.post("/v1/imports", json={"accounts": rows}),
        await tenant.http.post("/v1/imports", content=body, headers={"Content-Type": "text/csv"}),
    ]
    for answer in answers:
        assert answer.status_code == 202, answer.text
        canaries.in_text("an import", answer.text)
        path = f"/v1/imports/{answer.json()['id']}"
        await eventually(lambda path=path: tenant.http.get(path), lambda found: found.json()["finished_at"], within=60)  # type: ignore[misc]
        for shown in ("", "/accounts", "/rejected.csv"):
            canaries.in_text("an import", (await tenant.http.get(path + shown)).raise_for_status().text)


async def look_at_streams(canaries: Canaries, tenant: Tenant) -> None:
    """Server-Sent Events of every import, and of the whole feed."""
    imports = (await tenant.http.get("/v1/imports")).json()["items"]
    assert len(imports) == 4
    for path in [*(f"/v1/imports/{one['id']}/events" for one in imports), "/v1/events/stream"]:
        text = ""
        with suppress(TimeoutError):
            async with asyncio.timeout(2), tenant.http.stream("GET", path) as stream:
                async for piece in stream.aiter_text():
                    text += piece
        assert "data:" in text, path
        canaries.in_text("a stream", text)


async def send_secrets_with_bad_requests(canaries: Canaries, tenant: Tenant) -> None:
    """Requests that are refused, each for another reason, and twice, as a client does that retries."""

    def body(**fields: object) -> dict[str, object]:
        return {
            "name": "Refused",
            "provider": "microsoft",
            "tenant_id": str(uuid4()),
            "client_id": str(uuid4()),
            **fields,
        }

    def secret() -> str:
        return canaries.plant(f"refused client secret {uuid4()}", between=ODD)

    def key(**fields: object) -> dict[str, object]:
        lines = canaries.plant(f"refused key {uuid4()}", between="+/")
        pem = f"-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n"
        return {"type": "service_account", "private_key": pem, **fields}

    requests: list[dict[str, Any]] = [
        {"json": body(client_secret=[secret()])},
        {"json": body(client_secret=secret(), tenant_id=secret())},
        {"json": body(client_secret=secret(), secret=secret())},
        {"json": body(client_secret=secret(), client_id="x" * 5000)},
        {"json": {"name": "Refused", "provider": "google", "service_account_key": key()}},
        {"json": {"name": "Refused", "provider": "google", "service_account_key": json.dumps(key(client_email=7))}},
        {"json": {"name": "Refused", "provider": "google", "service_account_key": json.dumps(key())[:-1]}},
        {"json": {"name": "Refused", "provider": "google", "service_account_key": [key()]}},
        {"content": f'{{"client_secret": "{canaries.plant("broken JSON", between="-")}"'.encode()},
        {"content": json.dumps(canaries.plant("JSON that is a text", between="-")).encode()},
        {"content": json.dumps([canaries.plant("JSON that is a list", between="-")]).encode()},
        {"content": canaries.plant("no JSON", between="-").encode()},
        {"content": json.dumps(body(client_secret=secret(), name="\0")).encode()},
        {"content": b'{"client_secret": "' + canaries.plant("no UTF-8", between="-").encode() + b'\xff"}'},
        {"json": body(client_secret={"value": secret()})},
        {"json": {"name": "Refused", "provider": secret(), "client_secret": secret()}},
    ]
    for request in requests:
        headers = {**JSON, "Idempotency-Key": str(uuid4())}
        for _ in range(2):
            answer = await tenant.http.post("/v1/email-workspaces", headers=headers, **request)
            assert answer.status_code in {400, 422}, answer.text
            canaries.in_text("a refusal", answer.text + str(answer.headers))


async def make_webhooks(canaries: Canaries, tenant: Tenant) -> None:
    """A secret is in the answer that makes it, also when that is asked for again, and in no other."""
    headers = {"Idempotency-Key": str(uuid4())}
    url = "https://mail.test.example/" + canaries.plant(URL, between="-")
    answers = [await tenant.http.post("/v1/webhooks", json={"url": url}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
    webhook = answers[0].json()
    assert answers[1].json()["secret"] == webhook["secret"]
    rotated = await tenant.http.post(f"/v1/webhooks/{webhook['id']}/rotate", headers={"Idempotency-Key": str(uuid4())})
    for name, secret in (("webhook secret", webhook["secret"]), ("new webhook secret", rotated.json()["secret"])):
        canaries.add(name, secret.removeprefix("whsec_"))
    assert (await tenant.http.post(f"/v1/webhooks/{webhook['id']}/test")).status_code == 202
    deliveries = f"/v1/webhooks/{webhook['id']}/deliveries"
    await eventually(lambda: tenant.http.get(deliveries), lambda found: '"pending"' in found.text, within=20)
    for path in (f"/v1/webhooks/{webhook['id']}", deliveries):
        canaries.in_text("an answer", (await tenant.http.get(path)).text)


async def made(tenant: Tenant, **fields: object) -> str:
    """A workspace that is verified."""
    answer = await tenant.http.post("/v1/email-workspaces", json={"name": "Acme", **fields})
    assert answer.status_code == 202, answer.text
    return await settled(tenant, answer.json()["id"], "verified")


async def settled(tenant: Tenant, workspace: str, status: str) -> str:
    path = f"/v1/email-workspaces/{workspace}"
    await eventually(lambda: tenant.http.get(path), lambda found: found.json()["status"] == status, within=30)
    return workspace


async def imported(tenant: Tenant, workspace: str, *addresses: str) -> None:
    """Import mailboxes, and wait for what becomes of them."""
    answer = await tenant.http.post(f"/v1/email-workspaces/{workspace}/imports", json={"accounts": addresses})
    assert answer.status_code == 202, answer.text
    path = f"/v1/imports/{answer.json()['id']}"
    await eventually(lambda: tenant.http.get(path), lambda found: found.json()["state"] == "finished", within=40)


async def replaced(canaries: Canaries, tenant: Tenant, workspace: str, **fields: object) -> None:
    """Replace the credential with one that is refused."""
    path = f"/v1/email-workspaces/{workspace}"
    answer = await tenant.http.put(f"{path}/credentials", json=fields)
    assert answer.status_code == 202, answer.text
    await settled(tenant, workspace, "rejected")
    canaries.in_text("a rejection", (await tenant.http.get(path)).text)


async def goes_on(tenant: Tenant, workspace: str, address: str) -> None:
    """With the secret that worked, although the new one is rejected."""
    assert "go on with the one before" in (await tenant.http.get(f"/v1/email-workspaces/{workspace}")).json()["note"]
    accounts = (await tenant.http.get("/v1/accounts", params={"search": address})).json()["items"]
    path = f"/v1/accounts/{accounts[0]['id']}"
    before = (await tenant.http.get(f"{path}/verification")).json()
    (await tenant.http.post(f"{path}/reconnect")).raise_for_status()
    after = await eventually(
        lambda: tenant.http.get(f"{path}/verification"),
        lambda found: found.json()["started_at"] != before["started_at"],
        within=30,
    )
    assert after.json()["outcome"] == before["outcome"] == "connected"


def _joined(file: Path, *parts: Path) -> Path:
    file.write_text("".join(part.read_text() for part in parts))
    return file
