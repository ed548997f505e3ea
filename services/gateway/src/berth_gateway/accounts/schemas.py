"""Accounts as the canonical API takes and shows them."""

import json
from datetime import datetime
from functools import cache
from typing import Annotated, Final, Literal
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, SecretStr
from pydantic_core import PydanticCustomError

from berth_events.contracts import AccountSettings, CheckState, Checkup, Diagnosis, Finding, Provider, SeatKind, Step
from berth_gateway.autoconfig.schemas import FilledIn

__all__ = [
    "AcceptedAccount",
    "Account",
    "AccountInput",
    "AccountPage",
    "AccountStatus",
    "Checks",
    "Domain",
    "Input",
    "Instant",
    "Secret",
    "Server",
    "ServerInput",
    "Settings",
    "Signature",
    "StepReport",
    "TagName",
    "TagReference",
    "Text",
    "VerificationReport",
    "VerificationSummary",
    "instant",
    "storable",
]

#: As the vault writes it; two of them are within what a credential may have.
_SECRET_BYTES: Final = 30_000

AccountStatus = Literal["pending", "connected", "failed", "disconnected"]


def instant(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def storable(text: str) -> str:
    """The text, when Postgres can store it."""
    # the error must not show the value: it may be a secret
    if "\0" in text or (not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)):
        raise ValueError("contains NUL or a lone surrogate")
    return text


def storable_secret(secret: SecretStr) -> SecretStr:
    """The secret, when the vault can take it."""
    text = storable(secret.get_secret_value())
    if len(json.dumps(text, ensure_ascii=False).encode()) > _SECRET_BYTES:
        raise PydanticCustomError("secret_too_large", "too large for the vault")
    return secret


def known_time_zone(name: str) -> str:
    """The name, when it is an IANA time zone."""
    if name not in available_time_zones():
        raise PydanticCustomError("time_zone", "not an IANA time zone")
    return name


@cache
def available_time_zones() -> frozenset[str]:
    """The names of the IANA time zones."""
    return frozenset(available_timezones())


TimeZone = Annotated[str, Field(examples=["Europe/Berlin"]), AfterValidator(known_time_zone)]
Instant = Annotated[datetime, PlainSerializer(instant, return_type=str, when_used="json")]
Text = Annotated[str, Field(max_length=1000), AfterValidator(storable)]
Signature = Annotated[str, Field(max_length=100_000), AfterValidator(storable)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=10_000), AfterValidator(storable_secret)]


