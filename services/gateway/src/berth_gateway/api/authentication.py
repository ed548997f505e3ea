"""Who sends a request: the operator, or a project by one of its keys."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials
from starlette.requests import Request

from berth_gateway.api.services import Provided
from berth_gateway.errors import MissingKey, MissingScope, WrongKey
from berth_gateway.tenants import Caller, Scope

__all__ = ["Reads", "ReadsEvents", "Writes", "as_operator", "caller_of", "presented_key"]

_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="Authorization: Bearer KEY")
_header = APIKeyHeader(name="X-Api-Key", auto_error=False, scheme_name="apiKey", description="X-Api-Key: KEY")

Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
Header = Annotated[str | None, Security(_header)]


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


async def as_operator(request: Request, services: Provided, _bearer: Bearer, _header: Header) -> None:
    """Let only the platform's operator pass.

    Raises:
        MissingKey, WrongKey: no key, or an unknown one.
        MissingScope: a project's key.
    """
    key = presented_key(request)
    if services.operator_key.matches(key):
        return
    if await services.tenants.recognise(key) is None:
        raise WrongKey
    raise MissingScope("Organizations, projects and keys are made with the operator key. Ask its operator.")


async def caller_of(request: Request, services: Provided, scope: Scope) -> Caller:
    """The project whose key the request carries.

    Raises:
        MissingKey, WrongKey: no key, or one that is unknown or revoked.
        MissingScope: the key may not do this.
    """
    key = presented_key(request)
    caller = await services.tenants.recognise(key)
    if caller is None:
        if services.operator_key.matches(key):
            raise MissingScope("This needs the key of a project, not the operator key. Make one for the project.")
        raise WrongKey
    if scope not in caller.scopes:
        raise MissingScope(f"The API key lacks the scope {scope}. Use a key that has it.", scope=scope)
    return caller


def _with(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    async def caller(request: Request, services: Provided, _bearer: Bearer, _header: Header) -> Caller:
        return await caller_of(request, services, scope)

    return caller


Reads = Annotated[Caller, Depends(_with("accounts:read"))]
Writes = Annotated[Caller, Depends(_with("accounts:write"))]
ReadsEvents = Annotated[Caller, Depends(_with("events:read"))]
