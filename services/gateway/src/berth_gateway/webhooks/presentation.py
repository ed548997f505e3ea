"""From what is known of a webhook to what the canonical API shows, and what is sent to it."""

import json
from typing import TYPE_CHECKING

from berth_gateway.accounts.schemas import instant
from berth_gateway.webhooks.repository import DeliveryView, WebhookView
from berth_gateway.webhooks.schemas import Attempt, Delivery, Webhook

if TYPE_CHECKING:
    from berth_gateway.webhooks.queue import Job

__all__ = ["delivery_resource", "message", "webhook_resource"]

_SOURCE = "/berth/gateway"


def webhook_resource(view: WebhookView) -> Webhook:
    """The webhook as a resource."""
    return Webhook(
        id=view.webhook_id,
        url=view.url,
        description=view.description,
        types=None if view.types is None else list(view.types),
        enabled=view.enabled,
        disabled_reason=view.disabled_reason,
        failing_since=view.failing_since,
        created_at=view.created_at,
        updated_at=view.updated_at,
    )


def delivery_resource(view: DeliveryView) -> Delivery:
    """The delivery as a resource."""
    return Delivery(
        id=view.delivery_id,
        event_id=view.event_id,
        type=view.type,
        subject=view.subject,
        state=view.state,
        created_at=view.created_at,
        finished_at=view.finished_at,
        next_attempt_at=view.run_at if view.state == "pending" else None,
        attempts=[Attempt.model_validate(attempt) for attempt in view.attempts],
    )


def message(job: "Job") -> str:
    """The body of a delivery: Standard Webhooks' type, timestamp and data, and the other attributes that the feed shows."""
    event = job.event
    time = instant(event.time if event else job.created_at)
    return json.dumps(
        {
            "type": job.type,
            "timestamp": time,
            "specversion": "1.0",
            "id": str(job.event_id),
            "source": event.source if event else _SOURCE,
            "subject": str(job.subject),
            "sequence": event.sequence if event else 1,
            "time": time,
            "data": event.data if event else {"webhook_id": str(job.webhook_id)},
        },
        separators=(",", ":"),
        ensure_ascii=False,
    )
