"""`/v1/workspaces`, which are our projects, and `/v1/account`, which is our organization."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.services import Provided
from berth_gateway.dialects.sendkit import repository
from berth_gateway.dialects.sendkit.authentication import Keeper, Keeps, KeepsReading, Platform
from berth_gateway.dialects.sendkit.ids import short
from berth_gateway.dialects.sendkit.presentation import workspace
from berth_gateway.dialects.sendkit.requests import NameWorkspace, PageQuery, read
from berth_gateway.dialects.sendkit.routing import EVERY, JSON, KEYED, answer, made, route, schema_of
from berth_gateway.dialects.sendkit.schemas import (
    Account,
    Pagination,
    Success,
    Usage,
    Workspace,
    WorkspacePage,
    shown,
)
from berth_gateway.errors import NotFound

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["SendKit dialect"])

WorkspaceId = Annotated[str, Path(description="24 hexadecimal digits", examples=["665b1c2d3e4f5a6b7c8d9e0f"])]


async def _identify(connection: Connection, keeper: Keeper, workspace_id: str) -> UUID:
    found = await repository.project_id(connection, workspace_id, keeper.organization_id)
    if found is None or keeper.project_id not in {None, found}:
        raise NotFound("Workspace not found")
    return found


async def _find(connection: Connection, keeper: Keeper, project_id: UUID) -> Workspace:
    found, _ = await repository.workspaces(connection, keeper.organization_id, project_id, limit=1, offset=0)
    if not found:
        raise NotFound("Workspace not found")
    return workspace(found[0])


async def _list(services: Provided, keeper: KeepsReading, query: Annotated[PageQuery, Query()]) -> Response:
    """The workspaces of the organization, in the order they were made; for a workspace key its own."""
    async with services.pool.acquire() as connection:
        found, total = await repository.workspaces(
            connection,
            keeper.organization_id,
            keeper.project_id,
            limit=query.limit,
            offset=(query.page - 1) * query.limit,
        )
    pagination = Pagination(
        page=query.page, limit=query.limit, total=total, pages=-(-total // query.limit), next_cursor=None
    )
    return JSONResponse(
        {"success": True, "data": [shown(workspace(each)) for each in found], "pagination": shown(pagination)}
    )


async def _create(request: Request, services: Provided, keeper: Platform) -> Response:
    """Make a workspace. Its keys are made with `POST /v1/projects/{project_id}/keys`."""
    body = await read(request, NameWorkspace)

    async def command(connection: Connection) -> Answer:
        made = await services.projects.create(connection, keeper.manager, keeper.organization_id, body.name)
        found = await _find(connection, keeper, made.project_id)
        return Answer(201, {"success": True, "data": shown(found)})

    return (await services.idempotency.run(None, command)).response()


async def _get(services: Provided, keeper: KeepsReading, workspace_id: WorkspaceId) -> Response:
    """One workspace."""
    async with services.pool.acquire() as connection:
        return answer(await _find(connection, keeper, await _identify(connection, keeper, workspace_id)))


async def _rename(request: Request, services: Provided, keeper: Keeps, workspace_id: WorkspaceId) -> Response:
    """Give a workspace another name."""
    body = await read(request, NameWorkspace)

    async def command(connection: Connection) -> Answer:
        project_id = await _identify(connection, keeper, workspace_id)
        project = await services.projects.locked(connection, keeper.manager, project_id)
        await services.projects.rename(connection, project, body.name)
        return Answer(200, {"success": True, "data": shown(await _find(connection, keeper, project_id))})

    return (await services.idempotency.run(None, command)).response()


async def _delete(services: Provided, keeper: Platform, workspace_id: WorkspaceId) -> Response:
    """Delete a workspace without mailboxes; its keys are revoked."""

    async def command(connection: Connection) -> Answer:
        project_id = await _identify(connection, keeper, workspace_id)
        project = await services.projects.locked(connection, keeper.manager, project_id)
        await services.projects.remove(connection, project)
        return Answer(200, None)

    await services.idempotency.run(None, command)
    return made("Workspace removed")


async def _account(services: Provided, keeper: KeepsReading) -> Response:
    """The organization that the key belongs to, with the seats of its plan."""
    async with services.pool.acquire() as connection:
        found = await repository.organization_use(connection, keeper.organization_id)
    return answer(
        Account(
            id=short(keeper.organization_id),
            name=found.name,
            subscribed=found.seats.subscribed,
            usage=Usage(current_usage=found.seats.used, max_mailboxes=found.seats.limit),
            workspace_count=found.workspaces,
            workspace_id=short(keeper.project_id) if keeper.project_id else None,
            created_at=found.created_at,
        )
    )


_ONE: Final = {**EVERY, 404: KEYED[404]}
_NAME: Final = (JSON, schema_of(NameWorkspace))

route(
    router, "GET /workspaces", _list, operation="sendkitListWorkspaces", summary="List workspaces", model=WorkspacePage,
    refusals={**EVERY, 400: "The page is none."},
)  # fmt: skip
route(
    router, "POST /workspaces", _create, operation="sendkitCreateWorkspace", summary="Create workspace", status=201,
    model=Success[Workspace], body=_NAME, refusals=_ONE,
)  # fmt: skip
route(
    router, "GET /workspaces/{workspace_id}", _get, operation="sendkitGetWorkspace", summary="Get workspace",
    model=Success[Workspace], refusals=_ONE,
)  # fmt: skip
route(
    router, "PATCH /workspaces/{workspace_id}", _rename, operation="sendkitRenameWorkspace", summary="Update workspace",
    model=Success[Workspace], body=_NAME, refusals=_ONE,
)  # fmt: skip
route(
    router, "DELETE /workspaces/{workspace_id}", _delete, operation="sendkitDeleteWorkspace", summary="Delete workspace",
    refusals={**_ONE, 409: "The workspace has mailboxes."},
)  # fmt: skip
route(
    router,
    "GET /account",
    _account,
    operation="sendkitAccount",
    summary="Account",
    model=Success[Account],
    refusals=EVERY,
)
