"""Commands on subscriptions: decide, append, save, in one transaction."""

from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from berth_billing import repository
from berth_billing.repository import NO_SEATS, Subscription
from berth_events.contracts import Event, SeatCount, SubscriptionActivated, SubscriptionChanged, SubscriptionEnded
from berth_events.runtime.store import ConcurrencyConflict, Context, EventStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from berth_events.runtime.database import Pool

__all__ = ["NoSubscription", "Subscriptions"]

_TRIES: Final = 3


class NoSubscription(LookupError):
    """The organization has no active subscription. Put one first."""


class Subscriptions:
    """What the internal API does."""

    def __init__(self, pool: "Pool", store: EventStore) -> None:
        self._pool, self._store = pool, store

    async def put(self, organization_id: UUID, plan: str, limits: SeatCount) -> Subscription:
        """Activate or change a subscription; the same again changes nothing and says nothing.

        Raises:
            ConcurrencyConflict: others keep changing it.
        """
        wanted = Subscription(organization_id=organization_id, plan=plan, limits=limits, active=True)
        fields = {"organization_id": organization_id, "plan": plan, "limits": limits}

        def decide(current: Subscription | None) -> Event | None:
            if current is None or not current.active:
                return SubscriptionActivated.model_validate(fields)
            return None if current == wanted else SubscriptionChanged.model_validate(fields)

        await self._change(organization_id, wanted, decide)
        return wanted

    async def end(self, organization_id: UUID) -> None:
        """End a subscription.

        Raises:
            NoSubscription: there is none.
            ConcurrencyConflict: others keep changing it.
        """

        def decide(current: Subscription | None) -> Event | None:
            if current is None or not current.active:
                raise NoSubscription(str(organization_id))
            return SubscriptionEnded(organization_id=organization_id)

        ended = Subscription(organization_id=organization_id, plan=None, limits=NO_SEATS, active=False)
        await self._change(organization_id, ended, decide)

    async def _change(
        self, organization_id: UUID, wanted: Subscription, decide: "Callable[[Subscription | None], Event | None]"
    ) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    await repository.lock_organizations(connection, [organization_id])
                    current = await repository.subscription(connection, organization_id)
                    event = decide(current)
                    if event is None:
                        return
                    version = await self._store.version(connection, organization_id)
                    context = Context(correlation_id=uuid4())
                    await self._store.append(connection, organization_id, version, [event], context)
                    await repository.save_subscription(connection, wanted, version + 1)
            except ConcurrencyConflict:
                if attempt == _TRIES:
                    raise
            else:
                self._store.notify()
                return
