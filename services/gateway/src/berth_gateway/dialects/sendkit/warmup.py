"""`/v1/warmup`: how mailboxes are to be warmed. Berth keeps and tells it, and warms nothing."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway import feed
from berth_gateway.accounts.mailboxes import Change
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.services import Provided, Services, context_of
from berth_gateway.dialects.sendkit import repository
from berth_gateway.dialects.sendkit.authentication import Reads, Writes
from berth_gateway.dialects.sendkit.mailboxes import MailboxId, find_mailbox, identify, page_of
from berth_gateway.dialects.sendkit.presentation import warmup_settings, warmup_statistics
from berth_gateway.dialects.sendkit.requests import BulkWarmup, Filters, WarmupConfigInput, read
from berth_gateway.dialects.sendkit.routing import JSON, answer, route, schema_of
from berth_gateway.dialects.sendkit.schemas import (
    BulkWarmupResult,
    BulkWarmupRow,
    Success,
    WarmupSettings,
    WarmupStatistics,
    WarmupStatisticsPage,
    WarmupTotals,
    shown,
)
from berth_gateway.dialects.sendkit.translation import warmup_change
from berth_gateway.tenants.keyring import Caller

__all__ = ["router"]

router = APIRouter(prefix="/v1/warmup", tags=["SendKit dialect"])

#: What each operation makes of `warmup_enabled` and `warmup_paused`; None leaves as it is.
_OPERATIONS: Final[dict[str, tuple[bool | None, bool | None]]] = {
    "start": (True, False),
    "stop": (False, False),
    "pause": (None, True),
    "resume": (None, False),
    "update": (None, None),
}


def _change(operation: str, config: WarmupConfigInput) -> Change:
    enabled, paused = _OPERATIONS[operation]
    return warmup_change(config, enabled=enabled, paused=paused)


async def _apply(request: Request, services: Services, caller: Caller, mailbox_id: str, change: Change) -> Response:
    async def command(connection: Connection) -> Answer:
        account_id = await identify(connection, caller, mailbox_id)
        entries = await services.changes.update(connection, caller.tenant, account_id, change, context_of(request))
        await feed.publish(connection, entries)
        view = await find_mailbox(connection, services, caller, mailbox_id)
        return Answer(200, {"success": True, "data": shown(warmup_settings(view))})

    return (await services.idempotency.run(None, command)).response()


async def _config(services: Provided, caller: Reads, mailbox_id: MailboxId) -> Response:
    """How a mailbox is to be warmed."""
    async with services.pool.acquire() as connection:
        return answer(warmup_settings(await find_mailbox(connection, services, caller, mailbox_id)))


async def _configure(request: Request, services: Provided, caller: Writes, mailbox_id: MailboxId) -> Response:
    """Change how a mailbox is to be warmed."""
    config = await read(request, WarmupConfigInput)
    return await _apply(request, services, caller, mailbox_id, _change("update", config))


async def _list(services: Provided, caller: Reads, query: Filters) -> Response:
    """What the warm-up of each mailbox did, with the filters and pages of their list; `summary` counts all mailboxes."""
    views, pagination = await page_of(services, caller, query)
    async with services.pool.acquire() as connection:
        counts = await repository.warmup_counts(connection, caller.tenant.project_id)
    totals = WarmupTotals(
        total_mailboxes=counts.total,
        active=counts.enabled - counts.paused,
        paused=counts.paused,
        not_started=counts.total - counts.enabled,
    )
    statistics = [shown(warmup_statistics(view)) for view in views]
    return JSONResponse(
        {"success": True, "data": statistics, "pagination": shown(pagination), "summary": shown(totals)}
    )


async def _statistics(services: Provided, caller: Reads, mailbox_id: MailboxId) -> Response:
    """What the warm-up of a mailbox did."""
    async with services.pool.acquire() as connection:
        return answer(warmup_statistics(await find_mailbox(connection, services, caller, mailbox_id)))


async def _start(request: Request, services: Provided, caller: Writes, mailbox_id: MailboxId) -> Response:
    """Want a mailbox to be warmed; the body may have its configuration."""
    config = await read(request, WarmupConfigInput, optional=True)
    return await _apply(request, services, caller, mailbox_id, _change("start", config))


async def _stop(request: Request, services: Provided, caller: Writes, mailbox_id: MailboxId) -> Response:
    """Want it no more."""
    return await _apply(request, services, caller, mailbox_id, _change("stop", WarmupConfigInput()))


async def _pause(request: Request, services: Provided, caller: Writes, mailbox_id: MailboxId) -> Response:
    """Interrupt it."""
    return await _apply(request, services, caller, mailbox_id, _change("pause", WarmupConfigInput()))


async def _resume(request: Request, services: Provided, caller: Writes, mailbox_id: MailboxId) -> Response:
    """Go on with it."""
    return await _apply(request, services, caller, mailbox_id, _change("resume", WarmupConfigInput()))


async def _bulk(request: Request, services: Provided, caller: Writes) -> Response:
    """One operation on up to 500 mailboxes: start, stop, pause, resume, or update with `config`."""
    body = await read(request, BulkWarmup)
    change = _change(body.operation, body.config)
    wanted = list(dict.fromkeys(identity.lower() for identity in body.mailboxes))

    async def command(connection: Connection) -> Answer:
        known = await repository.mailbox_ids(connection, caller.tenant.project_id, wanted)
        entries: list[feed.Entry] = []
        for account_id in _in_order(known):
            entries += await services.changes.update(connection, caller.tenant, account_id, change, context_of(request))
        await feed.publish(connection, entries)
        results = [
            BulkWarmupRow(
                mailbox_id=identity, success=identity in known, error=None if identity in known else "Mailbox not found"
            )
            for identity in wanted
        ]
        result = BulkWarmupResult(
            operation=body.operation, succeeded=len(known), failed=len(wanted) - len(known), results=results
        )
        return Answer(200, {"success": True, "data": shown(result)})

    return (await services.idempotency.run(None, command)).response()


def _in_order(known: dict[str, UUID]) -> list[UUID]:
    """Locked in one order, so that two requests do not wait for each other."""
    return sorted(known.values())


_CONFIG: Final = (JSON, schema_of(WarmupConfigInput))
_SETTINGS: Final = Success[WarmupSettings]

route(
    router, "GET /config/{mailbox_id}", _config, operation="sendkitWarmupConfig", summary="Warm-up configuration",
    model=_SETTINGS,
)  # fmt: skip
route(
    router, "PATCH /config/{mailbox_id}", _configure, operation="sendkitUpdateWarmupConfig",
    summary="Update the warm-up configuration", model=_SETTINGS, body=_CONFIG,
)  # fmt: skip
route(
    router,
    "GET /stats",
    _list,
    operation="sendkitListWarmupStatistics",
    summary="Warm-up statistics",
    model=WarmupStatisticsPage,
)
route(
    router, "GET /stats/{mailbox_id}", _statistics, operation="sendkitWarmupStatistics",
    summary="Warm-up statistics of a mailbox", model=Success[WarmupStatistics],
)  # fmt: skip
for _slash in ("", "/"):  # some clients look for them here
    router.add_api_route(f"-stats{_slash}", _list, methods=["GET"], include_in_schema=False)
    router.add_api_route(f"-stats/{{mailbox_id}}{_slash}", _statistics, methods=["GET"], include_in_schema=False)
route(
    router, "POST /start/{mailbox_id}", _start, operation="sendkitStartWarmup", summary="Start warm-up", model=_SETTINGS,
    body=_CONFIG, required=False,
)  # fmt: skip
for _name, _endpoint in (("stop", _stop), ("pause", _pause), ("resume", _resume)):
    route(
        router, f"POST /{_name}/{{mailbox_id}}", _endpoint, operation=f"sendkit{_name.title()}Warmup",
        summary=f"{_name.title()} warm-up", model=_SETTINGS,
    )  # fmt: skip
route(
    router, "POST /bulk", _bulk, operation="sendkitBulkWarmup", summary="Warm-up of many mailboxes",
    model=Success[BulkWarmupResult], body=(JSON, schema_of(BulkWarmup)),
)  # fmt: skip
