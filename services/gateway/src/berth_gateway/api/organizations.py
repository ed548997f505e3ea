"""Organizations and their projects, for the operator and for platforms."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, status
from pydantic import BaseModel, Field
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway.accounts.schemas import Input, Instant, Text
from berth_gateway.api.authentication import Manages, ManagesReading, Operates
from berth_gateway.api.conditional import READ, IfChanged, IfUnchanged, tagged
from berth_gateway.api.idempotency import Answer, IdempotencyKey
from berth_gateway.api.openapi import BODY, MANAGER, problems
from berth_gateway.api.paths import OrganizationId, ProjectId, decode_place, encode_place
from berth_gateway.api.services import Provided
from berth_gateway.errors import (
    IdempotencyKeyReused,
    InvalidCursor,
    InvalidFields,
    InvalidIdempotencyKey,
    NotFound,
    PreconditionFailed,
    ProjectInUse,
)
from berth_gateway.tenants import organizations, projects

__all__ = ["Cursor", "Limit", "Name", "router"]

router = APIRouter(prefix="/v1", tags=["organizations and projects"])

_ORGANIZATIONS: Final = "o"
_PROJECTS: Final = "p"
_IDEMPOTENT = (InvalidIdempotencyKey, IdempotencyKeyReused)
_CHANGE = (NotFound, PreconditionFailed)

Name = Annotated[Text, Field(min_length=1, max_length=200)]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before")]


class Named(Input):
    """A name."""

    name: Name


class Organization(BaseModel):
    """A tenant. It needs a subscription, at billing, before it can connect accounts."""

    id: UUID
    name: str
    created_at: Instant


class OrganizationPage(BaseModel):
    """Organizations in the order they were made."""

    items: list[Organization]
    next_cursor: str | None = Field(description="null on the last page")


class Project(BaseModel):
    """A name space of accounts inside an organization."""

    id: UUID
    organization_id: UUID
    name: str
    created_at: Instant


class ProjectPage(BaseModel):
    """Projects in the order they were made."""

    items: list[Project]
    next_cursor: str | None = Field(description="null on the last page")


def _organization(found: organizations.Organization) -> Organization:
    return Organization(id=found.organization_id, name=found.name, created_at=found.created_at)


def _project(found: projects.Project) -> Project:
    return Project(
        id=found.project_id, organization_id=found.organization_id, name=found.name, created_at=found.created_at
    )


@router.post(
    "/organizations",
    operation_id="createOrganization",
    status_code=status.HTTP_201_CREATED,
    response_model=Organization,
    responses=problems(*MANAGER, *BODY, *_IDEMPOTENT),
)
async def create_organization(
    request: Request,
    services: Provided,
    manager: Operates,
    body: Named,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Create an organization. This needs the operator key."""

    async def command(connection: Connection) -> Answer:
        shown = _organization(await services.organizations.create(connection, body.name))
        return Answer(status.HTTP_201_CREATED, shown.model_dump(mode="json"), tagged(shown))

    identified = await services.idempotency.identify(request, manager.key_id, idempotency_key)
    return (await services.idempotency.run(identified, command)).response()


@router.get(
    "/organizations",
    operation_id="listOrganizations",
    responses=problems(*MANAGER, InvalidCursor, InvalidFields),
)
async def list_organizations(
    services: Provided, manager: ManagesReading, limit: Limit = 50, cursor: Cursor = None
) -> OrganizationPage:
    """The organizations, in the order they were made. A platform key shows its own."""
    after = decode_place(_ORGANIZATIONS, cursor)
    async with services.pool.acquire() as connection:
        found = await services.organizations.page(connection, manager, after=after, limit=limit + 1)
    shown = found[:limit]
    last = shown[-1] if len(found) > limit else None
    return OrganizationPage(
        items=[_organization(each) for each in shown],
        next_cursor=last and encode_place(_ORGANIZATIONS, last.created_at, last.organization_id),
    )


@router.get(
    "/organizations/{organization_id}",
    operation_id="getOrganization",
    response_model=Organization,
    responses={**READ, **problems(*MANAGER, NotFound)},
)
async def get_organization(
    services: Provided, manager: ManagesReading, organization_id: OrganizationId, if_changed: IfChanged
) -> Response:
    """One organization."""
    async with services.pool.acquire() as connection:
        found = await services.organizations.find(connection, manager, organization_id)
    return if_changed.response(_organization(found))


