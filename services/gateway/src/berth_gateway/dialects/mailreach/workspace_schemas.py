"""MailReach's forms for email workspaces, and for the accounts that are connected through them."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from berth_gateway.accounts.schemas import Instant, Text
from berth_gateway.dialects.mailreach.schemas import Int32, Optional, OptionalSecret, absent_when_blank
from berth_gateway.workspaces.schemas import KeyFile

__all__ = [
    "ConnectRequest",
    "Connected",
    "EmailWorkspace",
    "Failure",
    "WorkspaceRequest",
    "WorkspaceUpdate",
]


def _day(value: Any) -> Any:
    text = absent_when_blank(value)
    if text is None:
        return None
    try:
        return datetime.strptime(str(text).strip(), "%d/%m/%Y").replace(tzinfo=UTC).date()
    except ValueError:
        raise PydanticCustomError("day", "not DD/MM/YYYY") from None


Day = Annotated[
    date | None,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "pattern": r"^\d{2}/\d{2}/\d{4}$", "examples": ["31/12/2026"]}),
]
Flag = Annotated[bool, BeforeValidator(lambda value: absent_when_blank(value) or False)]
Name = Annotated[Text, Field(min_length=1, max_length=200)]


class WorkspaceUpdate(BaseModel):
    """What is to be different. A credential that is not sent stays."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, hide_input_in_errors=True)

    name: Name
    file_key_json: Annotated[KeyFile | None, BeforeValidator(absent_when_blank)] = Field(
        default=None, description="google: the JSON key of the service account, as text, object or file"
    )
    outlook_client_id: Optional = None
    outlook_client_secret: Optional = Field(default=None, description="the secret's *identifier*, which is no secret")
    outlook_client_secret_value: OptionalSecret = Field(default=None, description="the secret itself")
    outlook_tenant_id: Optional = None
    outlook_client_secret_expires_at: Day = Field(default=None, description="DD/MM/YYYY")

    @property
    def has_credential(self) -> bool:
        """Whether there is a new key or secret."""
        return self.file_key_json is not None or self.outlook_client_secret_value is not None


class WorkspaceRequest(WorkspaceUpdate):
    """A Google service account or a Microsoft app registration."""

    provider: Annotated[
        Literal["google", "outlook"], BeforeValidator(lambda value: absent_when_blank(value) or "google")
    ] = "google"


class EmailWorkspace(BaseModel):
    """An email workspace. Keys and secrets are never shown."""

    id: int
    name: str
    created_at: Instant
    provider: Literal["google", "outlook"]
    outlook_tenant_id: str | None
    outlook_client_id: str | None
    outlook_client_secret_expires_at: Instant | None


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class ConnectRequest(BaseModel):
    """Mailboxes to be connected through a workspace."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    accounts: Annotated[list[Text], BeforeValidator(_listed), Field(min_length=1, max_length=10_000)]
    account_id: Int32 = Field(default=None, description="with `imap_only`: the account that is to be relinked")
    imap_only: Flag = Field(
        default=False, description="relink one account, which has a password now, to the workspace's OAuth"
    )
    spamchecker_only: Flag = Field(default=False, description="for spam tests only: takes no monitoring seat")


class Failure(BaseModel):
    """Why a mailbox was not connected."""

    email: str
    error: str


class Connected(BaseModel):
    """How far the import is. Up to four mailboxes are waited for; `task_id` tells of more."""

    completed: bool
    errors: list[Failure]
    task_id: int
