"""From what is known of an import to what the canonical API shows."""

import csv
import io
from collections.abc import Iterable
from typing import Final

from berth_gateway.imports.commands import Planned
from berth_gateway.imports.csv_reader import FORMULA
from berth_gateway.imports.repository import ImportView, RowView
from berth_gateway.imports.schemas import Import, ImportPlan, ImportRow, Options, PlannedRow, Seats

__all__ = ["CSV_HEADING", "csv_lines", "import_resource", "plan_resource", "row_resource"]

CSV_HEADING: Final = ("row", "email", "code", "detail", "remedy", "existing_account_id")


def import_resource(view: ImportView) -> Import:
    """The import as a resource."""
    return Import(
        id=view.import_id,
        number=view.number,
        workspace_id=view.workspace_id,
        state=view.state,
        mode=view.mode,
        seat_kind=view.seat_kind,
        on_failure=view.on_failure,
        progress=view.progress,
        failures=view.failures,
        rejections=view.rejections,
        diagnosis=view.rejection,
        created_at=view.created_at,
        finished_at=view.finished_at,
    )


def row_resource(view: RowView) -> ImportRow:
    """What became of a row."""
    return ImportRow.model_validate(view, from_attributes=True)


def plan_resource(planned: Planned, options: Options) -> ImportPlan:
    """What an import would do, row by row."""
    plan = planned.plan
    rows = [
        PlannedRow(row=row.number, email=row.email, accepted=True, filled_in=dict(candidate.filled_in))
        for row, candidate in plan.accepted
    ]
    rows += [
        PlannedRow(
            row=row.number,
            email=row.email,
            accepted=False,
            existing_account_id=reason.account_id,
            code=reason.code,
            detail=reason.detail,
            remedy=reason.remedy,
        )
        for row, reason in plan.rejected
    ]
    return ImportPlan(
        total=len(rows),
        accepted=len(plan.accepted),
        rejected=len(plan.rejected),
        refused=options.mode == "all_or_nothing" and bool(plan.rejected),
        seats=Seats(kind=options.seat_kind, needed=plan.seats_needed, free=planned.free),
        rows=sorted(rows, key=lambda row: row.row),
    )


def csv_lines(rows: Iterable[RowView]) -> str:
    """Rows as lines of a CSV file (RFC 4180) that spreadsheets take for text."""
    written = io.StringIO(newline="")
    writer = csv.writer(written)
    for row in rows:
        cells = (row.row, row.email, row.code, row.detail, row.remedy, row.existing_account_id)
        writer.writerow(["" if cell is None else _text(str(cell)) for cell in cells])
    return written.getvalue()


def _text(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell
