"""Changes of accounts as the canonical API takes them, and what it answers."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from berth_events.contracts import Provider
from berth_gateway.accounts.schemas import Input, Secret, ServerInput, Settings, Signature, TagName, Text, TimeZone
from berth_gateway.autoconfig.schemas import FilledIn

__all__ = [
    "AccountUpdate",
    "AliasInput",
    "AliasList",
    "BatchInput",
    "BatchItem",
    "BatchReport",
    "CredentialsInput",
    "DayReport",
    "ProbeReport",
    "Reason",
    "Statistics",
]


class AccountUpdate(Input):
    """What is to be different. Left out or null: unchanged. An empty text clears."""

    first_name: Text | None = None
    last_name: Text | None = None
    imap_issue: bool | None = Field(
        default=None, description="true: IMAP is known not to work and is not tried any more"
    )
    signature: Signature | None = None
    time_zone: TimeZone | None = None
    settings: Settings | None = None
    tags: list[TagName] | None = Field(default=None, max_length=100, description="all its tags; new names become tags")


class CredentialsInput(Input):
    """New servers and secrets. A server that is left out stays as it is; null takes it away."""

    provider: Provider | None = Field(default=None, description="left out: as it is")
    password: Secret | None = Field(default=None, description="for both servers; never shown again")
    imap: ServerInput | None = None
    smtp: ServerInput | None = None
    apply: Literal["proven", "now"] = Field(
        default="proven",
        description="proven: the account gets them once they work, and keeps what it has if they do not; now: at once",
    )


class ProbeReport(BaseModel):
    """Credentials that are tried out before anything is kept."""

    id: UUID
    status: Literal["pending", "connected", "failed"]
    filled_in: FilledIn = {}


class AliasInput(Input):
    """An address that the account may send from besides its own. It is no account, and takes no seat, by that."""

    email: Text
    name: Text = ""


class AliasList(Input):
    """All aliases of an account."""

    aliases: list[AliasInput] = Field(max_length=100)


class Reason(Input):
    """Why, in your words."""

    reason: Text = ""


class DayReport(BaseModel):
    """The verifications of a day, in UTC."""

    day: str
    checks: int
    failures: int


class Statistics(BaseModel):
    """How the account did. Messages are null: Berth does not send for it."""

    account_id: UUID
    past_days: int
    checks: int = Field(description="verifications that finished")
    failures: int
    availability: float | None = Field(description="the part of the verifications that succeeded, 0 to 1; null: none")
    mean_duration_ms: float | None
    days: list[DayReport] = Field(description="oldest first; days without a verification are left out")
    messages_sent: None = None
    messages_received: None = None


class BatchInput(Input):
    """One action on many accounts."""

    action: Literal["reconnect", "checkup", "suspend", "resume", "tag", "untag", "remove"]
    account_ids: list[UUID] = Field(min_length=1, max_length=1000)
    tags: list[TagName] = Field(default=[], max_length=100, description="for `tag` and `untag`")
    reason: Text = Field(default="", description="for `suspend`")


class BatchItem(BaseModel):
    """What became of one account."""

    account_id: UUID
    outcome: Literal["done", "unchanged", "failed"]
    problem: str | None = Field(default=None, description="the problem type of `failed`")
    detail: str | None = None


class BatchReport(BaseModel):
    """What became of each account, in the order of the request."""

    done: int
    unchanged: int
    failed: int
    items: list[BatchItem]
