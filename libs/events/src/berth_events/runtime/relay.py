"""The relay: publishes the outbox, in order, and deletes what the bus acknowledged. One per database, elected."""

import asyncio
import random
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from berth_events.runtime import metrics
from berth_events.runtime.bus import Bus, BusError, Message, Producer
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS, connect

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock

__all__ = ["Relay"]

#: Session-level advisory lock of the leader. Every statement of the relay runs on the connection that holds it: losing the
#: lock means losing the connection means that the delete fails.
_LEADER_LOCK: Final = 7_205_001
_BATCH: Final = 500
#: Of the rows behind the first no more than this is held in memory, in bytes.
_BATCH_BYTES: Final = 8_000_000
_POLL_S: Final = (0.02, 0.5)
_STANDBY_S: Final = 1.0
_BACKOFF_S: Final = (0.1, 5.0)

_log = structlog.get_logger(__name__)

_OLDEST: Final = """
    SELECT position, topic, key, headers, value
      FROM (SELECT *, sum(octet_length(value)) OVER (ORDER BY position) - octet_length(value) AS before
              FROM (SELECT * FROM outbox ORDER BY position LIMIT $1) AS oldest) AS summed
     WHERE before < $2
     ORDER BY position
"""


class Relay:
    """Publishes the outbox of one database.

    Args:
        dsn: the service's database; the relay opens a connection of its own.
        bus: where to publish.
        appended: set by the event store of this process after a commit, which wakes the relay at once.
        clock: time.
        rng: spreads the retries of several replicas.
    """

    def __init__(
        self, dsn: str, bus: Bus, appended: asyncio.Event, clock: "Clock", rng: random.Random | None = None
    ) -> None:
        self._dsn, self._bus, self._appended, self._clock = dsn, bus, appended, clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter is no secret
        self._backoff = _BACKOFF_S[0]
        self.problem: str | None = None

    async def run(self) -> None:
        """Relay until cancelled, whatever happens to Postgres or the bus."""
        while True:
            try:
                await self._lead()
            except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError, BusError) as error:
                self.problem = f"relay: {type(error).__name__}"
                _log.warning("relay.interrupted", error=str(error) or type(error).__name__, retry_in_s=self._backoff)
                await self._clock.sleep(self._backoff * self._rng.uniform(0.5, 1.5))
                self._backoff = min(self._backoff * 2, _BACKOFF_S[1])

    async def _lead(self) -> None:
        """Become the leader and relay until something breaks."""
        connection = await connect(self._dsn, application_name="berth-relay")
        producer: Producer | None = None
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LEADER_LOCK):
                self.problem = None
                await self._clock.sleep(_STANDBY_S)
            producer = await self._bus.producer()
            pause = _POLL_S[0]
            while True:
                self._appended.clear()
                sent = await self._relay_batch(connection, producer)
                self.problem, self._backoff = None, _BACKOFF_S[0]
                if sent:
                    pause = _POLL_S[0]
                    continue
                pause = min(pause * 2, _POLL_S[1])
                try:
                    async with asyncio.timeout(pause):
                        await self._appended.wait()
                except TimeoutError:
                    pass
        finally:
            connection.terminate()
            if producer is not None:
                await producer.close()

    async def _relay_batch(self, connection: "asyncpg.Connection[asyncpg.Record]", producer: Producer) -> int:
        """Publish the oldest rows and delete the acknowledged ones; how many there were."""
        rows = await connection.fetch(_OLDEST, _BATCH, _BATCH_BYTES)
        if not rows:
            return 0
        acknowledged = await producer.publish(
            [
                Message(
                    topic=row["topic"],
                    key=row["key"],
                    value=row["value"],
                    headers=tuple((name, text.encode()) for name, text in row["headers"].items()),
                )
                for row in rows
            ]
        )
        done = [row["position"] for row, ok in zip(rows, acknowledged, strict=True) if ok]
        await connection.execute("DELETE FROM outbox WHERE position = ANY($1::bigint[])", done)
        metrics.RELAYED.inc(len(done))
        if len(done) < len(rows):
            raise BusError(f"{len(rows) - len(done)} of {len(rows)} records were not acknowledged")
        return len(rows)
