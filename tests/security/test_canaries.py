"""Secrets that are sent to the platform are sealed in the vault, and nowhere else: in no table, record, log line or answer."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import httpx

from berth_events.contracts.topics import TOPICS
from berth_events.runtime.kafka_bus import KafkaBus
from berth_testing.canaries import Canaries
from berth_testing.kafka import KafkaServer
from berth_testing.mail_bed import MailBed
from berth_testing.platform import Platform
from berth_testing.tenant import Tenant
from berth_testing.waiting import eventually

USER = "canary@test.example"
#: No secret: it has to be found, so that it is known that tables, records and answers were really searched.
DECOY = "decoy"
JSON = {"Content-Type": "application/json"}


async def test_secrets_are_nowhere_but_in_the_vault(platform: Platform, mail_bed: MailBed, kafka: KafkaServer) -> None:
    canaries = Canaries()
    canaries.add(DECOY, "right@test.example")
    tenant = await platform.tenant(monitoring=20)
    remember_what_others_made(canaries, platform, tenant, mail_bed.passwords[USER])

    connected = await send_secrets(canaries, tenant, mail_bed)
    await check_up(tenant, connected)
    await send_secrets_with_bad_requests(canaries, platform, mail_bed)
    await send_secrets_as_mailreach_does(canaries, tenant, mail_bed)
    await send_keys_as_smartlead_does(canaries, tenant)
    for account_id in connected:
        for path in ("", "/verification"):
            canaries.in_text("an answer", (await tenant.http.get(f"/v1/accounts/{account_id}{path}")).text)

    for service in ("gateway", "connector", "dns-auditor", "billing"):
        await canaries.in_database(platform.owner_dsn(service))
    bus = KafkaBus(kafka.bootstrap)
    try:
        await canaries.in_topics(bus, TOPICS)
    finally:
        await bus.close()
    logs = platform.logs()
    for service, text in logs.items():
        canaries.in_text(f"the log of {service}", text)

    assert [leak for leak in canaries.leaks if leak.canary != DECOY] == []
    found = {leak.where.partition("/")[0] for leak in canaries.leaks}
    assert found >= {"public.event.data", "berth.accounts.v1", "berth.verifications.v1", "an answer"}
    assert canaries.searched["records"] >= 2 * len(connected)
    assert canaries.searched["cells"] > 1000
    assert all(logs.values())
    assert len(await sealed(platform, tenant)) == len(connected)


def remember_what_others_made(canaries: Canaries, platform: Platform, tenant: Tenant, password: str) -> None:
    """The right password, the keys of the platform's operator, and the tenant's."""
    canaries.add("right password, first half", password[:16])
    canaries.add("right password, second half", password[-16:])
    canaries.add("API key", tenant.key)
    canaries.add("operator key", platform.secrets.operator_key)
    canaries.add("internal token", platform.secrets.internal_token)
    canaries.add("vault key", platform.secrets.vault_private_keys.partition(":")[2])
    canaries.add("database password", platform.databases.passwords["gateway"])


async def send_secrets(canaries: Canaries, tenant: Tenant, mail_bed: MailBed) -> list[str]:
    """Connect accounts whose verifications end in every way; their ids, as soon as all are verified."""

    async def run(email: str, *, outcome: str, imap_host: str = "mail.test.example", **secrets: Any) -> str:
        servers = mail_bed.servers(imap_host=imap_host, username=USER)
        for protocol in ("imap", "smtp"):
            if (password := secrets.pop(protocol, None)) is not None:
                servers[protocol]["password"] = password
        account_id = await tenant.connect(email=email, provider="custom", **servers, **secrets)
        assert (await tenant.settled(account_id))["status"] == outcome
        return account_id

    right = mail_bed.passwords[USER]
    ids = await asyncio.gather(
        run("right@test.example", outcome="connected", password=right),
        run("wrong@test.example", outcome="failed", password=canaries.plant("wrong password")),
        run("half@test.example", outcome="failed", imap=right, smtp=canaries.plant("wrong SMTP password")),
        run("long@test.example", outcome="failed", password=canaries.plant("long password", between="x" * 3000)),
        run("expired@test.example", outcome="failed", password=right, imap_host="expired.test.example"),
        run("nowhere@test.example", outcome="failed", password=right, imap_host="nowhere.test.example"),
        run(USER, outcome="connected", password=right),
    )
    return list(ids)


async def check_up(tenant: Tenant, account_ids: Sequence[str]) -> None:
    """Have every account but the first sign in once more, the last one also send and receive a message."""

    async def run(account_id: str) -> str:
        (await tenant.http.post(f"/v1/accounts/{account_id}/checkup")).raise_for_status()
        account = await eventually(
            lambda: tenant.account(account_id), lambda account: account["checkup"] is not None, within=60
        )
        outcome: str = account["checkup"]["outcome"]
        return outcome

    outcomes = await asyncio.gather(*map(run, account_ids[1:]))
    assert outcomes == ["failed"] * (len(outcomes) - 1) + ["delivered"]


async def send_secrets_with_bad_requests(canaries: Canaries, platform: Platform, mail_bed: MailBed) -> None:
    """Requests that are refused, each for another reason, with a secret in them; the answers are searched at once."""
    full = await platform.tenant(monitoring=0)

    def body(**changes: object) -> dict[str, object]:
        password = canaries.plant(f"refused password {uuid4()}")
        return {"email": "a@test.example", "provider": "custom", "password": password, **mail_bed.servers(), **changes}

    async def send(status: int, *, headers: Mapping[str, str] | None = None, **request: Any) -> None:
        response = await full.http.post("/v1/accounts", headers=dict(headers or {}), **request)
        assert response.status_code == status, response.text
        canaries.in_text("a refusal", response.text)
        canaries.in_text("the headers of a refusal", str(response.headers))

    await send(403, json=body(), headers={"Idempotency-Key": "no-seat-is-free"})
    await send(422, json=body(email="nobody"))
    await send(422, json=body(password=[canaries.plant("password in a list")]))
    await send(422, json=body(secret=canaries.plant("unknown field")))
    await send(422, json=body(email=canaries.plant("password instead of the address")))
    await send(400, content=f'{{"password": "{canaries.plant("broken JSON", between="-")}"'.encode(), headers=JSON)
    await send(413, json=body(first_name="x" * 2_000_000))
    async with httpx.AsyncClient(base_url=platform.url("gateway")) as stranger:
        key = canaries.plant("unknown key", between="-")
        response = await stranger.post("/v1/accounts", json=body(), headers={"Authorization": f"Bearer {key}"})
        assert response.status_code == 401
        canaries.in_text("a refusal", response.text)
        found = await stranger.get(
            "/v1/accounts", params={"cursor": canaries.plant("cursor")}, headers={"X-Api-Key": full.key}
        )
        canaries.in_text("a refusal", found.text)


async def send_keys_as_smartlead_does(canaries: Canaries, tenant: Tenant) -> None:
    """In the query and in the body, with keys that are right and wrong; none may be said again, or logged."""
    async with httpx.AsyncClient(base_url=str(tenant.http.base_url)) as http:
        for key, status in ((tenant.key, 200), (canaries.plant("unknown key in a query", between="-"), 401)):
            for path in ("/api/v1/email-accounts", "/api/v1/email-accounts/"):
                answer = await http.get(path, params={"api_key": key})
                assert answer.status_code == status, answer.text
                canaries.in_text("an answer to SmartLead's client", answer.text + str(answer.headers))
        answer = await http.post(
            "/api/v1/email-accounts/save", json={"api_key": canaries.plant("unknown key in a body", between="-")}
        )
        assert answer.status_code == 401, answer.text
        canaries.in_text("an answer to SmartLead's client", answer.text)


async def send_secrets_as_mailreach_does(canaries: Canaries, tenant: Tenant, mail_bed: MailBed) -> None:
    """A dry run that works, and a connection that fails, after which nothing is kept."""
    for fields, status in (
        ({"password": mail_bed.passwords[USER], "test": True}, 200),
        ({"password": canaries.plant("wrong password at MailReach")}, 500),
        (
            {"imap_server_password": canaries.plant("wrong IMAP password at MailReach"), "smtp_server_password": "x"},
            500,
        ),
        ({"password": canaries.plant("password for a wrong port"), "imap_server_port": "99999"}, 422),
    ):
        body = {
            "email": "mailreach@test.example",
            "first_name": "M",
            "last_name": "R",
            "provider": "custom",
            "imap_server": mail_bed.hostname,
            "imap_server_port": mail_bed.ports["imap"],
            "imap_server_username": USER,
            "smtp_server": mail_bed.hostname,
            "smtp_server_port": mail_bed.ports["smtp"],
            "smtp_server_username": USER,
            **fields,
        }
        response = await tenant.http.post("/api/v1/imap_auth", json=body)
        assert response.status_code == status, response.text
        canaries.in_text("an answer of the MailReach dialect", response.text)


async def sealed(platform: Platform, tenant: Tenant) -> list[bytes]:
    """What the vault holds of the tenant."""
    rows = await platform.fetch(
        "gateway", "SELECT sealed FROM vault.credential WHERE organization_id = $1", tenant.organization_id
    )
    return [row["sealed"] for row in rows]
