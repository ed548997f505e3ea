"""How every service runs: its parts, its HTTP server, and the order in which they stop."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
import uvicorn

from berth_events.contracts.topics import PARTITIONS, TOPICS
from berth_events.runtime.bus import Bus, BusError
from berth_events.runtime.database import connect
from berth_events.runtime.garbage import keep_loaded
from berth_events.runtime.health import health_router
from berth_events.runtime.migrations import migrate, require_migrated
from berth_events.runtime.rebuild import install

if TYPE_CHECKING:
    from fastapi import FastAPI

    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Pool
    from berth_events.runtime.projection import Projection
    from berth_events.runtime.rebuild import RebuildableProjection
    from berth_events.runtime.settings import ServiceSettings
    from berth_events.runtime.worker_pool import WorkerPool

__all__ = ["Part", "Parts", "Service", "migrate_service", "serve"]

_TOPICS_WITHIN_S: Final = 60
_HTTP_DRAIN_S: Final = 5

_log = structlog.get_logger(__name__)


class Part(Protocol):
    """Something that runs as long as the service does."""

    @property
    def problem(self) -> str | None:
        """Why it is not ready, or None."""
        ...

    def run(self) -> Coroutine[Any, Any, None]:
        """Run until cancelled."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a service's composition root built.

    Attributes:
        projections: what parked events are replayed with.
        running: relay, projectors, pollers; stopped after the workers, in reverse order.
        workers: stopped first, and drained.
    """

    pool: "Pool"
    bus: Bus
    clock: "Clock"
    app: "FastAPI"
    projections: "Sequence[Projection]" = ()
    running: Sequence[Part] = ()
    workers: "Sequence[WorkerPool[Any]]" = ()


class Build(Protocol):
    """The composition root: bootstrap.build of each service."""

    def __call__(self, settings: Any) -> AbstractAsyncContextManager[Parts]:
        """Build everything, and release it at the end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as its command line sees it.

    Attributes:
        name: `gateway`; its database role is `berth_` and the name.
        packages: hold `migrations/` each, applied in this order.
        settings: reads the environment.
        build: the composition root.
        rebuildable: projections with tables of their own.
    """

    name: str
    packages: Sequence[str]
    settings: "type[ServiceSettings]"
    build: Build
    rebuildable: "Sequence[RebuildableProjection]" = field(default=())

    @property
    def role(self) -> str:
        """The database role that the service logs in as."""
        return "berth_" + self.name.replace("-", "_")


async def migrate_service(service: Service, dsn: str) -> list[str]:
    """Bring a service's database to this version, as its owner.

    Returns:
        The names of the migrations that were applied.

    Raises:
        MigrationChanged: an applied migration has another text now.
    """
    connection = await connect(dsn, application_name=f"berth-{service.name}-migrate")
    try:
        applied = await migrate(connection, service.packages, role=service.role)
        await install(connection, service.rebuildable, role=service.role)
    finally:
        await connection.close()
    return applied


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the service decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def serve(service: Service, settings: "ServiceSettings") -> None:
    """Run the service until SIGTERM or SIGINT, then stop without losing work.

    Order of the stop: not ready; no more HTTP requests; no more claims, runs in flight drained, leases given back; consumers
    leave their groups; the relay ends; pools close.

    Raises:
        NotMigrated: the database is behind this code.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with service.build(settings) as parts:
        async with parts.pool.acquire() as connection:
            await require_migrated(connection, service.packages)
        await _create_topics(parts.bus)
        stopping = _Stopping()
        keep_loaded()
        problems = [lambda part=part: part.problem for part in (*parts.running, *parts.workers)]
        parts.app.include_router(health_router(parts.pool, [stopping, *problems]))
        server = _Server(
            uvicorn.Config(
                parts.app,
                host=settings.http_host,
                port=settings.http_port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=_HTTP_DRAIN_S,
                server_header=False,
            )
        )
        await _run(parts, server, stop, stopping, settings)
    _log.info("service.stopped")


class _Stopping:
    """The readiness of the process as a whole."""

    def __init__(self) -> None:
        self.stopping = False

    def __call__(self) -> str | None:
        return "stopping" if self.stopping else None


async def _run(
    parts: Parts, server: _Server, stop: asyncio.Event, stopping: _Stopping, settings: "ServiceSettings"
) -> None:
    http: asyncio.Task[Any] = asyncio.create_task(server.serve(), name="http")
    running: list[asyncio.Task[Any]] = [
        asyncio.create_task(part.run(), name=type(part).__name__) for part in parts.running
    ]
    workers: list[asyncio.Task[Any]] = [asyncio.create_task(pool.run(), name="workers") for pool in parts.workers]
    stopped: asyncio.Task[Any] = asyncio.create_task(stop.wait(), name="stop")
    _log.info("service.started", http=f"http://{settings.http_host}:{settings.http_port}")
    ended, _ = await asyncio.wait([http, stopped, *running, *workers], return_when=asyncio.FIRST_COMPLETED)
    stopping.stopping = True
    _log.info("service.stopping", because=[task.get_name() for task in ended])
    server.should_exit = True
    await asyncio.wait([http])
    await _cancel(workers)
    await asyncio.gather(*(pool.drain(settings.drain_seconds) for pool in parts.workers))
    for task in reversed(running):
        await _cancel([task])
    await _cancel([stopped])
    for task in ended - {stopped}:
        task.result()


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def _create_topics(bus: Bus) -> None:
    """Create the topics; a bus that is still starting is waited for."""
    async with asyncio.timeout(_TOPICS_WITHIN_S):
        while True:
            try:
                await bus.create_topics(TOPICS, partitions=PARTITIONS)
            except BusError as error:
                _log.warning("bus.not_ready", error=str(error))
                await asyncio.sleep(0.5)
            else:
                return
