"""Imports as the canonical API takes and shows them."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from berth_events.contracts import Diagnosis, OnFailure, SeatKind
from berth_gateway.accounts.schemas import Input, Instant, Text
from berth_gateway.autoconfig.schemas import FilledIn
from berth_gateway.imports.plan import RejectionCode

__all__ = [
    "MAX_ROWS",
    "AccountImportInput",
    "Import",
    "ImportPage",
    "ImportPlan",
    "ImportRow",
    "ImportRowPage",
    "Mode",
    "Options",
    "PlannedRow",
    "Progress",
    "Reason",
    "RejectedState",
    "RowState",
    "Seats",
    "WorkspaceImportInput",
    "WorkspaceMailboxInput",
]

MAX_ROWS = 10_000

Mode = Literal["per_row", "all_or_nothing"]
RowState = Literal["rejected", "pending", "connected", "failed", "removed"]
#: What somebody may want to mend and send again.
RejectedState = Literal["rejected", "failed", "removed"]
ImportState = Literal["running", "stopped", "finished"]


class Options(Input):
    """How an import is to be accepted."""

    mode: Mode = Field(
        default="per_row",
        description="`per_row`: what can be accepted is accepted; `all_or_nothing`: one row that cannot refuses the request",
    )
    dry_run: bool = Field(default=False, description="only say what would happen; nothing is stored")
    seat_kind: SeatKind = "monitoring"
    on_failure: OnFailure = Field(
        default="keep", description="what becomes of an account whose first verification fails: `keep` or `remove`"
    )


_MAILBOX = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "maxLength": 1000},
            {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("email", "first_name", "last_name")},
                "required": ["email"],
                "additionalProperties": False,
            },
        ]
    }
)


class WorkspaceMailboxInput(Input):
    """A mailbox of the workspace."""

    email: Text
    first_name: Text = ""
    last_name: Text = ""


def _as_mailbox(value: Any) -> Any:
    return {"email": value} if isinstance(value, str) else value


class WorkspaceImportInput(Options):
    """Mailboxes to be connected through a workspace."""

    accounts: list[Annotated[WorkspaceMailboxInput, BeforeValidator(_as_mailbox), _MAILBOX]] = Field(
        min_length=1, max_length=MAX_ROWS, description="addresses, or objects with names"
    )


Accounts = Annotated[
    list[dict[str, Any]],
    Field(min_length=1, max_length=MAX_ROWS),
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_ROWS,
            "items": {
                "type": "object",
                "properties": {
                    "email": {"type": "string"},
                    "first_name": {"type": "string"},
                    "last_name": {"type": "string"},
                    "provider": {"enum": ["gmail", "outlook", "custom"], "default": "custom"},
                    "password": {"type": "string", "writeOnly": True},
                    "imap": {"type": ["object", "null"], "description": "host, port, security, username, password"},
                    "smtp": {"type": ["object", "null"], "description": "host, port, security, username, password"},
                },
                "required": ["email"],
            },
            "description": "each as for `POST /v1/accounts`; what is wrong with one is said of it alone",
        }
    ),
]


class AccountImportInput(Options):
    """Mailboxes to be connected with passwords of their own."""

    accounts: Accounts


class Progress(BaseModel):
    """How far an import is. No number but `pending` ever goes down."""

    total: int = Field(description="rows of the request")
    accepted: int = Field(description="became accounts")
    rejected: int = Field(description="did not, for a reason each")
    pending: int = Field(description="accepted and not verified yet")
    connected: int = Field(description="worked when they were verified first")
    failed: int = Field(description="did not work when they were verified first")
    removed: int = Field(description="were removed before they were verified")
    percent: int = Field(description="100 when nothing is pending")


class Reason(BaseModel):
    """Why rows were rejected or accounts failed, and how many."""

    code: str
    count: int
    detail: str
    remedy: str


class Import(BaseModel):
    """An import and how far it is."""

    id: UUID
    number: int = Field(description="the import's number in the project, which dialects use as its id")
    workspace_id: UUID | None = Field(description="null: the accounts have passwords of their own")
    state: ImportState = Field(
        description="`finished`: nothing is pending; `stopped`: the workspace's credential is rejected, and nothing more is "
        "tried until it is replaced"
    )
    mode: Mode
    seat_kind: SeatKind
    on_failure: OnFailure
    progress: Progress
    failures: list[Reason] = Field(description="failed accounts by the code of their diagnosis, most frequent first")
    rejections: list[Reason] = Field(description="rejected rows by code, most frequent first")
    diagnosis: Diagnosis | None = Field(description="why it is stopped: what is wrong with the workspace's credential")
    created_at: Instant
    finished_at: Instant | None


class ImportPage(BaseModel):
    """Imports, the newest first."""

    items: list[Import]
    next_cursor: str | None = Field(description="null on the last page")


class ImportRow(BaseModel):
    """What became of a row. It stays as it is when the account changes later, or goes."""

    row: int = Field(description="from 1; of a CSV file as spreadsheets count, so that the heading is row 1")
    email: str
    state: RowState
    account_id: UUID | None = Field(description="the account that it became")
    existing_account_id: UUID | None = Field(description="the account that has the address already")
    code: str | None = Field(description="why it was rejected, or the code of the diagnosis")
    detail: str | None
    remedy: str | None
    diagnosis: Diagnosis | None
    settled_at: Instant | None


class ImportRowPage(BaseModel):
    """Rows of an import in their order."""

    items: list[ImportRow]
    next_cursor: str | None = Field(description="null on the last page")


class Seats(BaseModel):
    """The seats that an import takes."""

    kind: SeatKind
    needed: int = Field(description="for every row that is not rejected for another reason")
    free: int


class PlannedRow(BaseModel):
    """What would become of a row."""

    row: int
    email: str
    accepted: bool
    filled_in: FilledIn = {}
    existing_account_id: UUID | None = None
    code: RejectionCode | None = None
    detail: str | None = None
    remedy: str | None = None


class ImportPlan(BaseModel):
    """What an import would do; nothing was stored."""

    dry_run: Literal[True] = True
    total: int
    accepted: int
    rejected: int
    refused: bool = Field(
        description="all or nothing was asked for, and some rows are rejected: nothing would be accepted"
    )
    seats: Seats
    rows: list[PlannedRow]
