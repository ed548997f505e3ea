"""API keys of projects and platforms."""

from datetime import timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, status
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from berth_events.runtime.database import Connection
from berth_gateway.accounts.schemas import Input, Instant
from berth_gateway.api.authentication import Manages, ManagesReading
from berth_gateway.api.conditional import READ, IfChanged, IfUnchanged, tagged
from berth_gateway.api.idempotency import Answer
from berth_gateway.api.openapi import BODY, MANAGER, problems
from berth_gateway.api.organizations import Cursor, Limit, Name
from berth_gateway.api.paths import KeyId, OrganizationId, ProjectId, decode_place, encode_place
from berth_gateway.api.services import Provided, Services
from berth_gateway.errors import InvalidCursor, InvalidFields, NotFound, PreconditionFailed
from berth_gateway.tenants import keys
from berth_gateway.tenants.rates import RATE
from berth_gateway.tenants.scopes import Scope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["keys"])

_KEYS: Final = "k"
_MAX_GRACE_S: Final = 7 * 86_400
_CHANGE = (NotFound, PreconditionFailed)

Scopes = Annotated[list[Scope], Field(min_length=1, max_length=20)]
RateLimit = Annotated[
    str,
    Field(
        pattern=RATE,
        description="requests in a window of time; null: the default of the installation",
        examples=["6000/minute"],
    ),
]


class KeyInput(Input):
    """What a key is called, what it may do, how long and how often."""

    name: Name
    scopes: Scopes
    expires_at: AwareDatetime | None = Field(default=None, description="the key is refused from then on; null: never")
    rate_limit: RateLimit | None = None


class KeyChange(Input):
    """What is to be different; what is left out stays."""

    name: Name = ""
    scopes: Scopes = Field(default=[])
    expires_at: AwareDatetime | None = None
    rate_limit: RateLimit | None = None


class Rotation(Input):
    """How to change over to a new secret."""

    grace_seconds: int = Field(
        default=86_400, ge=0, le=_MAX_GRACE_S, description="so long the present secret is accepted, too"
    )


class ApiKey(BaseModel):
    """An API key, without its secret."""

    id: UUID
    kind: Literal["platform", "project"]
    organization_id: UUID
    project_id: UUID | None = Field(description="null for a platform key, which may act on all projects")
    name: str
    prefix: str = Field(description="the key begins with `berth_` and this")
    scopes: list[Scope]
    rate_limit: str | None
    created_at: Instant
    last_used_at: Instant | None = Field(description="to the minute")
    expires_at: Instant | None
    retiring_until: Instant | None = Field(description="so long the secret before the last rotation is accepted, too")
    revoked_at: Instant | None


class NewApiKey(ApiKey):
    """An API key that was made or rotated just now. `key` is shown this once."""

    key: str = Field(examples=["berth_k5xw2n7q_kV1l…"])


class ApiKeyPage(BaseModel):
    """Keys in the order they were made, revoked ones too."""

    items: list[ApiKey]
    next_cursor: str | None = Field(description="null on the last page")


def _resource(key: keys.ApiKey) -> ApiKey:
    return ApiKey(
        id=key.key_id,
        kind="platform" if key.project_id is None else "project",
        organization_id=key.organization_id,
        project_id=key.project_id,
        name=key.terms.name,
        prefix=key.prefix,
        scopes=list(key.terms.scopes),
        rate_limit=key.terms.rate_limit,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        expires_at=key.terms.expires_at,
        retiring_until=key.retiring_until,
        revoked_at=key.revoked_at,
    )


def _new(made: keys.NewKey) -> NewApiKey:
    return NewApiKey(**_resource(made.key).model_dump(), key=made.secret)


def _terms(body: KeyInput) -> keys.KeyTerms:
    return keys.KeyTerms(
        name=body.name,
        scopes=tuple(dict.fromkeys(body.scopes)),
        expires_at=body.expires_at,
        rate_limit=body.rate_limit,
    )


def _changed(terms: keys.KeyTerms, body: KeyChange) -> keys.KeyTerms:
    given = body.model_fields_set
    return keys.KeyTerms(
        name=body.name if "name" in given else terms.name,
        scopes=tuple(dict.fromkeys(body.scopes)) if "scopes" in given else terms.scopes,
        expires_at=body.expires_at if "expires_at" in given else terms.expires_at,
        rate_limit=body.rate_limit if "rate_limit" in given else terms.rate_limit,
    )


async def _page(
    services: Services, organization_id: UUID, project_id: UUID | None, limit: int, cursor: str | None
) -> ApiKeyPage:
    after = decode_place(_KEYS, cursor)
    async with services.pool.acquire() as connection:
        found = await services.keys.page(connection, organization_id, project_id, after=after, limit=limit + 1)
    shown = found[:limit]
    last = shown[-1] if len(found) > limit else None
    return ApiKeyPage(
        items=[_resource(each) for each in shown],
        next_cursor=last and encode_place(_KEYS, last.created_at, last.key_id),
    )


@router.post(
    "/organizations/{organization_id}/keys",
    operation_id="createPlatformKey",
    status_code=status.HTTP_201_CREATED,
    responses=problems(*MANAGER, *BODY, NotFound),
)
async def create_platform_key(
    services: Provided, manager: Manages, organization_id: OrganizationId, body: KeyInput
) -> NewApiKey:
    """Make a platform key, which acts on all projects of the organization.

    The key is in this answer and nowhere else, so a repeated call makes another one. It can do at most what yours can.
    """
    async with services.pool.acquire() as connection:
        made = await services.keys.create_for_organization(connection, manager, organization_id, _terms(body))
    return _new(made)


