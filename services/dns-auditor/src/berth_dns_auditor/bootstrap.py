"""The DNS auditor's composition root."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from fastapi import FastAPI

from berth_dns_auditor.assembly import make_auditor, open_auditor, open_dns
from berth_dns_auditor.intake import Intake
from berth_dns_auditor.settings import AuditorSettings
from berth_dns_auditor.worker import AuditHandler
from berth_events.runtime.buses import open_bus
from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import open_pool
from berth_events.runtime.parking import Parking
from berth_events.runtime.projector import Projector
from berth_events.runtime.relay import Relay
from berth_events.runtime.service import Parts, Service
from berth_events.runtime.store import EventStore
from berth_events.runtime.work import WorkQueue
from berth_events.runtime.worker_pool import WorkerPool

__all__ = ["SERVICE", "build", "make_auditor", "open_dns"]

#: Audits at once: in this process, so that those of dead domains, which take seconds, do not hold up the others; and with
#: all replicas together.
CONCURRENCY: Final = 64
CONCURRENCY_OF_ALL: Final = 256


@asynccontextmanager
async def build(settings: AuditorSettings) -> AsyncIterator[Parts]:
    """Build every part of the DNS auditor, and release it at the end."""
    clock = SystemClock()
    store = EventStore("/berth/dns-auditor", clock)
    queue = WorkQueue(clock, default_limit=CONCURRENCY_OF_ALL, lease=timedelta(seconds=settings.lease_seconds))
    intake = Intake(queue, clock)
    rng = random.Random()  # noqa: S311 - jitter is no secret
    async with (
        open_auditor(settings.berth_dns_servers, settings.choice()) as assembly,
        open_bus(settings) as bus,
        await open_pool(settings.database(), application_name="berth-dns-auditor", max_size=settings.pool_size) as pool,
    ):
        handler = AuditHandler(pool, assembly.auditor, store, queue, clock, rng, forget=assembly.forget)
        yield Parts(
            pool=pool,
            bus=bus,
            clock=clock,
            app=FastAPI(title="Berth DNS auditor (internal)", version="1", docs_url=None, redoc_url=None),
            projections=[intake],
            running=[
                Relay(settings.database(), bus, store.appended, clock),
                Projector(pool, bus, intake, Parking(clock), clock),
            ],
            workers=[WorkerPool(pool, queue, handler, store, clock, concurrency=CONCURRENCY)],
        )


SERVICE = Service(name="dns-auditor", packages=["berth_dns_auditor"], settings=AuditorSettings, build=build)
