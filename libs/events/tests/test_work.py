"""The work table: what waits, who gets it, and whose result counts."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Connection, Pool, connect
from berth_events.runtime.work import Job, LeaseLost, WorkItem, WorkQueue
from berth_testing.clocks import NOON, SteppingClock

LEASE_S = 30


def item(key: UUID | None = None, *, destination: str = "imap.example", delay: float = 0, **payload: Any) -> WorkItem:
    return WorkItem(
        key=key or uuid4(),
        kind="verify",
        destination=destination,
        payload=payload,
        event_id=uuid4(),
        run_at=NOON + timedelta(seconds=delay),
        traceparent="00-trace",
    )


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def queue(clock: SteppingClock) -> WorkQueue:
    return WorkQueue(clock, default_limit=100, lease=timedelta(seconds=LEASE_S))


async def states(connection: Connection) -> dict[UUID, str]:
    """The state of each row, by the event that asked for it."""
    rows = await connection.fetch("SELECT event_id, state FROM work")
    return {row["event_id"]: row["state"] for row in rows}


async def finish(connection: Connection, queue: WorkQueue, job: Job) -> None:
    async with connection.transaction():
        await queue.finish(connection, job)


async def set_limit(connection: Connection, destination: str, most: int) -> None:
    """An operator's decision."""
    await connection.execute(
        "INSERT INTO work_limit (scope, name, max_in_flight) VALUES ($1, $2, $3)",
        "host" if "." in destination else "provider",
        destination,
        most,
    )


# -- what waits


async def test_a_job_is_what_was_asked_for(connection: Connection, queue: WorkQueue) -> None:
    wanted = item(address="a@example.com")
    await queue.request(connection, [wanted])
    [job] = await queue.claim(connection, 10)
    assert (job.key, job.kind, job.destination, job.payload) == (wanted.key, "verify", "imap.example", wanted.payload)
    assert (job.causation_id, job.traceparent, job.attempts) == (wanted.event_id, "00-trace", 1)
    assert "a@example.com" not in repr(job)


async def test_the_newest_request_replaces_the_one_that_waits(connection: Connection, queue: WorkQueue) -> None:
    key = uuid4()
    old, new = item(key, old=True), item(key, destination="smtp.example", new=True)
    await queue.request(connection, [old])
    [job] = await queue.claim(connection, 1)
    await queue.release(connection, job, run_at=NOON, error="broken")
    await queue.request(connection, [item(key), new])
    [job] = await queue.claim(connection, 10)
    assert (job.causation_id, job.payload, job.destination) == (new.event_id, {"new": True}, "smtp.example")
    assert job.attempts == 1, "the failures of the old one are not its"
    assert await connection.fetchval("SELECT error FROM work") is None


async def test_a_request_during_a_run_waits_for_its_end(connection: Connection, queue: WorkQueue) -> None:
    key = uuid4()
    await queue.request(connection, [item(key)])
    [running] = await queue.claim(connection, 10)
    later = item(key)
    await queue.request(connection, [later])
    assert await queue.claim(connection, 10) == []
    await finish(connection, queue, running)
    assert [job.causation_id for job in await queue.claim(connection, 10)] == [later.event_id]


async def test_a_follow_up_never_replaces_what_waits(connection: Connection, queue: WorkQueue) -> None:
    key = uuid4()
    wanted, follow_up = item(key, delay=5), item(key)
    await queue.request(connection, [wanted])
    await queue.schedule(connection, [follow_up])
    assert await states(connection) == {wanted.event_id: "ready"}


async def test_a_request_replaces_a_follow_up(connection: Connection, queue: WorkQueue) -> None:
    key = uuid4()
    await queue.schedule(connection, [item(key, delay=86_400)])
    assert await queue.claim(connection, 10) == []
    wanted = item(key)
    await queue.request(connection, [wanted])
    assert [job.causation_id for job in await queue.claim(connection, 10)] == [wanted.event_id]


