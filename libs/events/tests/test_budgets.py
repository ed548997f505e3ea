"""Who may begin: limits of destinations, organizations and egress addresses, and a fair choice among those who wait."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from berth_events.runtime.budgets import NOBODY, REFUSAL_WINDOW, Budgets, Candidate, Limit, Limits, Rules, Standing
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Connection, Pool
from berth_events.runtime.work import Job, WorkItem, WorkQueue
from berth_testing.clocks import NOON, SteppingClock

LEASE = timedelta(seconds=30)
A, B = UUID(int=1), UUID(int=2)


def rules(**scopes: Limit) -> Rules:
    """Limits of every name of each scope; destinations are of the scope `destination`."""
    return Rules(lambda _: "destination", {(scope, "*"): limit for scope, limit in scopes.items()})


def queue_of(clock: SteppingClock, *, egress: str = "", **scopes: Limit) -> WorkQueue:
    return WorkQueue(clock, lease=LEASE, rules=rules(**scopes), egress=egress)


def items(organization_id: UUID, destination: str, count: int, *, delay: float = 0) -> list[WorkItem]:
    return [
        WorkItem(
            key=uuid4(),
            kind="verify",
            destination=destination,
            payload={},
            event_id=uuid4(),
            run_at=NOON + timedelta(seconds=delay),
            organization_id=organization_id,
        )
        for _ in range(count)
    ]


async def claim(connection: Connection, queue: WorkQueue, most: int = 100, *, times: int = 1) -> list[Job]:
    return [job for _ in range(times) for job in await queue.claim(connection, most)]


async def finish(connection: Connection, queue: WorkQueue, job: Job) -> None:
    async with connection.transaction():
        await queue.finish(connection, job)


async def decide(connection: Connection, scope: str, name: str, **limit: Any) -> None:
    await connection.execute("DELETE FROM work_limit WHERE scope = $1 AND name = $2", scope, name)
    await connection.execute(
        "INSERT INTO work_limit (scope, name, max_in_flight, per_minute, max_refusals) VALUES ($1, $2, $3, $4, $5)",
        scope,
        name,
        *(limit.get(field) for field in ("max_in_flight", "per_minute", "max_refusals")),
    )


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


# -- organizations


async def test_an_import_leaves_places_for_others(connection: Connection, clock: SteppingClock) -> None:
    queue = queue_of(clock, destination=Limit(20), organization=Limit(50))
    for number in range(40):
        await queue.request(connection, items(A, f"host{number}", 30, delay=-60))
    await queue.request(connection, items(B, "small", 5))
    jobs = await claim(connection, queue, 10, times=12)
    assert Counter(job.organization_id for job in jobs) == {A: 50, B: 5}
    assert Counter(job.organization_id for job in jobs[:30])[B] == 5, "as soon as it has been seen it comes first"
    await finish(connection, queue, jobs[0])
    assert [job.organization_id for job in await claim(connection, queue, times=2)] == [A]


async def test_of_one_destination_the_next_place_is_whose_who_holds_less(
    connection: Connection, clock: SteppingClock
) -> None:
    queue = queue_of(clock, destination=Limit(4))
    await queue.request(connection, items(A, "google", 50, delay=-60))
    first = await claim(connection, queue)
    assert [job.organization_id for job in first] == [A] * 4
    await queue.request(connection, items(B, "google", 50))
    for job in first[:2]:
        await finish(connection, queue, job)
        assert [job.organization_id for job in await claim(connection, queue)] == [B]
    held = await connection.fetch("SELECT organization_id, count(*) FROM work WHERE state = 'leased' GROUP BY 1")
    assert {row[0]: row[1] for row in held} == {A: 2, B: 2}


async def test_the_limits_are_exact_however_many_claim_at_the_same_time(pool: Pool) -> None:
    """Two connectors with four claims at once each, and one behind another address."""
    limits = {"destination": Limit(4), "organization": Limit(6)}
    same = [WorkQueue(SystemClock(), lease=LEASE, rules=rules(**limits)) for _ in range(2)]
    other = WorkQueue(SystemClock(), lease=LEASE, rules=rules(**limits), egress="other")
    wanted = [one for whose in (A, B) for where in "xyz" for one in items(whose, where, 30, delay=-1e8)]
    async with pool.acquire() as connection:
        await same[0].request(connection, wanted)
    most, busy, done = Counter[Any](), Counter[Any](), list[UUID]()

    async def run(queue: WorkQueue, job: Job) -> None:
        counts = job.organization_id, (queue is other, job.destination)
        for count in counts:
            busy[count] += 1
            most[count] = max(most[count], busy[count])
        await asyncio.sleep(random.uniform(0, 0.01))
        async with pool.acquire() as connection, connection.transaction():
            await queue.finish(connection, job)
            busy.subtract(counts)  # before the commit: afterwards another may have it already
        done.append(job.causation_id)

    async def worker(queue: WorkQueue) -> None:
        while len(done) < len(wanted):
            async with pool.acquire() as connection:
                jobs = await queue.claim(connection, 5)
            await asyncio.gather(*(run(queue, job) for job in jobs), asyncio.sleep(0.001))

    async with asyncio.timeout(60):
        await asyncio.gather(*(worker(queue) for queue in (*same * 4, other)))
    assert sorted(done) == sorted(one.event_id for one in wanted)
    assert max(most[A], most[B]) <= 6
    assert all(count <= 4 for key, count in most.items() if isinstance(key, tuple)), most


async def test_nobodys_work_has_no_limit_of_organizations(connection: Connection, clock: SteppingClock) -> None:
    queue = queue_of(clock, destination=Limit(20), organization=Limit(1))
    await queue.request(connection, items(NOBODY, "dns", 5) + items(A, "dns", 5))
    jobs = await claim(connection, queue)
    assert Counter(job.organization_id for job in jobs) == {NOBODY: 5, A: 1}


async def test_every_destination_of_a_long_walk_gets_its_turn(connection: Connection, clock: SteppingClock) -> None:
    queue = queue_of(clock, destination=Limit(1))
    await queue.request(connection, [one for n in range(400) for one in items(A, f"host{n}", 3)])
    await queue.request(connection, items(B, "zoo", 1))
    jobs = await claim(connection, queue, 150, times=4)
    assert len({job.destination for job in jobs}) == len(jobs) == 401
    assert await claim(connection, queue, times=5) == []


# -- what an operator decides


async def test_a_decision_holds_from_the_next_claim_on(connection: Connection, clock: SteppingClock) -> None:
    queue = queue_of(clock, destination=Limit(2), organization=Limit(100))
    await queue.request(connection, items(A, "google", 50))
    assert len(await claim(connection, queue)) == 2
    await decide(connection, "destination", "google", max_in_flight=5)
    assert len(await claim(connection, queue)) == 3
    await decide(connection, "organization", str(A), max_in_flight=6)
    await decide(connection, "destination", "google", max_in_flight=50)
    assert len(await claim(connection, queue)) == 1
    await decide(connection, "organization", str(A), max_in_flight=0)
    assert await claim(connection, queue) == []
    await connection.execute("DELETE FROM work_limit WHERE scope = 'organization'")
    await decide(connection, "destination", "*", max_in_flight=1)
    assert len(await claim(connection, queue, 7)) == 7, "a name goes before all names"


def test_what_a_row_leaves_out_is_taken_from_the_more_general_ones() -> None:
    shipped = {("d", "a"): Limit(9), ("d", "*"): Limit(5, None, 4)}
    limits = Limits(Rules(lambda _: "d", shipped), {("d", "*"): Limit(None, 60), ("d", "b"): Limit(1)})
    assert limits.of_destination("a") == Limit(9, 60, 4)
    assert limits.of_destination("b") == Limit(1, 60, 4)
    assert limits.of("organization", "x") == Limit()


async def test_so_many_runs_begin_in_a_minute(connection: Connection, clock: SteppingClock) -> None:
    queue = queue_of(clock, destination=Limit(1000))
    await decide(connection, "destination", "slow", per_minute=60)
    await queue.request(connection, items(A, "slow", 300) + items(A, "quick", 5))
    begun: Counter[str] = Counter(job.destination for job in await claim(connection, queue))
    assert begun == {"slow": 6, "quick": 5}
    for _ in range(600):
        clock.step(0.1)
        begun.update(job.destination for job in await claim(connection, queue))
    assert begun["slow"] == 66  # a minute, and five seconds' worth before it


# -- egress addresses


async def test_what_is_known_of_a_destination_is_as_seen_from_an_egress_address(
    connection: Connection, clock: SteppingClock
) -> None:
    here, there = (queue_of(clock, egress=name, destination=Limit(3, None, 2)) for name in ("here", "there"))
    await queue_of(clock).request(connection, items(A, "mail", 50))
    await here.leave_alone(connection, "mail", NOON + timedelta(minutes=5))
    assert await claim(connection, here) == []
    assert len(await claim(connection, there)) == 2
    await there.note_sign_in(connection, "mail", refused=False)
    assert len(await claim(connection, there)) == 1
    clock.step(300)
    assert len(await claim(connection, here)) == 2, "neither the other's runs nor its good name count here"


async def test_an_egress_address_has_a_limit_of_its_own(connection: Connection, clock: SteppingClock) -> None:
    one, same, other = (queue_of(clock, egress=name, destination=Limit(9)) for name in ("x", "x", "y"))
    await decide(connection, "egress", "x", max_in_flight=5)
    await one.request(connection, items(A, "a", 9) + items(A, "b", 9))
    assert [len(await claim(connection, queue, 4)) for queue in (one, same, other)] == [4, 1, 4]


# -- refusals


async def test_a_destination_that_lets_people_in_earns_more(connection: Connection, clock: SteppingClock) -> None:
    queue = queue_of(clock, destination=Limit(7, None, 4))
    await queue.request(connection, items(A, "mail", 50))
    held = await claim(connection, queue)
    counts = [len(held)]
    for _ in range(5):
        async with connection.transaction():
            await queue.finish(connection, held.pop())
            await queue.note_sign_in(connection, "mail", refused=False)
        held += await claim(connection, queue)
        counts.append(len(held))
    assert counts == [4, 5, 6, 7, 7, 7]
    async with connection.transaction():
        await queue.finish(connection, held.pop())
        await queue.note_sign_in(connection, "mail", refused=True)
    assert await claim(connection, queue) == []
    clock.step(REFUSAL_WINDOW.total_seconds())
    assert len(await claim(connection, queue)) == 4, "its good name is gone, and so are the leases"


@settings(max_examples=60, deadline=None)
@given(
    pauses=st.lists(st.integers(0, 400), min_size=5, max_size=60),
    most=st.integers(1, 6),
    replicas=st.integers(1, 3),
)
def test_no_more_refusals_than_allowed_ever_fall_into_the_window(pauses: list[int], most: int, replicas: int) -> None:
    """Everybody is refused, some time after they began, by several replicas."""
    limits = Limits(rules(destination=Limit(20, None, most)), {})
    now, running, refused_at = NOON, list[Any](), list[Any]()
    for pause in pauses:
        now += timedelta(seconds=pause)
        for _ in [one for one in running if one <= now]:
            refused_at.append(now)
        running = [one for one in running if one > now]
        for _ in range(replicas):
            budgets = Budgets(limits, "", now)
            budgets.count(A, "mail", "", len(running))
            budgets.know({"mail": Standing(refused_at=tuple(refused_at))})
            chosen = budgets.choose([Candidate(uuid4(), A, "mail", NOON) for _ in range(9)], 9)
            running += [now + timedelta(seconds=90)] * len(chosen)
    for at in refused_at:
        assert sum(at - REFUSAL_WINDOW < other <= at for other in refused_at) <= most


async def test_a_trusted_destination_is_not_written_again(connection: Connection, clock: SteppingClock) -> None:
    queue = queue_of(clock)
    for _ in range(105):
        await queue.note_sign_in(connection, "mail", refused=False)
    assert await connection.fetchval("SELECT let_in FROM work_destination") == 100


async def test_refusals_are_forgotten_when_they_are_over(connection: Connection, clock: SteppingClock) -> None:
    queue = queue_of(clock, destination=Limit(20, None, 2))
    await queue.request(connection, items(A, "mail", 50))
    for _ in range(2):
        await queue.note_sign_in(connection, "mail", refused=True)
        clock.step(600)
    assert len(await claim(connection, queue)) == 1, "one of them is over"
    await queue.note_sign_in(connection, "mail", refused=True)
    assert await connection.fetchval("SELECT cardinality(refused_at) FROM work_destination") == 2
    clock.step(timedelta(days=40).total_seconds())
    await queue.note_sign_in(connection, "other", refused=True)
    assert await connection.fetchval("SELECT array_agg(destination) FROM work_destination") == ["other"]


# -- where a run turns out to go


async def test_a_run_is_counted_where_it_turns_out_to_go(connection: Connection, clock: SteppingClock) -> None:
    queue = queue_of(clock, destination=Limit(2))
    hosts = [f"mail.customer{number}.test" for number in range(4)]
    await queue.request(connection, [one for host in hosts for one in items(A, host, 3)])
    await queue.request(connection, items(B, hosts[3], 1))
    jobs = [job for job in await claim(connection, queue) if job.organization_id == A]
    went = [await queue.move(connection, job, "192.0.2.7") for job in jobs]
    assert went.count(True) == 2
    waiting = await connection.fetch("SELECT organization_id, destination FROM work WHERE state = 'ready'")
    assert {(row[0], row[1]) for row in waiting if row[0] == A} == {(A, "192.0.2.7")}, "what waits goes along"
    for job in jobs:
        await finish(connection, queue, job)
    jobs = await claim(connection, queue, times=2)
    assert Counter(job.destination for job in jobs if job.organization_id == A) == {"192.0.2.7": 2}


async def test_places_of_the_dead_are_free_when_their_leases_end(connection: Connection, clock: SteppingClock) -> None:
    dead, alive = (queue_of(clock, destination=Limit(3), organization=Limit(3)) for _ in range(2))
    await decide(connection, "egress", "*", max_in_flight=3)
    await dead.request(connection, items(A, "mail", 20))
    killed = await claim(connection, dead)
    assert await dead.move(connection, killed[0], "elsewhere")
    assert await claim(connection, alive, times=2) == []
    clock.step(LEASE.total_seconds())
    again = await claim(connection, alive, times=2)
    assert len(again) == 3
    assert len({job.id for job in killed} & {job.id for job in again}) >= 2
    assert await claim(connection, alive) == []


# -- the choice


@settings(max_examples=200, deadline=None)
@given(
    waiting=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 9)), max_size=60),
    running=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5)), max_size=8),
    numbers=st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 12)),
    most=st.integers(0, 30),
)
def test_the_choice_keeps_every_limit_and_passes_nobody_over(
    waiting: list[tuple[int, int, int]],
    running: list[tuple[int, int, int]],
    numbers: tuple[int, int, int],
    most: int,
) -> None:
    at, of, here = numbers
    budgets = Budgets(Limits(rules(destination=Limit(at), organization=Limit(of), egress=Limit(here)), {}), "", NOON)
    held_at, held_of, held = Counter[str](), Counter[UUID](), 0
    for whose, where, count in running:
        budgets.count(UUID(int=whose), f"d{where}", "", count)
        held_at[f"d{where}"] += count
        held_of[UUID(int=whose)] += count
        held += count
    began = dict(held_at)
    found = [
        Candidate(uuid4(), UUID(int=whose), f"d{where}", NOON + timedelta(seconds=seconds))
        for whose, where, seconds in waiting
    ]
    chosen = budgets.choose(found, most)
    assert len(set(chosen)) == len(chosen) <= most
    for one in chosen:
        held_at[one.destination] += 1
        held_of[one.organization_id] += 1
        held += 1
    assert not chosen or held <= here
    assert all(held_at[one.destination] <= at and held_of[one.organization_id] <= of for one in chosen)
    assert all(began.get(name, 0) <= count for name, count in held_at.items())
    if len(chosen) < most and held < here:
        for one in set(found) - set(chosen):
            assert held_at[one.destination] >= at or held_of[one.organization_id] >= of, "there was room for it"
