"""What the connector found. Aggregate: the account, or the email workspace."""

from typing import ClassVar, Literal

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.accounts import CredentialRef
from berth_events.contracts.base import Address, Event, Identifier, Timestamp, Value

__all__ = [
    "AccountChecked",
    "AccountConnected",
    "AccountConnectionFailed",
    "AccountDisconnected",
    "AccountReconnected",
    "Diagnosis",
    "EmailWorkspaceRejected",
    "EmailWorkspaceVerified",
    "Step",
    "StepName",
    "Verification",
    "WorkspaceSecretExpiring",
]

Protocol = Literal["imap", "smtp", "oauth"]
StepName = Literal[
    "resolve", "vet", "connect", "tls", "greet", "capabilities", "ehlo", "starttls", "authenticate", "select", "noop", "token"
]  # fmt: skip


class Diagnosis(Value):
    """A normalised reason why a step failed, from the versioned table of diagnoses."""

    code: str
    rule_id: str | None = Field(description="the row of the table that matched; None for UNKNOWN")
    table_version: str
    confidence: Literal["high", "medium", "low", "none"]
    severity: Literal["error", "warning"]
    action_by: Literal["user", "admin", "caller", "operator", "nobody"] = Field(description="who can mend it")
    meaning: str
    remedy: str
    retry_policy: str
    reply: str = Field(description="the server's own words, redacted, at most 1,000 characters")


class Step(Value):
    """One step of a verification. The transcript is redacted: C: what we sent, S: what the server said."""

    protocol: Protocol
    name: StepName
    outcome: Literal["ok", "failed", "skipped"]
    started_at: Timestamp
    duration_ms: float = Field(ge=0)
    message: str = ""
    diagnosis: Diagnosis | None = None
    transcript: tuple[str, ...] = ()


class Verification(Value):
    """One run of the steps that prove an account. `imap` and `smtp`: True proven, False failed, None not tried."""

    verification_id: Identifier
    started_at: Timestamp
    duration_ms: float = Field(ge=0)
    outcome: Literal["connected", "failed"]
    imap: bool | None
    smtp: bool | None
    steps: tuple[Step, ...]
    diagnosis: Diagnosis | None = Field(default=None, description="the first failure, the one to mend first")


class VerificationEvent(Event, abstract=True):
    """An event about one account's verification; `credential_ref` names the version that was proven or refused."""

    topic: ClassVar[str] = topics.VERIFICATIONS
    key_field: ClassVar[str] = "account_id"

    account_id: Identifier
    organization_id: Identifier
    project_id: Identifier
    address: Address
    credential_ref: CredentialRef
    verification: Verification


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


class WorkspaceVerificationEvent(Event, abstract=True):
    """An event about an email workspace's credential."""

    topic: ClassVar[str] = topics.VERIFICATIONS
    key_field: ClassVar[str] = "workspace_id"

    workspace_id: Identifier
    organization_id: Identifier
    project_id: Identifier


class EmailWorkspaceVerified(WorkspaceVerificationEvent):
    """The identity provider issues tokens for the workspace's credential."""

    credential_ref: CredentialRef


class EmailWorkspaceRejected(WorkspaceVerificationEvent):
    """The identity provider refuses the workspace's credential; all its accounts are paused."""

    credential_ref: CredentialRef
    diagnosis: Diagnosis


class WorkspaceSecretExpiring(WorkspaceVerificationEvent):
    """The client secret expires soon: said at 30, 14, 7 and 1 days."""

    expires_at: Timestamp
    days_left: int
