"""Tags: labels of a project that its accounts carry."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg

from berth_gateway.accounts.views import Tag
from berth_gateway.errors import NotFound, TagNameTaken

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection

__all__ = ["DEFAULT_COLOR", "Tags"]

DEFAULT_COLOR: Final = "#4CAF50"


class Tags:
    """The tags of projects, inside the caller's transaction.

    Args:
        clock: time.
    """

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock

    async def create(self, connection: "Connection", project_id: UUID, name: str, color: str = DEFAULT_COLOR) -> Tag:
        """Make a tag.

        Raises:
            TagNameTaken: the project has one of this name, whatever its case.
        """
        number = await connection.fetchval(
            """WITH numbered AS (
                   UPDATE project SET next_tag_number = next_tag_number + 1 WHERE project_id = $1
                   RETURNING next_tag_number - 1 AS number)
               INSERT INTO tag (project_id, number, name, color, created_at) SELECT $1, number, $2, $3, $4 FROM numbered
               ON CONFLICT (project_id, lower(name)) DO NOTHING RETURNING number""",
            project_id,
            name,
            color,
            self._clock.now(),
        )
        if number is None:
            raise TagNameTaken
        return Tag(number=number, name=name, color=color)

    async def ensure(self, connection: "Connection", project_id: UUID, name: str, color: str) -> Tag:
        """The tag of a name, whatever its case: the one that is there, as it is, or a new one of this colour.

        Raises:
            TagNameTaken: it was made and deleted meanwhile.
        """
        query = "SELECT number, name, color FROM tag WHERE project_id = $1 AND lower(name) = lower($2)"
        row = await connection.fetchrow(query, project_id, name)
        if row is None:
            try:
                return await self.create(connection, project_id, name, color)
            except TagNameTaken:  # somebody made it just now
                row = await connection.fetchrow(query, project_id, name)
                if row is None:
                    raise
        return Tag(**row)

    async def all(self, connection: "Connection", project_id: UUID) -> list[Tag]:
        """Every tag of a project, by number."""
        rows = await connection.fetch(
            "SELECT number, name, color FROM tag WHERE project_id = $1 ORDER BY number", project_id
        )
        return [Tag(**row) for row in rows]

    async def change(
        self, connection: "Connection", project_id: UUID, number: int, *, name: str | None, color: str | None
    ) -> Tag:
        """Rename or recolour a tag; None leaves as it is.

        Raises:
            NotFound: the project has no such tag.
            TagNameTaken: it has another one of this name.
        """
        try:
            async with connection.transaction():
                row = await connection.fetchrow(
                    """UPDATE tag SET name = coalesce($3, name), color = coalesce($4, color)
                        WHERE project_id = $1 AND number = $2 RETURNING number, name, color""",
                    project_id,
                    number,
                    name,
                    color,
                )
        except asyncpg.UniqueViolationError:
            raise TagNameTaken from None
        if row is None:
            raise NotFound
        return Tag(**row)

    async def delete(self, connection: "Connection", project_id: UUID, number: int) -> None:
        """Delete a tag, and take it from the accounts that carry it.

        Raises:
            NotFound: the project has no such tag.
        """
        deleted = await connection.fetchval(
            "DELETE FROM tag WHERE project_id = $1 AND number = $2 RETURNING true", project_id, number
        )
        if not deleted:
            raise NotFound

    async def names(self, connection: "Connection", project_id: UUID, numbers: Sequence[int]) -> dict[int, str]:
        """The names of those of the tags that exist."""
        rows = await connection.fetch(
            "SELECT number, name FROM tag WHERE project_id = $1 AND number = ANY($2::int[])", project_id, numbers
        )
        return {row["number"]: row["name"] for row in rows}

    async def assign(
        self, connection: "Connection", project_id: UUID, account_id: UUID, names: Sequence[str]
    ) -> tuple[str, ...] | None:
        """Give an account exactly these tags; names that are new to the project become tags of it.

        Returns:
            All its tags by name, or None when it had just these.
        """
        wanted = {name.lower(): name for name in reversed(names)}
        present = await self._carried(connection, account_id)
        if {name.lower() for name in present} == wanted.keys():
            return None
        known = {tag.name.lower() for tag in await self.all(connection, project_id)}
        for name in names:
            if name.lower() not in known:
                known.add(name.lower())
                await self.create(connection, project_id, name)
        await connection.execute("DELETE FROM account_tag WHERE account_id = $1", account_id)
        await connection.execute(
            """INSERT INTO account_tag (account_id, project_id, number)
               SELECT $1, project_id, number FROM tag WHERE project_id = $2 AND lower(name) = ANY($3::text[])""",
            account_id,
            project_id,
            list(wanted),
        )
        return tuple(await self._carried(connection, account_id))

    async def _carried(self, connection: "Connection", account_id: UUID) -> list[str]:
        rows = await connection.fetch(
            "SELECT name FROM account_tag JOIN tag USING (project_id, number) WHERE account_id = $1 ORDER BY number",
            account_id,
        )
        return [row["name"] for row in rows]