@router.patch(
    "/organizations/{organization_id}",
    operation_id="renameOrganization",
    response_model=Organization,
    responses=problems(*MANAGER, *BODY, *_CHANGE),
)
async def rename_organization(
    services: Provided, manager: Manages, organization_id: OrganizationId, body: Named, if_unchanged: IfUnchanged
) -> Response:
    """Give an organization another name."""

    async def command(connection: Connection) -> Answer:
        found = await services.organizations.locked(connection, manager, organization_id)
        if_unchanged.require(_organization(found))
        shown = _organization(await services.organizations.rename(connection, found, body.name))
        return Answer(status.HTTP_200_OK, shown.model_dump(mode="json"), tagged(shown))

    return (await services.idempotency.run(None, command)).response()


@router.post(
    "/organizations/{organization_id}/projects",
    operation_id="createProject",
    status_code=status.HTTP_201_CREATED,
    response_model=Project,
    responses=problems(*MANAGER, *BODY, *_IDEMPOTENT, NotFound),
)
async def create_project(
    request: Request,
    services: Provided,
    manager: Manages,
    organization_id: OrganizationId,
    body: Named,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Create a project of an organization."""

    async def command(connection: Connection) -> Answer:
        shown = _project(await services.projects.create(connection, manager, organization_id, body.name))
        return Answer(status.HTTP_201_CREATED, shown.model_dump(mode="json"), tagged(shown))

    identified = await services.idempotency.identify(request, manager.key_id, idempotency_key)
    return (await services.idempotency.run(identified, command)).response()


@router.get(
    "/organizations/{organization_id}/projects",
    operation_id="listProjects",
    responses=problems(*MANAGER, NotFound, InvalidCursor, InvalidFields),
)
async def list_projects(
    services: Provided,
    manager: ManagesReading,
    organization_id: OrganizationId,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ProjectPage:
    """The projects of an organization, in the order they were made."""
    after = decode_place(_PROJECTS, cursor)
    async with services.pool.acquire() as connection:
        owner = await services.organizations.find(connection, manager, organization_id)
        found = await services.projects.page(connection, owner.organization_id, after=after, limit=limit + 1)
    shown = found[:limit]
    last = shown[-1] if len(found) > limit else None
    return ProjectPage(
        items=[_project(each) for each in shown],
        next_cursor=last and encode_place(_PROJECTS, last.created_at, last.project_id),
    )


@router.get(
    "/projects/{project_id}",
    operation_id="getProject",
    response_model=Project,
    responses={**READ, **problems(*MANAGER, NotFound)},
)
async def get_project(
    services: Provided, manager: ManagesReading, project_id: ProjectId, if_changed: IfChanged
) -> Response:
    """One project."""
    async with services.pool.acquire() as connection:
        found = await services.projects.find(connection, manager, project_id)
    return if_changed.response(_project(found))


@router.patch(
    "/projects/{project_id}",
    operation_id="renameProject",
    response_model=Project,
    responses=problems(*MANAGER, *BODY, *_CHANGE),
)
async def rename_project(
    services: Provided, manager: Manages, project_id: ProjectId, body: Named, if_unchanged: IfUnchanged
) -> Response:
    """Give a project another name."""

    async def command(connection: Connection) -> Answer:
        found = await services.projects.locked(connection, manager, project_id)
        if_unchanged.require(_project(found))
        shown = _project(await services.projects.rename(connection, found, body.name))
        return Answer(status.HTTP_200_OK, shown.model_dump(mode="json"), tagged(shown))

    return (await services.idempotency.run(None, command)).response()


@router.delete(
    "/projects/{project_id}",
    operation_id="removeProject",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*MANAGER, *_CHANGE, ProjectInUse),
)
async def remove_project(
    services: Provided, manager: Manages, project_id: ProjectId, if_unchanged: IfUnchanged
) -> None:
    """Remove a project that has no accounts. Its keys are revoked."""

    async def command(connection: Connection) -> Answer:
        found = await services.projects.locked(connection, manager, project_id)
        if_unchanged.require(_project(found))
        await services.projects.remove(connection, found)
        return Answer(status.HTTP_204_NO_CONTENT, None)

    await services.idempotency.run(None, command)
