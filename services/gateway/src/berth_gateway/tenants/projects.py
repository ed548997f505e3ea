"""Projects of organizations."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from berth_gateway.errors import NotFound, ProjectInUse

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_gateway.tenants.keys import Manager

__all__ = ["Project", "Projects"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A name space of accounts inside an organization."""

    project_id: UUID
    organization_id: UUID
    name: str
    created_at: datetime


class Projects:
    """Creates, finds, renames and removes; each call sees those of the manager's organization alone.

    Args:
        clock: time.
    """

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock

    async def create(self, connection: "Connection", manager: "Manager", organization_id: UUID, name: str) -> Project:
        """Create a project.

        Raises:
            NotFound: the manager has no such organization.
        """
        row = await connection.fetchrow(
            """INSERT INTO project (project_id, organization_id, name, created_at)
               SELECT $1, organization_id, $3, $4 FROM organization
                WHERE organization_id = $2 AND ($5::uuid IS NULL OR organization_id = $5)
               RETURNING *""",
            uuid4(),
            organization_id,
            name,
            self._clock.now(),
            manager.organization_id,
        )
        return _project(row)

    async def page(
        self, connection: "Connection", organization_id: UUID, *, after: tuple[datetime, UUID], limit: int
    ) -> list[Project]:
        """The next projects of an organization that the manager has, in the order they were made.

        Args:
            connection: the caller's.
            organization_id: whose.
            after: when the last one of the page before was made, and its id.
            limit: at most so many.
        """
        rows = await connection.fetch(
            """SELECT * FROM project
                WHERE organization_id = $1 AND removed_at IS NULL AND (created_at, project_id) > ($2, $3)
                ORDER BY created_at, project_id LIMIT $4""",
            organization_id,
            *after,
            limit,
        )
        return [_project(row) for row in rows]

    async def find(self, connection: "Connection", manager: "Manager", project_id: UUID) -> Project:
        """One project.

        Raises:
            NotFound: the manager has no such project.
        """
        row = await connection.fetchrow(
            """SELECT * FROM project
                WHERE project_id = $1 AND removed_at IS NULL AND ($2::uuid IS NULL OR organization_id = $2)""",
            project_id,
            manager.organization_id,
        )
        return _project(row)

    async def locked(self, connection: "Connection", manager: "Manager", project_id: UUID) -> Project:
        """One project, to which nothing is added until the transaction ends.

        Raises:
            NotFound: the manager has no such project.
        """
        row = await connection.fetchrow(
            """SELECT * FROM project
                WHERE project_id = $1 AND removed_at IS NULL AND ($2::uuid IS NULL OR organization_id = $2) FOR UPDATE""",
            project_id,
            manager.organization_id,
        )
        return _project(row)

    async def rename(self, connection: "Connection", project: Project, name: str) -> Project:
        """Give a locked project another name."""
        row = await connection.fetchrow(
            "UPDATE project SET name = $2 WHERE project_id = $1 RETURNING *", project.project_id, name
        )
        return _project(row)

    async def remove(self, connection: "Connection", project: Project) -> None:
        """Remove a locked project that has neither accounts nor email workspaces; its keys are revoked, its webhooks go.

        Raises:
            ProjectInUse: it has some.
        """
        accounts = await connection.fetchval(
            "SELECT count(*) FROM account WHERE project_id = $1 AND removed_at IS NULL", project.project_id
        )
        workspaces = await connection.fetchval(
            "SELECT count(*) FROM workspace WHERE project_id = $1 AND removed_at IS NULL", project.project_id
        )
        if accounts or workspaces:
            raise ProjectInUse(accounts=accounts, workspaces=workspaces)
        now = self._clock.now()
        await connection.execute("UPDATE project SET removed_at = $2 WHERE project_id = $1", project.project_id, now)
        await connection.execute(
            "UPDATE api_key SET revoked_at = $3 WHERE organization_id = $1 AND project_id = $2 AND revoked_at IS NULL",
            project.organization_id,
            project.project_id,
            now,
        )
        await connection.execute("DELETE FROM webhook WHERE project_id = $1", project.project_id)


def _project(row: "asyncpg.Record | None") -> Project:
    if row is None:
        raise NotFound
    return Project(
        project_id=row["project_id"],
        organization_id=row["organization_id"],
        name=row["name"],
        created_at=row["created_at"],
    )
