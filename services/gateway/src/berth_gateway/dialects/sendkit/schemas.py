"""What SendKit's clients get: `{success, data, message?}`, and `{success, error}`."""

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from berth_events.contracts import CheckState, Diagnosis
from berth_gateway.accounts.schemas import Instant

__all__ = [
    "Account",
    "BulkWarmupResult",
    "BulkWarmupRow",
    "ConnectionTest",
    "Created",
    "CreatedMailbox",
    "Deliverability",
    "Dkim",
    "DnsReport",
    "Exchange",
    "Failure",
    "FailureDetail",
    "FaultDetail",
    "Health",
    "ImportFault",
    "ImportReport",
    "Mailbox",
    "MailboxPage",
    "Message",
    "Mx",
    "Pagination",
    "Record",
    "SetupState",
    "SetupStatus",
    "Success",
    "UpdatedMailbox",
    "Usage",
    "Warmup",
    "WarmupConfig",
    "WarmupSettings",
    "WarmupStatistics",
    "WarmupStatisticsPage",
    "WarmupTotals",
    "Workspace",
    "WorkspacePage",
    "WorkspaceUsage",
    "shown",
]

MailboxStatus = Literal["active", "inactive", "error", "warming_up", "suspended", "failed", "pending"]
WarmupState = Literal["not_started", "active", "paused"]

Data = TypeVar("Data")


class Shown(BaseModel):
    """Camel case on the wire, and `_id` where SendKit has it."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True, alias_generator=to_camel)


class Success(BaseModel, Generic[Data]):
    """What every call answers that did what was asked."""

    model_config = ConfigDict(serialize_by_alias=True)

    success: Literal[True] = True
    data: Data


class Created(Success[Data], Generic[Data]):
    """Likewise, with a sentence."""

    message: str


class Message(Shown):
    """What was done."""

    message: str


class CreatedMailbox(Shown):
    """A mailbox as it is shown when it is added. Credentials are never shown."""

    id: str = Field(alias="_id", pattern="^[0-9a-f]{24}$")
    email: str
    display_name: str
    provider: Literal["gmail", "outlook", "azure", "custom"]
    status: MailboxStatus
    connection_type: Literal["oauth", "smtp"]
    daily_send_limit: int
    sending_enabled: bool
    signature: str
    tags: list[str]
    smtp_host: str | None
    smtp_port: int | None
    smtp_secure: bool | None
    imap_host: str | None = Field(description="null: it only sends")
    imap_port: int | None
    imap_secure: bool | None
    created_at: Instant
    updated_at: Instant


class WarmupConfig(Shown):
    """How the mailbox is to be warmed; kept, not acted upon."""

    starting_volume: int
    daily_increase: int
    target_volume: int


class Warmup(Shown):
    """Berth does not warm: the settings are kept, day and volume are 0, there are no metrics."""

    enabled: bool
    status: WarmupState
    current_day: int = 0
    current_volume: int = 0
    config: WarmupConfig
    metrics: dict[str, float] = {}


class SetupState(Shown):
    """A check of the domain's DNS; `unknown`: not asked yet, or not answered."""

    status: CheckState


class SetupStatus(Shown):
    """The DNS of the mailbox's domain. `healthScore`: 0 to 100; null: not audited yet."""

    health_score: int | None
    mx: SetupState
    spf: SetupState
    dkim: SetupState
    dmarc: SetupState


class Mailbox(CreatedMailbox):
    """A mailbox. Berth does not send: what was sent, received and bounced is 0."""

    sent_today: int = 0
    warmup: Warmup
    bounce_rate: float = 0
    total_sent: int = 0
    total_received: int = 0
    setup_status: SetupStatus
    last_error: str | None


class UpdatedMailbox(Shown):
    """What may be changed of a mailbox."""

    id: str = Field(alias="_id")
    email: str
    display_name: str
    daily_send_limit: int
    sending_enabled: bool
    tags: list[str]
    updated_at: Instant


class Pagination(Shown):
    """Where in the list this is. `nextCursor` is null on the last page."""

    page: int
    limit: int
    total: int
    pages: int
    next_cursor: str | None


class MailboxPage(Success[list[Mailbox]]):
    """Mailboxes in the order they were added."""

    pagination: Pagination


