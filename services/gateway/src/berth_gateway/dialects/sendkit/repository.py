"""What SendKit's calls look up beside accounts: things by their short ids, workspaces, and counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

from berth_gateway.dialects.sendkit.ids import bounds, short

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = [
    "OrganizationUse",
    "Seats",
    "WarmupCounts",
    "Workspace",
    "mailbox_id",
    "mailbox_ids",
    "organization_use",
    "project_id",
    "seats",
    "taken_keys",
    "warmup_counts",
    "workspaces",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A project, with the number of its accounts."""

    project_id: UUID
    organization_id: UUID
    name: str
    created_at: datetime
    mailboxes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seats:
    """The monitoring seats of an organization."""

    used: int
    limit: int
    subscribed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationUse:
    """An organization and what it has."""

    name: str
    created_at: datetime
    workspaces: int
    seats: Seats


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupCounts:
    """The accounts of a project by their warm-up setting."""

    total: int
    enabled: int
    paused: int


async def mailbox_id(connection: "Connection", project: UUID, identity: str, *, removed: bool) -> UUID | None:
    """The account of a project with this short id; one that was removed only if it is asked for."""
    found = bounds(identity)
    return found and cast(
        "UUID | None",
        await connection.fetchval(
            """SELECT account_id FROM account
                WHERE account_id BETWEEN $1 AND $2 AND project_id = $3 AND (removed_at IS NULL OR $4)""",
            *found,
            project,
            removed,
        ),
    )


async def mailbox_ids(connection: "Connection", project: UUID, identities: Sequence[str]) -> dict[str, UUID]:
    """Those of the accounts that exist, by their short ids in lower case."""
    found = [pair for identity in identities if (pair := bounds(identity))]
    rows = await connection.fetch(
        """SELECT account_id FROM unnest($1::uuid[], $2::uuid[]) AS wanted (low, high)
             JOIN account ON account_id BETWEEN low AND high WHERE project_id = $3 AND removed_at IS NULL""",
        [low for low, _ in found],
        [high for _, high in found],
        project,
    )
    return {short(row["account_id"]): row["account_id"] for row in rows}


async def taken_keys(connection: "Connection", project: UUID, keys: Sequence[str]) -> set[str]:
    """Those of the addresses (`MailAddress.key`) that the project has."""
    rows = await connection.fetch(
        "SELECT address_key FROM account WHERE project_id = $1 AND address_key = ANY($2::text[]) AND removed_at IS NULL",
        project,
        keys,
    )
    return {row["address_key"] for row in rows}


async def project_id(connection: "Connection", identity: str, organization: UUID | None = None) -> UUID | None:
    """The project with this short id.

    Args:
        connection: to the gateway's database.
        identity: the short id.
        organization: whose; None: whoever has it, only for comparing it with what a key may reach.
    """
    found = bounds(identity)
    return found and cast(
        "UUID | None",
        await connection.fetchval(
            """SELECT project_id FROM project
                WHERE project_id BETWEEN $1 AND $2 AND removed_at IS NULL AND ($3::uuid IS NULL OR organization_id = $3)""",
            *found,
            organization,
        ),
    )


async def workspaces(
    connection: "Connection", organization: UUID, project: UUID | None, *, limit: int, offset: int
) -> tuple[list[Workspace], int]:
    """Projects of an organization in the order they were made, and how many there are on all pages.

    Args:
        connection: to the gateway's database.
        organization: whose.
        project: the only one that is asked for, if any.
        limit: how many at most.
        offset: how many to leave out.
    """
    rows = await connection.fetch(
        """SELECT p.project_id, p.organization_id, p.name, p.created_at,
                  (SELECT count(*) FROM account a WHERE a.project_id = p.project_id AND a.removed_at IS NULL) AS mailboxes
             FROM project p
            WHERE p.organization_id = $1 AND p.removed_at IS NULL AND ($2::uuid IS NULL OR p.project_id = $2)
            ORDER BY p.created_at, p.project_id LIMIT $3 OFFSET $4""",
        organization,
        project,
        limit,
        offset,
    )
    total = await connection.fetchval(
        """SELECT count(*) FROM project
            WHERE organization_id = $1 AND removed_at IS NULL AND ($2::uuid IS NULL OR project_id = $2)""",
        organization,
        project,
    )
    return [Workspace(**row) for row in rows], total


async def seats(connection: "Connection", organization: UUID) -> Seats:
    """The monitoring seats of an organization; none without a subscription."""
    row = await connection.fetchrow(
        """SELECT used, seat_limit AS limit, subscribed FROM seat_ledger
            WHERE organization_id = $1 AND seat_kind = 'monitoring'""",
        organization,
    )
    return Seats(**row) if row else Seats(used=0, limit=0, subscribed=False)


async def organization_use(connection: "Connection", organization: UUID) -> OrganizationUse:
    """An organization with the number of its projects, and its seats."""
    row = await connection.fetchrow(
        """SELECT name, created_at, (SELECT count(*) FROM project p
                                      WHERE p.organization_id = o.organization_id AND p.removed_at IS NULL) AS workspaces
             FROM organization o WHERE organization_id = $1""",
        organization,
    )
    if row is None:
        raise LookupError(organization)
    return OrganizationUse(**row, seats=await seats(connection, organization))


async def warmup_counts(connection: "Connection", project: UUID) -> WarmupCounts:
    """How many accounts of a project want to be warmed, and how many of them are paused."""
    row = await connection.fetchrow(
        """SELECT count(*) AS total, count(*) FILTER (WHERE enabled) AS enabled,
                  count(*) FILTER (WHERE enabled AND paused) AS paused
             FROM (SELECT coalesce((settings ->> 'warmup_enabled')::boolean, false) AS enabled,
                          coalesce((settings ->> 'warmup_paused')::boolean, false) AS paused
                     FROM account WHERE project_id = $1 AND removed_at IS NULL) AS counted""",
        project,
    )
    if row is None:  # an aggregate has a row
        raise LookupError(project)
    return WarmupCounts(**row)
