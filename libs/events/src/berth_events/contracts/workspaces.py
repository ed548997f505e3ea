"""Facts about email workspaces and the imports through them. Aggregate: the email workspace."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.accounts import CredentialRef, SeatKind
from berth_events.contracts.base import Address, Event, Identifier, Timestamp, Value

__all__ = [
    "EmailWorkspaceCreated",
    "EmailWorkspaceCredentialsReplaced",
    "EmailWorkspaceRemoved",
    "ImportedAccount",
    "WorkspaceImportRequested",
]


class WorkspaceEvent(Event, abstract=True):
    """An event of one email workspace."""

    topic: ClassVar[str] = topics.WORKSPACES
    key_field: ClassVar[str] = "workspace_id"

    workspace_id: Identifier
    organization_id: Identifier
    project_id: Identifier


class EmailWorkspaceCreated(WorkspaceEvent):
    """A Google service-account key or a Microsoft app registration was deposited."""

    name: str
    provider: Literal["google", "microsoft"]
    credential_ref: CredentialRef
    tenant_id: str | None = None
    client_id: str | None = None
    secret_expires_at: Timestamp | None = None


class EmailWorkspaceCredentialsReplaced(WorkspaceEvent):
    """The key or the secret of the workspace was replaced."""

    credential_ref: CredentialRef
    secret_expires_at: Timestamp | None = None


class ImportedAccount(Value):
    """One address of an import and the id of the account it becomes."""

    account_id: Identifier
    address: Address
    seat_kind: SeatKind = "monitoring"


class WorkspaceImportRequested(WorkspaceEvent):
    """Many addresses are to be connected through the workspace. A large import comes in several parts."""

    import_id: Identifier
    part: int = Field(ge=1)
    parts: int = Field(ge=1)
    accounts: tuple[ImportedAccount, ...] = Field(min_length=1, max_length=1000)


class EmailWorkspaceRemoved(WorkspaceEvent):
    """The workspace is gone, its credential erased; its accounts are removed by events of their own."""
