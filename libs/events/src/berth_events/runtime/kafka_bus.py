"""The bus on Apache Kafka."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import InvalidReplicationFactorError, NoError, TopicAlreadyExistsError, for_code

from berth_events.runtime.bus import BusError, Consumer, Partition, Producer, RebalanceListener
from berth_events.runtime.kafka_client import abandon, deadline
from berth_events.runtime.kafka_consumer import KafkaConsumer
from berth_events.runtime.kafka_producer import KafkaProducer

__all__ = ["KafkaBus"]

_REPLICAS: Final = 3
_REQUEST_MS: Final = 5_000
_CALL_S: Final = 10
_CREATE_S: Final = 30
_RETRY_S: Final = 0.2


class KafkaBus:
    """Makes clients of one Kafka.

    Args:
        bootstrap: host:port of one or more brokers, separated by commas.
        client_id: names the clients in the broker's logs and metrics.
        session_timeout: after so many seconds without a sign of life a member's partitions are given away; brokers refuse
            less than 6 by default.
        group_instance_id: of a static member, for example the name of a StatefulSet's pod. With it a restart within the
            session timeout moves no partition; every process needs one of its own.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        client_id: str = "berth",
        session_timeout: float = 10,
        group_instance_id: str | None = None,
    ) -> None:
        self._bootstrap, self._client_id = bootstrap, client_id
        self._session_timeout, self._group_instance_id = session_timeout, group_instance_id

    async def create_topics(self, topics: Sequence[str], *, partitions: int) -> None:
        """See `berth_events.runtime.bus.Bus`. Records are kept for ever, three times where there are three brokers."""
        async with deadline(_CREATE_S, "create topics"), self._admin() as admin:
            missing = list(topics)
            while missing := await _create(admin, missing, partitions):  # noqa: ASYNC110 - nobody tells when it is ready
                await asyncio.sleep(_RETRY_S)
            while not await _led(admin, topics):  # noqa: ASYNC110 - nobody tells when the leaders are elected
                await asyncio.sleep(0.05)

    async def producer(self) -> Producer:
        """See `berth_events.runtime.bus.Bus`."""
        return await KafkaProducer.connect(self._bootstrap, self._client_id)

    async def consumer(self, *, group: str, topics: Sequence[str], listener: RebalanceListener) -> Consumer:
        """See `berth_events.runtime.bus.Bus`."""
        return await KafkaConsumer.connect(
            bootstrap=self._bootstrap,
            client_id=self._client_id,
            group=group,
            group_instance_id=self._group_instance_id,
            session_timeout=self._session_timeout,
            topics=topics,
            listener=listener,
        )

    async def end_offsets(self, topics: Sequence[str]) -> Mapping[Partition, int]:
        """See `berth_events.runtime.bus.Bus`."""
        async with deadline(_CALL_S, "end offsets"), self._reader(None) as reader:
            ends = await reader.end_offsets(await self._partitions(topics))
        return {Partition(tp.topic, tp.partition): offset for tp, offset in ends.items()}

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        """See `berth_events.runtime.bus.Bus`."""
        async with deadline(_CALL_S, "committed offsets"), self._reader(group) as reader:
            partitions = await self._partitions(topics)
            offsets = await asyncio.gather(*(reader.committed(tp) for tp in partitions))
        return {
            Partition(tp.topic, tp.partition): offset
            for tp, offset in zip(partitions, offsets, strict=True)
            if offset is not None
        }

    async def ping(self) -> None:
        """See `berth_events.runtime.bus.Bus`."""
        async with deadline(_CALL_S, "ping"), self._admin() as admin:
            await admin.describe_cluster()

    async def close(self) -> None:
        """See `berth_events.runtime.bus.Bus`. The clients share nothing."""

    async def _partitions(self, topics: Sequence[str]) -> list[TopicPartition]:
        async with self._admin() as admin:
            described = await admin.describe_topics(list(topics))
        for topic in described:
            if topic["error_code"]:
                raise BusError(f"topic {topic['topic']}: {for_code(topic['error_code']).__name__}")
        return [TopicPartition(t["topic"], p["partition"]) for t in described for p in t["partitions"]]

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self._bootstrap, client_id=self._client_id, request_timeout_ms=_REQUEST_MS
        )
        try:
            await admin.start()
            yield admin
        finally:
            await abandon(admin, admin._client)  # noqa: SLF001

    @asynccontextmanager
    async def _reader(self, group: str | None) -> AsyncIterator[Any]:
        """A consumer that belongs to no group, but may look at what one has committed."""
        reader = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            client_id=self._client_id,
            group_id=group,
            enable_auto_commit=False,
            request_timeout_ms=_REQUEST_MS,
        )
        try:
            await reader.start()
            yield reader
        finally:
            await abandon(reader, reader._coordinator, reader._fetcher, reader._client)  # noqa: SLF001


async def _create(admin: Any, topics: Sequence[str], partitions: int) -> list[str]:
    """Create topics. Returns those for which Kafka is not ready, for example since a broker has just gone or come."""
    replicas = min(_REPLICAS, len((await admin.describe_cluster())["brokers"]))
    config = {"retention.ms": "-1", "min.insync.replicas": str(max(1, replicas - 1))}
    new = [NewTopic(topic, partitions, replicas, topic_configs=config) for topic in topics]
    again = []
    for topic, code, *_ in (await admin.create_topics(new)).topic_errors:
        error = for_code(code)
        if error.retriable or error is InvalidReplicationFactorError:
            again.append(topic)
        elif error not in (NoError, TopicAlreadyExistsError):
            raise BusError(f"topic {topic} cannot be created: {error.__name__}")
    return again


async def _led(admin: Any, topics: Sequence[str]) -> bool:
    """Every partition of the topics is in the metadata and has a leader."""
    described = await admin.describe_topics(list(topics))
    return all(
        not topic["error_code"] and topic["partitions"] and all(p["leader"] >= 0 for p in topic["partitions"])
        for topic in described
    )
