"""Webhooks as the canonical API takes and shows them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from berth_events.contracts.base import event_types
from berth_gateway.accounts.schemas import Input, Instant, Text

__all__ = [
    "Attempt",
    "Delivery",
    "DeliveryPage",
    "DeliveryState",
    "DisabledReason",
    "RecoverInput",
    "Recovered",
    "RevealedWebhook",
    "Webhook",
    "WebhookChange",
    "WebhookInput",
    "WebhookPage",
]

DeliveryState = Literal["pending", "delivered", "failed"]
DisabledReason = Literal["requested", "gone", "failing"]
Failure = Literal[
    "host_refused", "host_not_found", "lookup_failed", "connect", "tls", "timeout", "protocol", "status", "gone"
]

Description = Annotated[Text, Field(description="for people")]
EventType = Annotated[str, Field(json_schema_extra={"enum": sorted({name for name, _ in event_types()})})]
Types = Annotated[list[EventType] | None, Field(max_length=100, description="only events of these types; null: all")]


class WebhookInput(Input):
    """An endpoint that is to be sent the project's events."""

    url: Annotated[Text, Field(description="https; http only inside networks that the operator allows")]
    description: Description = ""
    types: Types = None
    enabled: bool = True


class WebhookChange(Input):
    """What is to change; fields that are left out stay as they are."""

    url: Text = ""
    description: Description = ""
    types: Types = None
    enabled: bool = True


class RecoverInput(Input):
    """From when on."""

    since: AwareDatetime = Field(description="deliveries of events since then")


class Webhook(BaseModel):
    """An endpoint that is sent the project's events. Its secret is shown when it is made, and never again."""

    id: UUID
    url: str
    description: str
    types: list[str] | None
    enabled: bool
    disabled_reason: DisabledReason | None = Field(
        description="`requested`; `gone`: it answered 410; `failing`: no attempt succeeded for five days"
    )
    failing_since: Instant | None = Field(description="the first failure since the last success")
    created_at: Instant
    updated_at: Instant


class RevealedWebhook(Webhook):
    """A webhook with its new secret, which is shown in this answer only."""

    secret: str | None = Field(
        description="`whsec_…`; null in the repeated answer to an old Idempotency-Key, once the secret is replaced"
    )


class WebhookPage(BaseModel):
    """Webhooks in the order in which they were made."""

    items: list[Webhook]
    next_cursor: str | None = Field(description="null on the last page")


class Attempt(BaseModel):
    """One request to the endpoint."""

    at: Instant
    duration_ms: float
    status: int | None = Field(description="of the answer; null when there was none")
    error: Failure | None = Field(description="why it failed; null when it did not")
    detail: str | None = Field(description="the failure in a sentence")
    excerpt: str = Field(description="the beginning of the answer's body")


class Delivery(BaseModel):
    """One event for one webhook."""

    id: UUID
    event_id: UUID = Field(description="`webhook-id` of every attempt")
    type: str
    subject: UUID
    state: DeliveryState
    created_at: Instant
    finished_at: Instant | None
    next_attempt_at: Instant | None = Field(
        description="pending: not before; earlier events of the same subject go first, and a disabled webhook waits"
    )
    attempts: list[Attempt] = Field(description="the latest twenty, in order")


class DeliveryPage(BaseModel):
    """Deliveries, the latest first."""

    items: list[Delivery]
    next_cursor: str | None = Field(description="null on the last page")


class Recovered(BaseModel):
    """How many failed deliveries are on their way again."""

    redelivered: int
