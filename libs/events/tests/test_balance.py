from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from berth_events.runtime.balance import balance
from berth_events.runtime.bus import Partition

TOPICS = ("a", "b", "c")
topic_sets = st.frozensets(st.sampled_from(TOPICS), min_size=1)
ids = st.integers(0, 6).map(lambda n: UUID(int=n))
partitions = st.fixed_dictionaries({topic: st.integers(0, 12) for topic in TOPICS}).map(
    lambda counts: {Partition(topic, n) for topic, count in counts.items() for n in range(count)}
)
members = st.dictionaries(ids, topic_sets)


@given(partitions, members, st.data())
def test_every_partition_has_one_reader_and_none_has_too_many(
    known: set[Partition], readers: dict[UUID, frozenset[str]], data: st.DataObject
) -> None:
    before = data.draw(st.dictionaries(st.sampled_from(sorted(known)), st.none() | ids)) if known else {}
    targets = balance(known, readers, before)
    assert targets.keys() == known
    for topic in TOPICS:
        eligible = [member for member, topics in readers.items() if topic in topics]
        of_topic = [target for partition, target in targets.items() if partition.topic == topic]
        if not eligible:
            assert set(of_topic) <= {None}
            continue
        counts = [of_topic.count(member) for member in eligible]
        assert sum(counts) == len(of_topic)
        assert max(counts) - min(counts) <= 1


@given(partitions, st.sets(ids, min_size=1), st.data())
def test_readers_of_the_same_topics_have_the_same_in_all(
    known: set[Partition], readers: set[UUID], data: st.DataObject
) -> None:
    before = data.draw(st.dictionaries(st.sampled_from(sorted(known)), ids)) if known else {}
    targets = list(balance(known, dict.fromkeys(readers, TOPICS), before).values())
    counts = [targets.count(member) for member in readers]
    assert max(counts) - min(counts) <= 1


@given(partitions, members)
def test_what_is_even_is_left_alone(known: set[Partition], readers: dict[UUID, frozenset[str]]) -> None:
    once = balance(known, readers, {})
    assert balance(known, readers, once) == once


@given(partitions, st.sets(ids, min_size=2))
def test_when_one_leaves_only_its_partitions_move(known: set[Partition], readers: set[UUID]) -> None:
    before = balance(known, dict.fromkeys(readers, TOPICS), {})
    leaver, *rest = sorted(readers)
    after = balance(known, dict.fromkeys(rest, TOPICS), before)
    moved = {partition for partition in known if after[partition] != before[partition]}
    assert {partition for partition in known if before[partition] == leaver} <= moved
    assert len(moved) <= sum(target == leaver for target in before.values()) + len(TOPICS)
