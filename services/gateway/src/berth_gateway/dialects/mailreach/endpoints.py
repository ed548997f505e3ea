"""MailReach's routes, with its own envelope for errors."""

import json
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.responses import Response

from berth_gateway.api.authentication import Writes
from berth_gateway.api.problems import field_faults
from berth_gateway.api.services import Provided, context_of
from berth_gateway.dialects.mailreach.examples import REFUSALS
from berth_gateway.dialects.mailreach.schemas import Account, DryRunAccount, ImapAuthError, ImapAuthRequest, Refusal
from berth_gateway.errors import FieldFault, GatewayError, InvalidFields, InvalidJson, NotFound

__all__ = ["owns", "refusal", "router"]

#: Where MailReach's clients look for it; both forms are served with a slash behind them, too.
_PATHS: Final = ("/api/v1/imap_auth", "/v1/imap_auth")

_MISSING: Final = "The field is missing."


def owns(path: str) -> bool:
    """Whether a path is MailReach's."""
    return path.rstrip("/") in _PATHS


def refusal(error: GatewayError, request: UUID) -> Response:
    """An error as MailReach's clients know them: one string with all faults."""
    match error:
        case InvalidFields():
            text = ", ".join(dict.fromkeys(_fault(fault) for fault in error.faults))
        case _ if error.status == 401:  # noqa: PLR2004 - what its documentation says of both
            text = "Invalid API key"
        case NotFound():
            text = "Account not found"
        case _:
            text = error.detail
    shown = Refusal(error=text, request_id=request)
    return JSONResponse(shown.model_dump(mode="json"), status_code=error.status, headers=error.headers)


def _fault(fault: FieldFault) -> str:
    if fault.detail == _MISSING:
        return f"{fault.field} is missing"
    return f"{fault.field} does not have a valid value ({fault.detail.rstrip('.')}. {fault.remedy.rstrip('.')})"


router = APIRouter(tags=["MailReach dialect"])


async def _imap_auth(request: Request, services: Provided, caller: Writes) -> Response:
    """Connect, update or only test one mailbox by IMAP and SMTP, and answer when it is known whether it works.

    The mailbox is saved only if it works. With `id`, or when the project has the address, that account gets the new
    credentials if they work and keeps the old ones if not. With `test` nothing is saved at all. A request that is repeated
    within a minute is answered from the last result, without another login.
    """
    answer = await services.mailreach.authenticate(
        await _read(request), caller.tenant, context_of(request), request.state.request_id
    )
    return JSONResponse(answer.model_dump(mode="json"), status_code=500 if isinstance(answer, ImapAuthError) else 200)


async def _read(request: Request) -> ImapAuthRequest:
    """The body, as JSON or as a form; what looks like JSON is, whatever its content type says."""
    raw = await request.body()
    content_type = request.headers.get("content-type", "")
    if "json" in content_type or raw.lstrip().startswith(b"{"):
        try:
            fields = json.loads(raw)
        except ValueError:
            raise InvalidJson from None
        if not isinstance(fields, dict):
            raise InvalidJson
    else:
        fields = _texts(await request.form(max_files=0, max_fields=100))
    try:
        return ImapAuthRequest.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        raise InvalidFields(field_faults(error.errors(include_url=False, include_input=False))) from None


def _texts(form: FormData) -> dict[str, Any]:
    return {name: value for name, value in form.items() if isinstance(value, str)}


_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": ImapAuthRequest.model_json_schema()},
            "application/x-www-form-urlencoded": {"schema": ImapAuthRequest.model_json_schema()},
        },
    }
}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": Account | DryRunAccount,
        "description": "It works. With `test` the answer also has the three success flags.",
    },
    500: {
        "model": ImapAuthError,
        "description": "It does not work; nothing was saved.",
    },
    **{status: {"model": Refusal, "description": description} for status, (description, _) in REFUSALS.items()},
}

for _path in _PATHS:
    router.add_api_route(
        _path,
        _imap_auth,
        methods=["POST"],
        operation_id="imapAuth" if _path.startswith("/api") else "imapAuthAlias",
        summary="Connect an account via IMAP/SMTP",
        responses=_RESPONSES,
        openapi_extra=_BODY,
    )
    router.add_api_route(_path + "/", _imap_auth, methods=["POST"], include_in_schema=False)
