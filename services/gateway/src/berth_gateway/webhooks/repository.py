"""Reading webhooks and their deliveries back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection
    from berth_gateway.webhooks.schemas import DeliveryState, DisabledReason

__all__ = ["DeliveryView", "WebhookRepository", "WebhookView"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookView:
    """A webhook without its secrets."""

    webhook_id: UUID
    number: int
    url: str
    description: str
    types: Sequence[str] | None
    enabled: bool
    disabled_reason: "DisabledReason | None"
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """A row of the log."""

    delivery_id: UUID
    number: int
    event_id: UUID
    type: str
    subject: UUID
    state: "DeliveryState"
    run_at: datetime
    attempts: list[dict[str, Any]]
    created_at: datetime
    finished_at: datetime | None


class WebhookRepository:
    """Queries; each is limited to one project, so that webhooks of others are not found."""

    async def find(self, connection: "Connection", project_id: UUID, webhook_id: UUID) -> WebhookView | None:
        """One webhook, or None."""
        row = await connection.fetchrow(
            """SELECT webhook_id, number, url, description, types, enabled, disabled_reason, failing_since, created_at,
                      updated_at
                 FROM webhook WHERE project_id = $1 AND webhook_id = $2""",
            project_id,
            webhook_id,
        )
        return WebhookView(**row) if row else None

    async def locked(self, connection: "Connection", project_id: UUID, webhook_id: UUID) -> WebhookView | None:
        """One webhook, which nobody else changes until the transaction ends, or None."""
        await connection.execute(
            "SELECT FROM webhook WHERE project_id = $1 AND webhook_id = $2 FOR NO KEY UPDATE", project_id, webhook_id
        )
        return await self.find(connection, project_id, webhook_id)

    async def page(self, connection: "Connection", project_id: UUID, *, after: int, limit: int) -> list[WebhookView]:
        """The next webhooks behind the number `after`."""
        rows = await connection.fetch(
            """SELECT webhook_id, number, url, description, types, enabled, disabled_reason, failing_since, created_at,
                      updated_at
                 FROM webhook WHERE project_id = $1 AND number > $2 ORDER BY number LIMIT $3""",
            project_id,
            after,
            limit,
        )
        return [WebhookView(**row) for row in rows]

    async def delivery(
        self, connection: "Connection", project_id: UUID, webhook_id: UUID, delivery_id: UUID
    ) -> DeliveryView | None:
        """One delivery, or None."""
        row = await connection.fetchrow(
            """SELECT d.delivery_id, d.number, d.event_id, d.type, d.subject, d.state, d.run_at, d.attempts, d.created_at,
                      d.finished_at
                 FROM webhook_delivery d JOIN webhook w USING (webhook_id)
                WHERE w.project_id = $1 AND d.webhook_id = $2 AND d.delivery_id = $3""",
            project_id,
            webhook_id,
            delivery_id,
        )
        return DeliveryView(**row) if row else None

    async def deliveries(
        self,
        connection: "Connection",
        webhook_id: UUID,
        *,
        before: int,
        limit: int,
        state: "DeliveryState | None" = None,
    ) -> list[DeliveryView]:
        """The deliveries of a webhook before the number `before`, the latest first; 0 is from the latest on."""
        rows = await connection.fetch(
            """SELECT delivery_id, number, event_id, type, subject, state, run_at, attempts, created_at, finished_at
                 FROM webhook_delivery
                WHERE webhook_id = $1 AND ($2::bigint = 0 OR number < $2) AND ($4::text IS NULL OR state = $4)
                ORDER BY number DESC LIMIT $3""",
            webhook_id,
            before,
            limit,
            state,
        )
        return [DeliveryView(**row) for row in rows]
