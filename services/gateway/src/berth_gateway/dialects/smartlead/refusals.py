"""SmartLead's errors: always JSON with `message`, and with a string `error` wherever its reference has one."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from fastapi.responses import JSONResponse
from starlette.responses import Response

from berth_gateway.errors import (
    FieldFault,
    GatewayError,
    InvalidFields,
    SubscriptionRequired,
    TooManyRequests,
    WrongKey,
)

__all__ = ["Refused", "account_exists", "account_not_found", "invalid", "owns", "refusal", "said", "tag_not_found"]

_ACCOUNTS: Final = "/api/v1/email-accounts"
_CAMPAIGNS: Final = "/api/v1/campaigns"
_TAGS: Final = "/api/v1/tags"
#: Its error guide lists no 402.
_FORBIDDEN: Final = 403


class Refused(GatewayError):
    """The request cannot be served; the answer is one of SmartLead's own."""

    title = "Refused"

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        """Take the answer."""
        super().__init__(str(body["message"]))
        self.status = status  # type: ignore[misc]  # this one's differ
        self.body = body


def owns(path: str) -> bool:
    """Whether a path is SmartLead's."""
    bare = path.rstrip("/")
    return bare in {_ACCOUNTS, _TAGS} or path.startswith((f"{_ACCOUNTS}/", f"{_CAMPAIGNS}/"))


def refusal(error: GatewayError, _request: UUID) -> Response:
    """An error as SmartLead's clients know them. They print `message` or `error`, whichever they find."""
    status, body = error.status, said(error.detail)
    match error:
        case Refused():
            body = dict(error.body)
        case _ if error.status == WrongKey.status:
            body = {"message": "Invalid API Key"}
        case TooManyRequests():
            body = _too_many(error.members["retry_after"])
        case InvalidFields():
            body = said(", ".join(dict.fromkeys(map(_fault, error.faults))))
        case SubscriptionRequired():
            status = _FORBIDDEN
    return JSONResponse(body, status_code=status, headers=error.headers)


def said(text: str) -> dict[str, Any]:
    """One sentence under both of the names that clients look for."""
    return {"ok": False, "message": text, "error": text}


def invalid(faults: Sequence[str]) -> Refused:
    """Fields are wrong."""
    return Refused(422, said(", ".join(dict.fromkeys(faults))))


def account_not_found(number: int | None) -> Refused:
    """There is no such account."""
    body = {"ok": False, "message": "Email account not found!", "error": "Email account not found"}
    return Refused(404, {**body, "errorCode": "ACCOUNT_NOT_FOUND", "emailAccountId": number})


def account_exists(number: int) -> Refused:
    """An account has the address that is to be added."""
    message = "Email account already exist. Please pass id to update it"
    return Refused(400, {**said(message), "errorCode": "ACCOUNT_ALREADY_EXIST", "emailAccountId": number})


def tag_not_found() -> Refused:
    """There is no such tag."""
    return Refused(404, said("Tag not found"))


def _too_many(seconds: int) -> dict[str, Any]:
    message = f"Too many requests. Please retry after {seconds} seconds."
    return {"message": message, "error": {"code": "RATE_LIMIT_EXCEEDED", "message": message, "retry_after": seconds}}


def _fault(fault: FieldFault) -> str:
    return f"{fault.field} is invalid: {fault.detail} {fault.remedy}"
