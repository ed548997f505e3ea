"""Says SeatLimitReached when the last seat of a kind is taken: once, until a seat is free again or the limit is raised."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_billing import repository
from berth_events.contracts import AccountRemoved, AccountRequested, Envelope, SeatKind, SeatLimitReached
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime.store import Context, EventStore

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["SeatLimits"]


class SeatLimits:
    """A consumer with an offset of its own, so that rebuilding the seats says nothing twice."""

    name: Final = "seat-limits"
    topics: Final = (ACCOUNTS,)

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Apply events of one partition, in order."""
        for envelope in envelopes:
            match envelope.data:
                case AccountRequested() as event:
                    await self._changed(connection, envelope, event.organization_id, event.seat_kind, 1)
                case AccountRemoved() as event:
                    await self._changed(connection, envelope, event.organization_id, event.seat_kind, -1)
                case _:
                    pass

    async def _changed(
        self, connection: "Connection", envelope: Envelope, organization_id: UUID, seat_kind: SeatKind, change: int
    ) -> None:
        used, reached = await repository.count_watched(connection, organization_id, seat_kind, change)
        subscription = await repository.subscription(connection, organization_id, lock=True)
        limit = getattr(subscription.limits, seat_kind) if subscription and subscription.active else 0
        if used >= limit and not reached and change > 0:
            version = await self._store.version(connection, organization_id)
            event = SeatLimitReached(
                organization_id=organization_id, seat_kind=seat_kind, limit=limit, used=used, reached_at=envelope.time
            )
            await self._store.append(connection, organization_id, version, [event], Context.caused_by(envelope))
        if (used >= limit) != reached:
            await repository.mark_reached(connection, organization_id, seat_kind, reached=used >= limit)
