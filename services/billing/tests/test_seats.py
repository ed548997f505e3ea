"""The seats projection and the peaks: whatever the histories, and in whatever order the partitions are read."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from berth_billing import repository
from berth_billing.bootstrap import SERVICE
from berth_billing.projections import SeatsProjection
from berth_events.contracts import Envelope, SeatCount
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Connection, Pool, open_pool
from berth_events.runtime.parking import Parking
from berth_events.runtime.rebuild import ActiveProjection, Rebuild
from berth_events.runtime.service import migrate_service
from berth_testing.clocks import NOON
from berth_testing.memory_bus import MemoryBus
from berth_testing.postgres import DatabaseFrom
from berth_testing.seats import Seat, peak_of, used_of
from berth_testing.streams import message
from berth_testing.waiting import eventually

ACME, OTHER = UUID(int=1), UUID(int=2)
DAYS = [date(2026, 3, day) for day in (1, 2, 3, 4)]
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)

#: Around noon, around midnight, and often in the same second.
MOMENTS = st.builds(
    lambda begin, seconds, parts: begin + timedelta(seconds=seconds, milliseconds=parts),
    st.sampled_from([NOON, MIDNIGHT, MIDNIGHT + timedelta(days=1)]),
    st.integers(-3, 3),
    st.sampled_from([0, 1, 500, 999]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Seat]:
    seats = []
    for number in range(draw(st.integers(0, 12))):
        taken, freed = draw(MOMENTS), draw(st.none() | MOMENTS)
        seats.append(
            Seat(
                account_id=UUID(int=100 + number),
                organization_id=draw(st.sampled_from([ACME, ACME, OTHER])),
                kind=draw(st.sampled_from(["monitoring", "monitoring", "spam_check"])),
                taken=min(taken, freed or taken),
                freed=freed and max(taken, freed),
            )
        )
    return seats


def mixed(seats: Iterable[Seat], rng: random.Random) -> list[Envelope]:
    """All events, each account's in order, the accounts' in any."""
    left = [seat.history() for seat in seats]
    events = []
    while left := [history for history in left if history]:
        events.append(rng.choice(left).pop(0))
    return events


async def fold(connection: Connection, events: Sequence[Envelope], rng: random.Random) -> None:
    """Apply the events in batches of any size."""
    await connection.execute("SET LOCAL search_path = billing_seats_v1, public")
    while events:
        size = rng.randint(1, len(events))
        await SeatsProjection().apply(connection, events[:size])
        events = events[size:]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seats=histories(), rng=st.randoms(use_true_random=False))
async def test_seats_and_peaks_are_the_fold_of_the_history_in_whatever_order_it_is_read(
    pool: Pool, seats: list[Seat], rng: random.Random
) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await fold(connection, mixed(seats, rng), rng)
            for organization in (ACME, OTHER):
                assert await repository.seats_used(connection, organization) == used_of(seats, organization)
                for day in DAYS:
                    found = await repository.peak(connection, organization, day)
                    assert found == peak_of(seats, organization, day), day
        finally:
            await transaction.rollback()


async def peaks(connection: Connection, *seats: Seat) -> list[int]:
    async with connection.transaction():
        await fold(connection, mixed(seats, random.Random(1)), random.Random(1))
    return [(await repository.peak(connection, ACME, day)).monitoring for day in DAYS]


def seat(number: int, taken: datetime, freed: datetime | None = None) -> Seat:
    return Seat(account_id=UUID(int=number), organization_id=ACME, taken=taken, freed=freed)


async def test_a_day_without_a_change_has_what_the_day_before_left(connection: Connection) -> None:
    assert await peaks(connection, seat(1, NOON), seat(2, NOON)) == [0, 2, 2, 2]


async def test_a_day_begins_with_what_the_day_before_left_even_if_it_goes_at_once(connection: Connection) -> None:
    tomorrow = MIDNIGHT + timedelta(days=1)
    assert await peaks(connection, seat(1, NOON, tomorrow), seat(2, NOON, tomorrow)) == [0, 2, 2, 0]


async def test_a_seat_that_is_taken_as_soon_as_another_is_free_is_not_a_second_one(connection: Connection) -> None:
    """The gateway's replicas differ by some milliseconds: the removal may even seem to be the later one."""
    swap = NOON + timedelta(seconds=5)
    ahead = swap + timedelta(milliseconds=3)
    assert await peaks(connection, seat(1, NOON, ahead), seat(2, swap)) == [0, 1, 1, 1]


async def test_a_removal_that_seems_earlier_than_the_request_takes_no_time(connection: Connection) -> None:
    assert await peaks(connection, seat(1, NOON, NOON - timedelta(seconds=1))) == [0, 0, 0, 0]


async def test_two_replicas_and_a_rebuild_come_to_the_same_count(database_from: DatabaseFrom, bus: MemoryBus) -> None:
    async def migrated(dsn: str) -> None:
        await migrate_service(SERVICE, dsn)

    dsn = await database_from("billing", migrated)
    async with (
        await open_pool(dsn, application_name="owner") as owner,
        await open_pool(f"{dsn}?role={SERVICE.role}", application_name="service") as pool,
    ):
        await come_to_the_same_count(owner, pool, bus)


async def come_to_the_same_count(owner: Pool, pool: Pool, bus: MemoryBus) -> None:
    rng = random.Random(5)
    moments = [NOON + timedelta(hours=hours) for hours in range(60)]
    seats = []
    for number in range(300):
        taken, freed = sorted(rng.sample(moments, 2))
        seats.append(
            Seat(
                account_id=UUID(int=number),
                organization_id=rng.choice([ACME, OTHER]),
                kind=rng.choice(["monitoring", "spam_check"]),
                taken=taken,
                freed=rng.choice([freed, None]),
            )
        )
    events = mixed(seats, rng)
    for event in events:
        for _ in range(rng.choice([1, 1, 2])):
            bus.store(message(event.data, event.sequence, event.time))

    async def counted() -> list[SeatCount]:
        async with pool.acquire() as connection:
            return [
                *[await repository.seats_used(connection, each) for each in (ACME, OTHER)],
                *[await repository.peak(connection, each, day) for each in (ACME, OTHER) for day in DAYS],
            ]

    async def everything() -> bool:
        async with pool.acquire() as connection:
            return await repository.everything_counted(connection, await bus.end_offsets([ACCOUNTS]))

    expected = [
        *[used_of(seats, each) for each in (ACME, OTHER)],
        *[peak_of(seats, each, day) for each in (ACME, OTHER) for day in DAYS],
    ]
    clock = SystemClock()
    replicas = [ActiveProjection(pool, bus, SeatsProjection(), Parking(clock), clock) for _ in range(2)]
    tasks = [asyncio.create_task(each.run()) for each in replicas]
    try:
        await eventually(everything, bool, within=15, pause=0.02)
        assert await counted() == expected
        await Rebuild(owner, bus, SeatsProjection(), Parking(clock), clock, SERVICE.role).run()
        assert await counted() == expected
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
