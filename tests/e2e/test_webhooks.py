"""Webhooks of the real services: a gateway that is killed while it sends loses nothing and keeps the order."""

import asyncio
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from berth_testing.mail_bed import MailBed
from berth_testing.platform import Platform
from berth_testing.tenant import Tenant
from berth_testing.waiting import eventually
from berth_testing.webhook_bed import Received, Receiver, receiving

WITHIN_S = 30


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    return await platform.tenant(monitoring=5)


async def feed_of(tenant: Tenant) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await tenant.http.get("/v1/events")).raise_for_status().json()["items"]
    return items


def by_subject(events: list[tuple[str, str]]) -> dict[str, list[str]]:
    """From subjects and ids in order to the ids of each subject, repetitions left out."""
    found: dict[str, list[str]] = {}
    for subject, event_id in events:
        ids = found.setdefault(subject, [])
        if event_id not in ids:
            ids.append(event_id)
    return found


async def test_a_killed_gateway_sends_what_it_had_not_sent(
    platform: Platform, tenant: Tenant, mail_bed: MailBed
) -> None:
    before = await feed_of(tenant)
    async with receiving(port=platform.webhook_port) as receiver:
        made = (await tenant.http.post("/v1/webhooks", json={"url": url(platform)})).raise_for_status().json()
        hung = hang_on(receiver, "AccountConnected")
        accounts = [
            await tenant.connect(email=address, provider="custom", password=password, **servers(mail_bed))
            for address, password in list(mail_bed.passwords.items())[:2]
        ]
        await asyncio.wait_for(hung.wait(), WITHIN_S)
        await platform.kill("gateway")
        receiver.says(200)
        await platform.restart("gateway")
        for account in accounts:
            await tenant.settled(account)
            (await tenant.http.delete(f"/v1/accounts/{account}")).raise_for_status()
        # the dead one's leases are not waited for
        await platform.fetch("gateway", "UPDATE webhook_delivery SET run_at = now() WHERE state = 'pending'")
        await eventually(
            lambda: platform.fetch("gateway", "SELECT count(*) FROM webhook_delivery WHERE state <> 'delivered'"),
            lambda rows: rows[0]["count"] == 0,
            within=WITHIN_S,
        )
        feed = [event for event in await feed_of(tenant) if event not in before]
    types = [event["type"] for event in feed]
    assert types.count("AccountRemoved") == 2
    arrived = [(each.event["subject"], each.headers["webhook-id"]) for each in receiver.requests]
    assert by_subject(arrived) == by_subject([(event["subject"], event["id"]) for event in feed])
    assert len(arrived) > len(feed), "what the killed one was sending came again"
    for each in receiver.requests:
        Verifier(made["secret"]).verify(each.body, dict(each.headers))


def url(platform: Platform) -> str:
    return f"http://mail.test.example:{platform.webhook_port}/hook"


def servers(bed: MailBed) -> dict[str, Any]:
    return {
        protocol: {"host": bed.hostname, "port": bed.ports[protocol], "security": "starttls"}
        for protocol in ("imap", "smtp")
    }


def hang_on(receiver: Receiver, name: str) -> asyncio.Event:
    """Have the receiver never answer events of a type; the event is set when there was one."""
    hung, never = asyncio.Event(), asyncio.Event()

    async def answer(received: Received) -> tuple[int, dict[str, str], str]:
        if received.event["type"] == name:
            hung.set()
            await never.wait()
        return 200, {}, ""

    receiver.answer = answer
    return hung
