import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from berth_events.contracts import AccountResumed, Envelope, to_binary
from berth_events.runtime.bus import Message
from berth_events.runtime.kafka_bus import KafkaBus
from berth_testing.kafka import KafkaServer
from berth_testing.topics import CloudEvent, EventSchemas, read_with_aiokafka, read_with_kcat

SCHEMAS = EventSchemas(Path(__file__).parents[3] / "libs/events/schemas")
ID = UUID(int=7)
ENVELOPE = Envelope(
    event_id=UUID(int=1),
    source="/berth/tests",
    sequence=1,
    time=datetime(2026, 1, 2, tzinfo=UTC),
    data=AccountResumed(account_id=ID, organization_id=ID, project_id=ID),
)


@pytest.fixture
def event() -> CloudEvent:
    headers, value = to_binary(ENVELOPE)
    return CloudEvent(
        topic=ENVELOPE.topic,
        partition=0,
        offset=0,
        key=ENVELOPE.key.decode(),
        headers={name: raw.decode() for name, raw in headers},
        value=value.decode(),
    )


def test_a_record_of_ours_is_as_the_schemas_promise(event: CloudEvent) -> None:
    assert SCHEMAS.faults(event) == []


def test_a_record_that_breaks_a_promise_is_found(event: CloudEvent) -> None:
    without_time = {name: value for name, value in event.headers.items() if name != "ce_time"}
    assert SCHEMAS.faults(replace(event, headers=without_time)) == ["the header ce_time is missing"]
    assert SCHEMAS.faults(replace(event, key="another"))
    assert SCHEMAS.faults(replace(event, topic="berth.billing.v1"))
    assert SCHEMAS.faults(replace(event, value=json.dumps({**event.data, "account_id": 7})))
    newer = {**event.headers, "ce_dataschema": "urn:berth:event:AccountResumed:99"}
    assert SCHEMAS.faults(replace(event, headers=newer)) == ["no schema urn:berth:event:AccountResumed:99"]


async def test_both_readers_read_the_same(kafka: KafkaServer, event: CloudEvent) -> None:
    topic = "berth.test-topics.v1"
    headers, value = to_binary(ENVELOPE)
    bus = KafkaBus(kafka.bootstrap)
    try:
        await bus.create_topics([topic], partitions=3)
        producer = await bus.producer()
        await producer.publish([Message(topic, f"key {number}".encode(), value, headers) for number in range(20)])
        await producer.close()
    finally:
        await bus.close()
    read = await read_with_aiokafka(kafka.bootstrap, [topic])
    assert sorted(record.key for record in read) == sorted(f"key {number}" for number in range(20))
    assert all(record.headers == event.headers and record.value == event.value for record in read)

    def by_place(records: list[CloudEvent]) -> list[CloudEvent]:
        return sorted(records, key=lambda record: (record.partition, record.offset))

    assert by_place(await read_with_kcat(kafka.bootstrap, [topic])) == by_place(read)
