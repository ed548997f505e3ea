"""Email workspaces as the canonical API takes and shows them."""

import json
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, WithJsonSchema

from berth_events.contracts import Diagnosis
from berth_gateway.accounts.schemas import Input, Instant, Secret, Text
from berth_gateway.workspaces.hosts import WorkspaceProvider

__all__ = [
    "AccountCounts",
    "CredentialInput",
    "EmailWorkspace",
    "EmailWorkspaceInput",
    "EmailWorkspacePage",
    "EmailWorkspaceUpdate",
    "WorkspaceStatus",
]

WorkspaceStatus = Literal["pending", "verified", "rejected"]


def _as_text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value


Name = Annotated[Text, Field(min_length=1, max_length=200)]
KeyFile = Annotated[
    SecretStr,
    BeforeValidator(_as_text),
    Field(min_length=1, max_length=20_000),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "string", "minLength": 1, "maxLength": 20_000}]}),
]


class CredentialInput(Input):
    """What mailboxes sign in with. Secrets are sealed at once and never shown again."""

    service_account_key: KeyFile | None = Field(
        default=None, description="google: the key file of a service account, as an object or as its text"
    )
    tenant_id: Text | None = Field(default=None, description="microsoft: the directory, by id or domain name")
    client_id: Text | None = Field(default=None, description="microsoft: the application (client) ID")
    client_secret: Secret | None = Field(default=None, description="microsoft: the secret's *value*, not its ID")
    secret_id: Text | None = Field(default=None, description="microsoft: the secret's ID, which is no secret")
    secret_expires_at: date | None = Field(
        default=None, description="the day on which the secret expires; warned of 30, 14, 7 and 1 days before"
    )


class EmailWorkspaceInput(CredentialInput):
    """A Google service account with domain-wide delegation, or a Microsoft app registration."""

    name: Name
    provider: WorkspaceProvider


class EmailWorkspaceUpdate(Input):
    """What is to be different; what is left out stays."""

    name: Name | None = None
    secret_expires_at: date | None = None


class AccountCounts(BaseModel):
    """The accounts of a workspace, by status."""

    total: int
    pending: int
    connected: int
    failed: int
    disconnected: int


class EmailWorkspace(BaseModel):
    """An email workspace: one credential that acts for many mailboxes."""

    id: UUID
    number: int = Field(description="the workspace's number in the project, which dialects use as its id")
    name: str
    provider: WorkspaceProvider
    status: WorkspaceStatus = Field(
        description="of the present credential: `pending` until the identity provider has been asked"
    )
    note: str | None = Field(description="what the status means for the accounts, where that is not plain")
    diagnosis: Diagnosis | None = Field(description="why the credential was rejected, and what mends it")
    service_account: str | None = Field(description="google: the service account's address")
    key_id: str | None = Field(description="google: the id of its key")
    tenant_id: str | None
    client_id: str | None
    secret_id: str | None
    credential_version: int = Field(description="counts the replacements")
    secret_expires_at: Instant | None
    secret_days_left: int | None = Field(description="whole days until then; 0 when it has expired")
    accounts: AccountCounts
    verified_at: Instant | None = Field(description="when the present credential was verified or rejected")
    created_at: Instant
    updated_at: Instant


class EmailWorkspacePage(BaseModel):
    """Email workspaces in the order of their numbers."""

    items: list[EmailWorkspace]
    next_cursor: str | None = Field(description="null on the last page")