async def test_what_is_due_first_runs_first_and_nothing_before_its_time(
    connection: Connection, queue: WorkQueue, clock: SteppingClock
) -> None:
    items = [item(delay=delay) for delay in (3, 1, 2, 61)]
    await queue.request(connection, items)
    assert await queue.claim(connection, 10) == []
    clock.step(60)
    claimed = [(await queue.claim(connection, 1))[0].causation_id for _ in range(3)]
    assert claimed == [items[n].event_id for n in (1, 2, 0)]
    assert await queue.claim(connection, 10) == []


async def test_a_request_and_a_claim_of_the_same_moment_lose_nothing(
    connection: Connection, queue: WorkQueue, dsn: str
) -> None:
    """The request meets the row while it is being leased: what was asked for last waits for the end of that run."""
    key, second = uuid4(), item()
    first, second = item(key), item(key)
    await queue.request(connection, [first])
    other = await connect(dsn, application_name="other")
    try:
        transaction = connection.transaction()
        await transaction.start()
        [job] = await queue.claim(connection, 1)
        requesting = asyncio.create_task(queue.request(other, [second]))
        await asyncio.sleep(0.05)
        await transaction.commit()
        await requesting
    finally:
        await other.close()
    assert job.causation_id == first.event_id
    assert await states(connection) == {first.event_id: "leased", second.event_id: "ready"}


# -- leases


async def test_a_lease_that_ran_out_is_given_away_and_only_the_new_owners_result_counts(
    connection: Connection, queue: WorkQueue, clock: SteppingClock
) -> None:
    await queue.request(connection, [item()])
    [slow] = await queue.claim(connection, 10)
    clock.step(LEASE_S - 1)
    assert await queue.claim(connection, 10) == []
    clock.step(1)
    [quick] = await queue.claim(connection, 10)
    assert (quick.id, quick.attempts) == (slow.id, 2)
    assert await queue.renew(connection, [slow, quick]) == {quick.id}
    with pytest.raises(LeaseLost, match=str(slow.key)):
        await finish(connection, queue, slow)
    await queue.release(connection, slow, run_at=NOON)
    await queue.fail(connection, slow, "late")
    await finish(connection, queue, quick)
    with pytest.raises(LeaseLost):
        await finish(connection, queue, quick)
    assert await states(connection) == {}


async def test_renewing_keeps_a_lease(connection: Connection, queue: WorkQueue, clock: SteppingClock) -> None:
    await queue.request(connection, [item(), item()])
    kept, forgotten = await queue.claim(connection, 10)
    for _ in range(5):
        clock.step(LEASE_S / 3)
        assert await queue.renew(connection, [kept]) == {kept.id}
    assert [job.id for job in await queue.claim(connection, 10)] == [forgotten.id]
    await finish(connection, queue, kept)


async def test_a_lease_that_ran_out_cannot_be_renewed_because_its_place_may_be_taken(
    connection: Connection, queue: WorkQueue, clock: SteppingClock
) -> None:
    await set_limit(connection, "imap.example", 1)
    await queue.request(connection, [item(delay=10)])
    clock.step(10)
    [slow] = await queue.claim(connection, 10)
    await queue.request(connection, [item()])
    clock.step(LEASE_S)
    [quick] = await queue.claim(connection, 10)
    assert quick.id != slow.id
    assert await queue.renew(connection, [slow, quick]) == {quick.id}


async def test_a_renewal_is_not_overrun_by_a_claim_that_began_before(
    connection: Connection, queue: WorkQueue, dsn: str, clock: SteppingClock
) -> None:
    """The claim has seen the lease as run out (by its clock), and then finds the row renewed."""
    ahead = SteppingClock()
    ahead.step(LEASE_S)
    await queue.request(connection, [item()])
    [job] = await queue.claim(connection, 1)
    claims = WorkQueue(ahead, default_limit=100, lease=queue.lease)
    other = await connect(dsn, application_name="other")
    try:
        renewal = connection.transaction()
        await renewal.start()
        clock.step(LEASE_S / 2)
        assert await queue.renew(connection, [job]) == {job.id}
        claiming = asyncio.create_task(claims.claim(other, 1))
        await asyncio.sleep(0.05)
        await renewal.commit()
        assert await claiming == []
    finally:
        await other.close()


