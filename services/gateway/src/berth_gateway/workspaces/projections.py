"""The read model of email workspaces: whether their credential works. Rebuildable."""

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from berth_events.contracts import EmailWorkspaceRejected, EmailWorkspaceVerified, Envelope, WorkspaceSecretExpiring
from berth_events.contracts.topics import VERIFICATIONS

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["WorkspaceViews"]


class WorkspaceViews:
    """Fills the table `workspace_standing`."""

    name: Final = "gateway_workspaces"
    topics: Final = (VERIFICATIONS,)

    @property
    def tables(self) -> str:
        """The DDL of its tables."""
        return (files(__package__) / "views.sql").read_text(encoding="utf-8")

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Keep the last of each."""
        for envelope in envelopes:
            match envelope.data:
                case EmailWorkspaceVerified() | EmailWorkspaceRejected() as event:
                    await self._settle(connection, event, envelope)
                case WorkspaceSecretExpiring() as event:
                    await connection.execute(
                        """INSERT INTO workspace_standing (workspace_id, warned_of, warned_at) VALUES ($1, $2, $3)
                           ON CONFLICT (workspace_id) DO UPDATE
                              SET warned_of = excluded.warned_of, warned_at = excluded.warned_at""",
                        event.workspace_id,
                        event.expires_at,
                        envelope.time,
                    )

    async def _settle(
        self, connection: "Connection", event: EmailWorkspaceVerified | EmailWorkspaceRejected, envelope: Envelope
    ) -> None:
        rejected = isinstance(event, EmailWorkspaceRejected)
        await connection.execute(
            """INSERT INTO workspace_standing (workspace_id, status, credential_version, diagnosis, settled_at)
               VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (workspace_id) DO UPDATE
                  SET status = excluded.status, credential_version = excluded.credential_version,
                      diagnosis = excluded.diagnosis, settled_at = excluded.settled_at""",
            event.workspace_id,
            "rejected" if rejected else "verified",
            event.credential_ref.version,
            event.diagnosis.model_dump(mode="json") if isinstance(event, EmailWorkspaceRejected) else None,
            envelope.time,
        )
