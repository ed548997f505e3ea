"""A projection is filled anew beside the one that is read, while events keep coming."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from berth_events.contracts import Envelope
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime import database
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import Connection, Pool, connect, open_pool
from berth_events.runtime.migrations import NotMigrated
from berth_events.runtime.parking import Parking
from berth_events.runtime.projector import Projector
from berth_events.runtime.rebuild import ActiveProjection, Rebuild, RebuildRunning, RebuildStopped, install
from berth_testing.clocks import SteppingClock
from berth_testing.memory_bus import MemoryBus
from berth_testing.postgres import DatabaseFrom
from berth_testing.sample_service.parts import SampleProjection
from berth_testing.streams import ROLE, message, resumed, runtime_tables
from berth_testing.waiting import eventually, until


class Tally(SampleProjection):
    """The sample's projection, which can be broken."""

    def __init__(self) -> None:
        self.broken = False

    async def apply(self, connection: Connection, envelopes: Sequence[Envelope]) -> None:
        if self.broken:
            raise ValueError("the code is wrong")
        await super().apply(connection, envelopes)


class Running:
    """A service with the projection, in its own role, and a topic that somebody publishes to."""

    def __init__(self, owner: Pool, pool: Pool, bus: MemoryBus) -> None:
        self.owner, self.pool, self.bus = owner, pool, bus
        self.streams = [uuid4() for _ in range(12)]
        self.said: Counter[UUID] = Counter()
        self.projection = Tally()
        self.active = ActiveProjection(pool, bus, self.projection, Parking(SystemClock()), SystemClock())

    def say(self, count: int, rng: random.Random) -> None:
        for _ in range(count):
            stream = rng.choice(self.streams)
            self.said[stream] += 1
            for _ in range(rng.choice([1, 1, 2])):
                self.bus.store(message(resumed(stream), self.said[stream]))

    async def read(self) -> dict[UUID, int]:
        return {row["stream_id"]: row["events"] for row in await self.pool.fetch("SELECT * FROM tally")}

    async def caught_up(self) -> None:
        await eventually(self.read, lambda found: found == self.said, within=10, pause=0.02)

    def rebuild(self, projection: Tally | None = None) -> Rebuild:
        clock = SystemClock()
        return Rebuild(self.owner, self.bus, projection or Tally(), Parking(clock), clock, ROLE)

    async def schemas(self) -> list[str]:
        rows = await self.owner.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tally%' ORDER BY 1")
        return [row["nspname"] for row in rows]

    async def versions(self) -> list[tuple[int, str]]:
        rows = await self.owner.fetch("SELECT version, state FROM projection ORDER BY version")
        return [(row["version"], row["state"]) for row in rows]


