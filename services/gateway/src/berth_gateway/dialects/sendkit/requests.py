"""What SendKit's clients send. Null is absent, numbers and booleans may be strings, unknown fields are ignored."""

import json
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import Query, Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from berth_gateway.accounts.schemas import Secret, TagName, Text, storable
from berth_gateway.api.problems import field_faults
from berth_gateway.errors import InvalidFields, InvalidJson

__all__ = [
    "BulkWarmup",
    "CreateMailbox",
    "Filters",
    "ImapServer",
    "ListMailboxes",
    "NameWorkspace",
    "PageQuery",
    "SmtpServer",
    "UpdateMailbox",
    "WarmupConfigInput",
    "checked",
    "read",
]

_MIN_PER_DAY: Final = 1
_MAX_PER_DAY: Final = 50
_MAX_LIMIT: Final = 200
_MAX_WORKSPACES: Final = 1_000
_MAX_PAGE: Final = 1_000_000
#: Of warm-up volumes, in messages per day.
_MAX_VOLUME: Final = 1_000

Model = TypeVar("Model", bound=BaseModel)


async def read(request: Request, model: type[Model], *, optional: bool = False) -> Model:
    """The body as JSON, whatever its content type says.

    Args:
        request: of any content type.
        model: what it has to be.
        optional: an empty body is an empty object.

    Raises:
        InvalidJson: it is not JSON.
        InvalidFields: it is not what it has to be.
    """
    raw = await request.body()
    if optional and not raw.strip():
        raw = b"{}"
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        raise InvalidJson from None
    return checked(model, content)


def checked(model: type[Model], content: Any) -> Model:
    """Content as a model.

    Raises:
        InvalidFields: it is not what it has to be.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InvalidFields(field_faults(error.errors(include_url=False, include_input=False))) from None


def _clamped(low: int, high: int) -> AfterValidator:
    return AfterValidator(lambda number: min(max(number, low), high))


def _split(value: Any) -> Any:
    """Tags as `tags=a,b` and as `tags=a&tags=b`."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return [tag.strip() for each in value for tag in each.split(",") if tag.strip()]
    return value


class Lenient(BaseModel):
    """A request in which null is absent."""

    model_config = ConfigDict(
        extra="ignore", coerce_numbers_to_str=True, hide_input_in_errors=True, alias_generator=to_camel
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        return {name: value for name, value in content.items() if value is not None}


Port = Annotated[int, Field(ge=1, le=65535)]
Required = Annotated[Text, Field(min_length=1)]
Limit = Annotated[int, _clamped(_MIN_PER_DAY, _MAX_PER_DAY)]
Html = Annotated[str, Field(max_length=100_000), AfterValidator(storable)]
TagList = Annotated[list[TagName], Field(max_length=100)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Volume = Annotated[int, Field(ge=0, le=_MAX_VOLUME)]


class SmtpServer(Lenient):
    """Where mail is submitted."""

    host: Required
    port: Port = 587
    secure: bool = Field(default=True, description="465: TLS; other ports: what the server offers. Never without TLS")
    username: Required
    password: Secret


class ImapServer(Lenient):
    """Where mail is read."""

    host: Required
    port: Port = 993
    secure: bool = True
    username: Text | None = Field(default=None, description="default: that of `smtp`")
    password: Secret | None = Field(default=None, description="default: that of `smtp`")


class CreateMailbox(Lenient):
    """A mailbox to be added."""

    email: Required = Field(description="stored in lower case")
    display_name: Text = Field(default="", description="default: the part of the address before the @")
    provider: Text = Field(default="custom", description="gmail, outlook, azure or custom; any other is custom")
    smtp: SmtpServer
    imap: ImapServer | None = Field(default=None, description="default: derived, with the credentials of `smtp`")
    daily_send_limit: Limit | None = Field(default=None, description="default: 15; clamped to 1-50")
    signature: Html = Field(default="", description="HTML")
    tags: TagList = []


class UpdateMailbox(Lenient):
    """What is to be different."""

    display_name: Text | None = None
    daily_send_limit: Limit | None = Field(default=None, description="clamped to 1-50")
    signature: Html | None = None
    sending_enabled: bool | None = None
    tags: TagList | None = Field(default=None, description="replaces all")


class NameWorkspace(Lenient):
    """What a workspace is called."""

    name: Annotated[Text, Field(min_length=1, max_length=200)]


class WarmupConfigInput(Lenient):
    """How a mailbox is to be warmed; what is left out stays."""

    starting_volume: Volume | None = None
    daily_increase: Volume | None = None
    target_volume: Volume | None = None

    @model_validator(mode="before")
    @classmethod
    def _flattened(cls, content: Any) -> Any:
        """What is shown under `config` is taken from there, too."""
        nested = content.get("config") if isinstance(content, dict) else None
        return {**content, **nested} if isinstance(nested, dict) else content


class BulkWarmup(Lenient):
    """One operation on many mailboxes."""

    operation: Literal["start", "stop", "pause", "resume", "update"]
    mailboxes: Annotated[list[str], Field(min_length=1, max_length=500)]
    config: WarmupConfigInput = WarmupConfigInput()


class PageQuery(BaseModel):
    """Where in a list."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, alias_generator=to_camel)

    page: Annotated[int, _clamped(1, _MAX_PAGE)] = 1
    limit: Annotated[int, _clamped(1, _MAX_WORKSPACES)] = Field(
        default=_MAX_WORKSPACES, description="clamped to 1-1000"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, content: Any) -> Any:
        return _filled(content)


def _filled(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    return {name: value for name, value in content.items() if value not in ("", [], [""])}


class ListMailboxes(BaseModel):
    """Which mailboxes, and where in their list. Filters are combined.

    Filters of campaigns and of what sending shows find what is true of mailboxes that Berth does not send from: no campaigns,
    no bounces.
    """

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, alias_generator=to_camel)

    status: Literal["active", "inactive", "error", "warming_up", "suspended", "failed", "pending"] | None = None
    provider: Literal["gmail", "outlook", "azure", "custom"] | None = None
    connection_type: Literal["oauth", "smtp"] | None = None
    sending_enabled: bool | None = None
    tags: Annotated[list[TagName], BeforeValidator(_split), Field(max_length=100)] = Field(
        default=[], description="names; repeated, or with commas"
    )
    tag_mode: Literal["any", "all"] = "any"
    untagged: bool = False
    search: Text | None = Field(default=None, description="a part of address or name")
    warmup_enabled: bool | None = None
    warmup_status: Text | None = Field(default=None, description="not_started, active, paused")
    warmup_health: Text | None = Field(default=None, description="not measured: finds nothing")
    min_bounce_rate: Number | None = None
    max_bounce_rate: Number | None = None
    high_bounce_rate: bool | None = None
    min_health_score: Number | None = None
    max_health_score: Number | None = None
    campaign_ids: Annotated[list[Text], BeforeValidator(_split)] = []
    not_in_campaign: Text | None = None
    in_active_campaign: bool | None = None
    cursor: Text | None = Field(default=None, description="`pagination.nextCursor` of the page before")
    page: Annotated[int, _clamped(1, _MAX_PAGE)] = 1
    limit: Annotated[int, _clamped(1, _MAX_LIMIT)] = Field(default=25, description="clamped to 1-200")

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, content: Any) -> Any:
        return _filled(content)


Filters = Annotated[ListMailboxes, Query()]