class Input(BaseModel):
    """A request body: unknown fields are refused, and values are not shown in errors."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ServerInput(Input):
    """A mail server and how to log in to it."""

    host: Annotated[Text, Field(min_length=1, examples=["imap.acme.com"])] | None = Field(
        default=None, description="left out: the provider's, or found by the domain"
    )
    port: int | None = Field(default=None, ge=1, le=65535, examples=[993], description="needed with `host`")
    security: Literal["tls", "starttls", "auto"] | None = Field(
        default=None,
        description="default: `tls` on 993 and 465, `starttls` on 143, 587 and 2525, else `auto`: whichever the server speaks",
    )
    username: Text | None = Field(
        default=None, description="default: the email address, or what the server that was found wants"
    )
    password: Secret | None = Field(default=None, description="default: the account's `password`")


class Settings(Input):
    """How whoever sends through the account wants it used. Left out or null: unchanged. An empty text clears.

    Berth keeps these, shows them in every dialect and publishes their changes; it sends and warms nothing itself.
    """

    alias: Text | None = Field(default=None, description="send from this alias; one of the account's aliases")
    description: Text | None = Field(default=None, description="free text")
    reply_to: Text | None = Field(default=None, description="where answers are to go, when not to the address")
    bcc: Text | None = Field(default=None, description="an address that gets a copy of everything that is sent")
    tracking_domain: Text | None = Field(default=None, description="the domain of tracked links")
    client_number: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="your own number for a client of yours"
    )
    daily_limit: int | None = Field(default=None, ge=0, le=100_000, description="messages to send per day at most")
    wait_minutes: int | None = Field(default=None, ge=0, le=10_000, description="minutes between two messages at least")
    sending_enabled: bool | None = Field(default=None, description="whether mail is to be sent through the account")
    append_sent: bool | None = Field(default=None, description="whether sent messages are stored in the Sent folder")
    alive: bool | None = Field(default=None, description="false: paused by its owner")
    autopilot: bool | None = Field(default=None, description="warm-up: the recipe is chosen by the warm-up network")
    warmup_enabled: bool | None = Field(default=None, description="warm-up: wanted")
    warmup_paused: bool | None = Field(default=None, description="warm-up: interrupted, to be taken up where it was")
    warmup_initial: int | None = Field(default=None, ge=0, le=1000, description="warm-up: messages on the first day")
    warmup_target: int | None = Field(default=None, ge=1, le=50, description="warm-up: messages per day when complete")
    warmup_increase: int | None = Field(default=None, ge=0, le=20, description="warm-up: messages added per day")
    warmup_conversations: int | None = Field(default=None, ge=0, le=35, description="warm-up: conversations at once")
    warmup_reply_rate: int | None = Field(default=None, ge=0, le=100, description="warm-up: messages answered, percent")
    warmup_key: Text | None = Field(default=None, description="warm-up: the key that marks its messages")
    warmup_auto_adjust: bool | None = Field(default=None, description="warm-up: its volume follows other sending")
    warmup_rampup: bool | None = Field(default=None, description="warm-up: begins low and grows")


TagName = Annotated[Text, Field(min_length=1, max_length=100)]


class TagReference(BaseModel):
    """A label of an account; `id` counts in the project."""

    id: int
    name: str
    color: str


class AccountInput(Input):
    """A mailbox to be connected."""

    email: Text
    first_name: Text = ""
    last_name: Text = ""
    provider: Provider | None = Field(default=None, description="needed, except with `workspace_id`")
    workspace_id: UUID | None = Field(
        default=None, description="sign in through this email workspace, which knows provider, servers and credential"
    )
    password: Secret | None = Field(default=None, description="for both servers; never shown again")
    imap: ServerInput | None = Field(
        default=None,
        description="null for an account that only sends; left out: the provider's, or found by the domain",
    )
    smtp: ServerInput | None = Field(
        default=None,
        description="null for an account that only receives; left out: the provider's, or found by the domain",
    )
    seat_kind: SeatKind = "monitoring"
    signature: Annotated[Text, Field(max_length=100_000)] = Field(
        default="", description="appended to mail; may be HTML"
    )
    time_zone: TimeZone = "Etc/UTC"
    settings: Settings | None = None
    tags: list[TagName] = Field(default=[], max_length=100, description="by name; new names become tags of the project")


class Server(BaseModel):
    """A mail server of an account. Secrets are never shown."""

    host: str
    port: int
    security: Literal["tls", "starttls", "auto"]
    username: str


class VerificationSummary(BaseModel):
    """The last time the account was proven. `imap` and `smtp`: true proven, false failed, null not tried."""

    verification_id: UUID
    outcome: Literal["connected", "failed"]
    started_at: Instant
    duration_ms: float
    imap: bool | None
    smtp: bool | None


class Checks(BaseModel):
    """What the last audit says; `unknown` when a question was not answered, or not asked yet."""

    mx: CheckState = "unknown"
    spf: CheckState = "unknown"
    dkim: CheckState = "unknown"
    dmarc: CheckState = "unknown"


class Domain(BaseModel):
    """The account's domain. Valid and value are the last definite answers; null before there is one."""

    domain: str
    spf_valid: bool | None = None
    spf_value: str | None = None
    dkim_valid: bool | None = None
    dkim_selector: str | None = None
    dkim_value: str | None = None
    dmarc_valid: bool | None = None
    dmarc_value: str | None = None
    mx_records: list[tuple[str, str, str]] = Field(default=[], description="host, address, preference")
    last_check_at: Instant | None = None
    checks: Checks = Checks()
    findings: list[Finding] = []


class Account(BaseModel):
    """A connected, or to be connected, mailbox: one address, one account, one seat."""

    id: UUID
    number: int = Field(description="the account's number in the project, which dialects use as its id")
    email: str
    first_name: str
    last_name: str
    provider: Provider
    status: AccountStatus
    seat_kind: SeatKind
    suspended: bool
    imap: Server | None
    smtp: Server | None
    diagnosis: Diagnosis | None = Field(description="why the last verification failed, and what mends it")
    verification: VerificationSummary | None
    checkup: Checkup | None = Field(description="what the last checkup showed; null: none was asked for")
    imap_issue: bool = Field(description="IMAP is known not to work and is not tried")
    workspace_id: UUID | None = Field(description="the email workspace that it signs in through")
    import_id: UUID | None = Field(description="the import that it came with")
    signature: str
    time_zone: str
    settings: AccountSettings = Field(description="null: never set")
    tags: list[TagReference]
    domain: Domain
    created_at: Instant
    updated_at: Instant


class AcceptedAccount(Account):
    """An account that was just accepted."""

    filled_in: FilledIn = {}


class AccountPage(BaseModel):
    """Accounts in the order of their numbers."""

    items: list[Account]
    next_cursor: str | None = Field(description="null on the last page")


class StepReport(Step):
    """One step of a verification."""

    started_at: Instant


class VerificationReport(BaseModel):
    """The last verification, step by step; without steps while the first one is pending."""

    account_id: UUID
    status: AccountStatus
    outcome: Literal["connected", "failed"] | None = None
    started_at: Instant | None = None
    duration_ms: float | None = None
    imap: bool | None = None
    smtp: bool | None = None
    diagnosis: Diagnosis | None = None
    steps: list[StepReport] = []
