"""Facts about email workspaces and the imports through them. Aggregate: the email workspace."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.accounts import CredentialRef, SeatKind
from berth_events.contracts.base import Address, Event, Identifier, Text, Timestamp, Value

__all__ = [
    "EmailWorkspaceCreated",
    "EmailWorkspaceCredentialsReplaced",
    "EmailWorkspaceRemoved",
    "EmailWorkspaceUpdated",
    "ImportedAccount",
    "WorkspaceImportRequested",
]


class WorkspaceEvent(Event, abstract=True):
    """An event of one email workspace."""

    topic: ClassVar[str] = topics.WORKSPACES
    key_field: ClassVar[str] = "workspace_id"

    workspace_id: Identifier = Field(description="the email workspace; the key of the record")
    organization_id: Identifier = Field(description="the tenant that holds the subscription")
    project_id: Identifier = Field(description="the name space that the workspace belongs to")


class EmailWorkspaceCreated(WorkspaceEvent):
    """A Google service-account key or a Microsoft app registration was deposited."""

    name: Text = Field(description="how the platform team calls it")
    provider: Literal["google", "microsoft"] = Field(
        description="google: a service account with domain-wide delegation; microsoft: an app registration"
    )
    credential_ref: CredentialRef = Field(description="the key or the secret, in the vault")
    tenant_id: Text | None = Field(default=None, description="Microsoft: the directory of the app registration")
    client_id: Text | None = Field(default=None, description="public id of the app registration or service account")
    secret_id: Text | None = Field(
        default=None, description="Microsoft: the identifier of the secret, which is no secret"
    )
    secret_expires_at: Timestamp | None = Field(default=None, description="when the secret expires, if that is known")


class EmailWorkspaceUpdated(WorkspaceEvent):
    """What the workspace is called, or what is known of its secret, changed; null means unchanged."""

    name: Text | None = Field(default=None, description="how the platform team calls it")
    secret_expires_at: Timestamp | None = Field(default=None, description="when the secret expires")


class EmailWorkspaceCredentialsReplaced(WorkspaceEvent):
    """The key or the secret of the workspace was replaced. Its accounts sign in with the new version from now on."""

    credential_ref: CredentialRef = Field(description="the new version, under the same id")
    tenant_id: Text | None = Field(default=None, description="Microsoft: the directory of the app registration")
    client_id: Text | None = Field(default=None, description="public id of the app registration or service account")
    secret_id: Text | None = Field(default=None, description="Microsoft: the identifier of the new secret")
    secret_expires_at: Timestamp | None = Field(
        default=None, description="when the new secret expires, if that is known"
    )


class ImportedAccount(Value):
    """One address of an import and the id of the account it becomes."""

    account_id: Identifier = Field(description="the account that the address becomes")
    address: Address = Field(description="the mailbox")
    seat_kind: SeatKind = Field(default="monitoring", description="what billing counts the account as")


class WorkspaceImportRequested(WorkspaceEvent):
    """Many addresses are to be connected through the workspace. A large import comes in several parts.

    Each account has an AccountRequested of its own, which takes its seat; this says that they belong together.
    """

    import_id: Identifier = Field(description="the import; the same in all its parts")
    part: int = Field(ge=1, description="number of this part, from 1")
    parts: int = Field(ge=1, description="how many parts the import has")
    accounts: tuple[ImportedAccount, ...] = Field(
        min_length=1, max_length=1000, description="the addresses of this part; their seats are taken"
    )


class EmailWorkspaceRemoved(WorkspaceEvent):
    """The workspace is gone, its credential erased; its accounts are removed by events of their own."""