@router.get(
    "/organizations/{organization_id}/keys",
    operation_id="listPlatformKeys",
    responses=problems(*MANAGER, NotFound, InvalidCursor, InvalidFields),
)
async def list_platform_keys(
    services: Provided,
    manager: ManagesReading,
    organization_id: OrganizationId,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ApiKeyPage:
    """The platform keys of an organization, in the order they were made."""
    async with services.pool.acquire() as connection:
        owner = await services.organizations.find(connection, manager, organization_id)
    return await _page(services, owner.organization_id, None, limit, cursor)


@router.post(
    "/projects/{project_id}/keys",
    operation_id="createKey",
    status_code=status.HTTP_201_CREATED,
    responses=problems(*MANAGER, *BODY, NotFound),
)
async def create_key(services: Provided, manager: Manages, project_id: ProjectId, body: KeyInput) -> NewApiKey:
    """Make an API key of a project.

    The key is in this answer and nowhere else, so a repeated call makes another one. It can do at most what yours can.
    """
    async with services.pool.acquire() as connection:
        made = await services.keys.create_for_project(connection, manager, project_id, _terms(body))
    return _new(made)


@router.get(
    "/projects/{project_id}/keys",
    operation_id="listKeys",
    responses=problems(*MANAGER, NotFound, InvalidCursor, InvalidFields),
)
async def list_keys(
    services: Provided, manager: ManagesReading, project_id: ProjectId, limit: Limit = 50, cursor: Cursor = None
) -> ApiKeyPage:
    """The keys of a project, in the order they were made."""
    async with services.pool.acquire() as connection:
        owner = await services.projects.find(connection, manager, project_id)
    return await _page(services, owner.organization_id, owner.project_id, limit, cursor)


@router.get(
    "/keys/{key_id}",
    operation_id="getKey",
    response_model=ApiKey,
    responses={**READ, **problems(*MANAGER, NotFound)},
)
async def get_key(services: Provided, manager: ManagesReading, key_id: KeyId, if_changed: IfChanged) -> Response:
    """One key, of a project or of a platform."""
    async with services.pool.acquire() as connection:
        found = await services.keys.find(connection, manager, key_id)
    return if_changed.response(_resource(found))


@router.patch(
    "/keys/{key_id}",
    operation_id="changeKey",
    response_model=ApiKey,
    responses=problems(*MANAGER, *BODY, *_CHANGE),
)
async def change_key(
    services: Provided, manager: Manages, key_id: KeyId, body: KeyChange, if_unchanged: IfUnchanged
) -> Response:
    """Change a key's name, scopes, expiry or limit."""

    async def command(connection: Connection) -> Answer:
        found = await services.keys.locked(connection, manager, key_id)
        if_unchanged.require(_resource(found))
        shown = _resource(await services.keys.change(connection, manager, found, _changed(found.terms, body)))
        return Answer(status.HTTP_200_OK, shown.model_dump(mode="json"), tagged(shown))

    return (await services.idempotency.run(None, command)).response()


@router.post(
    "/keys/{key_id}/rotate",
    operation_id="rotateKey",
    responses=problems(*MANAGER, *BODY, *_CHANGE),
)
async def rotate_key(
    services: Provided, manager: Manages, key_id: KeyId, if_unchanged: IfUnchanged, body: Rotation | None = None
) -> NewApiKey:
    """Give a key a new secret, which is shown this once. The one before stays valid for a while."""
    grace = timedelta(seconds=(body or Rotation()).grace_seconds)
    async with services.pool.acquire() as connection, connection.transaction():
        found = await services.keys.locked(connection, manager, key_id)
        if_unchanged.require(_resource(found))
        made = await services.keys.rotate(connection, manager, found, grace)
    return _new(made)


@router.delete(
    "/keys/{key_id}",
    operation_id="revokeKey",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*MANAGER, *_CHANGE),
)
async def revoke_key(services: Provided, manager: Manages, key_id: KeyId, if_unchanged: IfUnchanged) -> None:
    """Refuse a key from now on."""

    async def command(connection: Connection) -> Answer:
        found = await services.keys.locked(connection, manager, key_id)
        if_unchanged.require(_resource(found))
        await services.keys.revoke(connection, found)
        return Answer(status.HTTP_204_NO_CONTENT, None)

    await services.idempotency.run(None, command)


@router.delete(
    "/projects/{project_id}/keys/{key_id}",
    operation_id="revokeProjectKey",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*MANAGER, *_CHANGE),
)
async def revoke_project_key(
    services: Provided, manager: Manages, project_id: ProjectId, key_id: KeyId, if_unchanged: IfUnchanged
) -> None:
    """Refuse a key of this project from now on, as `DELETE /v1/keys/{key_id}`."""

    async def command(connection: Connection) -> Answer:
        found = await services.keys.locked(connection, manager, key_id)
        if found.project_id != project_id:
            raise NotFound
        if_unchanged.require(_resource(found))
        await services.keys.revoke(connection, found)
        return Answer(status.HTTP_204_NO_CONTENT, None)

    await services.idempotency.run(None, command)
