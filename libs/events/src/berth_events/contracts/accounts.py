"""Facts about accounts that the gateway accepted. Aggregate: the account."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.base import Address, DomainName, Event, Identifier, Value

__all__ = [
    "AccountCredentialsReplaced",
    "AccountRemoved",
    "AccountRequested",
    "AccountResumed",
    "AccountSuspended",
    "AccountUpdated",
    "AccountVerificationRequested",
    "CredentialRef",
    "MailServer",
    "OnFailure",
    "Provider",
    "SeatKind",
]

Provider = Literal["gmail", "outlook", "custom"]
#: What billing counts the account as: monitoring seats and spam-check seats are counted apart.
SeatKind = Literal["monitoring", "spam_check"]
#: What the gateway does with the account when its first verification fails.
OnFailure = Literal["keep", "remove"]


class CredentialRef(Value):
    """Where the sealed credential lies in the vault. It tells nothing of the secret."""

    credential_id: Identifier
    version: int = Field(ge=1)


class MailServer(Value):
    """One server of the account and how to talk to it."""

    host: DomainName
    port: int = Field(ge=1, le=65535)
    security: Literal["tls", "starttls"]
    username: str = Field(max_length=2000)
    mechanism: Literal["auto", "plain", "login"] = "auto"


class AccountEvent(Event, abstract=True):
    """An event of one account."""

    topic: ClassVar[str] = topics.ACCOUNTS
    key_field: ClassVar[str] = "account_id"

    account_id: Identifier
    organization_id: Identifier
    project_id: Identifier


class ConnectionSettings(Value):
    """What the connector needs to dial an account; `imap` is None when only SMTP is wanted."""

    imap: MailServer | None
    smtp: MailServer | None
    credential_ref: CredentialRef


class AccountRequested(AccountEvent, ConnectionSettings):
    """A platform team asked for a mailbox to be connected; its seat is taken."""

    address: Address
    domain: DomainName
    provider: Provider
    seat_kind: SeatKind
    first_name: str = ""
    last_name: str = ""
    on_failure: OnFailure = "keep"


class AccountUpdated(AccountEvent):
    """Settings other than credentials changed; None means unchanged."""

    first_name: str | None = None
    last_name: str | None = None
    suspended: bool | None = None
    imap_issue: bool | None = None
    signature: str | None = None
    time_zone: str | None = None


class AccountCredentialsReplaced(AccountEvent, ConnectionSettings):
    """The account has new servers or a new credential, which have to be verified."""

    address: Address


class AccountVerificationRequested(AccountEvent, ConnectionSettings):
    """Somebody asked for the account to be verified again with what it has."""

    address: Address
    reason: Literal["reconnect", "schedule", "dry_run"]


class AccountSuspended(AccountEvent):
    """The account is left alone until it is resumed; its seat stays taken."""

    reason: str = ""


class AccountResumed(AccountEvent):
    """The account is looked after again."""


class AccountRemoved(AccountEvent):
    """The account is gone: its seat is free, its credential erased."""

    address: Address
    seat_kind: SeatKind
    reason: Literal["requested", "verification_failed", "workspace_removed"]
