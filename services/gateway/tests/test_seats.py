"""Seats: the last one goes once, and limits are billing's."""

import asyncio

from berth_events.contracts import AccountRequested, SeatCount, SubscriptionChanged, SubscriptionEnded
from berth_testing.gateway_harness import GatewayHarness, account_body
from berth_testing.gateway_results import verified


async def test_without_a_subscription(harness: GatewayHarness) -> None:
    project = await harness.project(await harness.organization(subscribed=False))
    async with project.http:
        answer = await project.http.post("/v1/accounts", json=account_body())
    assert answer.status_code == 402
    assert answer.json()["type"] == "urn:berth:problem:subscription-required"
    assert await harness.credentials() == set()
    assert await harness.published() == []


async def test_the_last_seat_goes_once(harness: GatewayHarness) -> None:
    organization_id = await harness.organization(subscribed=False)
    await harness.subscribe(organization_id, monitoring=3, spam_check=0)
    project = await harness.project(organization_id)
    async with project.http:
        answers = await asyncio.gather(
            *(project.http.post("/v1/accounts", json=account_body(f"u{n}@acme.test")) for n in range(8))
        )
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [403] * 5
    refused = next(answer.json() for answer in answers if answer.status_code == 403)
    assert refused["type"] == "urn:berth:problem:seat-limit-reached"
    assert (refused["seat_kind"], refused["limit"], refused["used"]) == ("monitoring", 3, 3)
    assert await harness.seats(organization_id) == {"monitoring": 3, "spam_check": 0}
    assert sum(isinstance(event, AccountRequested) for event in await harness.published()) == 3
    assert len(await harness.credentials()) == 3


async def test_kinds_are_counted_apart(harness: GatewayHarness) -> None:
    organization_id = await harness.organization(subscribed=False)
    await harness.subscribe(organization_id, monitoring=0, spam_check=1)
    project = await harness.project(organization_id)
    async with project.http:
        assert (await project.http.post("/v1/accounts", json=account_body())).status_code == 403
        answer = await project.http.post("/v1/accounts", json=account_body(seat_kind="spam_check"))
    assert answer.status_code == 202
    assert answer.json()["seat_kind"] == "spam_check"


async def test_only_newer_limits_count(harness: GatewayHarness) -> None:
    organization_id = await harness.organization(subscribed=False)
    await harness.subscribe(organization_id, monitoring=1)
    raised = SubscriptionChanged(
        organization_id=organization_id, plan="big", limits=SeatCount(monitoring=5, spam_check=5)
    )
    envelopes = await harness.deliver(raised, source="/berth/billing")
    ended = await harness.deliver(SubscriptionEnded(organization_id=organization_id), source="/berth/billing")
    await harness.apply(envelopes)
    row = await harness.owner.fetchrow("SELECT seat_limit, subscribed FROM seat_ledger WHERE seat_kind = 'monitoring'")
    assert row is not None
    assert dict(row) == {"seat_limit": 0, "subscribed": False}
    await harness.apply(ended)


async def test_seats_beyond_a_lowered_limit_stay(harness: GatewayHarness) -> None:
    organization_id = await harness.organization()
    project = await harness.project(organization_id)
    async with project.http:
        for number in range(3):
            await project.http.post("/v1/accounts", json=account_body(f"u{number}@acme.test"))
        lowered = SubscriptionChanged(
            organization_id=organization_id, plan="small", limits=SeatCount(monitoring=1, spam_check=0)
        )
        await harness.deliver(lowered, source="/berth/billing")
        assert (await project.http.post("/v1/accounts", json=account_body())).status_code == 403
    assert await harness.seats(organization_id) == {"monitoring": 3, "spam_check": 0}


async def test_a_kept_account_keeps_its_seat_when_it_fails(harness: GatewayHarness) -> None:
    organization_id = await harness.organization()
    project = await harness.project(organization_id)
    async with project.http:
        await project.http.post("/v1/accounts", json=account_body())
        (event,) = await harness.published()
        assert isinstance(event, AccountRequested)
        await harness.deliver(verified(event, works=False))
        assert len((await project.http.get("/v1/accounts")).json()["items"]) == 1
    assert (await harness.seats(organization_id))["monitoring"] == 1
