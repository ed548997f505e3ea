"""The watchdog of a consumer: alive but never reading again is the failure that no error announces."""

from collections.abc import Sequence
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
        self._offsets: dict[Partition, int] = {}

    def advanced(self) -> None:
        """Records were applied just now."""
        self._checked_at = self._clock.monotonic()
        metrics.CONSUMER_LAST_PROGRESS.labels(self._consumer).set_to_current_time()

    async def check(self) -> None:
        """Called when nothing came: every 15 s, compare the group's offset rows with the ends of the topics.

        Raises:
            Stuck: there is lag, and no offset has moved since the last check.
        """
        if self._clock.monotonic() - self._checked_at < _CHECK_EVERY_S:
            return
        ends = await self._bus.end_offsets(self._topics)
        rows = await self._pool.fetch(
            "SELECT topic, partition, next_offset FROM consumer_offset WHERE consumer = $1", self._consumer
        )
        offsets = {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        lag = sum(max(0, end - offsets.get(partition, 0)) for partition, end in ends.items())
        if lag and offsets == self._offsets:
            raise Stuck(f"{lag} records wait and nothing moves")
        self._offsets = offsets
        self._checked_at = self._clock.monotonic()
        if not lag:
            metrics.CONSUMER_LAST_PROGRESS.labels(self._consumer).set_to_current_time()
