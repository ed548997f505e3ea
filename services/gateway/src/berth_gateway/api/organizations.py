"""The platform operator's calls: organizations, projects and API keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, status
from pydantic import BaseModel, Field
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway.accounts.schemas import Input, Instant, Text
from berth_gateway.api.authentication import as_operator
from berth_gateway.api.idempotency import OPERATOR, Answer, IdempotencyKey
from berth_gateway.api.openapi import BODY, KEY, problems
from berth_gateway.api.paths import KeyId, OrganizationId, ProjectId
from berth_gateway.api.services import Provided
from berth_gateway.errors import IdempotencyKeyReused, InvalidIdempotencyKey, NotFound
from berth_gateway.tenants import Scope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["platform"], dependencies=[Depends(as_operator)])

_IDEMPOTENT = (InvalidIdempotencyKey, IdempotencyKeyReused)

Name = Annotated[Text, Field(min_length=1, max_length=200)]


class Named(Input):
    """A name."""

    name: Name


class KeyInput(Input):
    """What a key is called and what it may do."""

    name: Name
    scopes: list[Scope] = Field(min_length=1, max_length=10)


class Organization(BaseModel):
    """A tenant. It needs a subscription, at billing, before it can connect accounts."""

    id: UUID
    name: str
    created_at: Instant


class Project(BaseModel):
    """A name space of accounts inside an organization."""

    id: UUID
    organization_id: UUID
    name: str
    created_at: Instant


class ApiKey(BaseModel):
    """A new API key. `key` is shown this once."""

    id: UUID
    project_id: UUID
    name: str
    prefix: str
    scopes: list[Scope]
    key: str = Field(examples=["berth_k5xw2n7q_kV1l…"])
    created_at: Instant


@router.post(
    "/organizations",
    operation_id="createOrganization",
    status_code=status.HTTP_201_CREATED,
    response_model=Organization,
    responses=problems(*KEY, *BODY, *_IDEMPOTENT),
)
async def create_organization(
    request: Request,
    services: Provided,
    body: Named,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Create an organization."""

    async def command(connection: Connection) -> Answer:
        made = await services.tenants.create_organization(connection, body.name)
        shown = Organization(id=made.organization_id, name=made.name, created_at=made.created_at)
        return Answer(status.HTTP_201_CREATED, shown.model_dump(mode="json"))

    identified = await services.idempotency.identify(request, OPERATOR, idempotency_key)
    return (await services.idempotency.run(identified, command)).response()


@router.post(
    "/organizations/{organization_id}/projects",
    operation_id="createProject",
    status_code=status.HTTP_201_CREATED,
    response_model=Project,
    responses=problems(*KEY, *BODY, *_IDEMPOTENT, NotFound),
)
async def create_project(
    request: Request,
    services: Provided,
    organization_id: OrganizationId,
    body: Named,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Create a project of an organization."""

    async def command(connection: Connection) -> Answer:
        made = await services.tenants.create_project(connection, organization_id, body.name)
        shown = Project(
            id=made.project_id, organization_id=made.organization_id, name=made.name, created_at=made.created_at
        )
        return Answer(status.HTTP_201_CREATED, shown.model_dump(mode="json"))

    identified = await services.idempotency.identify(request, OPERATOR, idempotency_key)
    return (await services.idempotency.run(identified, command)).response()


@router.post(
    "/projects/{project_id}/keys",
    operation_id="createKey",
    status_code=status.HTTP_201_CREATED,
    responses=problems(*KEY, *BODY, NotFound),
)
async def create_key(services: Provided, project_id: ProjectId, body: KeyInput) -> ApiKey:
    """Make an API key of a project. The key is in this answer and nowhere else, so a repeated call makes another one."""
    made = await services.tenants.create_key(project_id, body.name, tuple(dict.fromkeys(body.scopes)))
    return ApiKey(
        id=made.key.key_id,
        project_id=made.key.project_id,
        name=made.key.name,
        prefix=made.key.prefix,
        scopes=list(made.key.scopes),
        key=made.secret,
        created_at=made.key.created_at,
    )


@router.delete(
    "/projects/{project_id}/keys/{key_id}",
    operation_id="revokeKey",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*KEY, NotFound),
)
async def revoke_key(services: Provided, project_id: ProjectId, key_id: KeyId) -> None:
    """Refuse an API key from now on."""
    await services.tenants.revoke_key(project_id, key_id)
