"""What is to be verified: the work that intake writes and workers perform."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from berth_connector.politeness.providers import provider_of
from berth_events.contracts import (
    AccountCredentialsReplaced,
    AccountRequested,
    AccountVerificationRequested,
    ConnectionSettings,
    Envelope,
)
from berth_events.runtime.work import Job, WorkItem

__all__ = ["RECHECK", "VERIFY", "Reason", "VerificationRequest", "again", "destination_of", "recheck_of", "work_of"]

#: `requested` is a new account or a new credential, `reconnect` somebody's wish, `schedule` and `recheck` nobody's.
Reason = Literal["requested", "reconnect", "schedule", "dry_run", "recheck"]
#: What the workers' metrics call the two kinds of work.
VERIFY: Final = "verify"
RECHECK: Final = "recheck"


class VerificationRequest(ConnectionSettings):
    """One verification: whose, why, and with which servers and credential.

    Attributes:
        may_wait: while its workspace is rejected it is put off instead of failing, because nobody waits for this one result.
        domain_refused: its domain was refused before; the workspace was to be proven since.
    """

    account_id: UUID
    organization_id: UUID
    project_id: UUID
    address: str
    reason: Reason
    correlation_id: UUID | None = None
    may_wait: bool = False
    domain_refused: bool = False

    @property
    def asked_for(self) -> bool:
        """Whether somebody waits for the result."""
        return self.reason not in {"schedule", "recheck"}

    @property
    def settings(self) -> tuple[object, ...]:
        """Servers and credential, to be compared with what an account has by now.

        Which version of a workspace's credential is used is the workspace's matter.
        """
        credential = self.credential_ref.credential_id if self.workspace_id else self.credential_ref
        return self.imap, self.smtp, self.workspace_id, credential

    @property
    def destination(self) -> str:
        """See `destination_of`."""
        return destination_of(self)


def destination_of(settings: ConnectionSettings) -> str:
    """What simultaneous runs are counted by: the mail service when it is a known one, else the host, until it is looked up."""
    server = settings.imap or settings.smtp
    host = server.host if server else ""
    return provider_of(host) or host


def work_of(
    envelope: Envelope, event: AccountRequested | AccountCredentialsReplaced | AccountVerificationRequested
) -> WorkItem:
    """The work that an event asks for.

    A dry run has a key of its own, so that it neither waits for the account's own run nor replaces it.
    """
    request = VerificationRequest(
        account_id=event.account_id,
        organization_id=event.organization_id,
        project_id=event.project_id,
        address=event.address,
        imap=event.imap,
        smtp=event.smtp,
        credential_ref=event.credential_ref,
        workspace_id=event.workspace_id,
        reason=event.reason if isinstance(event, AccountVerificationRequested) else "requested",
        correlation_id=envelope.correlation_id,
        may_wait=isinstance(event, AccountRequested) and event.import_id is not None,
    )
    return WorkItem(
        key=envelope.event_id if request.reason == "dry_run" else request.account_id,
        kind=VERIFY,
        destination=request.destination,
        payload=request.model_dump(mode="json"),
        event_id=envelope.event_id,
        traceparent=envelope.traceparent,
        organization_id=request.organization_id,
    )


def recheck_of(
    account: VerificationRequest, event_id: UUID, run_at: datetime, destination: str | None = None
) -> WorkItem:
    """The next look at an account. Its payload is only the account's id: settings are those it has when the time comes.

    Args:
        account: whose.
        event_id: what it follows from.
        run_at: not before.
        destination: where its server was found, if it was.
    """
    return WorkItem(
        key=account.account_id,
        kind=RECHECK,
        destination=destination or account.destination,
        payload={"account_id": str(account.account_id), "reason": "recheck"},
        event_id=event_id,
        run_at=run_at,
        organization_id=account.organization_id,
    )


def again(job: Job, run_at: datetime, destination: str | None = None) -> WorkItem:
    """The same work once more, where its server was found."""
    return WorkItem(
        key=job.key,
        kind=job.kind,
        destination=destination or job.destination,
        payload=job.payload,
        event_id=job.causation_id,
        run_at=run_at,
        traceparent=job.traceparent,
        organization_id=job.organization_id,
    )
