"""Facts about accounts that the gateway accepted. Aggregate: the account."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.base import Address, DomainName, Event, Identifier, Text, Value

__all__ = [
    "AccountCredentialsReplaced",
    "AccountRemoved",
    "AccountRequested",
    "AccountResumed",
    "AccountSuspended",
    "AccountUpdated",
    "AccountVerificationRequested",
    "ConnectionSettings",
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

    credential_id: Identifier = Field(
        description="the sealed secrets; new secrets come under another id, or a higher version"
    )
    version: int = Field(ge=1, description="counts the replacements under one id; what a version holds never changes")


class MailServer(Value):
    """One server of the account and how to talk to it."""

    host: DomainName = Field(description="host name (A-label form, lower case) or IP address to dial")
    port: int = Field(ge=1, le=65535, description="TCP port")
    security: Literal["tls", "starttls", "auto"] = Field(
        description="tls: from the first byte; starttls: after the greeting; auto: tls if the server speaks it, else starttls"
    )
    username: Text = Field(max_length=2000, description="the name to log in with, often the address")
    mechanism: Literal["auto", "plain", "login", "cram_md5", "xoauth2", "oauthbearer"] = Field(
        default="auto", description="SASL mechanism; auto: the best that both sides know"
    )


class AccountEvent(Event, abstract=True):
    """An event of one account."""

    topic: ClassVar[str] = topics.ACCOUNTS
    key_field: ClassVar[str] = "account_id"

    account_id: Identifier = Field(description="the account; the key of the record")
    organization_id: Identifier = Field(description="the tenant that holds the subscription")
    project_id: Identifier = Field(description="the name space in which the address is unique")


class ConnectionSettings(Value):
    """What the connector needs to dial an account."""

    imap: MailServer | None = Field(description="where mail is read; null when only SMTP is wanted")
    smtp: MailServer | None = Field(description="where mail is submitted; null when only IMAP is wanted")
    credential_ref: CredentialRef = Field(description="the secrets to log in with, in the vault")


class AccountRequested(ConnectionSettings, AccountEvent):
    """A platform team asked for a mailbox to be connected; its seat is taken."""

    address: Address = Field(description="the mailbox, as the platform team wrote it")
    domain: DomainName = Field(description="the part of the address behind the @, in A-label form and lower case")
    provider: Provider = Field(description="who runs the mailbox, as far as the platform team said")
    seat_kind: SeatKind = Field(description="what billing counts the account as")
    first_name: Text = Field(default="", description="of the mailbox's owner")
    last_name: Text = Field(default="", description="of the mailbox's owner")
    workspace_id: Identifier | None = Field(
        default=None,
        description="the email workspace that the account signs in through; null: with a password of its own",
    )
    on_failure: OnFailure = Field(
        default="keep", description="what happens to the account when its first verification fails"
    )


class AccountUpdated(AccountEvent):
    """Settings other than servers and credentials changed; null means unchanged.

    Suspending and resuming are facts of their own: AccountSuspended, AccountResumed.
    """

    first_name: Text | None = Field(default=None, description="of the mailbox's owner")
    last_name: Text | None = Field(default=None, description="of the mailbox's owner")
    imap_issue: bool | None = Field(default=None, description="true: IMAP is known not to work and is not tried")
    signature: Text | None = Field(default=None, description="appended to mail that is written; may be HTML")
    time_zone: Text | None = Field(default=None, description="IANA name, for example Europe/Berlin")


class AccountCredentialsReplaced(ConnectionSettings, AccountEvent):
    """The account has new servers or a new credential, which have to be verified."""

    address: Address = Field(description="the mailbox")


class AccountVerificationRequested(ConnectionSettings, AccountEvent):
    """Somebody asked for the account to be verified again with what it has."""

    address: Address = Field(description="the mailbox")
    reason: Literal["reconnect", "schedule", "dry_run"] = Field(
        description="reconnect: somebody asked; schedule: it was due; dry_run: tried without an effect on the account"
    )
    domain: DomainName | None = Field(
        default=None, description="of a dry run: the domain of the address, in A-label form and lower case"
    )


class AccountSuspended(AccountEvent):
    """The account is left alone until it is resumed; its seat stays taken."""

    reason: Text = Field(default="", description="in the words of whoever suspended it")


class AccountResumed(AccountEvent):
    """The account is looked after again."""


class AccountRemoved(AccountEvent):
    """The account is gone: its seat is free, its credential erased."""

    address: Address = Field(description="the mailbox; the address may be connected again")
    seat_kind: SeatKind = Field(description="the kind of seat that is free now")
    reason: Literal["requested", "verification_failed", "workspace_removed"] = Field(
        description="requested: by the platform team; verification_failed: on_failure was remove; "
        "workspace_removed: with its email workspace"
    )
