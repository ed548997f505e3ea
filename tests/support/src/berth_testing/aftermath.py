"""What has to be true after services were killed: everything was read, done and published, each event once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from berth_local.services import SERVICES
from berth_testing.platform import Platform
from berth_testing.topics import CloudEvent, end_offsets
from berth_testing.waiting import eventually

__all__ = ["all_is_done", "distinct", "no_gap_in_any_stream"]

_SERVICES = tuple(spec.name for spec in SERVICES)


async def all_is_done(platform: Platform, bootstrap: str, topics: Sequence[str], *, within: float = 90) -> None:
    """Wait until nothing is unpublished, unread, undone or parked."""
    await eventually(lambda: _left(platform, bootstrap, topics), lambda found: not found, within=within)


async def _left(platform: Platform, bootstrap: str, topics: Sequence[str]) -> list[str]:
    """What is still to be done.

    The order matters: what was read makes work in the same transaction, what was done makes an outbox row in the same
    transaction, and what was published moves the ends of the topics.
    """
    ends = await end_offsets(bootstrap, topics)
    behind = [text for service in _SERVICES for text in await _unread(platform, service, ends)]
    undone = [f"{service}: {counts}" for service in _SERVICES if (counts := await _unfinished(platform, service))]
    moved = [] if await end_offsets(bootstrap, topics) == ends else ["events are being published"]
    return behind + undone + moved


async def _unread(platform: Platform, service: str, ends: Mapping[tuple[str, int], int]) -> list[str]:
    """The consumers of a service that are behind."""
    rows = await platform.fetch(service, "SELECT consumer, topic, partition, next_offset FROM consumer_offset")
    read = {(row["consumer"], row["topic"], row["partition"]): row["next_offset"] for row in rows}
    return [
        f"{service}: {consumer} is behind in {topic}/{partition}"
        for consumer, topic in {(consumer, topic) for consumer, topic, _ in read}
        for (ended, partition), end in ends.items()
        if ended == topic and read.get((consumer, topic, partition), 0) < end
    ]


async def _unfinished(platform: Platform, service: str) -> dict[str, int]:
    """What a service has not finished, by kind; empty when there is nothing."""
    [row] = await platform.fetch(
        service,
        """SELECT (SELECT count(*) FROM outbox) AS unpublished,
                  (SELECT count(*) FROM work WHERE state <> 'ready' OR run_at < now()) AS due,
                  (SELECT count(*) FROM parked_key) AS parked""",
    )
    return {kind: count for kind, count in row.items() if count}


def distinct(records: Sequence[CloudEvent]) -> list[CloudEvent]:
    """Each event once: a relay that was killed after publishing publishes again, which consumers drop by the id."""
    events: dict[str, CloudEvent] = {}
    for record in records:
        first = events.setdefault(record.headers["ce_id"], record)
        assert first.value == record.value
    return list(events.values())


def no_gap_in_any_stream(events: Sequence[CloudEvent]) -> None:
    """The sequences of every stream are 1, 2, 3 and so on, in the order of the topic."""
    streams: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in events:
        streams[event.topic, event.key].append(event.sequence)
    for stream, sequences in streams.items():
        assert sequences == list(range(1, len(sequences) + 1)), stream
