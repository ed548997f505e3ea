"""What Kubernetes and Prometheus ask of every service: /healthz, /readyz, /metrics."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from berth_events.runtime import metrics
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS

if TYPE_CHECKING:
    from berth_events.runtime.database import Pool

__all__ = ["Problem", "health_router"]

#: Why a part is not ready, or None.
Problem = Callable[[], str | None]
_DEADLINE_S: Final = 3

_log = structlog.get_logger(__name__)


def health_router(pool: "Pool", problems: Sequence[Problem]) -> APIRouter:
    """The three routes.

    Liveness is that the event loop turns, never a dependency. Readiness is that Postgres answers and that no part reports a
    problem; the answer names those that do.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        found = [text for problem in problems if (text := problem())]
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await pool.fetchval("SELECT 1")
        except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:
            found.append(f"postgres: {type(error).__name__}")
        status = "not ready" if found else "ready"
        return JSONResponse({"status": status, "problems": found}, status_code=503 if found else 200)

    @router.get("/metrics")
    async def scrape() -> Response:
        try:
            await _read_gauges(pool)
        except (*INFRASTRUCTURE_ERRORS, asyncpg.PostgresError) as error:  # the counters are wanted then above all
            _log.warning("metrics.without_database", error=str(error) or type(error).__name__)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _read_gauges(pool: "Pool") -> None:
    async with asyncio.timeout(_DEADLINE_S), pool.acquire() as connection:
        outbox = await connection.fetchrow(
            "SELECT count(*) AS depth, extract(epoch FROM now() - min(added_at))::float AS age FROM outbox"
        )
        work = await connection.fetch("SELECT state, count(*) AS rows FROM work GROUP BY state")
        parked = await connection.fetch("SELECT consumer, count(*) AS keys FROM parked_key GROUP BY consumer")
    if outbox:
        metrics.OUTBOX_DEPTH.set(outbox["depth"])
        metrics.OUTBOX_OLDEST.set(outbox["age"] or 0)
    counts = {row["state"]: row["rows"] for row in work}
    for state in ("ready", "leased", "failed"):
        metrics.WORK_STATE.labels(state).set(counts.get(state, 0))
    metrics.PARKED_KEYS.clear()
    for row in parked:
        metrics.PARKED_KEYS.labels(row["consumer"]).set(row["keys"])
