"""Rebuildable projections: each version fills tables in a schema of its own; the views in `public` show the active one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from berth_events.runtime.bus import Partition
from berth_events.runtime.migrations import grant
from berth_events.runtime.projector import Projection, Projector

if TYPE_CHECKING:
    from berth_events.runtime.bus import Bus
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.parking import Parking

__all__ = ["ActiveProjection", "Rebuild", "RebuildableProjection", "install"]

_WATCH_S: Final = 1.0
_CAUGHT_UP_POLL_S: Final = 0.1

_log = structlog.get_logger(__name__)


class RebuildableProjection(Projection, Protocol):
    """A projection that owns its tables, so that it can be filled anew beside the old ones."""

    @property
    def tables(self) -> str:
        """The DDL of its tables, without schema names."""
        ...


@dataclass(frozen=True, slots=True)
class Version:
    """One filling of a projection."""

    name: str
    number: int

    @property
    def schema(self) -> str:
        """Where its tables are; also the consumer's name."""
        return f"{self.name}_v{self.number}"


async def _execute(connection: "Connection", template: str, *names: str) -> None:
    """Run DDL whose identifiers Postgres quotes itself."""
    placeholders = {
        1: "SELECT format($1, $2::text)",
        2: "SELECT format($1, $2::text, $3::text)",
        3: "SELECT format($1, $2::text, $3::text, $4::text)",
    }
    await connection.execute(await connection.fetchval(placeholders[len(names)], template, *names))


async def _create(connection: "Connection", projection: RebuildableProjection, version: Version, role: str) -> None:
    await _execute(connection, "CREATE SCHEMA %I", version.schema)
    await connection.execute("SELECT set_config('search_path', $1, true)", version.schema)
    await connection.execute(projection.tables)
    await connection.execute("SELECT set_config('search_path', 'public', true)")
    await grant(connection, version.schema, role)
    await connection.execute(
        "INSERT INTO public.projection (name, version, state) VALUES ($1, $2, 'building')", version.name, version.number
    )


async def _activate(connection: "Connection", version: Version, role: str) -> None:
    """Show this version's tables under the views, and drop the one before; in the caller's transaction."""
    before = await connection.fetchval(
        "SELECT version FROM projection WHERE name = $1 AND state = 'active' FOR UPDATE", version.name
    )
    tables = await connection.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = $1", version.schema
    )
    for row in tables:
        table = row["table_name"]
        await _execute(connection, "DROP VIEW IF EXISTS public.%I", table)
        await _execute(connection, "CREATE VIEW public.%I AS SELECT * FROM %I.%I", table, version.schema, table)
        await _execute(connection, "GRANT SELECT ON public.%I TO %I", table, role)
    if before is not None:
        old = Version(version.name, before)
        await connection.execute("DELETE FROM projection WHERE name = $1 AND version = $2", old.name, old.number)
        await connection.execute("DELETE FROM consumer_offset WHERE consumer = $1", old.schema)
        await connection.execute("DELETE FROM consumer_sequence WHERE consumer = $1", old.schema)
        await _execute(connection, "DROP SCHEMA %I CASCADE", old.schema)
    await connection.execute(
        "UPDATE projection SET state = 'active' WHERE name = $1 AND version = $2", version.name, version.number
    )


async def install(connection: "Connection", projections: Sequence[RebuildableProjection], *, role: str) -> None:
    """Part of `migrate`: give every projection its first version. As the owner of the database."""
    async with connection.transaction():
        for projection in projections:
            if not await connection.fetchval("SELECT true FROM projection WHERE name = $1 LIMIT 1", projection.name):
                version = Version(projection.name, 1)
                await _create(connection, projection, version, role)
                await _activate(connection, version, role)


class ActiveProjection:
    """Runs the projector of a projection's active version, and follows when a rebuild makes another one active."""

    def __init__(
        self, pool: "Pool", bus: "Bus", projection: RebuildableProjection, parking: "Parking", clock: "Clock"
    ) -> None:
        self._pool, self._bus, self._projection, self._parking, self._clock = pool, bus, projection, parking, clock
        self._projector: Projector | None = None

    @property
    def problem(self) -> str | None:
        """Why it is not ready, or None."""
        return self._projector.problem if self._projector else f"{self._projection.name}: not started"

    async def run(self) -> None:
        """Project until cancelled."""
        while True:
            version = await self._active()
            self._projector = Projector(
                self._pool,
                self._bus,
                self._projection,
                self._parking,
                self._clock,
                consumer=version.schema,
                schema=version.schema,
            )
            running = asyncio.create_task(self._projector.run())
            try:
                while not running.done() and await self._active() == version:
                    await self._clock.sleep(_WATCH_S)
            finally:
                running.cancel()
                await asyncio.wait([running])
            _log.info("projection.switched", projection=self._projection.name, before=version.number)

    async def _active(self) -> Version:
        number: int = await self._pool.fetchval(
            "SELECT version FROM projection WHERE name = $1 AND state = 'active'", self._projection.name
        )
        return Version(self._projection.name, number)


class Rebuild:
    """Fills a new version of a projection from the beginning of its topics, then lets reads switch to it."""

    def __init__(
        self, pool: "Pool", bus: "Bus", projection: RebuildableProjection, parking: "Parking", clock: "Clock", role: str
    ) -> None:
        self._pool, self._bus, self._projection, self._parking = pool, bus, projection, parking
        self._clock, self._role = clock, role

    async def run(self) -> int:
        """Rebuild, as the owner of the database; the services go on beside it.

        Returns:
            The number of the version that is active now.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            number: int = await connection.fetchval(
                "SELECT max(version) + 1 FROM projection WHERE name = $1", self._projection.name
            )
            version = Version(self._projection.name, number)
            await _create(connection, self._projection, version, self._role)
        projector = Projector(
            self._pool,
            self._bus,
            self._projection,
            self._parking,
            self._clock,
            consumer=version.schema,
            schema=version.schema,
        )
        running = asyncio.create_task(projector.run())
        try:
            while not await self._caught_up(version):
                if running.done():
                    running.result()
                await self._clock.sleep(_CAUGHT_UP_POLL_S)
            async with self._pool.acquire() as connection, connection.transaction():
                await _activate(connection, version, self._role)
        finally:
            running.cancel()
            await asyncio.wait([running])
        return number

    async def _caught_up(self, version: Version) -> bool:
        ends = await self._bus.end_offsets(self._projection.topics)
        rows = await self._pool.fetch(
            "SELECT topic, partition, next_offset FROM consumer_offset WHERE consumer = $1", version.schema
        )
        offsets = {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        return all(offsets.get(partition, 0) >= end for partition, end in ends.items())
