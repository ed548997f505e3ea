from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from berth_events.runtime.bus import BusError
from berth_events.runtime.kafka_bus import KafkaBus
from berth_testing.bus import Journal, Member, eventually, messages
from berth_testing.kafka import KafkaServer

pytestmark = pytest.mark.kafka


async def test_topics_keep_their_records_for_ever(kafka: KafkaServer) -> None:
    topic = f"test.{uuid4()}"
    await KafkaBus(kafka.bootstrap).create_topics([topic], partitions=1)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    config = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert (config["retention.ms"], config["retention.bytes"], config["cleanup.policy"]) == ("-1", "-1", "delete")
    assert config["min.insync.replicas"] == "1"  # there is one broker


async def test_a_static_member_that_restarts_moves_no_partition(kafka: KafkaServer) -> None:
    topic, group, journal = f"test.{uuid4()}", str(uuid4()), Journal()
    pods = [KafkaBus(kafka.bootstrap, session_timeout=6, group_instance_id=name) for name in ("pod-0", "pod-1")]
    await pods[0].create_topics([topic], partitions=2)
    stays, restarts = Member("stays", journal), Member("restarts", journal)
    async with stays.joined(pods[0], group, topic):
        async with restarts.joined(pods[1], group, topic) as first_run:
            await eventually(lambda: len(stays.owned) == len(restarts.owned) == 1)
            before, journal.revoked["stays"] = first_run.assignment, set()
        async with restarts.joined(pods[1], group, topic) as second_run:
            producer = await pods[0].producer()
            await producer.publish(messages(topic, 20))
            await producer.close()
            await eventually(lambda: sum(journal.handled.values()) == 20)
            assert second_run.assignment == before
            assert journal.revoked["stays"] == set()
    assert journal.faults == []


async def test_an_unreachable_broker_is_an_error_soon() -> None:
    bus = KafkaBus("127.0.0.1:1")
    for call in (bus.ping, bus.producer):
        with pytest.raises(BusError):
            await call()
