"""Which member of a consumer group shall own which partition."""

from collections import Counter
from collections.abc import Collection, Mapping
from uuid import UUID

from berth_events.runtime.bus import Partition

__all__ = ["balance"]


def balance(
    partitions: Collection[Partition], members: Mapping[UUID, Collection[str]], current: Mapping[Partition, UUID | None]
) -> dict[Partition, UUID | None]:
    """Spread partitions evenly and move as few as possible.

    Args:
        partitions: all partitions of the topics.
        members: the topics that each member reads; ties go to the lower id.
        current: the members that the partitions were given before.

    Returns:
        The member of each partition, or None where no member reads its topic. Of each topic two members that read it have
        numbers of partitions that differ by one at most; so have they in all, when all members read the same topics.
    """
    shares = _Shares(members)
    for partition in sorted(partitions):
        shares.keep(partition, current.get(partition))
    for partition in sorted(partitions):
        shares.give(partition)
    while shares.even_out():
        pass
    return {partition: shares.targets.get(partition) for partition in partitions}


class _Shares:
    def __init__(self, members: Mapping[UUID, Collection[str]]) -> None:
        self.targets: dict[Partition, UUID] = {}
        self._members = members
        self._of_topic: Counter[tuple[UUID, str]] = Counter()
        self._in_all: Counter[UUID] = Counter()

    def keep(self, partition: Partition, member: UUID | None) -> None:
        """Leave the partition where it is, if that member reads it."""
        if member is not None and partition.topic in self._members.get(member, ()):
            self._put(partition, member)

    def give(self, partition: Partition) -> None:
        """Give a partition that nobody has to the reader of its topic who has the least."""
        if partition not in self.targets and (readers := self._readers(partition.topic)):
            self._put(partition, min(readers, key=lambda member: self._weight(partition.topic, member)))

    def even_out(self) -> bool:
        """Move one partition from a member that has too much; False when none has."""
        for partition, heavy in self.targets.items():
            topic = partition.topic
            light = min(self._readers(topic), key=lambda member: self._weight(topic, member))
            more = self._of_topic[heavy, topic] - self._of_topic[light, topic]
            if more > 1 or (more == 1 and self._in_all[heavy] - self._in_all[light] > 1):
                self._of_topic[heavy, topic] -= 1
                self._in_all[heavy] -= 1
                self._put(partition, light)
                return True
        return False

    def _put(self, partition: Partition, member: UUID) -> None:
        self.targets[partition] = member
        self._of_topic[member, partition.topic] += 1
        self._in_all[member] += 1

    def _readers(self, topic: str) -> list[UUID]:
        return [member for member, topics in self._members.items() if topic in topics]

    def _weight(self, topic: str, member: UUID) -> tuple[int, int, UUID]:
        return self._of_topic[member, topic], self._in_all[member], member
