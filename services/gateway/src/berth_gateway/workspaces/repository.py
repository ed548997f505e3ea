"""Reading email workspaces back: the write model joined with what the connector said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

from berth_events.contracts import Diagnosis
from berth_gateway.workspaces.hosts import WorkspaceProvider
from berth_gateway.workspaces.schemas import AccountCounts, WorkspaceStatus
from berth_gateway.workspaces.translation import Identity

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.database import Connection

__all__ = ["WorkspaceRepository", "WorkspaceView"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceView:
    """Everything that is known of an email workspace. Status and diagnosis are those of the present credential.

    Attributes:
        proven_version: the older one that accounts go on with while the present one is rejected, or None.
    """

    workspace_id: UUID
    number: int
    name: str
    provider: WorkspaceProvider
    identity: Identity
    credential_version: int
    proven_version: int | None
    secret_expires_at: datetime | None
    status: WorkspaceStatus
    diagnosis: Diagnosis | None
    settled_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    accounts: AccountCounts


class WorkspaceRepository:
    """Queries; each is limited to one project, so that workspaces of others are not found."""

    async def find(self, connection: "Connection", project_id: UUID, workspace_id: UUID) -> WorkspaceView | None:
        """One workspace, or None."""
        found = await self._views(connection, project_id, [workspace_id])
        return found[0] if found else None

    async def page(
        self, connection: "Connection", project_id: UUID, *, after: int = 0, limit: int
    ) -> list[WorkspaceView]:
        """The next workspaces behind the number `after`, by number; `limit` at most."""
        rows = await connection.fetch(
            """SELECT workspace_id FROM workspace
                WHERE project_id = $1 AND number > $2::bigint AND removed_at IS NULL ORDER BY number LIMIT $3""",
            project_id,
            after,
            limit,
        )
        return await self._views(connection, project_id, [row["workspace_id"] for row in rows])

    async def by_number(self, connection: "Connection", project_id: UUID, number: int) -> UUID | None:
        """The id of the workspace with this number."""
        return cast(
            "UUID | None",
            await connection.fetchval(
                "SELECT workspace_id FROM workspace WHERE project_id = $1 AND number = $2 AND removed_at IS NULL",
                project_id,
                number,
            ),
        )

    async def _views(
        self, connection: "Connection", project_id: UUID, workspace_ids: Sequence[UUID]
    ) -> list[WorkspaceView]:
        rows = await connection.fetch(
            """SELECT w.workspace_id, w.number, w.name, w.provider, w.identity, w.credential_version, w.proven_version,
                      w.secret_expires_at,
                      w.version, w.created_at, w.updated_at,
                      coalesce(s.status, 'pending') AS status, s.diagnosis, s.settled_at,
                      c.total, c.pending, c.connected, c.failed, c.disconnected
                 FROM workspace w
                 LEFT JOIN workspace_standing s ON s.workspace_id = w.workspace_id
                                               AND s.credential_version = w.credential_version
                 CROSS JOIN LATERAL (
                     SELECT count(*) AS total,
                            count(*) FILTER (WHERE v.status IS NULL) AS pending,
                            count(*) FILTER (WHERE v.status = 'connected') AS connected,
                            count(*) FILTER (WHERE v.status = 'failed') AS failed,
                            count(*) FILTER (WHERE v.status = 'disconnected') AS disconnected
                       FROM account a
                       LEFT JOIN verification v ON v.account_id = a.account_id AND v.credential_id = a.credential_id
                      WHERE a.workspace_id = w.workspace_id AND a.removed_at IS NULL) c
                WHERE w.project_id = $1 AND w.workspace_id = ANY($2::uuid[]) AND w.removed_at IS NULL
                ORDER BY w.number""",
            project_id,
            workspace_ids,
        )
        return [_view(row) for row in rows]


def _view(row: "asyncpg.Record") -> WorkspaceView:
    taken = (
        "workspace_id", "number", "name", "provider", "credential_version", "proven_version",
        "secret_expires_at", "status", "settled_at",
        "version", "created_at", "updated_at",
    )  # fmt: skip
    return WorkspaceView(
        **{name: row[name] for name in taken},
        identity=Identity.model_validate(row["identity"]),
        diagnosis=Diagnosis.model_validate(row["diagnosis"]) if row["diagnosis"] else None,
        accounts=AccountCounts.model_validate(
            {name: row[name] for name in ("total", "pending", "connected", "failed", "disconnected")}
        ),
    )
