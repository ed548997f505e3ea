import random
from collections import Counter
from uuid import uuid4

import pytest

from berth_events.runtime.bus import BusError
from berth_events.runtime.faulty_bus import FaultyBus
from berth_events.runtime.postgres_bus import PostgresBus
from berth_testing.bus import Starts, messages, read_all


async def test_failures_leave_what_a_relay_can_mend(database: str) -> None:
    real = PostgresBus(database)
    bus = FaultyBus(real, random.Random(7), fail_randomly=0.3)
    topic = f"test.{uuid4()}"
    await bus.create_topics([topic], partitions=3)
    waiting, failed, halfway = messages(topic, 60, keys=5), 0, 0
    while waiting:
        try:
            producer = await bus.producer()
            stored = await producer.publish(waiting[:6])
        except BusError:
            failed += 1
            continue
        halfway += not all(stored) and any(stored)
        waiting = [m for m, ok in zip(waiting[:6], stored, strict=True) if not ok] + waiting[6:]
    assert failed > 5
    assert halfway > 0
    per_key: dict[bytes, list[int]] = {}
    for records in (await read_all(real, topic)).values():
        for record in records:
            per_key.setdefault(record.key, []).append(int(record.value))
    assert sorted(n for numbers in per_key.values() for n in set(numbers)) == list(range(60))
    assert all(list(dict.fromkeys(numbers)) == sorted(set(numbers)) for numbers in per_key.values())
    await real.close()


async def test_a_broken_client_stays_broken(database: str) -> None:
    bus = FaultyBus(PostgresBus(database), random.Random(1), fail_randomly=0.4)
    topic = f"test.{uuid4()}"
    await bus.create_topics([topic], partitions=1)
    broken = 0
    while broken < 3:
        try:
            producer = await bus.producer()
            await producer.publish(messages(topic, 1))
        except BusError as error:
            if "no producer" not in str(error):
                broken += 1
                with pytest.raises(BusError):
                    await producer.publish(messages(topic, 1))
    await bus.close()


async def test_duplicates_come_when_publishing_and_when_reading(database: str) -> None:
    real = PostgresBus(database)
    topic = f"test.{uuid4()}"
    await real.create_topics([topic], partitions=1)
    twice = FaultyBus(real, random.Random(3), duplicate=0.999999)
    producer = await twice.producer()
    await producer.publish(messages(topic, 4))
    assert [int(r.value) for rs in (await read_all(real, topic)).values() for r in rs] == [0, 1, 2, 3, 0, 1, 2, 3]

    sometimes = FaultyBus(real, random.Random(3), duplicate=0.5)
    consumer = await sometimes.consumer(group="g", topics=[topic], listener=Starts())
    seen: Counter[int] = Counter()
    while len(seen) < 8:
        for records in (await consumer.fetch(max_records=1, timeout=1)).values():
            seen.update(record.offset for record in records)
    assert max(seen.values()) > 1
    await consumer.close()
    await real.close()
