"""What the connector found. Aggregate: the account, or the email workspace."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.accounts import CredentialRef
from berth_events.contracts.base import Address, Event, Identifier, Text, Timestamp, Value

__all__ = [
    "AccountChecked",
    "AccountCheckedUp",
    "AccountConnected",
    "AccountConnectionFailed",
    "AccountDisconnected",
    "AccountReconnected",
    "Checkup",
    "Diagnosis",
    "EmailWorkspaceRejected",
    "EmailWorkspaceVerified",
    "Step",
    "StepName",
    "Verification",
    "VerificationEvent",
    "WorkspaceSecretExpiring",
]

Protocol = Literal["imap", "smtp", "oauth"]
StepName = Literal[
    "token", "resolve", "vet", "connect", "tls", "greet", "capabilities", "ehlo", "starttls", "authenticate", "id", "list",
    "select", "noop"
]  # fmt: skip


class Diagnosis(Value):
    """A normalised reason why a step failed, from the versioned table of diagnoses."""

    code: str = Field(description="stable code, for example AUTH_BAD_CREDENTIALS; new codes may come at any time")
    rule_id: str | None = Field(description="the row of the table that matched; null for UNKNOWN")
    table_version: str = Field(description="version of the table of diagnoses")
    confidence: Literal["high", "medium", "low", "none"] = Field(
        description="high: server known, code and text agree; low: by standards only; none: UNKNOWN"
    )
    severity: Literal["error", "warning"] = Field(
        description="error: the mailbox, its settings or its credential is at fault; warning: nothing is said against them"
    )
    action_by: Literal["user", "admin", "caller", "operator", "nobody"] = Field(
        description="who can mend it: the mailbox's user, the domain's administrator, the platform team that called, "
        "whoever operates Berth, or nobody"
    )
    meaning: Text = Field(description="what happened, in a sentence")
    remedy: Text = Field(description="what to do, in words that can be shown to a user")
    retry_policy: str = Field(description="whether and when it is tried again, for example never or exponential")
    reply: Text = Field(max_length=1000, description="the server's own words, redacted, at most 1,000 characters")
    help_url: Text | None = Field(
        default=None,
        description="the mail service's own page about signing in with other programs; null when it is not known",
    )


class Step(Value):
    """One step of a verification."""

    protocol: Protocol = Field(description="oauth: the token endpoint of an identity provider")
    name: StepName = Field(description="what was tried, in the order it was tried")
    outcome: Literal["ok", "failed", "skipped"] = Field(description="skipped: not needed, or an earlier step failed")
    started_at: Timestamp = Field(description="when the step began")
    duration_ms: float = Field(ge=0, description="how long it took, in milliseconds")
    message: Text = Field(default="", description="what came out, for example the address that was dialled")
    diagnosis: Diagnosis | None = Field(default=None, description="why it failed, or what to be warned of")
    transcript: tuple[Text, ...] = Field(
        default=(), description="the exchange, redacted: `C: ` what we sent, `S: ` what the server said"
    )


class Verification(Value):
    """One run of the steps that prove an account."""

    verification_id: Identifier = Field(description="the run")
    started_at: Timestamp = Field(description="when the first step began")
    duration_ms: float = Field(ge=0, description="how long the run took, in milliseconds")
    outcome: Literal["connected", "failed"] = Field(description="connected: everything that was asked for is proven")
    imap: bool | None = Field(description="true: proven; false: failed; null: not tried")
    smtp: bool | None = Field(description="true: proven; false: failed; null: not tried")
    steps: tuple[Step, ...] = Field(description="in the order they began")
    diagnosis: Diagnosis | None = Field(default=None, description="the first failure, the one to mend first")


class VerificationEvent(Event, abstract=True):
    """An event about one account's verification."""

    topic: ClassVar[str] = topics.VERIFICATIONS
    key_field: ClassVar[str] = "account_id"

    account_id: Identifier = Field(description="the account; the key of the record")
    organization_id: Identifier = Field(description="the tenant that holds the subscription")
    project_id: Identifier = Field(description="the name space in which the address is unique")
    address: Address = Field(description="the mailbox")
    credential_ref: CredentialRef = Field(description="the version of the credential that was proven or refused")
    verification: Verification = Field(description="the run that led to this, step by step")


