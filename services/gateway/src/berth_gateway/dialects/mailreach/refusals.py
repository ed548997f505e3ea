"""MailReach's form of an error: one sentence with all faults."""

from typing import Any, Final
from uuid import UUID

from fastapi.responses import JSONResponse
from starlette.responses import Response

from berth_gateway.dialects.mailreach.examples import REFUSALS
from berth_gateway.dialects.mailreach.schemas import Refusal
from berth_gateway.errors import FieldFault, GatewayError, InvalidFields, NotFound

__all__ = ["answers", "refusal"]

_MISSING: Final = "The field is missing."


def refusal(error: GatewayError, request: UUID) -> Response:
    """An error as MailReach's clients know them."""
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


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a call that may be refused with these statuses, besides those that every call may."""
    return {
        status: {"model": Refusal, "description": REFUSALS[status][0]}
        for status in sorted({401, 403, 404, 422, 429, 503, *statuses})
    }


def _fault(fault: FieldFault) -> str:
    if fault.detail == _MISSING:
        return f"{fault.field} is missing"
    return f"{fault.field} does not have a valid value ({fault.detail.rstrip('.')}. {fault.remedy.rstrip('.')})"
