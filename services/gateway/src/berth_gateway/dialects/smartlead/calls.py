"""How each call is put into the application: both slash forms, and everything that it may answer."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel

from berth_gateway.dialects.smartlead.answers import Refusal, TooMany
from berth_gateway.dialects.smartlead.requests import Form

__all__ = ["REFUSALS", "add_call"]

#: What every call may answer besides, by status.
REFUSALS: Final[dict[int | str, str]] = {
    400: "A platform key needs `X-Project-Id`.",
    401: "The key is missing, unknown, expired or revoked.",
    403: "The key lacks the scope, or the organization has no subscription or no seat left.",
    404: "There is no such account, tag or project.",
    413: "The body is too large.",
    422: "Fields are missing or wrong.",
    500: "The service made a mistake.",
    503: "The service is busy or restarting: send the same request again.",
}
_PREFIX: Final = "/api/v1"


def add_call(
    router: APIRouter,
    path: str,
    endpoint: Callable[..., Any],
    *,
    methods: Sequence[str],
    name: str,
    summary: str,
    answer: Any,
    body: type[Form] | None = None,
    query: type[Form] | None = None,
    errors: dict[int | str, str] | None = None,
) -> None:
    """Add one call.

    Args:
        router: to which.
        path: behind `/api/v1`.
        endpoint: its function; the docstring is the description.
        methods: the first is SmartLead's own, the others are served as well.
        name: the operation id with the first of the methods.
        summary: a few words.
        answer: the model of 200.
        body: the model of the body, if it has one.
        query: the model of the query, if it has one.
        errors: further statuses, or other words for those of every call.
    """
    responses: dict[int | str, dict[str, Any]] = {
        200: {"model": answer},
        **{status: {"model": Refusal, "description": text} for status, text in {**REFUSALS, **(errors or {})}.items()},
        429: {"model": TooMany, "description": "Too many requests."},
    }
    for method in methods:
        router.add_api_route(
            _PREFIX + path,
            endpoint,
            methods=[method],
            operation_id=name if method == methods[0] else f"{name}By{method.title()}",
            summary=summary,
            responses=responses,
            openapi_extra=_extra(body, query),
        )
    router.add_api_route(f"{_PREFIX}{path}/", endpoint, methods=list(methods), include_in_schema=False)


def _extra(body: type[BaseModel] | None, query: type[BaseModel] | None) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": body.model_json_schema()}}}
    if query is not None:
        extra["parameters"] = [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in query.model_json_schema()["properties"].items()
        ]
    return extra
