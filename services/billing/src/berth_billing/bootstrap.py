"""Billing's composition root."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from berth_billing.http import make_app
from berth_billing.process_manager import SeatLimits
from berth_billing.projections import SeatsProjection
from berth_billing.settings import BillingSettings
from berth_billing.subscriptions import Subscriptions
from berth_billing.usage import UsageCloser
from berth_events.runtime.buses import open_bus
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import open_pool
from berth_events.runtime.parking import Parking
from berth_events.runtime.projector import Projector
from berth_events.runtime.rebuild import ActiveProjection
from berth_events.runtime.relay import Relay
from berth_events.runtime.service import Parts, Service
from berth_events.runtime.store import EventStore

__all__ = ["SERVICE", "build"]


@asynccontextmanager
async def build(settings: BillingSettings) -> AsyncIterator[Parts]:
    """Build every part of billing, and release it at the end."""
    clock = SystemClock()
    store = EventStore("/berth/billing", clock)
    parking = Parking(clock)
    seats, limits = SeatsProjection(), SeatLimits(store)
    async with (
        open_bus(settings) as bus,
        await open_pool(settings.database(), application_name="berth-billing", max_size=settings.pool_size) as pool,
    ):
        yield Parts(
            pool=pool,
            bus=bus,
            clock=clock,
            app=make_app(pool, Subscriptions(pool, store), settings.berth_internal_token.get_secret_value()),
            projections=[seats, limits],
            running=[
                Relay(settings.database(), bus, store.appended, clock),
                ActiveProjection(pool, bus, seats, parking, clock),
                Projector(pool, bus, limits, parking, clock, store=store),
                UsageCloser(pool, bus, store, clock),
            ],
        )


SERVICE = Service(
    name="billing",
    packages=["berth_billing"],
    settings=BillingSettings,
    build=build,
    rebuildable=[SeatsProjection()],
)
