"""Connections to Postgres as the runtime wants them."""

import json
from typing import TYPE_CHECKING, Final

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

__all__ = ["INFRASTRUCTURE_ERRORS", "Connection", "Pool", "connect", "open_pool"]

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

_COMMAND_TIMEOUT_S: Final = 30
_SERVER_SETTINGS: Final = {
    "idle_in_transaction_session_timeout": "60s",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    # the server lets go of what a vanished machine held (locks, the relay's leadership) in seconds, not in two hours
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # compiling a query takes longer than any of ours runs
    "jit": "off",
}

#: The database is away or busy for now: wait and try again, never skip.
INFRASTRUCTURE_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # asyncpg's word when the server dies in the middle of an operation
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # for a moment a failover leaves us with the standby
)


async def _prepare(connection: "Connection") -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def open_pool(dsn: str, *, application_name: str, max_size: int = 10) -> "Pool":
    """Open a pool whose connections read and write jsonb as Python values and never idle inside a transaction.

    Raises:
        OSError, asyncpg.PostgresError: Postgres cannot be reached or refuses the login.
    """
    pool = await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=max_size,
        init=_prepare,
        timeout=10,
        command_timeout=_COMMAND_TIMEOUT_S,
        server_settings={"application_name": application_name, **_SERVER_SETTINGS},
    )
    if pool is None:  # only by asyncpg's typing
        raise OSError("asyncpg made no pool")
    return pool


async def connect(dsn: str, *, application_name: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Open one connection outside any pool, for a session-level lock."""
    connection = await asyncpg.connect(
        dsn,
        timeout=10,
        command_timeout=_COMMAND_TIMEOUT_S,
        server_settings={"application_name": application_name, **_SERVER_SETTINGS},
    )
    try:
        await _prepare(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection
