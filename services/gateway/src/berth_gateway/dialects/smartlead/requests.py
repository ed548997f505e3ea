"""What SmartLead's clients send. Unknown fields are ignored, null is absent, numbers and booleans may be strings."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from berth_gateway.accounts.schemas import Secret, Signature, Text, storable
from berth_gateway.dialects.smartlead.refusals import invalid

__all__ = [
    "CampaignAccounts",
    "Form",
    "ListQuery",
    "NewTag",
    "ReconnectRequest",
    "SaveOAuthRequest",
    "SaveRequest",
    "TagChange",
    "TagListRequest",
    "TagMapping",
    "TagRemoval",
    "Token",
    "UpdateRequest",
    "WarmupRequest",
    "parsed",
]

_MAX: Final = 2**31 - 1
_JSON_BODY: Final = "body must be a JSON object"
#: pydantic's error type -> how SmartLead's validation says it; `{}` takes values of the error's context.
_FAULTS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_unicode": "contains characters that cannot be stored",
    "string_too_short": "is not allowed to be empty",
    "string_too_long": "length must be less than or equal to {max_length} characters long",
    "string_pattern_mismatch": "must be # and six hexadecimal digits",
    "too_short": "must contain at least {min_length} items",
    "too_long": "must contain less than or equal to {max_length} items",
    "greater_than_equal": "must be greater than or equal to {ge}",
    "less_than_equal": "must be less than or equal to {le}",
    "int_type": "must be a number",
    "int_parsing": "must be a number",
    "int_parsing_size": "must be a safe number",
    "int_from_float": "must be an integer",
    "finite_number": "must be a number",
    "bool_type": "must be a boolean",
    "bool_parsing": "must be a boolean",
    "list_type": "must be an array",
    "model_type": "must be an object",
    "value_error": "contains characters that cannot be stored",
}


def _absent_when_blank(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _false_when_absent(value: Any) -> Any:
    return _absent_when_blank(value) or False


def _upper(value: Any) -> Any:
    return value.strip().upper() or None if isinstance(value, str) else value


def _filled(value: Any) -> Any:
    if value == "":
        raise PydanticCustomError("string_too_short", "empty")
    return value


def _text(value: Any) -> Any:
    """A number where a text belongs, such as a password of digits."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _several(value: Any) -> Any:
    """One number where a list belongs."""
    return [value] if isinstance(value, int) else value


Number = Annotated[int | None, BeforeValidator(_absent_when_blank), Field(ge=0, le=_MAX)]
Flag = Annotated[bool | None, BeforeValidator(_absent_when_blank)]
Id = Annotated[int, Field(ge=1, le=_MAX)]
Required = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(storable)]
TagName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(storable)]
OptionalPassword = Annotated[Secret | None, BeforeValidator(lambda value: _absent_when_blank(_text(value)))]
OptionalText = Annotated[Text | None, BeforeValidator(_absent_when_blank)]
Port = Annotated[int, Field(ge=1, le=65535)]
OptionalPort = Annotated[int | None, BeforeValidator(_absent_when_blank), Field(ge=1, le=65535)]
PortType = Annotated[Literal["SSL", "TLS", "STARTTLS"] | None, BeforeValidator(_upper)]
Color = Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]


class Form(BaseModel):
    """A body or a query."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, hide_input_in_errors=True)


class Token(Form):
    """The caller's OAuth token. Only the access token is used; nothing else of it is kept."""

    access_token: Annotated[Secret, BeforeValidator(_filled)]


class _Settings(Form):
    """What an account may be given besides servers and secrets. An empty text clears."""

    max_email_per_day: Number = Field(
        default=None, validation_alias=AliasChoices("max_email_per_day", "message_per_day")
    )
    custom_tracking_url: Text | None = None
    bcc: Text | None = None
    signature: Signature | None = None
    client_id: Number = None
    time_to_wait_in_mins: Number = None
    different_reply_to_address: Text | None = None
    is_suspended: Flag = None


class UpdateRequest(_Settings):
    """Any of the settings, and the name."""

    from_name: Text | None = None


class _Save(_Settings):
    """What `save` and `save-oauth` have in common."""

    from_name: Required
    from_email: Required
    user_name: OptionalText = Field(
        default=None,
        validation_alias=AliasChoices("user_name", "username"),
        description="the SMTP user; default: `from_email`",
    )
    id: Annotated[int | None, BeforeValidator(_absent_when_blank), Field(ge=0, le=_MAX)] = Field(
        default=None, description="an account to update instead of adding one"
    )
    imap_user_name: OptionalText = Field(
        default=None,
        validation_alias=AliasChoices("imap_user_name", "imap_username"),
        description="default: the SMTP user",
    )
    smtp_port_type: PortType = Field(default=None, description="on ports other than the usual ones, which decide")
    imap_port_type: PortType = None
    warmup_enabled: Flag = Field(default=None, description="default: false")
    total_warmup_per_day: Number = None
    daily_rampup: Number = None
    reply_rate_percentage: Annotated[int | None, BeforeValidator(_absent_when_blank), Field(ge=0, le=100)] = None


