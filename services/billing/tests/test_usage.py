"""The closing of days: once each, in order, and not before everything is counted."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from berth_billing.projections import SeatsProjection
from berth_billing.usage import UsageCloser
from berth_events.contracts import SeatCount, SeatUsageClosed
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime.database import Pool
from berth_events.runtime.store import EventStore
from berth_testing.clocks import NOON, SteppingClock
from berth_testing.memory_bus import MemoryBus
from berth_testing.seats import Seat, requested
from berth_testing.streams import message

TODAY = date(2026, 3, 2)


def day(number: int) -> date:
    return TODAY + timedelta(days=number)


def early(number: int, minutes: float) -> datetime:
    """So many minutes after the beginning of a day."""
    return datetime(2026, 3, 2, tzinfo=UTC) + timedelta(days=number, minutes=minutes)


class Days:
    """Closers, one per replica, and what was said."""

    def __init__(self, pool: Pool, bus: MemoryBus, store: EventStore, clock: SteppingClock) -> None:
        self.pool, self.bus, self.store, self.clock = pool, bus, store, clock
        self.closer = self.replica()

    def replica(self) -> UsageCloser:
        return UsageCloser(self.pool, self.bus, self.store, self.clock)

    def set(self, moment: datetime) -> None:
        self.clock.step((moment - self.clock.now()).total_seconds())

    async def take(self, organization: UUID, taken: datetime = NOON, freed: datetime | None = None) -> None:
        seat = Seat(account_id=uuid4(), organization_id=organization, taken=taken, freed=freed)
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL search_path = billing_seats_v1, public")
            await SeatsProjection().apply(connection, seat.history())

    async def closed(self, organization: UUID) -> list[tuple[date, int]]:
        """The days that were published, in order, with their peaks."""
        async with self.pool.acquire() as connection:
            events = [each.data for each in await self.store.read(connection, organization)]
        assert all(isinstance(event, SeatUsageClosed) for event in events)
        return [(event.day, event.peak.monitoring) for event in events if isinstance(event, SeatUsageClosed)]


@pytest.fixture
def days(pool: Pool, bus: MemoryBus, store: EventStore, clock: SteppingClock) -> Days:
    return Days(pool, bus, store, clock)


async def test_a_day_is_closed_ten_minutes_after_its_end_with_its_peak(days: Days) -> None:
    acme = uuid4()
    await days.take(acme)
    await days.take(acme, NOON, NOON + timedelta(hours=1))
    days.set(early(1, 9))
    assert await days.closer.close_due() == 0
    days.set(early(1, 10))
    assert await days.closer.close_due() == 1
    assert await days.closed(acme) == [(day(0), 2)]
    assert await days.closer.close_due() == 0
    days.set(early(2, 10))
    assert await days.closer.close_due() == 1
    assert await days.closed(acme) == [(day(0), 2), (day(1), 1)]
    assert days.store.appended.is_set()


async def test_days_that_were_missed_are_made_up_for_in_order(days: Days) -> None:
    acme, other = uuid4(), uuid4()
    await days.take(acme)
    await days.take(other, NOON + timedelta(days=2))
    days.set(early(4, 30))
    assert await days.closer.close_due() == 6
    assert await days.closed(acme) == [(day(0), 1), (day(1), 1), (day(2), 1), (day(3), 1)]
    assert await days.closed(other) == [(day(2), 1), (day(3), 1)]


async def test_more_than_a_batch_is_closed_at_once(days: Days) -> None:
    acme = uuid4()
    await days.take(acme)
    days.set(early(450, 30))
    assert await days.closer.close_due() == 450
    assert [each for each, _ in await days.closed(acme)] == [day(number) for number in range(450)]


async def test_replicas_close_each_day_once(days: Days) -> None:
    organizations = [uuid4() for _ in range(12)]
    for organization in organizations:
        await days.take(organization)
    days.set(early(5, 30))
    async with asyncio.timeout(30):
        closed = await asyncio.gather(*(days.replica().close_due() for _ in range(3)))
    assert sum(closed) == 60
    for organization in organizations:
        assert await days.closed(organization) == [(day(number), 1) for number in range(5)]


async def test_nothing_is_closed_before_the_events_that_are_published_are_counted(days: Days) -> None:
    acme = uuid4()
    await days.take(acme)
    record = days.bus.store(message(requested(Seat(account_id=uuid4(), organization_id=acme, taken=NOON)), 1))
    days.set(early(1, 10))
    assert await days.closer.close_due() == 0
    assert days.clock.slept == [1] * 30
    await days.pool.execute(
        "INSERT INTO consumer_offset VALUES ('billing_seats_v1', $1, $2, 1)", ACCOUNTS, record.partition.number
    )
    assert await days.closer.close_due() == 1


async def test_nothing_is_closed_while_an_event_of_the_seats_is_parked(days: Days) -> None:
    acme = uuid4()
    await days.take(acme)
    days.set(early(1, 10))
    for consumer in ("billing_seats_v1", "billing-seat-limits"):
        await days.pool.execute("INSERT INTO parked_key VALUES ($1, $2, 'k', 'ValueError', now())", consumer, ACCOUNTS)
    assert await days.closer.close_due() == 0
    await days.pool.execute("DELETE FROM parked_key WHERE consumer = 'billing_seats_v1'")
    assert await days.closer.close_due() == 1


async def test_a_day_that_is_being_closed_is_waited_for(days: Days) -> None:
    """The other replica may still fail."""
    acme = uuid4()
    await days.take(acme)
    days.set(early(1, 10))
    connection = await days.pool.acquire()
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("INSERT INTO closed_day VALUES ($1, $2)", acme, day(0))
    closing = asyncio.create_task(days.closer.close_due())
    await asyncio.sleep(0.1)
    assert not closing.done()
    await transaction.rollback()
    await days.pool.release(connection)
    assert await closing == 1
    assert await days.closed(acme) == [(day(0), 1)]


async def test_the_kinds_have_peaks_of_their_own(days: Days, store: EventStore) -> None:
    acme = uuid4()
    await days.take(acme)
    days.set(early(1, 10))
    await days.closer.close_due()
    async with days.pool.acquire() as connection:
        [said] = await store.read(connection, acme)
    assert said.data == SeatUsageClosed(organization_id=acme, day=day(0), peak=SeatCount(monitoring=1, spam_check=0))


async def test_it_goes_on_after_the_bus_was_away(pool: Pool, bus: MemoryBus, store: EventStore) -> None:
    bus.away = True
    clock = SteppingClock()
    closer = UsageCloser(pool, bus, store, clock)
    task = asyncio.create_task(closer.run())
    try:
        async with asyncio.timeout(5):
            while len(clock.slept) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not task.done()
        assert clock.slept[:3] == [60] * 3
    finally:
        task.cancel()
        await asyncio.wait([task])