class ConnectionTest(Shown):
    """What the worker found. A mailbox that failed has been deleted, and is reported here all the same."""

    status: Literal["pending", "passed", "failed"]
    error: str | None = None
    diagnosis: Diagnosis | None = None
    tested_at: Instant | None = None


class Exchange(Shown):
    """A host that takes mail."""

    exchange: str
    priority: int


class Mx(SetupState):
    """Who takes the domain's mail."""

    records: list[Exchange]


class Record(SetupState):
    """A record of the domain."""

    record: str | None


class Dkim(Record):
    """The domain's key."""

    selector: str | None


class DnsReport(Shown):
    """The DNS of the mailbox's domain, with its records."""

    mx: Mx
    spf: Record
    dkim: Dkim
    dmarc: Record
    health_score: int | None


class Deliverability(Shown):
    """What sending shows. Berth does not send: all 0."""

    bounce_rate: float = 0
    total_sent: int = 0
    total_received: int = 0
    consecutive_failures: int = 0


class Health(Shown):
    """How a mailbox is."""

    email: str
    status: MailboxStatus
    sending_enabled: bool
    dns: DnsReport
    warmup: Warmup
    deliverability: Deliverability = Deliverability()
    daily_send_limit: int
    sent_today: int = 0
    last_error: str | None


class ImportFault(Shown):
    """Why a row was not imported."""

    email: str
    error: str


class ImportReport(Shown):
    """What became of the rows. `skipped`: addresses that the workspace, or an earlier row, has."""

    imported: int
    skipped: int
    failed: int
    errors: list[ImportFault]


class WorkspaceUsage(Shown):
    """What a workspace has."""

    total_mailboxes: int


class Workspace(Shown):
    """A workspace. Berth has no members: the owner is the organization."""

    id: str
    name: str
    owner_id: str
    member_count: int = 1
    usage: WorkspaceUsage
    created_at: Instant


class WorkspacePage(Success[list[Workspace]]):
    """Workspaces in the order they were made."""

    pagination: Pagination


class Usage(Shown):
    """Seats of the plan."""

    current_usage: int
    max_mailboxes: int


class Account(Shown):
    """The organization that the key belongs to, which owns the workspaces and the plan."""

    id: str
    name: str
    subscribed: bool
    usage: Usage
    workspace_count: int
    workspace_id: str | None = Field(description="of a workspace key")
    created_at: Instant


class WarmupSettings(WarmupConfig):
    """How a mailbox is to be warmed."""

    mailbox_id: str
    enabled: bool
    status: WarmupState


class WarmupStatistics(Warmup):
    """What the warm-up of one mailbox did: nothing, see there."""

    mailbox_id: str
    email: str
    total_sent: int = 0
    total_received: int = 0
    inbox_rate: float | None = None
    spam_rate: float | None = None


class WarmupTotals(Shown):
    """The warm-up of all mailboxes of the workspace. Berth does not warm: what was sent is 0, rates are null."""

    total_mailboxes: int
    active: int
    paused: int
    not_started: int
    total_sent: int = 0
    total_received: int = 0
    inbox_rate: float | None = None
    spam_rate: float | None = None


class WarmupStatisticsPage(Success[list[WarmupStatistics]]):
    """What the warm-up of the mailboxes did, in the order they were added; `summary` counts all of the workspace."""

    pagination: Pagination
    summary: WarmupTotals


class BulkWarmupRow(Shown):
    """What became of one mailbox."""

    mailbox_id: str
    success: bool
    error: str | None = None


class BulkWarmupResult(Shown):
    """What became of all of them."""

    operation: str
    succeeded: int
    failed: int
    results: list[BulkWarmupRow]


class FaultDetail(Shown):
    """What is wrong with one field."""

    field: str
    message: str


class FailureDetail(BaseModel):
    """What is wrong. LIMIT_REACHED has numbers besides, VALIDATION_ERROR its fields."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str
    details: list[FaultDetail] = []


class Failure(BaseModel):
    """What every call answers that did not do what was asked."""

    success: Literal[False] = False
    error: FailureDetail


def shown(answer: BaseModel) -> dict[str, Any]:
    """An answer as JSON."""
    return answer.model_dump(mode="json")
