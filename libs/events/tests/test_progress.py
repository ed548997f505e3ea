"""The watchdog: what is progress, and who is stuck."""

from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime.bus import Bus, Partition
from berth_events.runtime.database import Pool
from berth_events.runtime.progress import ProgressWatch, Stuck
from berth_testing.clocks import SteppingClock

HERE = Partition(ACCOUNTS, 0)


class Ends:
    """A bus of which only the ends are asked."""

    def __init__(self, **ends: int) -> None:
        self.ends = {Partition(ACCOUNTS, int(number.removeprefix("p"))): end for number, end in ends.items()}

    async def end_offsets(self, topics: Sequence[str]) -> Mapping[Partition, int]:
        assert topics == [ACCOUNTS]
        return self.ends


class Watched:
    def __init__(self, pool: Pool, ends: Ends) -> None:
        self.pool, self.ends, self.clock = pool, ends, SteppingClock()
        self.watch = ProgressWatch(pool, cast("Bus", ends), [ACCOUNTS], "counted", self.clock)

    async def at(self, **offsets: int) -> None:
        await self.pool.executemany(
            """INSERT INTO consumer_offset VALUES ('counted', $1, $2, $3)
               ON CONFLICT (consumer, topic, partition) DO UPDATE SET next_offset = excluded.next_offset""",
            [(ACCOUNTS, int(number.removeprefix("p")), offset) for number, offset in offsets.items()],
        )

    async def check(self, *owned: int) -> None:
        self.clock.step(15)
        await self.watch.check([Partition(ACCOUNTS, number) for number in owned])


async def test_lag_that_does_not_move_is_noticed_at_the_second_look(pool: Pool) -> None:
    watched = Watched(pool, Ends(p0=5, p1=5))
    await watched.at(p0=5, p1=3)
    await watched.check(0, 1)
    with pytest.raises(Stuck, match=f"{ACCOUNTS}/1 "):
        await watched.check(0, 1)


async def test_a_partition_of_ours_is_noticed_even_if_others_move(pool: Pool) -> None:
    watched = Watched(pool, Ends(p0=50, p1=5))
    await watched.at(p0=10, p1=3)
    await watched.check(1)
    await watched.at(p0=20)
    with pytest.raises(Stuck):
        await watched.check(1)


async def test_the_slowness_of_another_member_is_not_ours(pool: Pool) -> None:
    watched = Watched(pool, Ends(p0=50, p1=5, p2=9))
    await watched.at(p0=10, p1=5, p2=1)
    await watched.check(1)
    await watched.at(p0=20)
    await watched.check(1)


async def test_a_group_of_which_nobody_moves_is_noticed_by_a_member_without_partitions(pool: Pool) -> None:
    watched = Watched(pool, Ends(p0=50))
    await watched.check()
    with pytest.raises(Stuck):
        await watched.check()


async def test_being_caught_up_is_progress_and_so_is_every_record(pool: Pool) -> None:
    watched = Watched(pool, Ends(p0=5))
    await watched.at(p0=5)
    for _ in range(3):
        await watched.check(0)
    watched.ends.ends[Partition(ACCOUNTS, 0)] = 6
    await watched.check(0)
    await watched.at(p0=6)
    watched.ends.ends[Partition(ACCOUNTS, 0)] = 9
    await watched.check(0)
    watched.clock.step(14)
    watched.watch.advanced()
    watched.clock.step(14)
    await watched.watch.check([Partition(ACCOUNTS, 0)])
