"""How SendKit's calls are registered and documented."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.responses import Response

from berth_gateway.dialects.sendkit.examples import FORM as FORM_EXAMPLE
from berth_gateway.dialects.sendkit.examples import REFUSALS
from berth_gateway.dialects.sendkit.schemas import Failure, Message, Success, shown

__all__ = ["EVERY", "FORM", "JSON", "KEYED", "answer", "made", "route", "schema_of"]

#: What any call with a key may be refused with.
EVERY: Final[Mapping[int, str]] = {
    401: "The key is missing, unknown or revoked.",
    403: "The key may not do this.",
    429: "There were too many requests; see Retry-After.",
    503: "The service is busy or restarting; nothing was stored.",
}
#: Likewise in one workspace.
KEYED: Final[Mapping[int, str]] = {
    **EVERY,
    400: "The request is wrong, or a platform key came without X-Workspace-Id.",
    404: "The workspace has nothing of this id, or the key no such workspace.",
}
#: Likewise with a body.
_BODY: Final[Mapping[int, str]] = {400: KEYED[400], 413: "The body is too large."}

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"


def answer(data: BaseModel, status: int = 200) -> Response:
    """Success with data."""
    return JSONResponse({"success": True, "data": shown(data)}, status_code=status)


def made(message: str) -> Response:
    """Success with a sentence as the data."""
    return answer(Message(message=message))


def route(
    router: APIRouter,
    call: str,
    endpoint: Callable[..., Awaitable[Response]],
    *,
    operation: str,
    summary: str,
    model: type[BaseModel] = Success[Message],
    status: int = 200,
    body: tuple[str, Mapping[str, Any]] | None = None,
    required: bool = True,
    refusals: Mapping[int, str] = KEYED,
) -> None:
    """Serve a call at its path with and without a slash behind it.

    Args:
        router: where.
        call: method and path.
        endpoint: what answers.
        operation: its id in the OpenAPI document.
        summary: what it is called there.
        model: of the answer when it did what was asked.
        status: of that answer.
        body: media type and schema of what it is sent.
        required: it cannot be left out.
        refusals: what else it may answer: status, and what that means.
    """
    method, _, path = call.partition(" ")
    refused = {**refusals, **(_BODY if body else {})}
    example: dict[str, Any] = {"example": FORM_EXAMPLE} if body and body[0] == FORM else {}
    responses: dict[int | str, dict[str, Any]] = {status: {"model": model, "description": "Done."}}
    responses |= {each: _refusal(each, meaning) for each, meaning in sorted(refused.items())}
    content = {body[0]: {"schema": dict(body[1]), **example}} if body else {}
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        operation_id=operation,
        summary=summary,
        status_code=status,
        response_model=None,
        responses=responses,
        openapi_extra={"requestBody": {"required": required, "content": content}} if body else None,
    )
    router.add_api_route(path + "/", endpoint, methods=[method], include_in_schema=False)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a body, with the schemas that it refers to in their places."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def inlined(node: Any) -> Any:
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            return {
                key: inlined(value) for key, value in {**definitions.get(name, {}), **node}.items() if key != "$ref"
            }
        return [inlined(each) for each in node] if isinstance(node, list) else node

    found: dict[str, Any] = inlined(schema)
    return found


def _refusal(status: int, meaning: str) -> dict[str, Any]:
    code, text = REFUSALS[status]
    example = {"success": False, "error": {"code": code, "message": text}}
    return {"model": Failure, "description": meaning, "content": {JSON: {"example": example}}}
