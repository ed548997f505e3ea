"""Closes each day: publishes the peak of seats of every organization, some minutes after midnight (UTC)."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg
import structlog

from berth_billing import repository
from berth_billing.projections import SeatsProjection
from berth_events.contracts import SeatUsageClosed
from berth_events.runtime.bus import Bus, BusError
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_events.runtime.store import ConcurrencyConflict, Context, EventStore

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Pool

__all__ = ["UsageCloser"]

#: What was committed before midnight has been published by then.
_GRACE: Final = timedelta(minutes=10)
_EVERY_S: Final = 60.0
_BATCH: Final = 200
#: How often it is asked, a second apart, whether everything that was published has been counted.
_ASKED: Final = 30

_log = structlog.get_logger(__name__)


class UsageCloser:
    """Runs in every replica; a day of an organization is published once.

    Args:
        pool: billing's database.
        bus: knows how far the events reach that have to be counted first.
        store: what SeatUsageClosed is appended to.
        clock: time.
    """

    def __init__(self, pool: "Pool", bus: Bus, store: EventStore, clock: "Clock") -> None:
        self._pool, self._bus, self._store, self._clock = pool, bus, store, clock
        self._closed: date | None = None
        self.problem: str | None = None

    async def run(self) -> None:
        """Close what is due, every minute, until cancelled."""
        while True:
            try:
                await self.close_due()
            except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError, BusError, ConcurrencyConflict) as error:
                _log.warning("usage.not_closed", error=str(error) or type(error).__name__)
            await self._clock.sleep(_EVERY_S)

    async def close_due(self) -> int:
        """Publish every finished day that was not; how many.

        None is, as long as events that were published are not counted: what is said to an invoice cannot be taken back.
        """
        last = (self._clock.now() - _GRACE).date() - timedelta(days=1)
        if self._closed == last or not await self._everything_counted():
            return 0
        closed = 0
        while True:
            async with self._pool.acquire() as connection:
                due = await repository.unclosed(connection, last, _BATCH)
            for organization_id, day in due:
                closed += await self._close(organization_id, day)
            if len(due) < _BATCH:
                self._closed = last
                return closed

    async def _everything_counted(self) -> bool:
        ends = await self._bus.end_offsets(SeatsProjection.topics)
        for _ in range(_ASKED):
            async with self._pool.acquire() as connection:
                if await repository.everything_counted(connection, ends):
                    return True
            await self._clock.sleep(1)
        _log.warning("usage.not_closed", error="the seats projection is behind, or an event of it is parked")
        return False

    async def _close(self, organization_id: UUID, day: date) -> bool:
        async with self._pool.acquire() as connection, connection.transaction():
            await repository.lock_organizations(connection, [organization_id])
            if not await repository.close_day(connection, organization_id, day):
                return False
            peak = await repository.peak(connection, organization_id, day)
            version = await self._store.version(connection, organization_id)
            event = SeatUsageClosed(organization_id=organization_id, day=day, peak=peak)
            await self._store.append(connection, organization_id, version, [event], Context())
        self._store.notify()
        return True