class AccountConnected(VerificationEvent):
    """The mailbox works."""


class AccountConnectionFailed(VerificationEvent):
    """The mailbox was never proven with this credential."""


class AccountDisconnected(VerificationEvent):
    """A mailbox that worked does not work any more."""


class AccountReconnected(VerificationEvent):
    """A disconnected mailbox works again."""


class AccountChecked(VerificationEvent):
    """A re-check that changed nothing."""


class Checkup(Value):
    """What a message from the mailbox to itself showed. A field is null when it could not be seen."""

    started_at: Timestamp = Field(description="when the message was handed to the SMTP server")
    outcome: Literal["delivered", "spam", "missing", "failed"] = Field(
        description="delivered: found in the inbox; spam: found in the spam folder; missing: accepted, and not found in time; "
        "failed: not accepted, or the mailbox could not be read"
    )
    delay_ms: float | None = Field(default=None, ge=0, description="from acceptance until it was seen, in milliseconds")
    folder: Text | None = Field(default=None, description="the folder in which it was found")
    sending_ip: Text | None = Field(
        default=None, description="the address that handed the message to the receiving side"
    )
    reverse_dns: Text | None = Field(default=None, description="the name of that address")
    provider: Text | None = Field(default=None, description="the detected sending provider, for example google")
    dkim_domain: Text | None = Field(default=None, description="`d=` of the message's DKIM signature")
    dkim_selector: Text | None = Field(default=None, description="`s=` of the message's DKIM signature")
    authentication_results: Text | None = Field(
        default=None, max_length=2000, description="as the receiving side wrote it"
    )
    diagnosis: Diagnosis | None = Field(default=None, description="why it failed")


class AccountCheckedUp(Event):
    """A checkup that somebody asked for is finished."""

    topic: ClassVar[str] = topics.VERIFICATIONS
    key_field: ClassVar[str] = "account_id"

    account_id: Identifier = Field(description="the account; the key of the record")
    organization_id: Identifier = Field(description="the tenant that holds the subscription")
    project_id: Identifier = Field(description="the name space in which the address is unique")
    address: Address = Field(description="the mailbox")
    checkup_id: Identifier = Field(description="as in the AccountCheckupRequested")
    checkup: Checkup = Field(description="what it showed")


class WorkspaceVerificationEvent(Event, abstract=True):
    """An event about an email workspace's credential."""

    topic: ClassVar[str] = topics.VERIFICATIONS
    key_field: ClassVar[str] = "workspace_id"

    workspace_id: Identifier = Field(description="the email workspace; the key of the record")
    organization_id: Identifier = Field(description="the tenant that holds the subscription")
    project_id: Identifier = Field(description="the name space that the workspace belongs to")


class EmailWorkspaceVerified(WorkspaceVerificationEvent):
    """The identity provider issues tokens for the workspace's credential."""

    credential_ref: CredentialRef = Field(description="the version of the credential that was proven")


class EmailWorkspaceRejected(WorkspaceVerificationEvent):
    """The identity provider refuses the workspace's credential: its accounts are paused, unless an older version still works."""

    credential_ref: CredentialRef = Field(description="the version of the credential that was refused")
    diagnosis: Diagnosis = Field(description="why it was refused")
    proven_version: int | None = Field(
        default=None, ge=1, description="the older version that the accounts go on with; null: they are paused"
    )


class WorkspaceSecretExpiring(WorkspaceVerificationEvent):
    """The client secret expires soon: said at 30, 14, 7 and 1 days."""

    expires_at: Timestamp = Field(description="when the identity provider stops to take the secret")
    days_left: int = Field(ge=0, description="whole days until then")
