"""Who sends a request: a project or a platform by one of its keys, or the operator."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Header, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials
from starlette.requests import Request

from berth_gateway.accounts.mailboxes import Tenant
from berth_gateway.api.idempotency import OPERATOR
from berth_gateway.api.services import Provided, Services
from berth_gateway.errors import MissingKey, MissingScope, NotFound, ProjectRequired, TooManyRequests, WrongKey
from berth_gateway.tenants.keyring import Caller, Holder
from berth_gateway.tenants.keys import Manager
from berth_gateway.tenants.scopes import SCOPES, Scope

__all__ = [
    "Manages",
    "ManagesReading",
    "Operates",
    "Reads",
    "ReadsDomains",
    "ReadsEvents",
    "ReadsUsage",
    "ReadsWebhooks",
    "ReadsWorkspaces",
    "Writes",
    "WritesDomains",
    "WritesWebhooks",
    "WritesWorkspaces",
    "caller_for",
    "caller_of",
    "holder_for",
    "manager_for",
    "presented_key",
    "presented_project",
]

_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="Authorization: Bearer KEY")
_header = APIKeyHeader(name="X-Api-Key", auto_error=False, scheme_name="apiKey", description="X-Api-Key: KEY")

Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
ApiKey = Annotated[str | None, Security(_header)]
ProjectId = Annotated[
    str | None,
    Header(
        alias="X-Project-Id",
        description="the project, when the key is a platform key; a project's key needs none",
        json_schema_extra={"format": "uuid"},
    ),
]

#: What was said to one key is for nobody else.
_CACHE: Final = {"Cache-Control": "no-store"}
#: What a name that cannot be an id stands for: no project has it.
_NOBODY: Final = UUID(int=0)


def presented_key(request: Request) -> str:
    """The key that the request carries: `Authorization: Bearer KEY`, `X-Api-Key: KEY` or `X-Api-Key: Bearer KEY`.

    Raises:
        MissingKey: it carries none.
    """
    for value in (request.headers.get("authorization", ""), request.headers.get("x-api-key", "")):
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() == "bearer" and rest.strip():
            return rest.strip()
    key = request.headers.get("x-api-key", "").strip()
    if not key or key.lower() == "bearer":
        raise MissingKey
    return key


def presented_project(request: Request) -> str | None:
    """The project that the request names: `X-Project-Id`, or SendKit's `X-Workspace-Id`."""
    return request.headers.get("x-project-id") or request.headers.get("x-workspace-id") or None


async def caller_for(request: Request, services: Services, key: str, project: str | None, scope: Scope) -> Caller:
    """Who has this key, for one project. Dialects in which keys come in other ways find the caller with it.

    Args:
        request: where it comes from; its answer gets the headers of the rate limit.
        services: everything behind the endpoints.
        key: as the client presented it, wherever.
        project: the id of the project that the request names, if it does. A project's key needs none, a platform key does.
        scope: what the call needs.

    Raises:
        WrongKey: the key is unknown, expired or revoked.
        TooManyRequests: it is used too often.
        MissingScope: the key may not do this.
        ProjectRequired: a platform key without a project.
        NotFound: the key has no such project.
    """
    holder = await holder_for(request, services, key, project)
    if holder is None:
        raise MissingScope("This needs the key of a project or a platform, not the operator key. Make one.")
    _require(holder.scopes, scope)
    if holder.project_id is None:
        raise NotFound if project else ProjectRequired
    tenant = Tenant(organization_id=holder.organization_id, project_id=holder.project_id)
    return Caller(key_id=holder.key_id, tenant=tenant, scopes=holder.scopes)


async def caller_of(request: Request, services: Services, scope: Scope) -> Caller:
    """Who sent the request, with the key and the project in its headers.

    Raises:
        MissingKey: it has no key.
        WrongKey, TooManyRequests, MissingScope, ProjectRequired, NotFound: as `caller_for`.
    """
    return await caller_for(request, services, presented_key(request), presented_project(request), scope)


