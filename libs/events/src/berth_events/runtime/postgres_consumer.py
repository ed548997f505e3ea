"""A member of a consumer group on the embedded bus."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Final, TypeVar

import asyncpg
import structlog

from berth_events.runtime.bus import BusError, Partition, RebalanceListener, Record, drain
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS, Pool
from berth_events.runtime.postgres_client import CALL_S, Signal, columns, deadline, wait
from berth_events.runtime.postgres_group import Group, Share

__all__ = ["PostgresConsumer", "end_offsets"]

_T = TypeVar("_T")

_LEAVE_S: Final = 5
_POLL_S: Final = (0.02, 0.2)
_WATCH_S: Final = 0.25
_PARTITION_BYTES: Final = 1024 * 1024

#: Only what this member owns; of each partition no more than a record beyond the first MiB.
_READ: Final = """
SELECT r.topic, r.number, r."offset", r.key, r.value, r.header_names, r.header_values, r.recorded_at
FROM unnest($3::text[], $4::int[], $5::bigint[]) AS wanted (topic, number, position)
JOIN bus.assignment a USING (topic, number)
CROSS JOIN LATERAL (
  SELECT n.*, sum(octet_length(n.value)) OVER (ORDER BY n."offset") - octet_length(n.value) AS before
  FROM (
    SELECT * FROM bus.record
    WHERE topic = wanted.topic AND number = wanted.number AND "offset" >= wanted.position
    ORDER BY "offset" LIMIT $6
  ) n
) r
WHERE a.group_name = $1 AND a.owner = $2 AND r.before < $7
LIMIT $6
"""
_COMMIT: Final = """
INSERT INTO bus.committed (group_name, topic, number, next_offset)
SELECT $1, c.topic, c.number, c.next_offset
FROM unnest($3::text[], $4::int[], $5::bigint[]) AS c (topic, number, next_offset)
JOIN bus.assignment a USING (topic, number)
WHERE a.group_name = $1 AND a.owner = $2
ON CONFLICT (group_name, topic, number)
DO UPDATE SET next_offset = excluded.next_offset, committed_at = clock_timestamp()
"""

_log = structlog.get_logger(__name__)


class _Away(Exception):
    """The database is away, but the session may still be saved. Ask again."""


class PostgresConsumer:
    """A member of a group; it joins at the first `fetch`.

    Two tasks run beside it: one keeps the session, one follows the group and calls the listener. A database that is away is
    borne until the session must be over.

    Args:
        group: what the database knows of the group.
        listener: told what is owned.
        published: fired when this process published.
        regrouped: fired when a member in this process changed a group.
    """

    def __init__(self, group: Group, listener: RebalanceListener, published: Signal, regrouped: Signal) -> None:
        self._group, self._listener = group, listener
        self._published, self._regrouped = published, regrouped
        self._positions: dict[Partition, int] = {}
        self._unproven: set[Partition] = set()  # whose position may not exist
        self._paused: set[Partition] = set()
        self._turn = 0
        self._joined = asyncio.Event()
        self._rebalancing = asyncio.Lock()  # a rebalance and close may come together
        self._tasks: list[asyncio.Task[None]] = []
        self._answered = asyncio.get_running_loop().time()
        self._failure: BaseException | None = None
        self._closed = False

    async def fetch(self, *, max_records: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:  # noqa: ASYNC109
        """See `berth_events.runtime.bus.Consumer`."""
        self._check()
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._guard(self._follow_group())),
                asyncio.create_task(self._guard(self._keep_session())),
            ]
        clock = asyncio.get_running_loop()
        end, pause = clock.time() + timeout, _POLL_S[0]
        while True:
            published = self._published.listen()
            records = await self._read(max_records)
            self._check()
            if records or (rest := end - clock.time()) <= 0:
                return records
            await wait(published, min(pause, rest))
            pause = min(pause * 2, _POLL_S[1])

    def seek(self, partition: Partition, offset: int) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        if partition in self._positions:
            self._positions[partition] = offset
            self._unproven.add(partition)

    def pause(self, partitions: frozenset[Partition]) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        self._paused |= partitions & self.assignment

    def resume(self, partitions: frozenset[Partition]) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        self._paused -= partitions

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        async with deadline(2 * CALL_S, "commit"):
            await self._group.pool.execute(
                _COMMIT, self._group.name, self._group.member, *columns(offsets), list(offsets.values())
            )

    async def end_offsets(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        """See `berth_events.runtime.bus.Consumer`."""
        async with deadline(2 * CALL_S, "end offsets"):
            return await end_offsets(self._group.pool, partitions)

    @property
    def assignment(self) -> frozenset[Partition]:
        """See `berth_events.runtime.bus.Consumer`."""
        return frozenset(self._positions)

    async def close(self) -> None:
        """See `berth_events.runtime.bus.Consumer`."""
        if self._closed:
            return
        self._closed = True
        try:
            async with self._rebalancing:  # not in the middle of a call of the listener
                await _cancel(self._tasks[:1])
                await self._revoke(self.assignment)
        finally:
            await _cancel(self._tasks)
            if self._joined.is_set():
                await self._leave()

    async def abandon(self) -> None:
        """Release the consumer as a crash would: the group learns of it when the session is over."""
        self._closed = True
        await _cancel(self._tasks)

    async def _read(self, max_records: int) -> dict[Partition, list[Record]]:
        wanted = {p: offset for p, offset in self._positions.items() if p not in self._paused}
        if not wanted:
            return {}
        partitions = list(wanted)
        self._turn = (self._turn + 1) % len(partitions)  # who comes first may fill the batch
        partitions = partitions[self._turn :] + partitions[: self._turn]
        try:
            rows = await self._ask(self._look(partitions, wanted, max_records))
        except _Away:
            return {}
        found = defaultdict(list)
        for record in sorted((_record(row) for row in rows), key=lambda record: record.offset):
            # The position is compared as well with what it is by now, after a rebalance or a seek meanwhile.
            if self._positions.get(record.partition) == record.offset and record.partition not in self._paused:
                found[record.partition].append(record)
                self._positions[record.partition] += 1
        return dict(found)

    async def _look(
        self, partitions: Sequence[Partition], positions: Mapping[Partition, int], max_records: int
    ) -> list[asyncpg.Record]:
        pool = self._group.pool
        if unproven := self._unproven & positions.keys():
            for partition, end in (await end_offsets(pool, unproven)).items():
                if positions[partition] > end:
                    raise BusError(f"{partition} has no offset {positions[partition]}, its end is {end}")
                if self._positions.get(partition) == positions[partition]:
                    self._unproven.discard(partition)
        return await pool.fetch(
            _READ,
            self._group.name,
            self._group.member,
            *columns(partitions),
            [positions[partition] for partition in partitions],
            max_records,
            _PARTITION_BYTES,
        )

    async def _keep_session(self) -> None:
        while True:
            try:
                if self._joined.is_set():
                    await self._ask(self._group.renew())
                else:
                    await self._ask(self._group.join())
                    self._joined.set()
                await asyncio.sleep(self._group.session_timeout / 4)
            except _Away:
                await asyncio.sleep(_WATCH_S)

    async def _follow_group(self) -> None:
        await self._joined.wait()
        self._regrouped.fire()
        while True:
            try:
                share = await self._ask(self._group.sync())
                async with self._rebalancing:
                    await self._rebalance(share)
                await self._change_after(share.epoch)
            except _Away:
                await asyncio.sleep(_WATCH_S)

    async def _change_after(self, epoch: int) -> None:
        while True:
            regrouped = self._regrouped.listen()
            if await self._ask(self._group.changed(epoch)):
                return
            await wait(regrouped, _WATCH_S)

    async def _rebalance(self, share: Share) -> None:
        staying = share.owned - share.leaving
        if new := staying - self.assignment:
            starts = await self._listener.assigned(new)
            self._unproven |= new
            self._positions |= {partition: starts.get(partition, 0) for partition in new}
            self._published.fire()
        await self._revoke(self.assignment - staying)
        if share.leaving:
            await self._ask(self._group.release(share.leaving))
            self._regrouped.fire()

    async def _revoke(self, partitions: frozenset[Partition]) -> None:
        for partition in partitions:
            del self._positions[partition]
        self._paused -= partitions
        self._unproven -= partitions
        if partitions:
            await drain(self._listener, partitions)

    async def _leave(self) -> None:
        try:
            async with deadline(_LEAVE_S, "leave"):
                await self._group.leave()
        except BusError as error:
            _log.warning("bus.not_left", group=self._group.name, error=str(error))  # the session ends by itself
        self._regrouped.fire()

    async def _ask(self, question: Awaitable[_T]) -> _T:
        """Ask the database; raises _Away when it is away for now, BusError when that lasts."""
        clock = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(2 * CALL_S):
                answer = await question
        except INFRASTRUCTURE_ERRORS as error:
            if clock.time() - self._answered > self._group.session_timeout:
                raise BusError(f"no answer from Postgres for {self._group.session_timeout} s: {error!r}") from error
            raise _Away from error
        except asyncpg.PostgresError as error:
            raise BusError(repr(error)) from error
        self._answered = clock.time()
        return answer

    async def _guard(self, task: Awaitable[None]) -> None:
        try:
            await task
        except Exception as error:  # noqa: BLE001 - whatever it is comes out of fetch
            self._failure = error
            self._published.fire()  # wakes fetch

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise BusError("this consumer is closed")


async def end_offsets(pool: Pool, partitions: Collection[Partition]) -> dict[Partition, int]:
    """The end of each partition."""
    rows = await pool.fetch(
        "SELECT topic, number, next_offset FROM bus.partition"
        " WHERE (topic, number) IN (SELECT * FROM unnest($1::text[], $2::int[]))",
        *columns(partitions),
    )
    return {Partition(row["topic"], row["number"]): row["next_offset"] for row in rows}


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _record(row: asyncpg.Record) -> Record:
    return Record(
        partition=Partition(row["topic"], row["number"]),
        offset=row["offset"],
        key=row["key"],
        value=row["value"],
        headers=tuple(zip(row["header_names"], row["header_values"], strict=True)),
        timestamp=row["recorded_at"],
    )
