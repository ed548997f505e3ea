"""Commands on webhooks, each inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from berth_gateway.errors import NotFound, WebhookDisabled, WebhookLimitReached
from berth_gateway.webhooks.secrets import SecretBox, new_secret

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection

__all__ = ["TEST_TYPE", "Endpoint", "EndpointChange", "Webhooks"]

#: The type of what a test sends; no event has it.
TEST_TYPE: Final = "webhook.test"
#: How long a secret that was replaced signs besides the new one.
_OVERLAP: Final = timedelta(hours=24)
#: So many endpoints of a project: each event is stored once for each of them.
_MAX_WEBHOOKS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where events are to be sent.

    Attributes:
        types: None is all.
    """

    url: str
    description: str
    types: Sequence[str] | None
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointChange:
    """What is to change; None stays as it is.

    Attributes:
        replaces_types: `types` counts, None being all.
    """

    url: str | None
    description: str | None
    types: Sequence[str] | None
    replaces_types: bool
    enabled: bool | None


class Webhooks:
    """Makes, changes and removes webhooks, and puts deliveries into their queues.

    Args:
        box: encrypts their secrets.
        clock: time.
    """

    def __init__(self, box: SecretBox, clock: "Clock") -> None:
        self._box, self._clock = box, clock

    async def create(self, connection: "Connection", project_id: UUID, endpoint: Endpoint) -> tuple[UUID, UUID]:
        """Make a webhook: it is sent what is published from now on.

        Returns:
            The ids of the webhook and of its secret.

        Raises:
            WebhookLimitReached: the project has as many as it may.
        """
        webhook_id, now = uuid4(), self._clock.now()
        await connection.execute("SELECT FROM project WHERE project_id = $1 FOR NO KEY UPDATE", project_id)
        count = await connection.fetchval("SELECT count(*) FROM webhook WHERE project_id = $1", project_id)
        if count >= _MAX_WEBHOOKS:
            raise WebhookLimitReached(limit=_MAX_WEBHOOKS)
        await connection.execute(
            """INSERT INTO webhook (webhook_id, project_id, url, description, types, enabled, disabled_reason,
                                    created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $6 THEN NULL ELSE 'requested' END, $7, $7)""",
            webhook_id,
            project_id,
            endpoint.url,
            endpoint.description,
            endpoint.types,
            endpoint.enabled,
            now,
        )
        return webhook_id, await self._add_secret(connection, webhook_id, now)

    async def change(
        self, connection: "Connection", project_id: UUID, webhook_id: UUID, change: EndpointChange
    ) -> None:
        """Change a webhook. Another URL, or `enabled`, is a new beginning: what waits is tried at once.

        Raises:
            NotFound: the project has no such webhook.
        """
        begins = change.url is not None or change.enabled is True
        changed = await connection.fetchval(
            """UPDATE webhook
                  SET url = coalesce($3, url), description = coalesce($4, description),
                      types = CASE WHEN $6 THEN $5 ELSE types END, enabled = coalesce($7, enabled),
                      disabled_reason = CASE WHEN $7 THEN NULL WHEN NOT $7 THEN 'requested' ELSE disabled_reason END,
                      failures = CASE WHEN $8 THEN 0 ELSE failures END,
                      failing_since = CASE WHEN $8 THEN NULL ELSE failing_since END,
                      held_until = CASE WHEN $8 THEN NULL ELSE held_until END, updated_at = $9
                WHERE webhook_id = $2 AND project_id = $1 RETURNING true""",
            project_id,
            webhook_id,
            change.url,
            change.description,
            change.types,
            change.replaces_types,
            change.enabled,
            begins,
            self._clock.now(),
        )
        if not changed:
            raise NotFound
        if begins:
            await connection.execute(
                """UPDATE webhook_delivery SET run_at = $2
                    WHERE webhook_id = $1 AND state = 'pending' AND lease_token IS NULL AND run_at > $2""",
                webhook_id,
                self._clock.now(),
            )

    async def remove(self, connection: "Connection", project_id: UUID, webhook_id: UUID) -> None:
        """Remove a webhook with its secrets, its queue and its log.

        Raises:
            NotFound: the project has no such webhook.
        """
        removed = await connection.fetchval(
            "DELETE FROM webhook WHERE webhook_id = $2 AND project_id = $1 RETURNING true", project_id, webhook_id
        )
        if not removed:
            raise NotFound

    async def rotate(self, connection: "Connection", project_id: UUID, webhook_id: UUID) -> UUID:
        """Make a new secret. Those before sign too for a day, so that the receiver has time to change.

        Returns:
            The id of the secret.

        Raises:
            NotFound: the project has no such webhook.
        """
        now = self._clock.now()
        found = await connection.fetchval(
            """SELECT true FROM webhook WHERE webhook_id = $2 AND project_id = $1 FOR NO KEY UPDATE""",
            project_id,
            webhook_id,
        )
        if not found:
            raise NotFound
        await connection.execute(
            "UPDATE webhook_secret SET expires_at = $2 WHERE webhook_id = $1 AND expires_at IS NULL",
            webhook_id,
            now + _OVERLAP,
        )
        return await self._add_secret(connection, webhook_id, now)

    async def reveal(self, connection: "Connection", webhook_id: UUID, secret_id: UUID) -> str | None:
        """A secret for the answer that tells it; None when it is gone by now."""
        sealed = await connection.fetchval(
            """SELECT sealed FROM webhook_secret
                WHERE webhook_id = $1 AND secret_id = $2 AND (expires_at IS NULL OR expires_at > $3)""",
            webhook_id,
            secret_id,
            self._clock.now(),
        )
        return None if sealed is None else self._box.open(webhook_id, secret_id, sealed)

    async def test(self, connection: "Connection", project_id: UUID, webhook_id: UUID) -> UUID:
        """Put a test into the queue; it is tried once.

        Returns:
            The id of the delivery.

        Raises:
            NotFound: the project has no such webhook.
            WebhookDisabled: it is disabled.
        """
        await self._begin(connection, project_id, webhook_id)
        delivery_id, now = uuid4(), self._clock.now()
        await connection.execute(
            """INSERT INTO webhook_delivery (delivery_id, webhook_id, position, event_id, type, subject, run_at, created_at)
               VALUES ($1, $2, 0, $3, $4, $2, $5, $5)""",
            delivery_id,
            webhook_id,
            uuid4(),
            TEST_TYPE,
            now,
        )
        return delivery_id

    async def redeliver(self, connection: "Connection", project_id: UUID, webhook_id: UUID, delivery_id: UUID) -> None:
        """Send an event again, or, when it waits, at once.

        Raises:
            NotFound: there is no such webhook or delivery.
            WebhookDisabled: the webhook is disabled.
        """
        await self._begin(connection, project_id, webhook_id)
        found = await connection.fetchval(
            "SELECT true FROM webhook_delivery WHERE delivery_id = $2 AND webhook_id = $1", webhook_id, delivery_id
        )
        if not found:
            raise NotFound
        # one that is being tried just now is left alone
        await connection.execute(
            """UPDATE webhook_delivery SET state = 'pending', tries = 0, run_at = $3, finished_at = NULL
                WHERE delivery_id = $2 AND webhook_id = $1 AND lease_token IS NULL""",
            webhook_id,
            delivery_id,
            self._clock.now(),
        )

    async def recover(self, connection: "Connection", project_id: UUID, webhook_id: UUID, since: datetime) -> int:
        """Send everything again that failed for good, in order.

        Args:
            connection: inside a transaction.
            project_id: whose.
            webhook_id: which.
            since: events from then on.

        Returns:
            How many.

        Raises:
            NotFound: the project has no such webhook.
            WebhookDisabled: it is disabled.
        """
        await self._begin(connection, project_id, webhook_id)
        count: int = await connection.fetchval(
            """WITH again AS (
                   UPDATE webhook_delivery SET state = 'pending', tries = 0, run_at = $3, finished_at = NULL
                    WHERE webhook_id = $1 AND state = 'failed' AND created_at >= $2 AND type <> $4 RETURNING 1)
               SELECT count(*) FROM again""",
            webhook_id,
            since,
            self._clock.now(),
            TEST_TYPE,
        )
        return count

    async def _begin(self, connection: "Connection", project_id: UUID, webhook_id: UUID) -> None:
        """Whoever asks for a delivery does not want to wait for an endpoint that is left alone."""
        enabled = await connection.fetchval(
            "UPDATE webhook SET held_until = NULL WHERE webhook_id = $2 AND project_id = $1 RETURNING enabled",
            project_id,
            webhook_id,
        )
        if enabled is None:
            raise NotFound
        if not enabled:
            raise WebhookDisabled

    async def _add_secret(self, connection: "Connection", webhook_id: UUID, now: datetime) -> UUID:
        secret_id = uuid4()
        await connection.execute(
            "INSERT INTO webhook_secret (secret_id, webhook_id, sealed, created_at) VALUES ($1, $2, $3, $4)",
            secret_id,
            webhook_id,
            self._box.seal(webhook_id, secret_id, new_secret()),
            now,
        )
        return secret_id
