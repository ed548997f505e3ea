"""Publishes how far imports are: ImportProgressed, for those who neither poll nor hold a stream open."""

from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg
import structlog

from berth_events.contracts import ImportProgressed
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_events.runtime.store import Context
from berth_gateway import feed
from berth_gateway.imports.repository import ImportRepository, ImportView

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Pool
    from berth_events.runtime.store import EventStore

__all__ = ["Announcer"]

_EVERY_S: Final = 2.0
#: Imports that are not finished, the newest first; more of them at once wait for one another.
_AT_ONCE: Final = 1000

_log = structlog.get_logger(__name__)


class Announcer:
    """Looks every two seconds at the imports that are not finished. Runs in every replica; each event is said once.

    Those who settle rows, side by side, need not wait for each other to count them.

    Args:
        pool: the gateway's database.
        store: the event store.
        repository: counts.
        clock: time.
    """

    def __init__(self, pool: "Pool", store: "EventStore", repository: ImportRepository, clock: "Clock") -> None:
        self._pool, self._store, self._repository, self._clock = pool, store, repository, clock
        self.problem: str | None = None

    async def run(self) -> None:
        """Announce until cancelled."""
        while True:
            try:
                await self.announce()
            except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:
                _log.warning("imports.unannounced", error=type(error).__name__)
            await self._clock.sleep(_EVERY_S)

    async def announce(self) -> None:
        """Publish what is new of each import."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(
                """SELECT import_id, project_id, told FROM import WHERE told <> 'finished'
                    ORDER BY created_at DESC LIMIT $1""",
                _AT_ONCE,
            )
            marks = await self._repository.marks(connection, [row["import_id"] for row in rows])
        for row in rows:
            if row["import_id"] not in marks:
                continue  # forgotten since
            pending, (settled, stopped) = marks[row["import_id"]]
            if _news(pending, settled, stopped=stopped) != row["told"]:
                await self._announce(row["project_id"], row["import_id"])

    async def _announce(self, project_id: UUID, import_id: UUID) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "SELECT organization_id, told FROM import WHERE import_id = $1 FOR NO KEY UPDATE SKIP LOCKED", import_id
            )
            view = row and await self._repository.find(connection, project_id, import_id)
            if not row or not view:
                return  # another replica is at it, or it was forgotten
            pending, (settled, stopped) = view.progress.pending, view.mark
            news = _news(pending, settled, stopped=stopped)
            if news == row["told"]:
                return
            event = _event(view, row["organization_id"], project_id)
            version = await self._store.version(connection, import_id)
            [envelope] = await self._store.append(connection, import_id, version, [event], Context())
            await connection.execute("UPDATE import SET told = $2 WHERE import_id = $1", import_id, news)
            await feed.publish(connection, [(project_id, envelope)])
        self._store.notify()


def _news(pending: int, settled: int, *, stopped: bool) -> str:
    """When this is another one there is something to say."""
    if not pending:
        return "finished"
    return f"{10 * settled // (pending + settled)} {'stopped' if stopped else 'running'}"


def _event(view: ImportView, organization_id: UUID, project_id: UUID) -> ImportProgressed:
    progress = view.progress
    return ImportProgressed(
        import_id=view.import_id,
        organization_id=organization_id,
        project_id=project_id,
        workspace_id=view.workspace_id,
        state=view.state,
        total=progress.total,
        rejected=progress.rejected,
        pending=progress.pending,
        connected=progress.connected,
        failed=progress.failed,
        removed=progress.removed,
    )
