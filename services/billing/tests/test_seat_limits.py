"""SeatLimitReached: said once when the last seat of a kind is taken, until one is free again or the limit is raised."""

import asyncio
import random
from datetime import date
from uuid import uuid4

import pytest

from berth_billing.process_manager import SeatLimits
from berth_billing.subscriptions import Subscriptions
from berth_billing.usage import UsageCloser
from berth_events.contracts import Envelope, SeatCount, SeatKind, SeatLimitReached
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Pool
from berth_events.runtime.parking import Parking
from berth_events.runtime.projector import Projector
from berth_events.runtime.store import EventStore
from berth_testing.clocks import NOON
from berth_testing.memory_bus import MemoryBus
from berth_testing.seats import Seat, removed, requested
from berth_testing.streams import envelope, message
from berth_testing.waiting import eventually


class Customer:
    """An organization that takes and frees seats."""

    def __init__(self, pool: Pool, store: EventStore, subscriptions: Subscriptions) -> None:
        self.pool, self.store, self.subscriptions = pool, store, subscriptions
        self.organization = uuid4()
        self.seats: list[Seat] = []

    async def limits(self, monitoring: int, spam_check: int = 0) -> None:
        limits = SeatCount(monitoring=monitoring, spam_check=spam_check)
        await self.subscriptions.put(self.organization, "team", limits)

    async def apply(self, *events: Envelope) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await SeatLimits(self.store).apply(connection, events)

    async def take(self, count: int, kind: SeatKind = "monitoring") -> None:
        new = [Seat(account_id=uuid4(), organization_id=self.organization, kind=kind, taken=NOON) for _ in range(count)]
        self.seats += new
        await self.apply(*(envelope(requested(seat), 1) for seat in new))

    async def free(self, count: int) -> None:
        gone, self.seats = self.seats[:count], self.seats[count:]
        await self.apply(*(envelope(removed(seat), 2) for seat in gone))

    async def said(self) -> list[tuple[SeatKind, int, int]]:
        """(kind, limit, used) of each SeatLimitReached."""
        async with self.pool.acquire() as connection:
            events = [each.data for each in await self.store.read(connection, self.organization)]
        return [(event.seat_kind, event.limit, event.used) for event in events if isinstance(event, SeatLimitReached)]


@pytest.fixture
def customer(pool: Pool, store: EventStore, subscriptions: Subscriptions) -> Customer:
    return Customer(pool, store, subscriptions)


async def test_the_last_seat_is_said_once_and_names_its_cause(customer: Customer) -> None:
    await customer.limits(3)
    await customer.take(2)
    assert await customer.said() == []
    await customer.take(1)
    assert await customer.said() == [("monitoring", 3, 3)]
    await customer.take(2)
    assert await customer.said() == [("monitoring", 3, 3)]
    async with customer.pool.acquire() as connection:
        *_, last = await customer.store.read(connection, customer.organization)
    cause = envelope(requested(customer.seats[2]), 1)
    assert last.causation_id == cause.event_id
    assert isinstance(last.data, SeatLimitReached)
    assert last.data.reached_at == NOON


async def test_it_is_said_in_the_middle_of_a_batch(customer: Customer) -> None:
    await customer.limits(3)
    await customer.take(10)
    assert await customer.said() == [("monitoring", 3, 3)]


async def test_it_is_said_again_after_a_seat_was_free(customer: Customer) -> None:
    await customer.limits(3)
    await customer.take(4)
    await customer.free(1)
    await customer.take(1)
    assert await customer.said() == [("monitoring", 3, 3)], "no seat was free"
    await customer.free(2)
    await customer.take(1)
    assert await customer.said() == [("monitoring", 3, 3)] * 2


async def test_it_is_said_again_after_the_limit_was_raised(customer: Customer) -> None:
    await customer.limits(2)
    await customer.take(2)
    await customer.limits(4)
    await customer.take(2)
    assert await customer.said() == [("monitoring", 2, 2), ("monitoring", 4, 4)]


