"""Closes each day: publishes the peak of seats of every organization, some minutes after midnight (UTC)."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg
import structlog

from berth_billing import repository
from berth_events.contracts import SeatUsageClosed
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_events.runtime.store import ConcurrencyConflict, Context, EventStore

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Pool

__all__ = ["UsageCloser"]

#: What was committed before midnight has arrived by then; the projection counts by the event's own time.
_GRACE: Final = timedelta(minutes=10)
_EVERY_S: Final = 60.0
_BATCH: Final = 200

_log = structlog.get_logger(__name__)


class UsageCloser:
    """Runs in every replica; a day of an organization is published once."""

    def __init__(self, pool: "Pool", store: EventStore, clock: "Clock") -> None:
        self._pool, self._store, self._clock = pool, store, clock
        self.problem: str | None = None

    async def run(self) -> None:
        """Close what is due, every minute, until cancelled."""
        while True:
            try:
                await self.close_due()
                self.problem = None
            except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError, ConcurrencyConflict) as error:
                _log.warning("usage.not_closed", error=str(error))
            await self._clock.sleep(_EVERY_S)

    async def close_due(self) -> int:
        """Publish every finished day that was not; how many."""
        last = (self._clock.now() - _GRACE).date() - timedelta(days=1)
        closed = 0
        while True:
            async with self._pool.acquire() as connection:
                due = await repository.unclosed(connection, last, _BATCH)
            for organization_id, day in due:
                closed += await self._close(organization_id, day)
            if len(due) < _BATCH:
                return closed

    async def _close(self, organization_id: UUID, day: date) -> bool:
        async with self._pool.acquire() as connection, connection.transaction():
            if not await repository.close_day(connection, organization_id, day):
                return False
            peak = await repository.peak(connection, organization_id, day)
            version = await self._store.version(connection, organization_id)
            event = SeatUsageClosed(organization_id=organization_id, day=day, peak=peak)
            await self._store.append(connection, organization_id, version, [event], Context())
        self._store.notify()
        return True