@asynccontextmanager
async def serving(run: Running) -> AsyncIterator[None]:
    task = asyncio.create_task(run.active.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def installed(dsn: str) -> None:
    await runtime_tables(dsn)
    connection = await connect(dsn, application_name="migrate")
    try:
        await install(connection, [Tally()], role=ROLE)
        await install(connection, [Tally()], role=ROLE)
    finally:
        await connection.close()


@pytest.fixture
async def dsn_of_run(database_from: DatabaseFrom) -> str:
    return await database_from("rebuild", installed)


@pytest.fixture
async def run(dsn_of_run: str) -> AsyncIterator[Running]:
    owner = await open_pool(dsn_of_run, application_name="owner")
    pool = await open_pool(f"{dsn_of_run}?role={ROLE}", application_name="service")
    bus = MemoryBus()
    await bus.create_topics([ACCOUNTS], partitions=4)
    yield Running(owner, pool, bus)
    await pool.close()
    await owner.close()


async def test_the_first_version_is_installed_once_and_read_through_views(run: Running) -> None:
    assert await run.versions() == [(1, "active")]
    run.say(50, random.Random(1))
    async with serving(run):
        await run.caught_up()
        assert run.active.problem is None
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run.pool.execute("DELETE FROM tally")


async def test_readers_never_see_less_than_they_have_seen_and_the_result_is_the_fold(run: Running) -> None:
    rng, done = random.Random(2), asyncio.Event()

    async def publish() -> None:
        while not done.is_set():
            run.say(rng.randrange(20), rng)
            await asyncio.sleep(0.01)

    async def watch() -> list[int]:
        """Readers in a transaction, outside of one, and of both tables."""
        totals = []
        while not done.is_set():
            async with run.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
                total = await connection.fetchval("SELECT coalesce(sum(events), 0) FROM tally")
                assert total == await connection.fetchval("SELECT coalesce(sum(events), 0) FROM tally_total")
            totals.append(total)
            totals.append(await run.pool.fetchval("SELECT coalesce(sum(events), 0) FROM tally"))
            await asyncio.sleep(0.001)
        return totals

    run.say(800, rng)
    async with serving(run):
        await run.caught_up()
        others = [asyncio.create_task(each) for each in (publish(), watch(), watch())]
        try:
            for version in (2, 3):
                assert await run.rebuild().run() == version
                await until(lambda: run.active.problem is None)
        finally:
            done.set()
            _, *watched = await asyncio.gather(*others)
        await run.caught_up()
    for totals in watched:
        assert isinstance(totals, list)
        assert totals == sorted(totals), "a reader went back in time"
        assert totals[0] >= 800
        assert len(totals) > 20
    assert await run.schemas() == ["tally_v3"]
    assert await run.versions() == [(3, "active")]
    left = await run.owner.fetch(
        "SELECT DISTINCT consumer FROM consumer_offset UNION SELECT consumer FROM consumer_sequence"
    )
    assert [row["consumer"] for row in left] == ["tally_v3"]


async def test_the_services_go_on_with_the_new_version_where_the_rebuild_left_off(run: Running) -> None:
    rng = random.Random(3)
    run.say(100, rng)
    async with serving(run):
        await run.caught_up()
        await run.rebuild().run()
        run.say(100, rng)
        await run.caught_up()
        assert run.active.problem is None


async def test_a_consumer_of_the_old_version_writes_nothing_after_the_switch(run: Running) -> None:
    """It would find the views of the new version under the names of its tables."""
    rng, clock = random.Random(4), SystemClock()
    run.say(100, rng)
    async with serving(run):
        await run.caught_up()
    left_behind = Projector(
        run.owner, run.bus, run.projection, Parking(clock), clock, consumer="tally_v1", schema="tally_v1"
    )
    task = asyncio.create_task(left_behind.run())
    await until(lambda: left_behind.problem is None)
    await run.rebuild().run()
    run.say(50, rng)
    await asyncio.wait_for(task, 5)
    late = Projector(run.owner, run.bus, run.projection, Parking(clock), clock, consumer="tally_v1", schema="tally_v1")
    await asyncio.wait_for(late.run(), 5)
    assert await run.owner.fetchval("SELECT count(*) FROM consumer_offset WHERE consumer = 'tally_v1'") == 0
    async with serving(run):
        await run.caught_up()


async def test_a_rebuild_removes_what_the_mended_code_had_parked(run: Running) -> None:
    run.say(5, random.Random(5))
    run.projection.broken = True
    async with serving(run):
        await eventually(
            lambda: run.owner.fetchval("SELECT count(*) FROM parked_key"),
            lambda count: count == len(run.said),
            within=10,
        )
        run.projection.broken = False
        await run.rebuild().run()
        await run.caught_up()
    assert await run.owner.fetchval("SELECT count(*) FROM parked_key") == 0
    assert await run.owner.fetchval("SELECT count(*) FROM parked_event") == 0


async def test_a_rebuild_that_cannot_be_filled_leaves_the_old_version_and_says_why(run: Running) -> None:
    run.say(30, random.Random(6))
    async with serving(run):
        await run.caught_up()
        for stream in run.streams[:1]:
            run.bus.store(replace(message(resumed(stream), run.said[stream] + 2), key=b"x"))  # a gap
        async with asyncio.timeout(20):
            with pytest.raises(RebuildStopped, match="SequenceGap"):
                await run.rebuild().run()
    assert (await run.versions())[0] == (1, "active")
    assert await run.read() == run.said


async def test_what_an_interrupted_rebuild_left_is_removed_by_the_next(run: Running) -> None:
    run.say(30, random.Random(7))
    interrupted = asyncio.create_task(run.rebuild().run())
    await eventually(run.versions, lambda versions: len(versions) == 2, within=5, pause=0.001)
    interrupted.cancel()
    await asyncio.wait([interrupted])
    if interrupted.cancelled():
        assert await run.versions() == [(1, "active"), (2, "building")]
    assert await run.rebuild().run() == 3
    assert await run.versions() == [(3, "active")]
    assert await run.schemas() == ["tally_v3"]


class Slow(Tally):
    """Waits before it applies anything."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def apply(self, connection: Connection, envelopes: Sequence[Envelope]) -> None:
        await self.go_on.wait()
        await super().apply(connection, envelopes)


async def test_two_rebuilds_do_not_run_at_the_same_time(run: Running) -> None:
    run.say(50, random.Random(8))
    slow = Slow()
    rebuilding = asyncio.create_task(run.rebuild(slow).run())
    await eventually(run.versions, lambda versions: len(versions) == 2, within=5, pause=0.01)
    with pytest.raises(RebuildRunning, match="tally"):
        await run.rebuild().run()
    slow.go_on.set()
    assert await rebuilding == 2
    assert await run.rebuild().run() == 3


async def test_a_reader_who_takes_long_delays_the_switch_and_nothing_else(
    run: Running, dsn_of_run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.say(30, random.Random(9))
    monkeypatch.setitem(database._SERVER_SETTINGS, "lock_timeout", "50ms")
    async with serving(run), await open_pool(dsn_of_run, application_name="impatient") as owner:
        await run.caught_up()
        connection = await run.pool.acquire()
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetchval("SELECT count(*) FROM tally")
        clock = SystemClock()
        rebuilding = asyncio.create_task(Rebuild(owner, run.bus, Tally(), Parking(clock), clock, ROLE).run())
        await asyncio.sleep(0.5)
        assert not rebuilding.done()
        run.say(30, random.Random(9))
        await run.caught_up()
        await transaction.commit()
        await run.pool.release(connection)
        assert await asyncio.wait_for(rebuilding, 20) == 2
        await run.caught_up()


async def test_a_short_absence_of_the_database_does_not_end_the_part(run: Running) -> None:
    rng = random.Random(10)
    async with serving(run):
        for _ in range(4):
            run.say(20, rng)
            await run.caught_up()
            await run.owner.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
            )
            await asyncio.sleep(0.4)
        await run.caught_up()


async def test_a_projection_that_was_never_installed_ends_the_service(run: Running) -> None:
    await run.owner.execute("DELETE FROM projection")
    with pytest.raises(NotMigrated, match="projection tally"):
        await run.active.run()


async def test_a_bug_of_the_runtime_ends_the_part_and_is_not_repeated_for_ever(run: Running) -> None:
    async def no_consumer(**_: object) -> None:
        raise AttributeError("a bug")

    run.bus.consumer = no_consumer  # type: ignore[method-assign,assignment]
    active = ActiveProjection(run.pool, run.bus, run.projection, Parking(SteppingClock()), SteppingClock())
    with pytest.raises(AttributeError):
        await asyncio.wait_for(active.run(), 5)
