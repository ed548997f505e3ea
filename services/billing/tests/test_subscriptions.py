"""Commands on subscriptions: what is said when, also when several say it at the same moment."""

import asyncio
from uuid import UUID, uuid4

import pytest

from berth_billing import repository
from berth_billing.subscriptions import NoSubscription, Subscriptions
from berth_events.contracts import Event, SeatCount, SubscriptionActivated, SubscriptionChanged, SubscriptionEnded
from berth_events.runtime.database import Pool
from berth_events.runtime.store import EventStore

SMALL = SeatCount(monitoring=10, spam_check=2)
LARGE = SeatCount(monitoring=100, spam_check=20)


@pytest.fixture
def organization() -> UUID:
    return uuid4()


async def said(pool: Pool, store: EventStore, organization: UUID) -> list[Event]:
    async with pool.acquire() as connection:
        envelopes = await store.read(connection, organization)
    assert [each.sequence for each in envelopes] == list(range(1, len(envelopes) + 1))
    return [each.data for each in envelopes]


async def test_a_subscription_is_activated_changed_ended_and_activated_again(
    pool: Pool, store: EventStore, subscriptions: Subscriptions, organization: UUID
) -> None:
    await subscriptions.put(organization, "team", SMALL)
    await subscriptions.put(organization, "team", LARGE)
    await subscriptions.put(organization, "firm", LARGE)
    await subscriptions.end(organization)
    await subscriptions.put(organization, "firm", LARGE)
    assert await said(pool, store, organization) == [
        SubscriptionActivated(organization_id=organization, plan="team", limits=SMALL),
        SubscriptionChanged(organization_id=organization, plan="team", limits=LARGE),
        SubscriptionChanged(organization_id=organization, plan="firm", limits=LARGE),
        SubscriptionEnded(organization_id=organization),
        SubscriptionActivated(organization_id=organization, plan="firm", limits=LARGE),
    ]
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 5
    assert store.appended.is_set()


async def test_the_same_again_says_nothing(
    pool: Pool, store: EventStore, subscriptions: Subscriptions, organization: UUID
) -> None:
    for _ in range(3):
        saved = await subscriptions.put(organization, "team", SMALL)
        assert (saved.plan, saved.limits, saved.active) == ("team", SMALL, True)
    assert len(await said(pool, store, organization)) == 1


async def test_what_was_never_or_no_longer_active_cannot_be_ended(
    pool: Pool, store: EventStore, subscriptions: Subscriptions, organization: UUID
) -> None:
    with pytest.raises(NoSubscription, match=str(organization)):
        await subscriptions.end(organization)
    await subscriptions.put(organization, "team", SMALL)
    await subscriptions.end(organization)
    with pytest.raises(NoSubscription):
        await subscriptions.end(organization)
    assert len(await said(pool, store, organization)) == 2


async def test_of_many_changes_at_the_same_moment_each_is_said_and_the_last_stands(
    pool: Pool, store: EventStore, subscriptions: Subscriptions, organization: UUID
) -> None:
    wanted = [SeatCount(monitoring=n, spam_check=0) for n in range(12)]
    async with asyncio.timeout(20):
        await asyncio.gather(*(subscriptions.put(organization, "team", limits) for limits in wanted))
    first, *rest = await said(pool, store, organization)
    assert isinstance(first, SubscriptionActivated)
    assert all(isinstance(each, SubscriptionChanged) for each in rest)
    limits = [each.limits for each in (first, *rest) if isinstance(each, SubscriptionActivated | SubscriptionChanged)]
    assert sorted(limits, key=lambda each: each.monitoring) == wanted
    async with pool.acquire() as connection:
        saved = await repository.subscription(connection, organization)
    assert saved is not None
    assert saved.limits == limits[-1]
