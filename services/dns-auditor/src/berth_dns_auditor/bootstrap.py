"""The DNS auditor's composition root."""

import gc
import random
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from fastapi import FastAPI

from berth_dns_auditor.audit import Auditor
from berth_dns_auditor.cache import AnswerCache
from berth_dns_auditor.intake import Intake
from berth_dns_auditor.nameservers import NameserverResolver, system_nameservers
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
from berth_net import parse_nameserver

__all__ = ["SERVICE", "build", "keep_loaded", "make_auditor", "open_dns"]

#: Audits at once: in this process, so that those of dead domains, which take seconds, do not hold up the others; and with
#: all replicas together.
CONCURRENCY: Final = 64
CONCURRENCY_OF_ALL: Final = 256


@asynccontextmanager
async def open_dns(dns_servers: Sequence[str]) -> AsyncIterator[AnswerCache]:
    """The DNS as these name servers (see `parse_nameserver`), or those of the system, know it."""
    nameservers = tuple(parse_nameserver(server) for server in dns_servers) or system_nameservers()
    async with NameserverResolver(nameservers) as resolver, AnswerCache(resolver) as cache:
        yield cache


def make_auditor(dns: AnswerCache) -> Auditor:
    """An auditor that asks the DNS."""
    return Auditor(dns, probe=lambda: secrets.token_hex(10))


def keep_loaded() -> None:
    """Tell the garbage collector that what is loaded by now stays.

    An audit makes many short-lived objects, and to walk all modules again and again for them is a quarter of its CPU.
    """
    gc.collect()
    gc.freeze()


@asynccontextmanager
async def build(settings: AuditorSettings) -> AsyncIterator[Parts]:
    """Build every part of the DNS auditor, and release it at the end."""
    clock = SystemClock()
    store = EventStore("/berth/dns-auditor", clock)
    queue = WorkQueue(clock, default_limit=CONCURRENCY_OF_ALL, lease=timedelta(seconds=settings.lease_seconds))
    intake = Intake(queue, clock)
    rng = random.Random()  # noqa: S311 - jitter is no secret
    async with (
        open_dns(settings.berth_dns_servers) as dns,
        open_bus(settings) as bus,
        await open_pool(settings.database(), application_name="berth-dns-auditor", max_size=settings.pool_size) as pool,
    ):
        handler = AuditHandler(pool, make_auditor(dns), store, queue, clock, rng, forget=dns.forget)
        keep_loaded()
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
