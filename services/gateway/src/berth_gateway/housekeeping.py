"""Forgets what has served its purpose, every few minutes."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_gateway.projections import History, Views
from berth_gateway.webhooks.queue import forget_deliveries

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_gateway.accounts.probes import Probes

__all__ = ["Housekeeping"]

_EVERY_S: Final = 300.0
_IDEMPOTENCY: Final = timedelta(hours=24)
_ATTEMPTS: Final = timedelta(hours=1)
#: A probe without an answer for so long gets none any more: its credential must not stay.
_UNANSWERED: Final = timedelta(hours=1)
#: Results of probes, and of accounts that are gone, can be asked for so long.
_RESULTS: Final = timedelta(days=7)
#: Imports and batches are forgotten with what became of each row; their accounts stay.
_IMPORTS: Final = timedelta(days=90)
#: Statistics can be asked for half a year.
_STATISTICS: Final = timedelta(days=181)

_log = structlog.get_logger(__name__)


class Housekeeping:
    """Runs in every replica; two at once only find less to do.

    Args:
        pool: the gateway's database.
        probes: give up those that were never answered.
        clock: time.
    """

    def __init__(self, pool: "Pool", probes: "Probes", clock: "Clock") -> None:
        self._pool, self._probes, self._clock = pool, probes, clock
        self.problem: str | None = None

    async def run(self) -> None:
        """Tidy up until cancelled."""
        while True:
            try:
                await self.tidy()
            except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:
                _log.warning("housekeeping.failed", error=type(error).__name__)
            await self._clock.sleep(_EVERY_S)

    async def tidy(self) -> None:
        """Delete what is too old: in one transaction, but for the log of webhooks, which may be long."""
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            await self._probes.give_up(connection, now - _UNANSWERED)
            await connection.execute("DELETE FROM idempotency WHERE created_at < $1", now - _IDEMPOTENCY)
            await connection.execute("DELETE FROM attempt WHERE started_at < $1", now - _ATTEMPTS)
            await connection.execute("DELETE FROM probe WHERE settled_at < $1", now - _RESULTS)
            await connection.execute("DELETE FROM import WHERE created_at < $1", now - _IMPORTS)
            await connection.execute("DELETE FROM batch_task WHERE created_at < $1", now - _IMPORTS)
            await self._enter(connection, Views)
            await connection.execute(
                """DELETE FROM verification v WHERE verified_at < $1
                      AND NOT EXISTS (SELECT FROM account a WHERE a.account_id = v.account_id AND a.removed_at IS NULL)""",
                now - _RESULTS,
            )
            await self._enter(connection, History)
            await connection.execute("DELETE FROM check_day WHERE day < $1", (now - _STATISTICS).date())
        await forget_deliveries(self._pool, now)

    async def _enter(self, connection: "Connection", projection: type[Views | History]) -> None:
        """Make the tables of a projection be found, which are in the schema of its active version: `public` has views of them."""
        active = await connection.fetchval(
            "SELECT version FROM projection WHERE name = $1 AND state = 'active'", projection.name
        )
        await connection.execute("SELECT set_config('search_path', $1, true)", f"{projection.name}_v{active}, public")
