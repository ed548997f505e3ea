"""The embedded bus: topics and consumer groups in a Postgres, for a start without any broker. Several processes may share it."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

from aiokafka.partitioner import murmur2

from berth_events.runtime.bus import (
    BusError,
    Consumer,
    Message,
    Partition,
    Producer,
    RebalanceListener,
    refuse_too_large,
)
from berth_events.runtime.database import Pool
from berth_events.runtime.postgres_client import Signal, columns, deadline, open_bus_pool
from berth_events.runtime.postgres_consumer import PostgresConsumer
from berth_events.runtime.postgres_group import Group

__all__ = ["PostgresBus", "partition_of"]

_SCHEMA: Final = Path(__file__).with_name("sql") / "postgres_bus.sql"
_SETUP_LOCK: Final = 7_205_004
_CALL_S: Final = 10
_PUBLISH_S: Final = 20
_CLOSE_S: Final = 5
_RECORD_COLUMNS: Final = ("topic", "number", "offset", "key", "value", "header_names", "header_values")


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: murmur2, as Kafka's clients do it, so that both buses spread the keys alike."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


class PostgresBus:
    """Makes clients of the bus in one database, in the schema `bus`, which `create_topics` makes as well.

    Args:
        dsn: of a role that owns the schema `bus` or may create it.
        session_timeout: after so many seconds without a sign of life a member's partitions are given away.
    """

    def __init__(self, dsn: str, *, session_timeout: float = 10) -> None:
        self._dsn, self._session_timeout = dsn, session_timeout
        self._opened: Pool | None = None
        self._opening = asyncio.Lock()
        self._published, self._regrouped = Signal(), Signal()

    async def create_topics(self, topics: Sequence[str], *, partitions: int) -> None:
        """See `berth_events.runtime.bus.Bus`. Records are kept for ever."""
        async with deadline(_CALL_S, "create topics"):
            pool = await self._pool()
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "SELECT pg_advisory_xact_lock($1)", _SETUP_LOCK
                )  # IF NOT EXISTS alone collides
                await connection.execute(_SCHEMA.read_text())
                created = await connection.fetch(
                    "INSERT INTO bus.topic (name, partitions) SELECT *, $2 FROM unnest($1::text[])"
                    " ON CONFLICT DO NOTHING RETURNING name",
                    sorted(set(topics)),
                    partitions,
                )
                if created:
                    await connection.execute(
                        "INSERT INTO bus.partition (topic, number)"
                        " SELECT * FROM unnest($1::text[]), generate_series(0, $2 - 1)",
                        [row["name"] for row in created],
                        partitions,
                    )
                    await connection.execute("UPDATE bus.consumer_group SET epoch = epoch + 1")

    async def producer(self) -> Producer:
        """See `berth_events.runtime.bus.Bus`."""
        await self.ping()
        return PostgresProducer(await self._pool(), self._published)

    async def consumer(self, *, group: str, topics: Sequence[str], listener: RebalanceListener) -> Consumer:
        """See `berth_events.runtime.bus.Bus`."""
        await self.ping()
        membership = Group(await self._pool(), group, uuid4(), tuple(topics), self._session_timeout)
        return PostgresConsumer(membership, listener, self._published, self._regrouped)

    async def end_offsets(self, topics: Sequence[str]) -> Mapping[Partition, int]:
        """See `berth_events.runtime.bus.Bus`."""
        async with deadline(_CALL_S, "end offsets"):
            pool = await self._pool()
            rows = await pool.fetch(
                "SELECT topic, number, next_offset FROM bus.partition WHERE topic = ANY($1)", list(topics)
            )
        if missing := set(topics) - {row["topic"] for row in rows}:
            raise BusError(f"there is no topic {', '.join(sorted(missing))}")
        return {Partition(row["topic"], row["number"]): row["next_offset"] for row in rows}

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        """See `berth_events.runtime.bus.Bus`."""
        async with deadline(_CALL_S, "committed offsets"):
            pool = await self._pool()
            rows = await pool.fetch(
                "SELECT topic, number, next_offset FROM bus.committed WHERE group_name = $1 AND topic = ANY($2)",
                group,
                list(topics),
            )
        return {Partition(row["topic"], row["number"]): row["next_offset"] for row in rows}

    async def ping(self) -> None:
        """See `berth_events.runtime.bus.Bus`."""
        async with deadline(_CALL_S, "ping"):
            await (await self._pool()).execute("SELECT")

    async def close(self) -> None:
        """See `berth_events.runtime.bus.Bus`."""
        if self._opened is None:
            return
        pool, self._opened = self._opened, None
        try:
            async with asyncio.timeout(_CLOSE_S):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    async def _pool(self) -> Pool:
        async with self._opening:
            if self._opened is None:
                self._opened = await open_bus_pool(self._dsn)
            return self._opened


class PostgresProducer:
    """Publishes each batch in one transaction: all of it is stored or nothing."""

    def __init__(self, pool: Pool, published: Signal) -> None:
        self._pool, self._published = pool, published
        self._partitions: dict[str, int] = {}

    async def publish(self, messages: Sequence[Message]) -> Sequence[bool]:
        """See `berth_events.runtime.bus.Producer`."""
        refuse_too_large(messages)
        if not messages:
            return []
        async with deadline(_PUBLISH_S, "publish"):
            await self._learn({message.topic for message in messages})
            by_partition = defaultdict(list)
            for message in messages:
                number = partition_of(message.key, self._partitions[message.topic])
                by_partition[Partition(message.topic, number)].append(message)
            async with self._pool.acquire() as connection, connection.transaction():
                # Locked in one order by everybody, so that two publishers never wait for each other.
                rows = await connection.fetch(
                    "SELECT topic, number, next_offset FROM bus.partition"
                    " WHERE (topic, number) IN (SELECT * FROM unnest($1::text[], $2::int[]))"
                    " ORDER BY topic, number FOR UPDATE",
                    *columns(by_partition),
                )
                first = {Partition(row["topic"], row["number"]): row["next_offset"] for row in rows}
                await connection.execute(
                    "UPDATE bus.partition p SET next_offset = p.next_offset + more.records"
                    " FROM unnest($1::text[], $2::int[], $3::int[]) AS more (topic, number, records)"
                    " WHERE (p.topic, p.number) = (more.topic, more.number)",
                    *columns(by_partition),
                    [len(batch) for batch in by_partition.values()],
                )
                await connection.copy_records_to_table(
                    "record",
                    schema_name="bus",
                    columns=_RECORD_COLUMNS,
                    records=[
                        _row(partition, offset, message)
                        for partition, batch in by_partition.items()
                        for offset, message in enumerate(batch, first[partition])
                    ],
                )
        self._published.fire()
        return [True] * len(messages)

    async def close(self) -> None:
        """See `berth_events.runtime.bus.Producer`. The connections are the bus's."""

    async def _learn(self, topics: set[str]) -> None:
        """Look up the partition counts of topics that are new to this producer."""
        if unknown := topics - self._partitions.keys():
            rows = await self._pool.fetch("SELECT name, partitions FROM bus.topic WHERE name = ANY($1)", list(unknown))
            self._partitions |= {row["name"]: row["partitions"] for row in rows}
        if missing := topics - self._partitions.keys():
            raise BusError(f"there is no topic {', '.join(sorted(missing))}")


def _row(partition: Partition, offset: int, message: Message) -> tuple[object, ...]:
    names = [name for name, _ in message.headers]
    values = [value for _, value in message.headers]
    return partition.topic, partition.number, offset, message.key, message.value, names, values
