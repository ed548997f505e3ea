"""Says SeatLimitReached when the last seat of a kind is taken: once, until a seat is free again or the limit is raised."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from berth_billing import repository
from berth_billing.repository import Watch
from berth_events.contracts import AccountRemoved, AccountRequested, Envelope, SeatLimitReached
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime.store import Context, EventStore

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["SeatLimits"]


class SeatLimits:
    """A consumer with an offset of its own, so that rebuilding the seats says nothing twice."""

    name: Final = "billing-seat-limits"
    topics: Final = (ACCOUNTS,)

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Apply events of one partition, in order."""
        changes = [
            (envelope, event)
            for envelope in envelopes
            if isinstance(event := envelope.data, AccountRequested | AccountRemoved)
        ]
        organizations = {event.organization_id for _, event in changes}
        await repository.lock_organizations(connection, organizations)
        limits = await repository.limits(connection, organizations)
        watches = await repository.watches(connection, organizations)
        for envelope, event in changes:
            place = event.organization_id, event.seat_kind
            before = watches.get(place, Watch(used=0, reached=False))
            limit = getattr(limits[event.organization_id], event.seat_kind)
            taken = isinstance(event, AccountRequested)
            used = before.used + (1 if taken else -1)
            watches[place] = Watch(used=used, reached=used >= limit)
            if taken and used >= limit and not before.reached:
                reached = SeatLimitReached(
                    organization_id=event.organization_id,
                    seat_kind=event.seat_kind,
                    limit=limit,
                    used=used,
                    reached_at=envelope.time,
                )
                await self._append(connection, reached, envelope)
        await repository.save_watches(connection, watches)

    async def _append(self, connection: "Connection", event: SeatLimitReached, cause: Envelope) -> None:
        version = await self._store.version(connection, event.organization_id)
        await self._store.append(connection, event.organization_id, version, [event], Context.caused_by(cause))
