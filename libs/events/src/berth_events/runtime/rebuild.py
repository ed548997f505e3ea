"""Rebuildable projections: each version fills tables in a schema of its own; the views in `public` show the active one."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from berth_events.runtime.bus import Partition
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_events.runtime.migrations import NotMigrated, grant
from berth_events.runtime.projection import Projection
from berth_events.runtime.projector import Projector

if TYPE_CHECKING:
    from berth_events.runtime.bus import Bus
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.parking import Parking

__all__ = ["ActiveProjection", "Rebuild", "RebuildRunning", "RebuildStopped", "RebuildableProjection", "install"]

#: Session-level advisory lock, with the hash of the projection's name as its second half.
_REBUILD_LOCK: Final = 7_205
_WATCH_S: Final = 1.0
_CAUGHT_UP_POLL_S: Final = 0.05
#: How long the active version may stand still for the switch.
_DRAW_LEVEL_S: Final = 5

_log = structlog.get_logger(__name__)


class RebuildRunning(Exception):
    """The projection is being rebuilt by another command. Wait for it, or end it and start again."""


class RebuildStopped(Exception):
    """The new version cannot be filled; the old one stays active. Mend what the message names and rebuild again."""


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
        await _drop(connection, Version(version.name, before))
    await connection.execute(
        "UPDATE projection SET state = 'active' WHERE name = $1 AND version = $2", version.name, version.number
    )


async def _drop(connection: "Connection", version: Version) -> None:
    """Remove a version: its row, which its consumers hold while they write, then what they knew, then its tables."""
    await connection.execute("DELETE FROM projection WHERE name = $1 AND version = $2", version.name, version.number)
    for statement in (
        "DELETE FROM consumer_offset WHERE consumer = $1",
        "DELETE FROM consumer_sequence WHERE consumer = $1",
        "DELETE FROM parked_event WHERE consumer = $1",
        "DELETE FROM parked_key WHERE consumer = $1",
    ):
        await connection.execute(statement, version.schema)
    await _execute(connection, "DROP SCHEMA %I CASCADE", version.schema)


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
        """Project until cancelled.

        Raises:
            NotMigrated: the projection was never installed.
        """
        while True:
            try:
                version = await self._active()
            except INFRASTRUCTURE_ERRORS:
                await self._clock.sleep(_WATCH_S)
                continue
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
                while not running.done() and not await self._replaced(version):
                    await self._clock.sleep(_WATCH_S)
            finally:
                running.cancel()
                await asyncio.wait([running])
            if not running.cancelled():
                running.result()
            _log.info("projection.switched", projection=self._projection.name, before=version.number)

    async def _replaced(self, version: Version) -> bool:
        try:
            return await self._active() != version
        except INFRASTRUCTURE_ERRORS:  # the projector, which meets them too, says so
            return False

    async def _active(self) -> Version:
        number: int | None = await self._pool.fetchval(
            "SELECT version FROM projection WHERE name = $1 AND state = 'active'", self._projection.name
        )
        if number is None:
            raise NotMigrated(f"projection {self._projection.name}")
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

        What an interrupted rebuild left behind is removed first.

        Returns:
            The number of the version that is active now.

        Raises:
            RebuildRunning: another command rebuilds it.
            RebuildStopped: the new version met a gap or too much poison.
            BusError: the bus cannot be reached.
        """
        async with self._pool.acquire() as connection:  # the pool unlocks what a connection comes back with
            if not await connection.fetchval(
                "SELECT pg_try_advisory_lock($1, hashtext($2))", _REBUILD_LOCK, self._projection.name
            ):
                raise RebuildRunning(self._projection.name)
            return await self._fill(await self._begin(connection))

    async def _begin(self, connection: "Connection") -> Version:
        async with connection.transaction():
            abandoned = await connection.fetch(
                "SELECT version FROM projection WHERE name = $1 AND state = 'building'", self._projection.name
            )
            number: int = await connection.fetchval(
                "SELECT max(version) + 1 FROM projection WHERE name = $1", self._projection.name
            )
            for row in abandoned:
                await _drop(connection, Version(self._projection.name, row["version"]))
            version = Version(self._projection.name, number)
            await _create(connection, self._projection, version, self._role)
        return version

    async def _fill(self, version: Version) -> int:
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

        async def going_on() -> None:
            if projector.stopped:
                raise RebuildStopped(projector.problem)
            if running.done():
                running.result()
            await self._clock.sleep(_CAUGHT_UP_POLL_S)

        try:
            ends = await self._bus.end_offsets(self._projection.topics)
            while not await self._has_reached(self._pool, version, ends):
                await going_on()
            while not await self._switch(version):
                await going_on()
        finally:
            running.cancel()
            await asyncio.wait([running])
        return version.number

    async def _switch(self, version: Version) -> bool:
        """Stop the active version for a moment, let the new one draw level, and put it in its place."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                offsets = await self._hold_the_active(connection, version)
                async with asyncio.timeout(_DRAW_LEVEL_S):
                    while not await self._has_reached(connection, version, offsets):
                        await self._clock.sleep(_CAUGHT_UP_POLL_S)
                await _activate(connection, version, self._role)
        except INFRASTRUCTURE_ERRORS as error:  # not level in time, or readers in the way of the views, for example
            _log.warning("projection.not_switched", error=str(error) or type(error).__name__)
            return False
        return True

    async def _hold_the_active(self, connection: "Connection", version: Version) -> dict[Partition, int]:
        """Let the active version write no more before the transaction ends; how far it has come."""
        number = await connection.fetchval(
            "SELECT version FROM projection WHERE name = $1 AND state = 'active' FOR UPDATE", version.name
        )
        return await self._offsets(connection, Version(version.name, number))

    async def _has_reached(
        self, connection: "Connection | Pool", version: Version, wanted: Mapping[Partition, int]
    ) -> bool:
        offsets = await self._offsets(connection, version)
        return all(offsets.get(partition, 0) >= offset for partition, offset in wanted.items())

    async def _offsets(self, connection: "Connection | Pool", version: Version) -> dict[Partition, int]:
        rows = await connection.fetch(
            "SELECT topic, partition, next_offset FROM consumer_offset WHERE consumer = $1", version.schema
        )
        return {Partition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
