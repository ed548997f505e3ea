"""Numbered SQL files, applied once each, in order: the runtime's first, then the service's."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from berth_events.runtime.database import Connection

__all__ = ["MigrationChanged", "NotMigrated", "migrate", "require_migrated"]

_LOCK: Final = 7_205_002
_log = structlog.get_logger(__name__)


class MigrationChanged(Exception):
    """A migration that was applied has another text now. Restore the file and put the change into a new one."""


class NotMigrated(Exception):
    """The database lacks migrations that this code needs. Run the service's `migrate` command with the owner's DSN."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    component: str
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def _found(packages: Sequence[str]) -> Iterator[Migration]:
    for package in ("berth_events.runtime", *packages):
        folder: Traversable = files(package) / "migrations"
        for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if file.name.endswith(".sql"):
                yield Migration(package, file.name, file.read_text(encoding="utf-8"))


async def migrate(connection: "Connection", packages: Sequence[str], *, role: str) -> list[str]:
    """Apply what is missing, as the owner of the database, and let the service's role read and write the tables.

    Args:
        connection: the owner's.
        packages: packages with a `migrations` folder, in order.
        role: what the service logs in as; created without login when it is missing.

    Returns:
        The names of the migrations that were applied.

    Raises:
        MigrationChanged: an applied file has another text.
    """
    applied: list[str] = []
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(
            """CREATE TABLE IF NOT EXISTS schema_migration (
                   component text, name text, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
                   PRIMARY KEY (component, name))"""
        )
        await _create_role(connection, role)
        done = {
            (row["component"], row["name"]): row["checksum"]
            for row in await connection.fetch("SELECT component, name, checksum FROM schema_migration")
        }
        for migration in _found(packages):
            known = done.get((migration.component, migration.name))
            if known is None:
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO schema_migration (component, name, checksum) VALUES ($1, $2, $3)",
                    migration.component,
                    migration.name,
                    migration.checksum,
                )
                applied.append(f"{migration.component}/{migration.name}")
            elif known != migration.checksum:
                raise MigrationChanged(f"{migration.component}/{migration.name}")
        await grant(connection, "public", role)
    _log.info("database.migrated", applied=applied)
    return applied


async def require_migrated(connection: "Connection", packages: Sequence[str]) -> None:
    """Refuse to serve on a database that is behind this code.

    Raises:
        NotMigrated: migrations are missing.
    """
    exists = await connection.fetchval("SELECT to_regclass('public.schema_migration') IS NOT NULL")
    rows = await connection.fetch("SELECT component, name FROM schema_migration") if exists else []
    done = {(row["component"], row["name"]) for row in rows}
    missing = [f"{m.component}/{m.name}" for m in _found(packages) if (m.component, m.name) not in done]
    if missing:
        raise NotMigrated(", ".join(missing))


async def grant(connection: "Connection", schema: str, role: str) -> None:
    """Let a role read and write every table of a schema, but not change the schema."""
    for template in (
        "GRANT USAGE ON SCHEMA %I TO %I",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I",
    ):
        await connection.execute(
            await connection.fetchval("SELECT format($1, $2::text, $3::text)", template, schema, role)
        )


async def _create_role(connection: "Connection", role: str) -> None:
    if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
        return  # made by an operator, perhaps, who lets the owner make none
    # several databases of one server may be migrated at the same moment: the lock above is per database
    await connection.execute(
        await connection.fetchval(
            """SELECT format('DO $$ BEGIN CREATE ROLE %I; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$',
                             $1::text)""",
            role,
        )
    )