async def test_the_result_is_written_in_the_transaction_that_ends_the_job(
    connection: Connection, queue: WorkQueue
) -> None:
    await queue.request(connection, [item()])
    [job] = await queue.claim(connection, 1)
    transaction = connection.transaction()
    await transaction.start()
    await queue.finish(connection, job)
    await transaction.rollback()
    await finish(connection, queue, job)


# -- giving back, setting aside, cancelling


async def test_a_released_job_runs_again_at_its_time(
    connection: Connection, queue: WorkQueue, clock: SteppingClock
) -> None:
    await queue.request(connection, [item()])
    [job] = await queue.claim(connection, 1)
    await queue.release(connection, job, run_at=clock.now() + timedelta(seconds=7), error="OSError")
    assert await connection.fetchval("SELECT error FROM work") == "OSError"
    assert await queue.claim(connection, 1) == []
    clock.step(7)
    [again] = await queue.claim(connection, 1)
    assert again.attempts == 2
    await queue.release(connection, again, run_at=clock.now())
    [once_more] = await queue.claim(connection, 1)
    assert once_more.attempts == 2, "to be given back without an error is no attempt"


async def test_what_was_asked_for_meanwhile_stands_instead_of_what_is_released(
    connection: Connection, queue: WorkQueue
) -> None:
    key = uuid4()
    await queue.request(connection, [item(key)])
    [job] = await queue.claim(connection, 1)
    newer = item(key)
    await queue.request(connection, [newer])
    await queue.release(connection, job, run_at=NOON, error="OSError")
    assert await states(connection) == {newer.event_id: "ready"}


async def test_a_request_of_the_same_moment_stands_instead_of_what_is_released(
    connection: Connection, queue: WorkQueue, dsn: str
) -> None:
    key = uuid4()
    await queue.request(connection, [item(key)])
    [job] = await queue.claim(connection, 1)
    newer = item(key)
    other = await connect(dsn, application_name="other")
    try:
        transaction = connection.transaction()
        await transaction.start()
        await queue.request(connection, [newer])
        releasing = asyncio.create_task(queue.release(other, job, run_at=NOON, error="OSError"))
        await asyncio.sleep(0.05)
        await transaction.commit()
        await releasing
    finally:
        await other.close()
    assert await states(connection) == {newer.event_id: "ready"}


async def test_a_job_that_was_set_aside_stays_for_an_operator_and_bars_nothing(
    connection: Connection, queue: WorkQueue, clock: SteppingClock
) -> None:
    key = uuid4()
    await queue.request(connection, [item(key)])
    [job] = await queue.claim(connection, 1)
    await queue.fail(connection, job, "ValueError")
    clock.step(10 * LEASE_S)
    assert await queue.claim(connection, 1) == []
    assert await states(connection) == {job.causation_id: "failed"}
    await queue.request(connection, [item(key)])
    assert len(await queue.claim(connection, 1)) == 1


async def test_cancelling_ends_what_waits_what_runs_and_what_was_set_aside(
    connection: Connection, queue: WorkQueue
) -> None:
    cancelled, kept = uuid4(), uuid4()
    await queue.request(connection, [item(cancelled)])
    [job] = await queue.claim(connection, 1)
    await queue.fail(connection, job, "ValueError")
    await queue.request(connection, [item(cancelled), item(kept)])
    running = next(job for job in await queue.claim(connection, 10) if job.key == cancelled)
    await queue.request(connection, [item(cancelled)])
    await queue.cancel(connection, [cancelled])
    assert await connection.fetchval("SELECT array_agg(key) FROM work") == [kept]
    with pytest.raises(LeaseLost):
        await finish(connection, queue, running)


