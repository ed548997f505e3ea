"""What can be wrong with a request. The status and the problem type stand on the class; its docstring is the default detail."""

import inspect
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "AddressTaken",
    "BodyTooLarge",
    "FieldFault",
    "GatewayError",
    "IdempotencyKeyReused",
    "ImportRefused",
    "InternalError",
    "Interrupted",
    "InvalidCursor",
    "InvalidFields",
    "InvalidIdempotencyKey",
    "InvalidJson",
    "MissingKey",
    "MissingScope",
    "NotFound",
    "PreconditionFailed",
    "ProjectInUse",
    "ProjectRequired",
    "SeatLimitReached",
    "SubscriptionRequired",
    "TagNameTaken",
    "TooManyRequests",
    "Unavailable",
    "UnsupportedMediaType",
    "WebhookDisabled",
    "WebhookLimitReached",
    "WrongKey",
]


@dataclass(frozen=True, slots=True)
class FieldFault:
    """What is wrong with one field and how to mend it; never its value, which may be a secret."""

    field: str
    detail: str
    remedy: str


class GatewayError(Exception):
    """The request cannot be served. The members tell why."""

    status: ClassVar[int]
    title: ClassVar[str]
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str | None = None, **members: Any) -> None:
        """Take the sentence that says what happened, and members that programs can act on."""
        self.detail = detail or inspect.cleandoc(type(self).__doc__ or "").replace("\n", " ")
        self.members = members
        super().__init__(self.detail)

    @classmethod
    def type_uri(cls) -> str:
        """The problem type (RFC 9457 §3.1.1), made of the title."""
        return f"urn:berth:problem:{cls.title.lower().replace(' ', '-')}"


class InvalidJson(GatewayError):
    """The body is not valid JSON. Send one JSON object in UTF-8."""

    status = 400
    title = "Invalid JSON"


class InvalidCursor(GatewayError):
    """The cursor is not one of ours. Take it from `next_cursor` or from the id of an event, unchanged."""

    status = 400
    title = "Invalid cursor"


class InvalidIdempotencyKey(GatewayError):
    """Idempotency-Key has to have 1 to 255 printable ASCII characters. A UUID is a good choice."""

    status = 400
    title = "Invalid idempotency key"


class ProjectRequired(GatewayError):
    """The API key belongs to an organization. Say with `X-Project-Id` which of its projects the request is for."""

    status = 400
    title = "Project required"


class MissingKey(GatewayError):
    """No API key was sent. Send `Authorization: Bearer KEY` or `X-Api-Key: KEY`."""

    status = 401
    title = "Missing API key"
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class WrongKey(GatewayError):
    """The API key is unknown, has expired or was revoked. Ask those who manage your keys for a new one."""

    status = 401
    title = "Invalid API key"
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class SubscriptionRequired(GatewayError):
    """The organization has no subscription. Activate one, then send the request again."""

    status = 402
    title = "Subscription required"


class SeatLimitReached(GatewayError):
    """Every seat of this kind is taken. Remove an account or raise the limit of the subscription."""

    status = 403
    title = "Seat limit reached"


class MissingScope(GatewayError):
    """The API key may not do this. Use a key that has the scope."""

    status = 403
    title = "Missing scope"


class NotFound(GatewayError):
    """There is nothing under this address. Check the id; ids of other projects are not found either."""

    status = 404
    title = "Not found"


class AddressTaken(GatewayError):
    """The address is an account of this project already. Use that account, or remove it first."""

    status = 409
    title = "Address taken"


class TagNameTaken(GatewayError):
    """The project has a tag of this name already, in this or another case. Use that tag, or another name."""

    status = 409
    title = "Tag name taken"


class ProjectInUse(GatewayError):
    """The project has accounts or email workspaces. Remove them first; `accounts` and `workspaces` say how many there are."""

    status = 409
    title = "Project in use"


class PreconditionFailed(GatewayError):
    """What you have seen is not what there is any more; nothing was changed. Get it again, and decide anew."""

    status = 412
    title = "Precondition failed"


class WebhookDisabled(GatewayError):
    """The webhook is disabled, so nothing is sent to it. Enable it first."""

    status = 409
    title = "Webhook disabled"


class WebhookLimitReached(GatewayError):
    """The project has as many webhooks as it may. Remove one, or have one serve several purposes."""

    status = 409
    title = "Webhook limit reached"


class BodyTooLarge(GatewayError):
    """The body is larger than 1,000,000 bytes. Send less in one request."""

    status = 413
    title = "Body too large"


class UnsupportedMediaType(GatewayError):
    """The body is not JSON. Send it with `Content-Type: application/json`."""

    status = 415
    title = "Unsupported media type"


class InvalidFields(GatewayError):
    """Fields of the request are wrong; nothing was stored. `errors` names each with its remedy."""

    status = 422
    title = "Invalid fields"

    def __init__(self, faults: list[FieldFault]) -> None:
        """Take every fault that was found."""
        super().__init__()
        self.faults = faults
        self.members = {"errors": [{"field": f.field, "detail": f.detail, "remedy": f.remedy} for f in self.faults]}


class ImportRefused(GatewayError):
    """Rows cannot be accepted, and all or nothing was asked for; nothing was stored. Mend `rows`, or import per row."""

    status = 422
    title = "Import refused"


class IdempotencyKeyReused(GatewayError):
    """This Idempotency-Key came with another request before. Use a new key for each request; keys are kept for 24 hours."""

    status = 422
    title = "Idempotency key reused"


class TooManyRequests(GatewayError):
    """There were too many requests within too short a time. Wait as many seconds as `Retry-After` says."""

    status = 429
    title = "Too many requests"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        """Take after how many seconds it is worth another try."""
        super().__init__(detail, retry_after=retry_after)
        self.headers = {"Retry-After": str(retry_after)}  # type: ignore[misc]  # this one's differ


class InternalError(GatewayError):
    """The service made a mistake; nothing was stored. Report it with the request_id."""

    status = 500
    title = "Internal error"


class Interrupted(GatewayError):
    """The service is restarting, and the request may have been done or not. Send the same request again."""

    status = 503
    title = "Interrupted"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "1"}


class Unavailable(GatewayError):
    """The service is busy or restarting; nothing was stored. Send the same request again."""

    status = 503
    title = "Unavailable"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "1"}
