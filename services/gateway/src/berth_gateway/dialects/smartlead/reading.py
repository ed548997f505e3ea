"""What every call is read from: the key, wherever SmartLead's clients put it, the body, and numbers in the path."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, NoReturn
from urllib.parse import parse_qsl

from fastapi import Depends, Path, Security
from fastapi.security import APIKeyQuery
from starlette.requests import Request

from berth_gateway.api.authentication import (
    ApiKey,
    Bearer,
    ProjectId,
    caller_for,
    presented_key,
    presented_project,
)
from berth_gateway.api.services import Provided
from berth_gateway.dialects.smartlead.refusals import Refused, account_not_found, said
from berth_gateway.tenants.keyring import Caller
from berth_gateway.tenants.scopes import Scope

__all__ = ["AccountNumber", "CampaignNumber", "Document", "Query", "Reads", "SuspendedNumber", "Writes"]

_MAX: Final = 2**31 - 1
_MAX_FIELDS: Final = 1000
#: The fields that are lists, which forms cannot tell.
_LISTS: Final = frozenset(
    {"email_account_id", "email_account_ids", "email_accounts_ids", "email_ids", "emails", "tag_ids"}
)
_query_key = APIKeyQuery(
    name="api_key", auto_error=False, scheme_name="queryKey", description="?api_key=KEY, or `api_key` in the body"
)


async def _document(request: Request) -> Mapping[str, Any] | None:
    """The body; None when it is neither a JSON object, whatever its content type, nor a form.

    Of a DELETE without a body, which many clients cannot send, it is the query.
    """
    raw = await request.body()
    if not raw and request.method == "DELETE":
        return _form(request.url.query)
    try:
        found = json.loads(raw, parse_constant=_not_json)
    except (ValueError, RecursionError):
        is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        return _form(raw.decode("utf-8", "replace")) if is_form else None
    return found if isinstance(found, dict) else None


def _form(text: str) -> dict[str, Any] | None:
    """The fields of a form or of a query; None when there are too many."""
    fields: dict[str, Any] = {}
    try:
        found = parse_qsl(text, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return None
    for name, value in found:
        bare = name.removesuffix("[]")
        if bare in _LISTS:
            fields.setdefault(bare, []).extend(_items(value))
        else:
            fields[name] = value
    return fields


def _items(text: str) -> list[str]:
    """A list as forms have it: one item, several with commas, or these in brackets."""
    return [item.strip().strip("\"'") for item in text.strip().removeprefix("[").removesuffix("]").split(",")]


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)


async def _query(request: Request) -> Mapping[str, Any]:
    """The query without what was left empty."""
    return {name: value for name, value in request.query_params.items() if value}


#: The body of the request.
Document = Annotated[Mapping[str, Any] | None, Depends(_document)]
#: Its query.
Query = Annotated[Mapping[str, Any], Depends(_query)]


def _key(request: Request, document: Mapping[str, Any] | None) -> str:
    """The API key: in the query, in the body, or in a header.

    Raises:
        MissingKey: nowhere.
    """
    in_body = (document or {}).get("api_key")
    return (
        request.query_params.get("api_key")
        or (in_body if isinstance(in_body, str) and in_body else None)
        or presented_key(request)
    )


def _calling(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    async def caller(
        request: Request,
        services: Provided,
        document: Document,
        _query: Annotated[str | None, Security(_query_key)],
        _bearer: Bearer,
        _header: ApiKey,
        _project: ProjectId = None,
    ) -> Caller:
        return await caller_for(request, services, _key(request, document), presented_project(request), scope)

    return caller


Reads = Annotated[Caller, Depends(_calling("accounts:read"))]
Writes = Annotated[Caller, Depends(_calling("accounts:write"))]

_INTEGER: Final = {"type": "integer", "minimum": 1, "maximum": _MAX}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= _MAX else None  # noqa: PLR2004 - digits of 2^31


async def _account(account_id: Annotated[str, Path(json_schema_extra=_INTEGER)]) -> int:
    found = _number(account_id)
    if found is None:
        raise account_not_found(None)  # what cannot be an id is not found
    return found


async def _suspended(account_id: Annotated[str, Path(json_schema_extra=_INTEGER)]) -> int:
    found = _number(account_id)
    if found is None:
        raise Refused(400, {"success": False, **said("Invalid email account id")})
    return found


async def _campaign(campaign_id: Annotated[str, Path(json_schema_extra=_INTEGER)]) -> int:
    found = _number(campaign_id)
    if found is None:
        raise Refused(404, said("Campaign not found"))
    return found


AccountNumber = Annotated[int, Depends(_account)]
#: The calls that suspend know an id that is none by another status.
SuspendedNumber = Annotated[int, Depends(_suspended)]
CampaignNumber = Annotated[int, Depends(_campaign)]
