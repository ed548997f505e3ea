"""The watchdog of a consumer: alive but never reading again is the failure that no error announces."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from berth_events.runtime import metrics
from berth_events.runtime.bus import Bus, Partition

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Pool

__all__ = ["ProgressWatch", "Stuck"]

_CHECK_EVERY_S: Final = 15.0


class Stuck(Exception):
    """Records wait and no member of the group advances. The consumer's client is replaced."""


class ProgressWatch:
    """Progress is an offset row that advances, or being caught up with the end of the topics."""

    def __init__(self, pool: "Pool", bus: Bus, topics: Sequence[str], consumer: str, clock: "Clock") -> None:
        self._pool, self._bus, self._topics, self._consumer, self._clock = pool, bus, topics, consumer, clock
        self._checked_at = clock.monotonic()
        self._waited: dict[Partition, int] = {}  # where partitions with lag were at the last check

    def advanced(self) -> None:
        """Records were applied just now."""
        self._checked_at = self._clock.monotonic()
        metrics.CONSUMER_LAST_PROGRESS.labels(self._consumer).set_to_current_time()

    async def check(self, owned: Collection[Partition]) -> None:
        """Called when nothing came: every 15 s, compare the group's offset rows with the ends of the topics.

        Raises:
            Stuck: a partition of ours that had lag has not moved since the last check, or nothing that had lag has.
        """
        if self._clock.monotonic() - self._checked_at < _CHECK_EVERY_S:
            return
        ends = await self._bus.end_offsets(self._topics)
        rows = await self._pool.fetch(
            "SELECT topic, partition, next_offset FROM consumer_offset WHERE consumer = $1", self._consumer
        )
        offsets = {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        waiting = {p: offset for p, end in ends.items() if end > (offset := offsets.get(p, 0))}
        still = {partition for partition, offset in waiting.items() if self._waited.get(partition) == offset}
        if (ours := still & set(owned)) or (still and still == waiting.keys()):
            names = ", ".join(f"{partition.topic}/{partition.number}" for partition in sorted(ours or still))
            raise Stuck(f"records wait in {names} and nothing moves")
        self._waited = waiting
        self._checked_at = self._clock.monotonic()
        if not waiting:
            metrics.CONSUMER_LAST_PROGRESS.labels(self._consumer).set_to_current_time()
