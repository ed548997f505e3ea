"""What the OpenAPI document says beyond what the types say: problem documents, with an example of each."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

from berth_gateway.api.links import link
from berth_gateway.api.problems import MEDIA_TYPE
from berth_gateway.errors import (
    BodyTooLarge,
    FieldFault,
    GatewayError,
    InvalidFields,
    InvalidJson,
    MissingKey,
    MissingScope,
    NotFound,
    ProjectRequired,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
    WrongKey,
)

__all__ = ["BODY", "KEY", "MANAGER", "Problem", "install", "problems"]

_REFERENCE: Final = "#/components/schemas/{model}"
#: What the framework would answer to invalid fields; ours are problems.
_FRAMEWORK_ERRORS: Final = ("HTTPValidationError", "ValidationError")
_JSON: Final = "application/json"
_REQUEST_ID: Final = "5b8d1f0e-6f2f-4b9a-8a44-0b1f6a1d2c3e"


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


_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
#: What every answer to a good key tells of its limit, by the name of the header.
_LIMITS: Final[Mapping[str, dict[str, Any]]] = {
    "RateLimit-Policy": {"description": '`"default";q=REQUESTS;w=SECONDS`', "schema": _TEXT},
    "RateLimit": {"description": '`"default";r=REMAINING;t=SECONDS` until the next window', "schema": _TEXT},
    "X-RateLimit-Limit": {"description": "requests in each window", "schema": _COUNT},
    "X-RateLimit-Remaining": {"description": "how many of them are left", "schema": _COUNT},
    "X-RateLimit-Reset": {"description": "when the next window begins, in Unix seconds", "schema": _COUNT},
}
_WAIT: Final = {"Retry-After": {"description": "seconds to wait", "schema": _COUNT}}

#: What every call on organizations, projects and keys may answer.
MANAGER = (MissingKey, WrongKey, MissingScope, TooManyRequests, Unavailable)
#: What every call for one project may answer.
KEY = (*MANAGER, ProjectRequired, NotFound)
#: What every call with a body may answer besides.
BODY = (InvalidJson, BodyTooLarge, UnsupportedMediaType, InvalidFields)


def problems(*errors: type[GatewayError]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an endpoint that may answer with these errors; those of one status stand side by side."""
    responses: dict[int | str, dict[str, Any]] = {}
    for error in dict.fromkeys(errors):
        response = responses.setdefault(
            error.status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}, "examples": {}}},
            },
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


def install(app: FastAPI, examples: Mapping[str, Mapping[str, Any]]) -> None:
    """Complete the document of the application: our form of errors instead of the framework's, examples, and links.

    Args:
        app: the application.
        examples: by operation id, then by status; under `request` several by name. They are not given to the framework,
            which would leave out their nulls.
    """
    generate = app.openapi

    def document() -> dict[str, Any]:
        found = generate()
        schemas = found["components"]["schemas"]
        problem = Problem.model_json_schema(ref_template=_REFERENCE)
        schemas.update(problem.pop("$defs"), Problem=problem)
        for name in _FRAMEWORK_ERRORS:
            schemas.pop(name, None)
        found["components"]["headers"] = {**_LIMITS, **_WAIT}
        for operation in (each for methods in found["paths"].values() for each in methods.values()):
            _tell_limits(operation["responses"])
            if _FRAMEWORK_ERRORS[0] in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
            for place, example in examples.get(operation["operationId"], {}).items():
                if place == "request":
                    operation["requestBody"]["content"][_JSON]["examples"] = example
                else:
                    operation["responses"][place]["content"][_JSON]["example"] = example
        link(found)
        return found

    app.openapi = document  # type: ignore[method-assign]  # the way that the framework documents


def _tell_limits(responses: dict[str, dict[str, Any]]) -> None:
    for status, response in responses.items():
        names = [
            *(_LIMITS if status[0] in "23" or status == "429" else ()),
            *(_WAIT if status in {"429", "503"} else ()),
        ]
        for name in names:
            response.setdefault("headers", {})[name] = {"$ref": f"#/components/headers/{name}"}
