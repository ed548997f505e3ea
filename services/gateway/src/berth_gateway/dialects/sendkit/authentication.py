"""Who sends a request: a workspace key is a project's key, a platform key an organization's."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header
from starlette.requests import Request

from berth_gateway.api.authentication import ApiKey, Bearer, caller_for, holder_for, presented_key, presented_project
from berth_gateway.api.services import Provided, Services
from berth_gateway.dialects.sendkit import repository
from berth_gateway.errors import MissingScope
from berth_gateway.tenants.keyring import Caller
from berth_gateway.tenants.keys import Manager
from berth_gateway.tenants.scopes import Scope

__all__ = ["Keeper", "Keeps", "KeepsReading", "Platform", "Reads", "Writes"]

WorkspaceId = Annotated[
    str | None,
    Header(
        alias="X-Workspace-Id",
        description="the workspace, when the key is a platform key; a workspace key needs none",
        examples=["665b1c2d3e4f5a6b7c8d9e0f"],
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Who asks about workspaces.

    Attributes:
        project_id: the only workspace that there is for this key; None: all of the organization.
    """

    manager: Manager
    organization_id: UUID
    project_id: UUID | None


def _calling(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    async def caller(
        request: Request, services: Provided, _bearer: Bearer, _header: ApiKey, _workspace: WorkspaceId = None
    ) -> Caller:
        workspace = presented_project(request)
        if workspace is not None:
            async with services.pool.acquire() as connection:
                found = await repository.project_id(connection, workspace)
            workspace = str(found) if found else workspace
        return await caller_for(request, services, presented_key(request), workspace, scope)

    return caller


def _keeping(of_platform: Scope, of_workspace: Scope | None) -> Callable[..., Awaitable[Keeper]]:
    async def keeper(request: Request, services: Provided, _bearer: Bearer, _header: ApiKey) -> Keeper:
        return await _keeper(request, services, of_platform, of_workspace)

    return keeper


async def _keeper(request: Request, services: Services, of_platform: Scope, of_workspace: Scope | None) -> Keeper:
    holder = await holder_for(request, services, presented_key(request), None)
    if holder is None or (of_workspace is None and not holder.platform):
        raise MissingScope("This needs a platform key.")
    scope = of_platform if holder.platform or of_workspace is None else of_workspace
    if scope not in holder.scopes:
        raise MissingScope(f"The API key lacks the scope {scope}. Use a key that has it.", scope=scope)
    manager = Manager(
        key_id=holder.key_id,
        organization_id=holder.organization_id,
        scopes=holder.scopes,
        rate_limit=holder.rate_limit,
    )
    return Keeper(
        manager=manager,
        organization_id=holder.organization_id,
        project_id=None if holder.platform else holder.project_id,
    )


Reads = Annotated[Caller, Depends(_calling("accounts:read"))]
Writes = Annotated[Caller, Depends(_calling("accounts:write"))]
#: Either kind of key may read and rename workspaces; only a platform key makes and removes them.
KeepsReading = Annotated[Keeper, Depends(_keeping("projects:read", "accounts:read"))]
Keeps = Annotated[Keeper, Depends(_keeping("projects:write", "accounts:write"))]
Platform = Annotated[Keeper, Depends(_keeping("projects:write", None))]
