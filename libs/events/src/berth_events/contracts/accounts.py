"""Facts about accounts that the gateway accepted. Aggregate: the account."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.base import Address, DomainName, Event, Identifier, Text, Value

__all__ = [
    "AccountCheckupRequested",
    "AccountCredentialsReplaced",
    "AccountDomainAuditRequested",
    "AccountRemoved",
    "AccountRequested",
    "AccountResumed",
    "AccountSettings",
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
    credential_ref: CredentialRef = Field(
        description="the secrets to log in with, in the vault; of an account of an email workspace: those of the workspace"
    )
    workspace_id: Identifier | None = Field(
        default=None,
        description="the email workspace that the account signs in through; null: with a password of its own",
    )


class AccountRequested(ConnectionSettings, AccountEvent):
    """A platform team asked for a mailbox to be connected; its seat is taken."""

    address: Address = Field(description="the mailbox, as the platform team wrote it")
    domain: DomainName = Field(description="the part of the address behind the @, in A-label form and lower case")
    provider: Provider = Field(description="who runs the mailbox, as far as the platform team said")
    seat_kind: SeatKind = Field(description="what billing counts the account as")
    first_name: Text = Field(default="", description="of the mailbox's owner")
    last_name: Text = Field(default="", description="of the mailbox's owner")
    import_id: Identifier | None = Field(default=None, description="the import that the account came with, if any")
    on_failure: OnFailure = Field(
        default="keep", description="what happens to the account when its first verification fails"
    )


class AccountSettings(Value):
    """How whoever sends through the account wants it used. Berth keeps and tells these; a field that is null is unchanged.

    An empty text clears what was set.
    """

    alias: Text | None = Field(
        default=None, description="the alias that mail is sent from; one of the account's aliases"
    )
    description: Text | None = Field(default=None, description="free text")
    reply_to: Text | None = Field(default=None, description="where answers are to go, when not to the address")
    bcc: Text | None = Field(default=None, description="an address that gets a copy of everything that is sent")
    tracking_domain: Text | None = Field(default=None, description="the domain of tracked links")
    client_number: int | None = Field(default=None, description="the caller's own number for a client of theirs")
    daily_limit: int | None = Field(default=None, ge=0, description="messages to send per day at most")
    wait_minutes: int | None = Field(default=None, ge=0, description="minutes between two messages at least")
    sending_enabled: bool | None = Field(default=None, description="whether mail is to be sent through the account")
    append_sent: bool | None = Field(default=None, description="whether sent messages are stored in the Sent folder")
    alive: bool | None = Field(default=None, description="false: paused by its owner")
    autopilot: bool | None = Field(default=None, description="warm-up: the recipe is chosen by the warm-up network")
    warmup_enabled: bool | None = Field(default=None, description="warm-up: wanted")
    warmup_paused: bool | None = Field(default=None, description="warm-up: interrupted, to be taken up where it was")
    warmup_initial: int | None = Field(default=None, ge=0, description="warm-up: messages on the first day")
    warmup_target: int | None = Field(default=None, ge=0, description="warm-up: messages per day when it is complete")
    warmup_increase: int | None = Field(default=None, ge=0, description="warm-up: messages added per day")
    warmup_conversations: int | None = Field(default=None, ge=0, description="warm-up: conversations at once at most")
    warmup_reply_rate: int | None = Field(
        default=None, ge=0, le=100, description="warm-up: messages answered, in percent"
    )
    warmup_key: Text | None = Field(default=None, description="warm-up: the key that marks its messages")
    warmup_auto_adjust: bool | None = Field(
        default=None, description="warm-up: its volume follows what is sent otherwise"
    )
    warmup_rampup: bool | None = Field(default=None, description="warm-up: begins low and grows")


class AccountUpdated(AccountEvent):
    """Settings other than servers and credentials changed; null means unchanged.

    Suspending and resuming are facts of their own: AccountSuspended, AccountResumed.
    """

    first_name: Text | None = Field(default=None, description="of the mailbox's owner")
    last_name: Text | None = Field(default=None, description="of the mailbox's owner")
    imap_issue: bool | None = Field(default=None, description="true: IMAP is known not to work and is not tried")
    signature: Text | None = Field(default=None, description="appended to mail that is written; may be HTML")
    time_zone: Text | None = Field(default=None, description="IANA name, for example Europe/Berlin")
    settings: AccountSettings | None = Field(default=None, description="those of the other settings that changed")
    tags: tuple[Text, ...] | None = Field(default=None, description="all its tags by name, when they changed")
    aliases: tuple[Address, ...] | None = Field(default=None, description="all its aliases, when they changed")


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


class AccountCheckupRequested(ConnectionSettings, AccountEvent):
    """Somebody asked for a checkup: the account sends one message to itself, and what arrives tells how it is delivered."""

    address: Address = Field(description="the mailbox")
    checkup_id: Identifier = Field(description="the checkup; its result carries it")


class AccountDomainAuditRequested(AccountEvent):
    """Somebody asked for the DNS of the account's domain to be audited again now."""

    domain: DomainName = Field(description="in A-label form and lower case")


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
