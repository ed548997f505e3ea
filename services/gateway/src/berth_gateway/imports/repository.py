"""Reading imports back. Progress is counted from the rows each time, so that it is never behind and never ahead of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, cast
from uuid import UUID

from berth_events.contracts import Diagnosis, OnFailure, SeatKind
from berth_gateway.imports.schemas import ImportState, Mode, Progress, Reason, RowState

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.database import Connection

__all__ = ["ImportRepository", "ImportView", "Mark", "RowView"]

#: How many rows are settled, and whether the workspace is rejected: another one means that there is something to tell.
Mark: TypeAlias = tuple[int, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportView:
    """Everything that is known of an import.

    Attributes:
        rejection: of the workspace's present credential, for which what is pending waits.
    """

    import_id: UUID
    number: int
    workspace_id: UUID | None
    workspace_number: int | None
    mode: Mode
    seat_kind: SeatKind
    on_failure: OnFailure
    progress: Progress
    failures: list[Reason]
    rejections: list[Reason]
    rejection: Diagnosis | None
    created_at: datetime
    finished_at: datetime | None

    @property
    def state(self) -> ImportState:
        """Whether it gets on."""
        if self.finished_at:
            return "finished"
        return "stopped" if self.rejection else "running"

    @property
    def mark(self) -> Mark:
        """What `ImportRepository.moved` compares."""
        return self.progress.total - self.progress.pending, self.rejection is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowView:
    """What became of a row."""

    row: int
    email: str
    state: RowState
    account_id: UUID | None
    existing_account_id: UUID | None
    code: str | None
    detail: str | None
    remedy: str | None
    diagnosis: Diagnosis | None
    settled_at: datetime | None


class ImportRepository:
    """Queries; those of the API are limited to one project, so that imports of others are not found."""

    async def find(self, connection: "Connection", project_id: UUID, import_id: UUID) -> ImportView | None:
        """One import, or None."""
        found = await self._views(connection, project_id, [import_id])
        return found[0] if found else None

    async def page(
        self, connection: "Connection", project_id: UUID, *, before: int | None, limit: int
    ) -> list[ImportView]:
        """The next imports, the newest first, from below the number `before` on; `limit` at most."""
        rows = await connection.fetch(
            """SELECT import_id FROM import WHERE project_id = $1 AND ($2::bigint IS NULL OR number < $2)
                ORDER BY number DESC LIMIT $3""",
            project_id,
            before,
            limit,
        )
        return await self._views(connection, project_id, [row["import_id"] for row in rows])

    async def by_number(self, connection: "Connection", project_id: UUID, number: int) -> UUID | None:
        """The id of the import with this number."""
        return cast(
            "UUID | None",
            await connection.fetchval(
                "SELECT import_id FROM import WHERE project_id = $1 AND number = $2", project_id, number
            ),
        )

    async def rows(
        self,
        connection: "Connection",
        project_id: UUID,
        import_id: UUID,
        *,
        after: int = 0,
        limit: int,
        states: Sequence[RowState] | None = None,
    ) -> list[RowView]:
        """The next rows behind the number `after`, by number; `limit` at most."""
        rows = await connection.fetch(
            """SELECT r.row, r.email, r.state, r.account_id, r.existing_account_id, r.code, r.detail, r.remedy, r.diagnosis,
                      r.settled_at
                 FROM import i JOIN import_row r ON r.import_id = i.import_id
                WHERE i.project_id = $1 AND i.import_id = $2 AND r.row > $3::bigint AND ($5::text[] IS NULL OR r.state = ANY($5))
                ORDER BY r.row LIMIT $4""",
            project_id,
            import_id,
            after,
            limit,
            states,
        )
        return [_row(row) for row in rows]

    async def settled(self, connection: "Connection", import_ids: Sequence[UUID]) -> dict[UUID, int]:
        """Those of the imports that do not get on any more, finished or stopped: how many rows are settled."""
        marks = await self.marks(connection, import_ids)
        return {
            import_id: settled for import_id, (pending, (settled, rejected)) in marks.items() if rejected or not pending
        }

    async def moved(self, connection: "Connection", seen: Sequence[tuple[UUID, Mark]]) -> dict[tuple[UUID, Mark], Mark]:
        """Those of the imports that have got on since they looked like this."""
        marks = await self.marks(connection, list({import_id for import_id, _ in seen}))
        return {
            (import_id, mark): marks[import_id][1]
            for import_id, mark in seen
            if import_id in marks and marks[import_id][1] != mark
        }

    async def marks(self, connection: "Connection", import_ids: Sequence[UUID]) -> dict[UUID, tuple[int, Mark]]:
        """How many rows of each import are pending, and its mark."""
        rows = await connection.fetch(
            """SELECT i.import_id, c.pending, c.settled, c.pending > 0 AND s.workspace_id IS NOT NULL AS rejected
                 FROM import i
                CROSS JOIN LATERAL (
                      SELECT count(*) FILTER (WHERE r.state = 'pending') AS pending,
                             count(*) FILTER (WHERE r.state <> 'pending') AS settled
                        FROM import_row r WHERE r.import_id = i.import_id) c
                 LEFT JOIN workspace w ON w.workspace_id = i.workspace_id
                 LEFT JOIN workspace_standing s ON s.workspace_id = w.workspace_id AND s.status = 'rejected'
                                               AND s.credential_version = w.credential_version
                                               AND w.proven_version IS NULL
                WHERE i.import_id = ANY($1::uuid[])""",
            import_ids,
        )
        return {row["import_id"]: (row["pending"], (row["settled"], row["rejected"])) for row in rows}

    async def _views(self, connection: "Connection", project_id: UUID, import_ids: Sequence[UUID]) -> list[ImportView]:
        rows = await connection.fetch(
            """SELECT i.import_id, i.number, i.workspace_id, w.number AS workspace_number, i.mode, i.seat_kind, i.on_failure,
                      i.created_at, c.total, c.rejected, c.pending, c.connected, c.failed, c.removed,
                      CASE WHEN c.pending = 0 THEN c.settled_at END AS finished_at,
                      CASE WHEN c.pending > 0 THEN s.diagnosis END AS rejection
                 FROM import i
                CROSS JOIN LATERAL (
                      SELECT count(*) AS total,
                             count(*) FILTER (WHERE r.state = 'rejected') AS rejected,
                             count(*) FILTER (WHERE r.state = 'pending') AS pending,
                             count(*) FILTER (WHERE r.state = 'connected') AS connected,
                             count(*) FILTER (WHERE r.state = 'failed') AS failed,
                             count(*) FILTER (WHERE r.state = 'removed') AS removed,
                             max(r.settled_at) AS settled_at
                        FROM import_row r WHERE r.import_id = i.import_id) c
                 LEFT JOIN workspace w ON w.workspace_id = i.workspace_id
                 LEFT JOIN workspace_standing s ON s.workspace_id = w.workspace_id AND s.status = 'rejected'
                                               AND s.credential_version = w.credential_version
                                               AND w.proven_version IS NULL
                WHERE i.project_id = $1 AND i.import_id = ANY($2::uuid[])
                ORDER BY i.number DESC""",
            project_id,
            import_ids,
        )
        reasons = await connection.fetch(
            """SELECT import_id, state, code, count(*) AS count, min(ARRAY[detail, remedy]) AS words FROM import_row
                WHERE import_id = ANY($1::uuid[]) AND state IN ('failed', 'rejected')
                GROUP BY import_id, state, code ORDER BY count(*) DESC, code""",
            [row["import_id"] for row in rows],
        )
        return [_view(row, [reason for reason in reasons if reason["import_id"] == row["import_id"]]) for row in rows]


def _view(row: "asyncpg.Record", reasons: "Sequence[asyncpg.Record]") -> ImportView:
    taken = (
        "import_id", "number", "workspace_id", "workspace_number", "mode", "seat_kind", "on_failure", "created_at",
        "finished_at",
    )  # fmt: skip
    total, pending = row["total"], row["pending"]
    counted = ("total", "rejected", "pending", "connected", "failed", "removed")
    return ImportView(
        **{name: row[name] for name in taken},
        progress=Progress(
            **{name: row[name] for name in counted},
            accepted=total - row["rejected"],
            percent=100 * (total - pending) // total,
        ),
        failures=_reasons(reasons, "failed"),
        rejections=_reasons(reasons, "rejected"),
        rejection=Diagnosis.model_validate(row["rejection"]) if row["rejection"] else None,
    )


def _reasons(reasons: "Sequence[asyncpg.Record]", state: RowState) -> list[Reason]:
    return [
        Reason(
            code=reason["code"] or "UNKNOWN",
            count=reason["count"],
            detail=reason["words"][0] or "",
            remedy=reason["words"][1] or "",
        )
        for reason in reasons
        if reason["state"] == state
    ]


def _row(row: "asyncpg.Record") -> RowView:
    shown = dict(row)
    if shown["diagnosis"]:
        shown["diagnosis"] = Diagnosis.model_validate(shown["diagnosis"])
    return RowView(**shown)
