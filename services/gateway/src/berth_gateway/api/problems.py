"""Errors on the wire: RFC 9457 problem documents. They never repeat what was sent, which may hold a secret."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_events.runtime.store import ConcurrencyConflict
from berth_gateway.errors import (
    FieldFault,
    GatewayError,
    InternalError,
    InvalidFields,
    InvalidJson,
    NotFound,
    Unavailable,
    UnsupportedMediaType,
)

__all__ = ["MEDIA_TYPE", "Renderer", "field_faults", "install", "problem_response", "translated"]

MEDIA_TYPE: Final = "application/problem+json"

#: Makes the answer to an error from the path of the request, the error, and the request's id.
Renderer: TypeAlias = Callable[[str, GatewayError, UUID], Response]

#: No minimum of the API is above one.
_EMPTY: Final = ("The value is empty.", "Send a value that is not empty.")
_TIME: Final = ("The value is not a time with an offset.", "Send ISO 8601, such as 2027-01-31T12:00:00Z.")
_DATE: Final = ("The value is not a date.", "Send ISO 8601, such as 2027-01-31.")
#: pydantic's error type -> what is wrong and how to mend it; `{}` takes values of the error's context.
_FAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("The field is missing.", "Add it."),
    "extra_forbidden": ("There is no such field.", "Remove it, or check its spelling."),
    "string_type": ("The value is not a string.", "Send a JSON string."),
    "string_too_short": _EMPTY,
    "string_too_long": ("The value is too long.", "Send at most {max_length} characters."),
    "too_short": _EMPTY,
    "too_long": ("The value is too long.", "Send at most {max_length} characters or items."),
    "literal_error": ("The value is not one of those that are known.", "Send {expected}."),
    "greater_than_equal": ("The number is too small.", "Send {ge} or more."),
    "less_than_equal": ("The number is too large.", "Send {le} or less."),
    "int_type": ("The value is not a whole number.", "Send a JSON number without a fraction."),
    "int_parsing": ("The value is not a whole number.", "Send digits only."),
    "int_from_float": ("The number has a fraction.", "Send a whole number."),
    "bool_type": ("The value is neither true nor false.", "Send true or false."),
    "bool_parsing": ("The value is neither true nor false.", "Send true or false."),
    "model_attributes_type": ("The value is not an object.", "Send a JSON object."),
    "model_type": ("The value is not an object.", "Send a JSON object."),
    "dict_type": ("The value is not an object.", "Send a JSON object."),
    "list_type": ("The value is not a list.", "Send a JSON array."),
    "uuid_parsing": ("The value is not a UUID.", "Send 32 hexadecimal digits in groups of 8-4-4-4-12."),
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_type": _TIME,
    "timezone_aware": _TIME,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "date_type": _DATE,
    "string_pattern_mismatch": ("The value does not have the right form.", "Send what matches {pattern}."),
    "event_type": ("There is no such event type.", "Take one from the catalogue of events, spelt as there."),
    "day": ("The value is not a day.", "Send DD/MM/YYYY, for example 31/12/2026."),
    "time_zone": ("The value is not a time zone.", "Send an IANA name, for example Europe/Berlin."),
    "secret_too_large": ("The value is too long.", "Send at most 10,000 characters, which are at most 30,000 bytes."),
    "value_error": ("The text has characters that cannot be stored.", "Remove NUL and lone surrogates."),
}
#: What the framework's refusals are called here, where its own words name no remedy.
_SAID: Final[Mapping[int, str]] = {
    405: "The path does not have this method. Use one of those that the header Allow names."
}
_OTHER: Final = ("The value is not valid.", "See the field in /openapi.json.")

_log = structlog.get_logger(__name__)


def problem_response(error: GatewayError, request: UUID) -> Response:
    """The problem document of an error."""
    return JSONResponse(
        {
            "type": error.type_uri(),
            "title": error.title,
            "status": error.status,
            "detail": error.detail,
            "request_id": str(request),
            **error.members,
        },
        status_code=error.status,
        media_type=MEDIA_TYPE,
        headers=error.headers,
    )


def field_faults(errors: Sequence[Any]) -> list[FieldFault]:
    """Translate pydantic's errors; only types, places and limits are taken from them, never values."""
    found = []
    for error in errors:
        detail, remedy = _FAULTS.get(error["type"], _OTHER)
        path = [str(part) for part in error["loc"] if part not in ("body", "query", "header", "path")]
        found.append(FieldFault(".".join(path) or "body", detail, remedy.format_map(error.get("ctx") or {})))
    return found


def translated(error: Exception) -> GatewayError:
    """The error of ours that says what an exception of framework, validation or database means to the caller."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        # 400: the framework could not read the body as JSON at all
        known = {400: InvalidJson, 404: NotFound}.get(error.status_code)
        return known() if known else _Http(error)
    return Unavailable() if isinstance(error, (*INFRASTRUCTURE_ERRORS, ConcurrencyConflict)) else InternalError()


def _invalid(error: RequestValidationError) -> GatewayError:
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return InvalidJson()
    if isinstance(error.body, bytes):  # the framework left it alone, because it is not called JSON
        return UnsupportedMediaType()
    return InvalidFields(field_faults(faults))


class _Http(GatewayError):
    """What the framework itself refuses, such as a method that a path does not have."""

    def __init__(self, error: HTTPException) -> None:
        super().__init__(_SAID.get(error.status_code, str(error.detail)))
        self.status = error.status_code  # type: ignore[misc]  # one class for all statuses of the framework
        self.headers = dict(error.headers or {})  # type: ignore[misc]
        self.title = str(error.detail)  # type: ignore[misc]

    @classmethod
    def type_uri(cls) -> str:
        return "about:blank"


def install(app: FastAPI, render: Renderer) -> None:
    """Answer every error of the application in the form of the API that the path belongs to."""

    async def answer(request: Request, error: Exception) -> Response:
        found = translated(error)
        if isinstance(found, Unavailable):
            _log.warning("request.unavailable", path=request.url.path, error=type(error).__name__)
        response = render(request.url.path, found, request.state.request_id)
        if isinstance(found, InternalError):  # answered outside of RequestIdentity; the server logs the traceback next
            identity = str(request.state.request_id)
            _log.error("request.failed", path=request.url.path, error=type(error).__name__, request_id=identity)
            response.headers.update(request.state.headers)
        return response

    for expected in (GatewayError, RequestValidationError, HTTPException, ConcurrencyConflict, Exception):
        app.add_exception_handler(expected, answer)
    for infrastructure in INFRASTRUCTURE_ERRORS:  # otherwise they would be logged as mistakes of ours
        app.add_exception_handler(infrastructure, answer)
