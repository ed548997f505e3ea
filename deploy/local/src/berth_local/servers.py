"""Postgres and Kafka of the stack's own, unless DATABASE_URL and KAFKA_BOOTSTRAP name others."""

import asyncio
import contextlib
import secrets
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import asyncpg

from berth_local.guardian import Guardian
from berth_local.kafka_jars import kafka_version
from berth_local.ports import ClaimedPorts
from berth_local.postgres import Postgres
from berth_local.settings import LocalSettings
from berth_local.state import State

if TYPE_CHECKING:
    from berth_local.kafka import Cluster

__all__ = ["KafkaServer", "PostgresServer"]

POSTGRES_PORT: Final = 25432


class PostgresServer:
    """The server that the databases are on."""

    def __init__(self, settings: LocalSettings, state: State, ports: ClaimedPorts, guardian: Guardian) -> None:
        self._settings, self._state, self._ports, self._guardian = settings, state, ports, guardian
        self._server: Postgres | None = None

    def start(self) -> str:
        """Start it, unless there is another one; the administrator's DSN."""
        if self._settings.database_url:
            return self._settings.database_url
        directory = self._settings.postgres_directory
        directory.parent.mkdir(parents=True, exist_ok=True)
        password = self._state.keep("password of postgres", lambda: secrets.token_urlsafe(24))
        self._server = Postgres(directory, self._ports.take(POSTGRES_PORT), password)
        self._server.start()
        if self._server.process:
            self._guardian.started(self._server.process.pid, signal.SIGINT)
        return self._server.dsn

    async def text(self, dsn: str) -> str:
        """What it is, for those who want to know."""
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            version = (await connection.fetchval("SHOW server_version")).split()[0]
        finally:
            await connection.close()
        if not self._server:
            return f"{version}, given by DATABASE_URL"
        return f"{version} on 127.0.0.1:{self._server.port}, data in {self._server.dir}"

    def check(self) -> None:
        """Look whether it still runs, when it is ours.

        Raises:
            PostgresFailed: it ended.
        """
        if self._server:
            self._server.check()

    def stop(self) -> None:
        """Stop it, when it is ours."""
        if self._server:
            self._server.stop()
            if self._server.process:
                self._guardian.stopped(self._server.process.pid)


class KafkaServer:
    """The Kafka that carries the events; it takes a few seconds, so it starts beside everything else."""

    def __init__(self, settings: LocalSettings, ports: ClaimedPorts, guardian: Guardian) -> None:
        self._settings, self._ports, self._guardian = settings, ports, guardian
        self._starting: asyncio.Task[str] | None = None
        self._cluster: Cluster | None = None

    def start(self) -> None:
        """Begin to start it, unless there is another one."""
        self._starting = asyncio.create_task(self._start())

    async def ready(self) -> str:
        """Wait for it; its bootstrap address."""
        if not self._starting:
            raise RuntimeError("start() comes first")
        return await self._starting

    def text(self, bootstrap: str) -> str:
        """What it is, for those who want to know."""
        if not self._cluster:
            return f"Apache Kafka on {bootstrap}, given by KAFKA_BOOTSTRAP"
        return f"Apache Kafka {kafka_version()} on {bootstrap}, data in {self._cluster.root}"

    async def _start(self) -> str:
        if self._settings.kafka_bootstrap:
            return self._settings.kafka_bootstrap
        # its client is not loaded where the embedded bus is used
        from berth_local.kafka import DEFAULT_PORT, Cluster  # noqa: PLC0415

        directory = self._settings.directory / "kafka"
        cluster = Cluster(directory, port=self._ports.take(DEFAULT_PORT, count=2))  # the broker's and the controller's
        await _in_daemon_thread(cluster.prepare)
        cluster.start()
        self._cluster = cluster
        for pid_file in directory.glob("node*/pid"):
            self._guardian.started(int(pid_file.read_text()))
        await cluster.ready()
        return cluster.bootstrap

    def check(self) -> None:
        """Look whether it still runs, when it is ours.

        Raises:
            KafkaUnavailable: it ended.
        """
        if self._cluster:
            self._cluster.check()

    async def stop(self) -> None:
        """Stop it, however far it came."""
        if self._starting:
            self._starting.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):  # told where `ready` was awaited
                await self._starting
        if self._cluster:
            await asyncio.to_thread(self._cluster.stop)
            for pid_file in self._cluster.root.glob("node*/pid"):
                self._guardian.stopped(int(pid_file.read_text()))


async def _in_daemon_thread(call: Callable[[], None]) -> None:
    """Run something slow that cannot be interrupted, such as a download, and let the process end without it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: Exception | None) -> None:
        if done.cancelled():
            return
        if error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def run() -> None:
        error: Exception | None = None
        try:
            call()
        except Exception as raised:  # noqa: BLE001 - raised again where it is awaited
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=run, daemon=True).start()
    await done
