"""From the gateway's events to email workspaces and their work."""

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_connector.workspaces import repository
from berth_connector.workspaces.requests import expiry_key, expiry_of, first_warning, verification_of
from berth_events.contracts import (
    EmailWorkspaceCreated,
    EmailWorkspaceCredentialsReplaced,
    EmailWorkspaceRemoved,
    EmailWorkspaceUpdated,
    Envelope,
    WorkspaceImportRequested,
)

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.work import WorkQueue

__all__ = ["MAX_SUBJECTS", "WorkspaceIntake"]

#: Mailboxes, each of another domain, that a Google workspace is tried with.
MAX_SUBJECTS: Final = 3


class WorkspaceIntake:
    """Turns what happens to email workspaces into work."""

    def __init__(self, queue: "WorkQueue", clock: "Clock") -> None:
        self._queue, self._clock = queue, clock

    async def apply(self, connection: "Connection", envelope: Envelope) -> None:
        """Apply one event."""
        event = envelope.data
        if isinstance(event, EmailWorkspaceCreated):
            await repository.save(connection, event)
            await self._verify(connection, envelope)
            await self._warn(connection, envelope, event.workspace_id, event.secret_expires_at)
        elif isinstance(event, EmailWorkspaceCredentialsReplaced):
            await repository.replace_key(connection, event)
            await self._verify(connection, envelope)
            await self._warn(connection, envelope, event.workspace_id, event.secret_expires_at)
        elif isinstance(event, EmailWorkspaceUpdated):
            at = event.secret_expires_at
            if at is not None and await repository.set_expiry(connection, event.workspace_id, at):
                await self._warn(connection, envelope, event.workspace_id, at)
        elif isinstance(event, WorkspaceImportRequested):
            await self._verify(connection, envelope, _subjects(event))
        elif isinstance(event, EmailWorkspaceRemoved):
            # the work first, as workers do who write a result
            await self._queue.cancel(connection, [event.workspace_id, expiry_key(event.workspace_id)])
            await repository.remove(connection, event.workspace_id)

    async def _verify(self, connection: "Connection", envelope: Envelope, subjects: tuple[str, ...] = ()) -> None:
        """Prove the credential; of an import with its mailboxes, before all of them ask for tokens that nobody gets."""
        workspace = await repository.find(connection, envelope.data.aggregate_id)
        if workspace is None or (isinstance(envelope.data, WorkspaceImportRequested) and not _delegates(workspace)):
            return
        item = verification_of(
            workspace.workspace_id,
            workspace.newest.provider,
            envelope.event_id,
            subjects=subjects,
            traceparent=envelope.traceparent,
        )
        await self._queue.request(connection, [item])

    async def _warn(
        self, connection: "Connection", envelope: Envelope, workspace_id: UUID, expires_at: datetime | None
    ) -> None:
        """Warn before the secret ends; what was to be said of another one is not said any more."""
        await self._queue.cancel(connection, [expiry_key(workspace_id)])
        if expires_at is not None:
            days = first_warning(expires_at, self._clock.now())
            item = expiry_of(workspace_id, expires_at, days, envelope.event_id, envelope.traceparent)
            await self._queue.schedule(connection, [item])


def _delegates(workspace: repository.Workspace) -> bool:
    """Whether mailboxes matter: Microsoft's tokens are the same for all."""
    return workspace.newest.provider == "google"


def _subjects(event: WorkspaceImportRequested) -> tuple[str, ...]:
    """One address of each domain."""
    by_domain = {account.address.rpartition("@")[2].lower(): account.address for account in reversed(event.accounts)}
    return tuple(by_domain.values())[:MAX_SUBJECTS]