class SaveRequest(_Save):
    """One mailbox by SMTP and IMAP, or by OAuth when it has a `token`."""

    token: Token | None = None
    password: OptionalPassword = Field(default=None, validate_default=True, description="required without `token`")
    smtp_host: Required
    smtp_port: Port
    imap_host: Required
    imap_port: Port
    imap_password: OptionalPassword = Field(default=None, description="default: `password`")
    type: Annotated[Literal["GMAIL", "OUTLOOK", "SMTP", "ZOHO"] | None, BeforeValidator(_upper)] = None

    @field_validator("password")
    @classmethod
    def _required(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        # a token that is wrong is a fault of its own
        if password is None and info.data.get("token", ...) is None:
            raise PydanticCustomError("missing", "missing")
        return password


class SaveOAuthRequest(_Save):
    """One mailbox by an OAuth access token."""

    type: Annotated[Literal["GMAIL", "OUTLOOK"], BeforeValidator(_upper)]
    token: Token
    smtp_host: OptionalText = Field(default=None, description="default: the provider's")
    smtp_port: OptionalPort = None
    imap_host: OptionalText = Field(default=None, description="default: the provider's")
    imap_port: OptionalPort = None
    use_whitelabel_credentials: Annotated[bool, BeforeValidator(_false_when_absent)] = Field(
        default=False, description="accepted, and ignored: the token says which application it is for"
    )


class WarmupRequest(Form):
    """How the account is to be warmed up. Berth keeps and tells it."""

    warmup_enabled: bool
    total_warmup_per_day: Annotated[int | None, BeforeValidator(_absent_when_blank), Field(ge=1, le=50)] = None
    daily_rampup: Annotated[int | None, BeforeValidator(_absent_when_blank), Field(ge=5, le=20)] = None
    reply_rate_percentage: Annotated[int | None, BeforeValidator(_absent_when_blank), Field(ge=20, le=100)] = None
    warmup_key_id: OptionalText = None
    auto_adjust_warmup: Flag = None
    is_rampup_enabled: Flag = None


class ReconnectRequest(Form):
    """Nothing."""


class ListQuery(Form):
    """Which accounts, and which page of them."""

    offset: Annotated[int, Field(ge=0, le=_MAX)] = 0
    limit: Annotated[int, Field(ge=1, le=100)] = 100
    is_in_use: bool | None = Field(default=None, alias="isInUse", description="belongs to a campaign")
    warmup_status: Annotated[Literal["ACTIVE", "INACTIVE"] | None, BeforeValidator(_upper)] = Field(
        default=None, alias="emailWarmupStatus"
    )
    is_smtp_success: bool | None = Field(default=None, alias="isSmtpSuccess")
    is_warmup_blocked: bool | None = Field(default=None, alias="isWarmupBlocked")
    esp: Annotated[Literal["GMAIL", "OUTLOOK", "SMTP"] | None, BeforeValidator(_upper)] = None
    username: Text | None = Field(default=None, description="part of the SMTP user name")
    client_id: Number = None
    fetch_campaigns: bool | None = None


class NewTag(Form):
    """A tag that is to be."""

    name: TagName
    color: Color | None = None


class TagChange(NewTag):
    """A tag as it is to be from now on; without an id, or with 0, a tag that is to be."""

    id: Number = None


class TagListRequest(Form):
    """Of which addresses the tags are asked for."""

    email_ids: Annotated[list[Text], Field(min_length=1, max_length=1000)]


class TagMapping(Form):
    """Which tags to give to which accounts, by number or, as before, by address."""

    email_account_ids: Annotated[list[Id] | None, Field(min_length=1, max_length=25)] = None
    emails: Annotated[list[Text] | None, Field(min_length=1, max_length=25)] = None
    tag_ids: Annotated[list[Id], Field(min_length=1, max_length=100)]


class TagRemoval(Form):
    """Which tags to take from which accounts, by number or by address."""

    email_account_ids: Annotated[list[Id] | None, Field(min_length=1, max_length=1000)] = None
    emails: Annotated[list[Text] | None, Field(min_length=1, max_length=1000)] = None
    tag_ids: Annotated[list[Id], Field(min_length=1, max_length=1000)]


class CampaignAccounts(Form):
    """Accounts of a campaign."""

    email_account_ids: Annotated[list[Id], BeforeValidator(_several), Field(min_length=1, max_length=1000)] = Field(
        validation_alias=AliasChoices("email_account_ids", "email_accounts_ids", "email_account_id")
    )


F = TypeVar("F", bound=Form)


def parsed(form: type[F], fields: Mapping[str, Any] | None) -> F:
    """The form of what was sent; None: it was no JSON object.

    Raises:
        Refused: all faults, each by the name that the client used for the field.
    """
    if fields is None:
        raise invalid([_JSON_BODY])
    try:
        return form.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        raise invalid(_said(error.errors(include_url=False, include_input=False))) from None


def _said(errors: Sequence[Any]) -> list[str]:
    return [f"{'.'.join(map(str, error['loc'])) or 'body'} {_fault(error)}" for error in errors]


def _fault(error: Any) -> str:
    if error["type"] == "literal_error":
        known = re.findall("'([^']+)'", error["ctx"]["expected"])
        return f"must be one of [{', '.join(known)}]"
    return _FAULTS.get(error["type"], "is invalid").format_map(error.get("ctx") or {})
