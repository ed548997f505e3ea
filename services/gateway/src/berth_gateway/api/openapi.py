"""What the OpenAPI document says beyond what the types say: problem documents, with an example of each."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from berth_gateway.api.problems import MEDIA_TYPE
from berth_gateway.errors import (
    BodyTooLarge,
    FieldFault,
    GatewayError,
    InvalidFields,
    InvalidJson,
    MissingKey,
    MissingScope,
    Unavailable,
    UnsupportedMediaType,
    WrongKey,
)

__all__ = ["BODY", "KEY", "Problem", "problems"]

_REQUEST_ID = "5b8d1f0e-6f2f-4b9a-8a44-0b1f6a1d2c3e"


class FieldProblem(BaseModel):
    """What is wrong with one field, and how to mend it."""

    field: str
    detail: str
    remedy: str


class Problem(BaseModel):
    """A problem document (RFC 9457). `type` is stable; programs decide by it, and by `errors[].field`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldProblem] = []


#: What every call with a project's key may answer.
KEY = (MissingKey, WrongKey, MissingScope, Unavailable)
#: What every call with a body may answer besides.
BODY = (InvalidJson, BodyTooLarge, UnsupportedMediaType, InvalidFields)


def problems(*errors: type[GatewayError]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an endpoint that may answer with these errors; those of one status stand side by side."""
    responses: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        response = responses.setdefault(
            error.status, {"model": Problem, "description": "", "content": {MEDIA_TYPE: {"examples": {}}}}
        )
        response["description"] = ", or ".join(filter(None, [response["description"], error.title]))
        response["content"][MEDIA_TYPE]["examples"][error.__name__] = {"value": _example(error)}
    return responses


def _example(error: type[GatewayError]) -> dict[str, Any]:
    made = (
        InvalidFields([FieldFault("smtp.port", "The number is too large.", "Send 65535 or less.")])
        if error is InvalidFields
        else error()
    )
    return {
        "type": made.type_uri(),
        "title": made.title,
        "status": made.status,
        "detail": made.detail,
        "request_id": _REQUEST_ID,
        **made.members,
    }
