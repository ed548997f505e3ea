"""MailReach's forms for accounts that exist: updates, batches, tasks, statistics."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from berth_gateway.accounts.schemas import Text
from berth_gateway.dialects.mailreach.schemas import Optional, absent_when_blank
from berth_gateway.dialects.mailreach.time_zones import iana_name

__all__ = [
    "AccountUpdate",
    "Alias",
    "BatchRequest",
    "Graph",
    "Link",
    "LinkRequest",
    "Queued",
    "Statistics",
    "Success",
    "Task",
]


def _time_zone(name: str | None) -> str | None:
    if name is None:
        return None
    found = iana_name(name)
    if found is None:
        raise PydanticCustomError("time_zone", "neither a Rails nor an IANA time zone")
    return found


Flag = Annotated[bool | None, BeforeValidator(absent_when_blank)]


Conversations = Annotated[int | None, BeforeValidator(absent_when_blank), Field(ge=0, le=35)]
Increase = Annotated[int | None, BeforeValidator(absent_when_blank), Field(ge=0, le=5)]
Target = Annotated[int | None, BeforeValidator(absent_when_blank), Field(ge=3, le=35)]


class AccountUpdate(BaseModel):
    """What is to be different. What is left out, or null, stays as it is."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, hide_input_in_errors=True)

    alias: Optional = Field(default=None, description="send from this alias, which has to be in GET .../aliases")
    alive: Flag = Field(default=None, description="false: paused")
    autopilot: Flag = None
    config_max_conversation_running: Conversations = None
    config_rampup_increase: Increase = None
    config_rampup_target: Target = None
    config_smtp_append_after_sent: Flag = None
    desc: Text | None = Field(default=None, description="free text")
    first_name: Text | None = None
    last_name: Text | None = None
    imap_issue: Flag = Field(default=None, description="true: switches to SMTP only")
    signature: Annotated[Text, Field(max_length=100_000)] | None = Field(default=None, description="HTML")
    time_zone: Annotated[Optional, AfterValidator(_time_zone)] = Field(
        default=None, description="a Rails name, as Paris, or an IANA name"
    )


class BatchRequest(BaseModel):
    """One action on many accounts."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    account_ids: list[Annotated[int, Field(ge=1, le=2**31 - 1)]] = Field(min_length=1, max_length=1000)
    action: Literal["reconnect", "suspend", "delete"]


class LinkRequest(BaseModel):
    """Which account is to carry the tag."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    account_id: Annotated[int, Field(ge=1, le=2**31 - 1)]


class Success(BaseModel):
    """It is done."""

    success: Literal[True] = True


class Queued(BaseModel):
    """It will be done."""

    queued: Literal[True] = True
    job_id: UUID


class Task(BaseModel):
    """A batch or an import, and how far it is."""

    id: int
    progress: int = Field(ge=0, le=100)
    logs: list[str]
    email_workspace_id: int | None


class Statistics(BaseModel):
    """What a warm-up network would have counted. Berth sends nothing: zeros, and no cutoff."""

    total_messages_sent: int = 0
    total_messages_received: int = 0
    total_spam: int = 0
    config_current_conversation_running: int = 0
    consolidated_cutoff: str | None = None


class Alias(BaseModel):
    """An address that the account may send from."""

    email: str
    name: str


class Link(BaseModel):
    """The tag that was linked."""

    id: int
    name: str


class Graph(BaseModel):
    """What a warm-up network would have counted by day. Berth sends nothing: there are no points."""

    labels: list[str] = []
    data: list[int] = []
    consolidated: bool = True
