"""MailReach's forms: `postV1ImapAuth`, `V1_Entities_Account`, `V1_Entities_ImapAuthError`."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from berth_events.contracts import Diagnosis, Provider
from berth_gateway.accounts.schemas import Instant, Secret, Text

__all__ = [
    "Account",
    "AccountDomain",
    "DryRunAccount",
    "ImapAuthError",
    "ImapAuthRequest",
    "Optional",
    "Refusal",
    "Tag",
    "absent_when_blank",
]


def absent_when_blank(value: Any) -> Any:
    """Forms cannot say null: an empty field is one that was not filled in."""
    return None if isinstance(value, str) and not value.strip() else value


def _false_when_absent(value: Any) -> Any:
    return absent_when_blank(value) or False


def _empty_when_absent(value: Any) -> Any:
    return "" if value is None else value


Int32 = Annotated[int | None, BeforeValidator(absent_when_blank), Field(ge=1, le=2**31 - 1)]
Port = Annotated[int | None, BeforeValidator(absent_when_blank), Field(ge=1, le=65535)]
Optional = Annotated[Text | None, BeforeValidator(absent_when_blank)]
OptionalSecret = Annotated[Secret | None, BeforeValidator(absent_when_blank)]
Flag = Annotated[bool, BeforeValidator(_false_when_absent)]


class ImapAuthRequest(BaseModel):
    """One mailbox. Unknown fields are ignored, null is absent, numbers and booleans may be strings."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, hide_input_in_errors=True)

    email: Text
    first_name: Annotated[Text, BeforeValidator(_empty_when_absent)]
    last_name: Annotated[Text, BeforeValidator(_empty_when_absent)]
    provider: Provider
    id: Int32 = Field(default=None, description="an account to update instead of creating one")
    password: OptionalSecret = Field(default=None, description="one (app) password for both protocols")
    imap_server: Optional = None
    imap_server_port: Port = None
    imap_server_username: Optional = None
    imap_server_password: OptionalSecret = None
    smtp_server: Optional = None
    smtp_server_port: Port = None
    smtp_server_username: Optional = None
    smtp_server_password: OptionalSecret = None
    smtp_server_auth_type: Annotated[Literal["plain", "login"] | None, BeforeValidator(absent_when_blank)] = None
    smtp_server_starttls: Annotated[bool | None, BeforeValidator(absent_when_blank)] = Field(
        default=None, description="accepted; the port decides, since clients send false with 587 and true with 465"
    )
    smtp_only: Flag = Field(default=False, description="IMAP is neither required nor tried")
    imap_issue: Flag = Field(default=False, description="IMAP is known not to work: SMTP only")
    spamchecker_only: Flag = Field(default=False, description="for spam tests only: takes no monitoring seat")
    test: Flag = Field(default=False, description="only test the connection; nothing is saved")


class Tag(BaseModel):
    """A label of an account."""

    id: int
    name: str


class AccountDomain(BaseModel):
    """The account's domain. Null: not measured, or not yet."""

    id: int
    created_at: Instant
    updated_at: Instant
    domain: str
    creation_date: Instant | None = None
    last_check_at: Instant | None = None
    spf_valid: bool | None = None
    spf_value: str | None = None
    dkim_valid: bool | None = None
    dkim_selector: str | None = None
    dkim_value: str | None = None
    dmarc_valid: bool | None = None
    dmarc_value: str | None = None
    domain_http_response: bool | None = None
    domain_https: bool | None = None
    avg_score: int | None = None
    expire_at: Instant | None = None
    score_change: float | None = None
    mx_records: list[tuple[str, str, str]] = Field(default=[], description="host, address, priority")


class Account(BaseModel):
    """An account with every documented key. Berth does not warm: scores are null, counts 0, settings their defaults.

    `custom_message_content_ref` is not documented, but clients read it: it marks messages of the warm-up, and is empty here.
    """

    id: int
    created_at: Instant
    email: str
    first_name: str
    last_name: str
    provider: Provider
    alive: bool
    suspended: bool
    warming_enabled: bool = False
    spamchecker_enabled: bool
    score: int | None = None
    score_gmail: int | None = None
    score_outlook: int | None = None
    score_custom: int | None = None
    total_messages_sent: int = 0
    total_messages_received: int = 0
    config_rampup_target: int = 25
    config_rampup_increase: int = 2
    config_max_conversation_running: int = 10
    config_current_conversation_running: int = 0
    config_smtp_append_after_sent: bool = True
    time_zone: str = "Etc/UTC"
    autopilot: bool = True
    copilot_enabled: bool = False
    has_refresh_token: bool = False
    has_notifications: bool = False
    imap_issue: bool
    current_warming_recipe: str = "default"
    detected_sending_provider: str | None
    sending_reverse_dns_value: str | None = None
    sending_ip: str | None = None
    signature: str = ""
    custom_message_content_ref: str = ""
    tags: list[Tag] = []
    domain: AccountDomain


class DryRunAccount(Account):
    """What `test: true` answers: the account as it would be, and what was proven. `id` is the request's, or 0."""

    success: Literal[True] = True
    imap_auth_success: bool
    smtp_auth_success: bool


class ImapAuthError(BaseModel):
    """The mailbox does not work; nothing was saved. `diagnosis` and `request_id` are Berth's additions."""

    success: Literal[False] = False
    imap_auth_success: bool
    smtp_auth_success: bool
    error: str
    diagnosis: Diagnosis | None = None
    request_id: UUID


class Refusal(BaseModel):
    """Any other error: all faults in one sentence."""

    error: str
    request_id: UUID