# -- limits


async def test_a_destination_that_is_blocked_is_left_alone_until_then(
    connection: Connection, queue: WorkQueue, clock: SteppingClock
) -> None:
    blocked, free = item(destination="blocked"), item(destination="free")
    await queue.request(connection, [blocked, free])
    await queue.leave_alone(connection, "blocked", NOON + timedelta(seconds=60))
    await queue.leave_alone(connection, "blocked", NOON + timedelta(seconds=30))
    assert [job.destination for job in await queue.claim(connection, 10)] == ["free"]
    clock.step(60)
    assert "blocked" in {job.destination for job in await queue.claim(connection, 10)}


async def test_a_destination_with_limit_nought_is_switched_off(connection: Connection, queue: WorkQueue) -> None:
    await set_limit(connection, "off", 0)
    await queue.request(connection, [item(destination="off")])
    assert await queue.claim(connection, 10) == []


async def test_a_full_destination_does_not_hold_up_the_others(connection: Connection, clock: SteppingClock) -> None:
    queue = WorkQueue(clock, default_limit=2, lease=timedelta(seconds=LEASE_S))
    await queue.request(connection, [item(destination="full") for _ in range(50)])
    await queue.request(connection, [item(destination="other", delay=1) for _ in range(5)])
    clock.step(1)
    assert Counter(job.destination for job in await queue.claim(connection, 10)) == {"full": 2, "other": 2}
    assert await queue.claim(connection, 10) == []


async def test_the_limits_are_exact_however_many_claim_at_the_same_time(pool: Pool) -> None:
    queue = WorkQueue(SystemClock(), default_limit=3, lease=timedelta(seconds=LEASE_S))
    limits = {"one": 1, "three": 3, "seven": 7}
    wanted = [item(destination=name, delay=-1000 * 86_400) for name in limits for _ in range(40)]
    async with pool.acquire() as connection:
        await set_limit(connection, "one", 1)
        await set_limit(connection, "seven", 7)
        await queue.request(connection, random.Random(1).sample(wanted, len(wanted)))
    busy: Counter[str] = Counter()
    most: Counter[str] = Counter()
    done: list[UUID] = []

    async def run(job: Job) -> None:
        busy[job.destination] += 1
        most[job.destination] = max(most[job.destination], busy[job.destination])
        await asyncio.sleep(random.uniform(0, 0.01))
        async with pool.acquire() as connection, connection.transaction():
            await queue.finish(connection, job)
            busy[job.destination] -= 1  # before the commit: afterwards another may have it already
        done.append(job.causation_id)

    async def worker() -> None:
        while len(done) < len(wanted):
            async with pool.acquire() as connection:
                jobs = await queue.claim(connection, 4)
            await asyncio.gather(*(run(job) for job in jobs), asyncio.sleep(0.001))

    async with asyncio.timeout(30):
        await asyncio.gather(*(worker() for _ in range(8)))
    assert sorted(done) == sorted(each.event_id for each in wanted)
    assert all(most[name] <= limit for name, limit in limits.items()), most


async def test_a_backlog_longer_than_a_claim_looks_at_starves_nobody(
    connection: Connection, clock: SteppingClock
) -> None:
    queue = WorkQueue(clock, default_limit=5, lease=timedelta(seconds=LEASE_S))
    await queue.request(connection, [item(destination="long", delay=-60) for _ in range(1200)])
    await queue.request(connection, [item(destination="short") for _ in range(7)])
    claimed = await queue.claim(connection, 20) + await queue.claim(connection, 20)
    assert Counter(job.destination for job in claimed) == {"long": 5, "short": 5}
    for job in claimed:
        await finish(connection, queue, job)
    claimed = await queue.claim(connection, 20) + await queue.claim(connection, 20)
    assert Counter(job.destination for job in claimed) == {"long": 5, "short": 2}
