"""Errors as SendKit's clients know them: `{success: false, error: {code, message, …}}`."""

from typing import Any, Final
from uuid import UUID

from fastapi.responses import JSONResponse
from starlette.responses import Response

from berth_gateway.errors import (
    AddressTaken,
    FieldFault,
    GatewayError,
    InvalidFields,
    ProjectRequired,
    SeatLimitReached,
    SubscriptionRequired,
)

__all__ = ["ConsentUnavailable", "owns", "refusal"]

_PREFIXES: Final = ("/v1/mailboxes", "/v1/workspaces", "/v1/warmup", "/v1/warmup-stats", "/v1/account")
#: Of the errors that have no code of their own below; the status becomes the one of the pair, if there is one.
_CODES: Final[dict[int, tuple[int, str]]] = {
    400: (400, "VALIDATION_ERROR"),
    401: (401, "UNAUTHORIZED"),
    402: (403, "SUBSCRIPTION_REQUIRED"),
    403: (403, "FORBIDDEN"),
    404: (404, "NOT_FOUND"),
    405: (405, "METHOD_NOT_ALLOWED"),
    409: (409, "CONFLICT"),
    413: (413, "PAYLOAD_TOO_LARGE"),
    415: (400, "VALIDATION_ERROR"),
    422: (400, "VALIDATION_ERROR"),
    429: (429, "RATE_LIMITED"),
    503: (503, "UNAVAILABLE"),
}
_INTERNAL: Final = (500, "INTERNAL_ERROR")


class ConsentUnavailable(GatewayError):
    """Single mailboxes cannot be connected by consent here: that needs an OAuth client, which this server does not have.

    Connect all mailboxes of an organization through an email workspace instead: POST /v1/email-workspaces.
    """

    status = 400
    title = "Consent unavailable"


def owns(path: str) -> bool:
    """Whether a path is SendKit's."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in _PREFIXES)


def refusal(error: GatewayError, request: UUID) -> Response:  # noqa: ARG001 - its form has no place for it: X-Request-Id has
    """An error in SendKit's envelope."""
    status, content = _content(error)
    return JSONResponse({"success": False, "error": content}, status_code=status, headers=error.headers)


def _content(error: GatewayError) -> tuple[int, dict[str, Any]]:
    status, code = _CODES.get(error.status, _INTERNAL)
    content: dict[str, Any] = {"code": code, "message": error.detail}
    match error:
        case SubscriptionRequired():
            content["message"] = "Workspace owner needs an active subscription to add mailboxes"
        case SeatLimitReached():
            content = {
                "code": "LIMIT_REACHED",
                "message": "Mailbox limit reached for your plan",
                "currentUsage": error.members["used"],
                "maxMailboxes": error.members["limit"],
                "requested": error.members["requested"],
            }
        case AddressTaken():
            content["message"] = "Mailbox already exists"
        case ConsentUnavailable():
            content["code"] = "OAUTH_NOT_CONFIGURED"
        case ProjectRequired():
            content["message"] = "A platform key needs the header X-Workspace-Id."
        case InvalidFields():
            content["message"] = "; ".join(
                dict.fromkeys(f"{fault.field}: {fault.detail.rstrip('.')}" for fault in error.faults)
            )
            content["details"] = [_detail(fault) for fault in error.faults]
    return status, content


def _detail(fault: FieldFault) -> dict[str, str]:
    return {"field": fault.field, "message": f"{fault.detail} {fault.remedy}"}
