"""Imports: many mailboxes in one request, how far they are, and what became of each."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Final
from uuid import UUID

import structlog
from fastapi import APIRouter, Query, Request, status
from pydantic import ValidationError
from starlette.responses import Response, StreamingResponse

from berth_events.runtime.database import INFRASTRUCTURE_ERRORS, Connection
from berth_gateway.api.authentication import ReadsWorkspaces, WritesWorkspaces
from berth_gateway.api.conditional import READ, IfChanged
from berth_gateway.api.examples.imports import PROGRESS_STREAM, REJECTED
from berth_gateway.api.idempotency import Answer, IdempotencyKey
from berth_gateway.api.openapi import BODY, KEY, problems
from berth_gateway.api.paths import ImportId, WorkspaceId, decode_cursor, encode_cursor
from berth_gateway.api.problems import field_faults
from berth_gateway.api.services import Provided, Services, context_of
from berth_gateway.errors import (
    FieldFault,
    IdempotencyKeyReused,
    ImportRefused,
    InvalidCursor,
    InvalidFields,
    InvalidIdempotencyKey,
    InvalidJson,
    NotFound,
    SeatLimitReached,
    SubscriptionRequired,
    UnsupportedMediaType,
)
from berth_gateway.imports.csv_reader import CsvRow, read_csv
from berth_gateway.imports.plan import Row
from berth_gateway.imports.presentation import CSV_HEADING, csv_lines, import_resource, plan_resource, row_resource
from berth_gateway.imports.repository import ImportView, Mark
from berth_gateway.imports.schemas import (
    MAX_ROWS,
    AccountImportInput,
    Import,
    ImportPage,
    ImportPlan,
    ImportRowPage,
    Options,
    RejectedState,
    RowState,
    WorkspaceImportInput,
)
from berth_gateway.imports.translation import csv_rows, password_rows, workspace_rows
from berth_gateway.tenants.keyring import Caller

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["imports"])

_IMPORTS: Final = "i"
_ROWS: Final = "r"
_CSV: Final = "text/csv"
_EVENT_STREAM: Final = "text/event-stream"
_STREAM_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_CSV_PAGE: Final = 1000
_REFUSALS: Final = (
    SubscriptionRequired, SeatLimitReached, ImportRefused, InvalidIdempotencyKey, IdempotencyKeyReused,
)  # fmt: skip
_ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": ImportPlan, "description": "A dry run: what would happen."},
    202: {"headers": {"Location": {"description": "where the import is", "schema": {"type": "string"}}}},
}

_log = structlog.get_logger(__name__)


@router.post(
    "/email-workspaces/{workspace_id}/imports",
    operation_id="importThroughWorkspace",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=Import,
    responses={**_ACCEPTED, **problems(*KEY, *BODY, *_REFUSALS, NotFound)},
)
async def import_through_workspace(
    request: Request,
    services: Provided,
    caller: WritesWorkspaces,
    workspace_id: WorkspaceId,
    body: WorkspaceImportInput,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Connect up to 10,000 mailboxes through an email workspace.

    What is accepted has its seats at once and is then verified. Rows that cannot be accepted are told with reason and remedy;
    seats go to the first rows that fit. With `dry_run` nothing is stored.
    """
    identified = await services.idempotency.identify(request, caller.key_id, idempotency_key)
    if answered := await services.idempotency.answered(identified):
        return answered.response()
    rows = await asyncio.to_thread(workspace_rows, body.accounts)
    if body.dry_run:
        return await _planned(services, caller, rows, body, workspace_id)

    async def command(connection: Connection) -> Answer:
        import_id = await services.imports.import_through(
            connection, caller.tenant, workspace_id, rows, body, context_of(request)
        )
        return await _accepted(services, connection, caller, import_id)

    return (await services.idempotency.run(identified, command)).response()


