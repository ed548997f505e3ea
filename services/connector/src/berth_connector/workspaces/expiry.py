"""Warns before the secret of an email workspace ends: 30, 14, 7 and 1 days before, each once."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_connector.workspaces import repository
from berth_connector.workspaces.requests import WARNED_DAYS, expiry_of
from berth_connector.workspaces.worker import say
from berth_events.contracts import WorkspaceSecretExpiring

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.store import EventStore
    from berth_events.runtime.work import Job, WorkQueue

__all__ = ["ExpiryHandler"]

#: A warning that comes a little late still tells the days that it was meant for.
_LATE: Final = timedelta(hours=1)


class ExpiryHandler:
    """Says that a secret ends soon.

    Args:
        store: where the events go.
        queue: where the next warning waits.
        clock: time.
    """

    def __init__(self, store: "EventStore", queue: "WorkQueue", clock: "Clock") -> None:
        self._store, self._queue, self._clock = store, queue, clock

    async def perform(self, job: "Job") -> None:
        """Nothing is to be asked of anybody."""

    async def record(self, connection: "Connection", job: "Job", result: None) -> None:  # noqa: ARG002 - WorkHandler's
        """Warn, and wait for the next time."""
        workspace = await repository.lock(connection, UUID(job.payload["workspace_id"]))
        if workspace is None or workspace.secret_expires_at is None:
            return
        expires_at, days = workspace.secret_expires_at, job.payload["days"]
        left = max((expires_at - self._clock.now() + _LATE).days, 0)
        event = WorkspaceSecretExpiring(
            workspace_id=workspace.workspace_id,
            organization_id=workspace.organization_id,
            project_id=workspace.project_id,
            expires_at=expires_at,
            days_left=min(left, days),
        )
        envelope = await say(self._store, connection, job, event)
        later = [one for one in WARNED_DAYS if one < days and expires_at - timedelta(days=one) > self._clock.now()]
        if later:
            item = expiry_of(workspace.workspace_id, expires_at, max(later), envelope.event_id, job.traceparent)
            await self._queue.schedule(connection, [item])
