"""What the sample does. Everything says in the log when it is done, so that the order of a stop can be seen."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog
from fastapi import FastAPI

from berth_events.contracts import AccountResumed, Envelope
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime.store import Context, EventStore
from berth_events.runtime.work import Job

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["Marker", "SampleHandler", "SampleProjection", "add_routes"]

_log = structlog.get_logger(__name__)


class SampleProjection:
    """How many events there were of each account, and of each third of the accounts. Rebuildable."""

    name: Final = "tally"
    topics: Final = (ACCOUNTS,)
    tables: Final = """
        CREATE TABLE tally (stream_id uuid PRIMARY KEY, events int NOT NULL);
        CREATE TABLE tally_total (third int PRIMARY KEY, events int NOT NULL);
    """

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Count them."""
        for envelope in envelopes:
            stream = envelope.data.aggregate_id
            await connection.execute(
                """INSERT INTO tally AS t VALUES ($1, 1)
                   ON CONFLICT (stream_id) DO UPDATE SET events = t.events + 1""",
                stream,
            )
            await connection.execute(
                """INSERT INTO tally_total AS t VALUES ($1, 1)
                   ON CONFLICT (third) DO UPDATE SET events = t.events + 1""",
                stream.int % 3,
            )


class SampleHandler:
    """Takes as many seconds as the job says, then appends an event to the stream of the job's key."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def perform(self, job: Job) -> None:
        """Take that long."""
        _log.info("work.begun", job=str(job.key))
        try:
            await asyncio.sleep(job.payload["seconds"])
        except asyncio.CancelledError:
            _log.info("work.cancelled", job=str(job.key))
            raise
        _log.info("work.performed", job=str(job.key))

    async def record(self, connection: "Connection", job: Job, result: None) -> None:  # noqa: ARG002 - there is none
        """Append."""
        event = AccountResumed(account_id=job.key, organization_id=job.key, project_id=job.key)
        version = await self._store.version(connection, job.key)
        await self._store.append(connection, job.key, version, [event], Context(causation_id=job.causation_id))


class Marker:
    """A part that does nothing.

    Args:
        dies: or dies at once.
    """

    problem: str | None = None

    def __init__(self, *, dies: bool) -> None:
        self._dies = dies

    async def run(self) -> None:
        """Run until cancelled."""
        if self._dies:
            raise RuntimeError("the part died")
        try:
            await asyncio.Event().wait()
        finally:
            _log.info("part.stopped")


def add_routes(app: FastAPI) -> None:
    """GET /slow, which takes a second."""

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(1)
        _log.info("request.answered")
        return "done"
