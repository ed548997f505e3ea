"""The smallest service with every part: for tests of the command line and of the life of a process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import FastAPI

from berth_events.runtime.buses import open_bus
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import open_pool
from berth_events.runtime.parking import Parking
from berth_events.runtime.rebuild import ActiveProjection
from berth_events.runtime.relay import Relay
from berth_events.runtime.service import Parts, Service
from berth_events.runtime.settings import ServiceSettings
from berth_events.runtime.store import EventStore
from berth_events.runtime.work import WorkQueue
from berth_events.runtime.worker_pool import WorkerPool
from berth_testing.sample_service.parts import Marker, SampleHandler, SampleProjection, add_routes

__all__ = ["SERVICE", "SampleSettings"]


class SampleSettings(ServiceSettings):
    """Settings of the sample."""

    sample_dies: bool = False


@asynccontextmanager
async def build(settings: SampleSettings) -> AsyncIterator[Parts]:
    """Build every part, and release it at the end."""
    clock = SystemClock()
    store, parking, projection = EventStore("/berth/sample", clock), Parking(clock), SampleProjection()
    queue = WorkQueue(clock, default_limit=10, lease=timedelta(seconds=settings.lease_seconds))
    app = FastAPI()
    add_routes(app)
    async with (
        open_bus(settings) as bus,
        await open_pool(settings.database(), application_name="berth-sample", max_size=settings.pool_size) as pool,
    ):
        yield Parts(
            pool=pool,
            bus=bus,
            clock=clock,
            app=app,
            projections=[projection],
            running=[
                Marker(dies=settings.sample_dies),
                Relay(settings.database(), bus, store.appended, clock),
                ActiveProjection(pool, bus, projection, parking, clock),
            ],
            workers=[WorkerPool(pool, queue, SampleHandler(store), store, clock, concurrency=4)],
        )


SERVICE = Service(
    name="sample",
    packages=["berth_testing.sample_service"],
    settings=SampleSettings,
    build=build,
    rebuildable=[SampleProjection()],
)
