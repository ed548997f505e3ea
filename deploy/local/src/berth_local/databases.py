"""A role and a database for each service, and one for the embedded bus."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from berth_local.errors import LocalStackError
from berth_local.postgres_binaries import MINIMUM_VERSION

__all__ = ["OWNERS", "Databases", "ServerNotUsable", "prepare_databases"]

#: Of the databases and of the roles: the services', and the embedded bus's.
OWNERS: Final = ("gateway", "connector", "dns_auditor", "billing", "bus")
CONNECT_SECONDS = 10


class ServerNotUsable(LocalStackError):
    """The Postgres server cannot be used for a local stack. The message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Databases:
    """Where everything is kept.

    Attributes:
        admin: the DSN of a role that may create roles and databases.
        suffix: behind each database's name.
        passwords: of the roles, by owner.
    """

    admin: str
    suffix: str
    passwords: Mapping[str, str]

    def name(self, owner: str) -> str:
        """The name of a database."""
        return f"berth_{owner}{self.suffix}"

    def owned(self, owner: str) -> str:
        """The DSN of a database as the administrator, for its migrations."""
        return urlunsplit(urlsplit(self.admin)._replace(path="/" + self.name(owner)))

    def dsn(self, owner: str, role: str | None = None) -> str:
        """The DSN of a database for its own role, or for another one's."""
        role = role or owner
        parts = urlsplit(self.admin)
        login = f"berth_{role}:{quote(self.passwords[role], safe='')}"
        netloc = f"{login}@{parts.netloc.rpartition('@')[2]}"
        return urlunsplit(parts._replace(netloc=netloc, path="/" + self.name(owner)))


async def prepare_databases(admin: str, suffix: str, password: Callable[[str], str], mark: str) -> Databases:
    """Create what is missing.

    Args:
        admin: the DSN of a role that may create roles and databases.
        suffix: behind each database's name.
        password: that of a role, by owner.
        mark: written to the roles as a comment. A role that can log in and has another one belongs to somebody else.

    Raises:
        ServerNotUsable: it cannot be reached, is too old, or its roles belong to somebody else.
    """
    databases = Databases(admin, suffix, {owner: password(owner) for owner in OWNERS})
    try:
        connection = await asyncpg.connect(admin, timeout=CONNECT_SECONDS, command_timeout=60)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ServerNotUsable(f"Postgres at {_without_password(admin)} cannot be used: {error}") from error
    try:
        if connection.get_server_version().major < MINIMUM_VERSION:
            version = connection.get_server_version().major
            raise ServerNotUsable(f"the server is Postgres {version}, Berth needs {MINIMUM_VERSION} or later")
        for owner, text in databases.passwords.items():
            await _create_role(connection, f"berth_{owner}", text, mark)
        await asyncio.gather(*(_create_database(admin, databases.name(owner)) for owner in OWNERS))
        await _execute(connection, "ALTER DATABASE %I OWNER TO %I", databases.name("bus"), "berth_bus")
    except asyncpg.InsufficientPrivilegeError as error:
        raise ServerNotUsable(
            f"{error}: the role of DATABASE_URL has to be a superuser, or have CREATEROLE and CREATEDB"
        ) from error
    finally:
        await connection.close()
    return databases


async def _create_role(connection: "asyncpg.Connection[asyncpg.Record]", role: str, password: str, mark: str) -> None:
    known = await connection.fetchrow(
        "SELECT rolcanlogin, shobj_description(oid, 'pg_authid') AS mark FROM pg_roles WHERE rolname = $1", role
    )
    if known is None:
        await _execute(connection, "CREATE ROLE %I", role)
    elif known["rolcanlogin"] and known["mark"] != mark:
        raise ServerNotUsable(
            f"the server has a role {role} already, which was not made by this local stack; give DATABASE_URL of another"
        )
    await _execute(connection, "ALTER ROLE %I LOGIN PASSWORD %L", role, password)
    await _execute(connection, "COMMENT ON ROLE %I IS %L", role, mark)
    await _execute(connection, "GRANT %I TO CURRENT_USER", role)


async def _create_database(admin: str, name: str) -> None:
    """On a connection of its own: a database takes a moment, and they are made side by side."""
    connection = await asyncpg.connect(admin, timeout=CONNECT_SECONDS, command_timeout=60)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            await _execute(connection, "CREATE DATABASE %I", name)
    finally:
        await connection.close()


async def _execute(connection: "asyncpg.Connection[asyncpg.Record]", template: str, *values: str) -> None:
    """Run a statement that takes no parameters, with its names and texts quoted by the server."""
    placeholders = ", ".join(f"${number}::text" for number in range(2, len(values) + 2))
    await connection.execute(await connection.fetchval(f"SELECT format($1, {placeholders})", template, *values))


def _without_password(dsn: str) -> str:
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