async def test_a_lowered_limit_says_nothing_by_itself_nor_for_what_is_over_it(customer: Customer) -> None:
    await customer.limits(10)
    await customer.take(5)
    await customer.limits(3)
    await customer.take(1)
    assert await customer.said() == []
    await customer.free(4)
    await customer.take(1)
    assert await customer.said() == [("monitoring", 3, 3)]


async def test_the_kinds_are_counted_apart(customer: Customer) -> None:
    await customer.limits(2, 1)
    await customer.take(1, "spam_check")
    assert await customer.said() == [("spam_check", 1, 1)]
    await customer.take(2)
    assert await customer.said() == [("spam_check", 1, 1), ("monitoring", 2, 2)]


async def test_other_events_are_none_of_its_business(customer: Customer) -> None:
    await customer.apply()
    assert await customer.said() == []


def publish_some(bus: MemoryBus, customers: list[Customer]) -> int:
    """Accounts come, and half of them go; how many stay."""
    rng, left = random.Random(3), 0
    for _ in range(400):
        seat = Seat(account_id=uuid4(), organization_id=rng.choice(customers).organization, taken=NOON)
        bus.store(message(requested(seat), 1))
        left += 1
        if rng.random() < 0.5:
            bus.store(message(removed(seat), 2))
            left -= 1
    return left


async def test_consumers_commands_and_the_closing_of_days_do_not_get_into_each_others_way(
    pool: Pool, store: EventStore, subscriptions: Subscriptions, bus: MemoryBus
) -> None:
    """Two replicas with events of the same organizations in their partitions, while subscriptions change."""
    customers = [Customer(pool, store, subscriptions) for _ in range(5)]
    for customer in customers:
        await customer.limits(1000)
    left = publish_some(bus, customers)
    restarts: list[float] = []

    class Noting(SystemClock):
        async def sleep(self, seconds: float) -> None:
            restarts.append(seconds)
            await super().sleep(seconds)

    async def change(customer: Customer) -> None:
        for step in range(15):
            await customer.limits(1000 + step)

    async def close(customer: Customer) -> None:
        for step in range(15):
            await UsageCloser(pool, bus, store, SystemClock())._close(customer.organization, date(2026, 3, 1 + step))

    async def done() -> bool:
        offset = await pool.fetchval("SELECT coalesce(sum(next_offset), 0) FROM consumer_offset")
        return bool(offset == sum(map(len, bus.records.values())))

    limits = SeatLimits(store)
    projectors = [Projector(pool, bus, limits, Parking(Noting()), Noting(), store=store) for _ in range(2)]
    tasks = [asyncio.create_task(projector.run()) for projector in projectors]
    try:
        async with asyncio.timeout(30):
            await asyncio.gather(*map(change, customers), *map(close, customers))
        await eventually(done, bool, within=20, pause=0.02)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert restarts == [], "somebody had to wait and try again"
    used = await pool.fetch("SELECT organization_id, used FROM limit_watch")
    assert sum(row["used"] for row in used) == left


async def test_the_count_is_right_however_the_orders_of_two_batches_cross(
    pool: Pool, store: EventStore, subscriptions: Subscriptions
) -> None:
    customers = [Customer(pool, store, subscriptions) for _ in range(6)]

    def batch(order: list[Customer]) -> list[Envelope]:
        return [
            envelope(requested(Seat(account_id=uuid4(), organization_id=each.organization, taken=NOON)), 1)
            for each in order
        ]

    async with asyncio.timeout(30):
        await asyncio.gather(
            *(customers[0].apply(*batch(customers)) for _ in range(5)),
            *(customers[0].apply(*batch(customers[::-1])) for _ in range(5)),
        )
    rows = await pool.fetch("SELECT organization_id, used FROM limit_watch")
    assert {row["organization_id"]: row["used"] for row in rows} == {
        customer.organization: 10 for customer in customers
    }
