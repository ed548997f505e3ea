"""Organizations."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from berth_gateway.errors import NotFound

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_gateway.tenants.keys import Manager

__all__ = ["Organization", "Organizations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A tenant."""

    organization_id: UUID
    name: str
    created_at: datetime


class Organizations:
    """Creates, finds and renames; a platform has one organization, the operator all.

    Args:
        clock: time.
    """

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock

    async def create(self, connection: "Connection", name: str) -> Organization:
        """Create an organization. It needs a subscription, at billing, before it can connect accounts."""
        made = Organization(organization_id=uuid4(), name=name, created_at=self._clock.now())
        await connection.execute(
            "INSERT INTO organization (organization_id, name, created_at) VALUES ($1, $2, $3)",
            made.organization_id,
            made.name,
            made.created_at,
        )
        return made

    async def page(
        self, connection: "Connection", manager: "Manager", *, after: tuple[datetime, UUID], limit: int
    ) -> list[Organization]:
        """The next organizations behind the place `after`, in the order they were made."""
        rows = await connection.fetch(
            """SELECT * FROM organization
                WHERE (created_at, organization_id) > ($2, $3) AND ($1::uuid IS NULL OR organization_id = $1)
                ORDER BY created_at, organization_id LIMIT $4""",
            manager.organization_id,
            *after,
            limit,
        )
        return [_organization(row) for row in rows]

    async def find(self, connection: "Connection", manager: "Manager", organization_id: UUID) -> Organization:
        """One organization.

        Raises:
            NotFound: the manager has no such organization.
        """
        row = await connection.fetchrow(
            "SELECT * FROM organization WHERE organization_id = $1 AND ($2::uuid IS NULL OR organization_id = $2)",
            organization_id,
            manager.organization_id,
        )
        return _organization(row)

    async def locked(self, connection: "Connection", manager: "Manager", organization_id: UUID) -> Organization:
        """One organization, which nobody else changes until the transaction ends.

        Raises:
            NotFound: the manager has no such organization.
        """
        row = await connection.fetchrow(
            """SELECT * FROM organization WHERE organization_id = $1 AND ($2::uuid IS NULL OR organization_id = $2)
                  FOR NO KEY UPDATE""",
            organization_id,
            manager.organization_id,
        )
        return _organization(row)

    async def rename(self, connection: "Connection", organization: Organization, name: str) -> Organization:
        """Give a locked organization another name."""
        row = await connection.fetchrow(
            "UPDATE organization SET name = $2 WHERE organization_id = $1 RETURNING *",
            organization.organization_id,
            name,
        )
        return _organization(row)


def _organization(row: "asyncpg.Record | None") -> Organization:
    if row is None:
        raise NotFound
    return Organization(organization_id=row["organization_id"], name=row["name"], created_at=row["created_at"])