async def manager_for(request: Request, services: Services, key: str, scope: Scope) -> Manager:
    """Who has this key, for calls on organizations, projects and keys: the operator or a platform.

    Raises:
        WrongKey, TooManyRequests: as `caller_for`.
        MissingScope: it is a project's, or may not do this.
    """
    holder = await holder_for(request, services, key, None)
    if holder is None:
        return Manager(key_id=OPERATOR, organization_id=None, scopes=frozenset(SCOPES), rate_limit=None)
    if not holder.platform:
        raise MissingScope("Organizations, projects and keys are managed with a platform key or the operator key.")
    _require(holder.scopes, scope)
    return Manager(
        key_id=holder.key_id,
        organization_id=holder.organization_id,
        scopes=holder.scopes,
        rate_limit=holder.rate_limit or services.rate_limits.default,
    )


async def holder_for(request: Request, services: Services, key: str, project: str | None) -> Holder | None:
    """Whose key it is, with the project that the request names, if it does; None: the operator's.

    Raises:
        WrongKey: nobody's.
        TooManyRequests: there were too many with it, or too many wrong ones from this address.
    """
    limits, address = services.rate_limits, request.client.host if request.client else ""
    limits.refuse_guesses(address, key)
    holder = await services.keyring.recognise(key, _uuid(project) if project else None)
    if holder is None and not services.operator_key.matches(key):
        limits.was_wrong(address)
        raise WrongKey
    limits.was_right(key)
    allowance = limits.count(holder.key_id, holder.rate_limit) if holder else limits.count(OPERATOR, None)
    request.state.headers.update(allowance.headers(), **_CACHE)
    if allowance.exceeded:
        raise TooManyRequests(retry_after=allowance.wait)
    return holder


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return _NOBODY


def _require(scopes: frozenset[str], scope: Scope) -> None:
    if scope not in scopes:
        raise MissingScope(f"The API key lacks the scope {scope}. Use a key that has it.", scope=scope)


def _calling(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    async def caller(
        request: Request, services: Provided, _bearer: Bearer, _header: ApiKey, _project: ProjectId = None
    ) -> Caller:
        return await caller_of(request, services, scope)

    return caller


def _managing(scope: Scope) -> Callable[..., Awaitable[Manager]]:
    async def manager(request: Request, services: Provided, _bearer: Bearer, _header: ApiKey) -> Manager:
        return await manager_for(request, services, presented_key(request), scope)

    return manager


async def _operator(request: Request, services: Provided, _bearer: Bearer, _header: ApiKey) -> Manager:
    manager = await manager_for(request, services, presented_key(request), "projects:write")
    if manager.organization_id is not None:
        raise MissingScope("Organizations are made with the operator key. Ask its operator.")
    return manager


# calls for one project
Reads = Annotated[Caller, Depends(_calling("accounts:read"))]
Writes = Annotated[Caller, Depends(_calling("accounts:write"))]
ReadsWorkspaces = Annotated[Caller, Depends(_calling("workspaces:read"))]
WritesWorkspaces = Annotated[Caller, Depends(_calling("workspaces:write"))]
ReadsDomains = Annotated[Caller, Depends(_calling("domains:read"))]
WritesDomains = Annotated[Caller, Depends(_calling("domains:write"))]
ReadsUsage = Annotated[Caller, Depends(_calling("usage:read"))]
ReadsEvents = Annotated[Caller, Depends(_calling("events:read"))]
ReadsWebhooks = Annotated[Caller, Depends(_calling("webhooks:read"))]
WritesWebhooks = Annotated[Caller, Depends(_calling("webhooks:write"))]

# calls on organizations, projects and keys
ManagesReading = Annotated[Manager, Depends(_managing("projects:read"))]
Manages = Annotated[Manager, Depends(_managing("projects:write"))]
Operates = Annotated[Manager, Depends(_operator)]