@router.post(
    "/imports",
    operation_id="importAccounts",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=Import,
    responses={**_ACCEPTED, **problems(*KEY, *BODY, *_REFUSALS)},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": AccountImportInput.model_json_schema()},
                _CSV: {"schema": {"type": "string"}},
            },
        }
    },
)
async def import_accounts(
    request: Request,
    services: Provided,
    caller: WritesWorkspaces,
    options: Annotated[Options, Query()],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Connect up to 10,000 mailboxes by IMAP and SMTP, each with a password of its own.

    The body is JSON, or a CSV file (`Content-Type: text/csv`), whose options stand in the query. The columns of a file are
    `email`, `password`, `imaphost`, `imapport`, `imapsecure`, `smtphost`, `smtpport`, `smtpsecure`, `displayname`,
    and, for more than that, `firstname`, `lastname`, `provider`, `imapusername`, `imappassword`, `imapsecurity`,
    `smtpusername`, `smtppassword`, `smtpsecurity`.
    """
    identified = await services.idempotency.identify(request, caller.key_id, idempotency_key)
    if answered := await services.idempotency.answered(identified):
        return answered.response()
    given, options = await _read(request, options)
    rows = await password_rows(given, services.import_vetting(), services.import_finder())
    if options.dry_run:
        return await _planned(services, caller, rows, options)
    prepared = await services.imports.prepare(caller.tenant, rows)

    async def command(connection: Connection) -> Answer:
        import_id = await services.imports.import_accounts(
            connection, caller.tenant, prepared, options, context_of(request)
        )
        return await _accepted(services, connection, caller, import_id)

    return (await services.idempotency.run(identified, command)).response()


async def _read(request: Request, options: Options) -> tuple[list[CsvRow], Options]:
    """The rows of the body, not validated yet, and how they are to be accepted."""
    raw, media_type = await request.body(), request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == _CSV:
        rows = await asyncio.to_thread(read_csv, raw, max_rows=MAX_ROWS)
        if not rows:
            raise InvalidFields(
                [FieldFault("file", "The file has no row below its heading.", "Add a row for each mailbox.")]
            )
        return rows, options
    if media_type != "application/json":
        raise UnsupportedMediaType(
            "The body is neither JSON nor CSV. Send `Content-Type: application/json` or `text/csv`."
        )
    try:
        body = AccountImportInput.model_validate_json(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        if any(fault["type"] == "json_invalid" for fault in faults):
            raise InvalidJson from None
        raise InvalidFields(field_faults(faults)) from None
    chosen = body.model_dump(include=set(Options.model_fields), exclude_unset=True)
    return csv_rows(body.accounts), options.model_copy(update=chosen)


async def _planned(
    services: Services, caller: Caller, rows: Sequence[Row[Any]], options: Options, workspace_id: UUID | None = None
) -> Response:
    """What a dry run says. It is out of date at once, so it is not kept to be said again."""
    async with services.pool.acquire() as connection:
        planned = await services.imports.dry_run(connection, caller.tenant, rows, options, workspace_id)
    body = await asyncio.to_thread(lambda: plan_resource(planned, options).model_dump_json())
    return Response(body, media_type="application/json")


async def _accepted(services: Services, connection: Connection, caller: Caller, import_id: UUID) -> Answer:
    shown = import_resource(await _found(services, connection, caller, import_id))
    return Answer(status.HTTP_202_ACCEPTED, shown.model_dump(mode="json"), {"Location": f"/v1/imports/{import_id}"})


@router.get("/imports", operation_id="listImports", responses=problems(*KEY, InvalidCursor, InvalidFields))
async def list_imports(
    services: Provided,
    caller: ReadsWorkspaces,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> ImportPage:
    """The imports of the project, the newest first."""
    before = decode_cursor(_IMPORTS, cursor) if cursor is not None else None
    async with services.pool.acquire() as connection:
        found = await services.import_repository.page(
            connection, caller.tenant.project_id, before=before, limit=limit + 1
        )
    shown = found[:limit]
    return ImportPage(
        items=[import_resource(view) for view in shown],
        next_cursor=encode_cursor(_IMPORTS, shown[-1].number) if len(found) > limit else None,
    )


@router.get(
    "/imports/{import_id}",
    operation_id="getImport",
    response_model=Import,
    responses={**READ, **problems(*KEY, NotFound)},
)
async def get_import(
    services: Provided, caller: ReadsWorkspaces, import_id: ImportId, if_changed: IfChanged
) -> Response:
    """How far an import is, and why rows were rejected and accounts failed."""
    async with services.pool.acquire() as connection:
        return if_changed.response(import_resource(await _found(services, connection, caller, import_id)))


@router.get(
    "/imports/{import_id}/accounts",
    operation_id="listImportAccounts",
    responses=problems(*KEY, NotFound, InvalidCursor, InvalidFields),
)
async def list_import_accounts(
    services: Provided,
    caller: ReadsWorkspaces,
    import_id: ImportId,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
    state: Annotated[list[RowState] | None, Query(description="only rows of this state; may be repeated")] = None,
) -> ImportRowPage:
    """What became of each row, in their order."""
    after = decode_cursor(_ROWS, cursor)
    async with services.pool.acquire() as connection:
        await _found(services, connection, caller, import_id)
        found = await services.import_repository.rows(
            connection, caller.tenant.project_id, import_id, after=after, limit=limit + 1, states=state
        )
    shown = found[:limit]
    return ImportRowPage(
        items=[row_resource(view) for view in shown],
        next_cursor=encode_cursor(_ROWS, shown[-1].row) if len(found) > limit else None,
    )


@router.get(
    "/imports/{import_id}/rejected.csv",
    operation_id="downloadRejectedRows",
    response_class=StreamingResponse,
    responses={
        200: {"content": {_CSV: {"schema": {"type": "string"}, "example": REJECTED}}},
        **problems(*KEY, NotFound, InvalidFields),
    },
)
async def download_rejected_rows(
    services: Provided,
    caller: ReadsWorkspaces,
    import_id: ImportId,
    state: Annotated[
        list[RejectedState] | None, Query(description="rows of these states; may be repeated. Default: `rejected`")
    ] = None,
) -> Response:
    """The rejected rows as a CSV file, each with reason and remedy; or those that failed. Passwords are not in it."""
    async with services.pool.acquire() as connection:
        view = await _found(services, connection, caller, import_id)
    headers = {"Content-Disposition": f'attachment; filename="import-{view.number}-rejected.csv"'}
    return StreamingResponse(
        _rejected(services, caller, import_id, state or ["rejected"]),
        media_type=f"{_CSV}; charset=utf-8",
        headers=headers,
    )


async def _rejected(
    services: Services, caller: Caller, import_id: UUID, states: Sequence[RowState]
) -> AsyncIterator[str]:
    yield ",".join(CSV_HEADING) + "\r\n"
    after: int | None = 0
    while after is not None:
        async with services.pool.acquire() as connection:
            rows = await services.import_repository.rows(
                connection, caller.tenant.project_id, import_id, after=after, limit=_CSV_PAGE, states=states
            )
        yield csv_lines(rows)
        after = rows[-1].row if len(rows) == _CSV_PAGE else None


@router.get(
    "/imports/{import_id}/events",
    operation_id="streamImport",
    response_class=StreamingResponse,
    responses={
        200: {"content": {_EVENT_STREAM: {"example": PROGRESS_STREAM}}},
        **problems(*KEY, NotFound),
    },
)
async def stream_import(services: Provided, caller: ReadsWorkspaces, import_id: ImportId) -> Response:
    """The progress of an import as Server-Sent Events: how it is now, and again whenever it has got on.

    Each event is `progress` with the import as its data; the last one is `finished`, and the stream ends. Comments come every
    15 seconds when nothing happens. The stream ends after 10 minutes; reconnect, nothing is missed.
    """
    async with services.pool.acquire() as connection:
        await _found(services, connection, caller, import_id)
    return StreamingResponse(_progress(services, caller, import_id), media_type=_EVENT_STREAM, headers=_STREAM_HEADERS)


async def _progress(services: Services, caller: Caller, import_id: UUID) -> AsyncIterator[str]:
    timing, clock = services.timing, services.clock
    ends_at = clock.monotonic() + timing.cap
    seen: Mark | None = None
    yield "retry: 1000\n\n"
    while (remaining := ends_at - clock.monotonic()) > 0:
        try:
            async with services.pool.acquire() as connection:
                view = await services.import_repository.find(connection, caller.tenant.project_id, import_id)
        except INFRASTRUCTURE_ERRORS as error:
            _log.warning("stream.ended", error=type(error).__name__)
            return  # the client reconnects
        if view is None:
            return
        if view.mark != seen:
            seen = view.mark
            name = "finished" if view.finished_at else "progress"
            yield f"event: {name}\ndata: {import_resource(view).model_dump_json()}\n\n"
        if view.finished_at:
            return
        if await services.import_progress.wait((import_id, seen), within=min(timing.heartbeat, remaining)) is None:
            yield ": still here\n\n"


async def _found(services: Services, connection: Connection, caller: Caller, import_id: UUID) -> ImportView:
    view = await services.import_repository.find(connection, caller.tenant.project_id, import_id)
    if view is None:
        raise NotFound
    return view
