"""A member of a consumer group on Kafka (classic protocol, eager rebalance)."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from berth_events.runtime.bus import REBALANCE_TIMEOUT_S, BusError, Partition, RebalanceListener, Record, drain
from berth_events.runtime.kafka_client import abandon, deadline, end

__all__ = ["KafkaConsumer"]

_CONNECT_S: Final = 10
_CALL_S: Final = 5
_GRACE_S: Final = 0.2
#: aiokafka leaves the group when nobody has asked for records for so long; `fetch` is called all the time.
_MAX_POLL_INTERVAL_MS: Final = 600_000


class KafkaConsumer:
    """A member of a group: see `connect`. It joins at the first `fetch`."""

    def __init__(self, client: Any, topics: Sequence[str], listener: RebalanceListener) -> None:
        self._client, self._topics, self._listener = client, topics, listener
        self._starts: dict[Partition, int] = {}  # where the reading of the partitions owned began
        self._positioned = asyncio.Event()  # not set from the beginning of a rebalance until every position is right
        self._rebalances = 0
        self._rebalancing = asyncio.Lock()  # a rebalance and close may come together
        self._failure: BaseException | None = None
        self._joined = self._closed = False

    @classmethod
    async def connect(
        cls,
        *,
        bootstrap: str,
        client_id: str,
        group: str,
        group_instance_id: str | None,
        session_timeout: float,
        topics: Sequence[str],
        listener: RebalanceListener,
    ) -> "KafkaConsumer":
        """Connect.

        Raises:
            BusError: Kafka cannot be reached in time.
        """
        client = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            group_id=group,
            group_instance_id=group_instance_id,
            enable_auto_commit=False,
            auto_offset_reset="none",  # every position is set by us; one that does not exist must not pass unnoticed
            session_timeout_ms=int(session_timeout * 1000),
            heartbeat_interval_ms=int(session_timeout * 1000 / 6),
            rebalance_timeout_ms=REBALANCE_TIMEOUT_S * 1000,  # by default the session timeout: too short to drain
            request_timeout_ms=(REBALANCE_TIMEOUT_S + 5) * 1000,  # JoinGroup waits for the drain of the others
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            metadata_max_age_ms=30_000,
        )
        consumer = cls(client, topics, listener)
        try:
            async with deadline(_CONNECT_S, "a new consumer"):
                await client.start()
        except BaseException:
            await consumer.abandon()
            raise
        return consumer

    async def fetch(self, *, max_records: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:  # noqa: ASYNC109
        """See `berth_events.runtime.bus.Consumer`."""
        self._check()
        if not self._joined:
            self._joined = True
            self._client.subscribe(topics=list(self._topics), listener=_Listener(self))
        rebalances = None
        try:
            async with asyncio.timeout(
                timeout + _GRACE_S
            ):  # in a rebalance getmany waits on; cancelled, nothing is lost
                await self._positioned.wait()
                self._check()
                rebalances = self._rebalances
                found = await self._client.getmany(timeout_ms=int(timeout * 1000), max_records=max_records)
        except TimeoutError:
            found = {}
        except (KafkaError, OSError) as error:
            if rebalances == self._rebalances:
                raise BusError(f"fetch: {error!r}") from error
            found = {}
        self._check()
        if rebalances != self._rebalances:
            self._rewind()
            return {}
        return {
            Partition(tp.topic, tp.partition): [_record(record) for record in records] for tp, records in found.items()
        }

    def seek(self, partition: Partition, offset: int) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        if partition in self.assignment:
            self._client.seek(TopicPartition(*partition), offset)

    def pause(self, partitions: frozenset[Partition]) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        self._client.pause(*(TopicPartition(*partition) for partition in partitions & self.assignment))

    def resume(self, partitions: frozenset[Partition]) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        self._client.resume(*(TopicPartition(*partition) for partition in partitions & self.assignment))

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        owned = self._client.assignment()  # also while `revoked` runs
        mine = {tp: offset for p, offset in offsets.items() if (tp := TopicPartition(*p)) in owned}
        if not mine:
            return  # without offsets aiokafka would commit every position, also of records in flight
        async with deadline(_CALL_S, "commit"):
            try:
                await self._client.commit(mine)
            except (CommitFailedError, IllegalStateError):
                return  # lost meanwhile

    async def end_offsets(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        """See `berth_events.runtime.bus.Consumer`."""
        async with deadline(_CALL_S, "end offsets"):
            ends = await self._client.end_offsets([TopicPartition(*partition) for partition in partitions])
        return {Partition(tp.topic, tp.partition): offset for tp, offset in ends.items()}

    @property
    def assignment(self) -> frozenset[Partition]:
        """See `berth_events.runtime.bus.Consumer`."""
        return frozenset(self._starts)

    async def close(self) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._revoke()
        finally:
            await end(self._client, *self._parts())

    async def abandon(self) -> None:
        """Release the client as a crash would: the group learns of it when the session is over."""
        self._closed = True
        await abandon(self._client, *self._parts())

    async def rebalance_begins(self) -> None:
        """Called by aiokafka, whose group waits for the return. What this raises it only logs, so it is kept for `fetch`."""
        try:
            await self._revoke()
        except Exception as error:  # noqa: BLE001 - whatever it is comes out of fetch
            self._fail(error)

    async def rebalance_ends(self, assigned: Collection[TopicPartition]) -> None:
        """Called by aiokafka after it began to fetch from the committed offsets already."""
        async with self._rebalancing:
            if self._closed or self._failure:
                return
            try:
                self._starts = await self._begin(frozenset(Partition(tp.topic, tp.partition) for tp in assigned))
                self._rewind()
            except Exception as error:  # noqa: BLE001 - whatever it is comes out of fetch
                self._fail(error)
            else:
                self._positioned.set()

    async def _begin(self, partitions: frozenset[Partition]) -> dict[Partition, int]:
        starts = dict(await self._listener.assigned(partitions)) if partitions else {}
        if rest := [TopicPartition(*partition) for partition in partitions - starts.keys()]:
            async with deadline(_CALL_S, "beginning offsets"):
                beginnings = await self._client.beginning_offsets(rest)
            starts |= {Partition(tp.topic, tp.partition): offset for tp, offset in beginnings.items()}
        return {partition: starts[partition] for partition in partitions}

    def _rewind(self) -> None:
        """Begin again where the assignment began: a getmany that spans a rebalance returns nobody knows what."""
        for partition, offset in self._starts.items():
            self._client.seek(TopicPartition(*partition), offset)

    async def _revoke(self) -> None:
        self._positioned.clear()
        self._rebalances += 1
        async with self._rebalancing:
            owned, self._starts = self.assignment, {}
            if owned:
                await drain(self._listener, owned)

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._positioned.set()  # wakes fetch

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise BusError("this consumer is closed")

    def _parts(self) -> tuple[Any, ...]:
        client = self._client
        return client._coordinator, client._fetcher, client._client  # noqa: SLF001


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002 - always all
        await self._consumer.rebalance_begins()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        await self._consumer.rebalance_ends(assigned)


def _record(record: Any) -> Record:
    return Record(
        partition=Partition(record.topic, record.partition),
        offset=record.offset,
        key=record.key or b"",
        value=record.value or b"",
        headers=tuple((name, value or b"") for name, value in record.headers),
        timestamp=datetime.fromtimestamp(record.timestamp / 1000, UTC),
    )
