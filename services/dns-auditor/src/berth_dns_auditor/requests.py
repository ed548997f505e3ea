"""What is to be audited: the work that intake writes and workers perform."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID

from berth_events.contracts import Envelope, domain_id
from berth_events.runtime.work import Job, WorkItem

__all__ = ["INTERVAL", "AuditRequest", "audit_of", "next_audit"]

#: How often a domain is audited for as long as an account needs it.
INTERVAL: Final = timedelta(hours=24)
#: All questions go to the same name servers.
_DESTINATION: Final = "dns"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRequest:
    """What a job says.

    Attributes:
        domain: in A-label form.
        asked_for: whether somebody wants to see what is published now: nothing remembered counts.
        correlation_id: the request that it began with, or None.
    """

    domain: str
    asked_for: bool = False
    correlation_id: UUID | None = None

    @classmethod
    def of(cls, job: Job) -> Self:
        """The request of a job; jobs from before a field was written have its default."""
        correlation_id = job.payload.get("correlation_id")
        return cls(
            domain=job.payload["domain"],
            asked_for=job.payload.get("asked_for", False),
            correlation_id=UUID(correlation_id) if correlation_id else None,
        )


def audit_of(domain: str, cause: Envelope, *, asked_for: bool = False) -> WorkItem:
    """The work that an event asks for, at once: its key is the domain's id, so a domain waits once.

    Args:
        domain: in A-label form.
        cause: the event.
        asked_for: see `AuditRequest`.
    """
    payload: dict[str, object] = {"domain": domain}
    if asked_for:
        payload["asked_for"] = True
    if cause.correlation_id:
        payload["correlation_id"] = str(cause.correlation_id)
    return WorkItem(
        key=domain_id(domain),
        kind="audit",
        destination=_DESTINATION,
        payload=payload,
        event_id=cause.event_id,
        traceparent=cause.traceparent,
    )


def next_audit(domain: str, last: UUID, *, run_at: datetime) -> WorkItem:
    """The work that is due later, whoever asked for the last.

    Args:
        domain: in A-label form.
        last: the event of the audit before.
        run_at: not before.
    """
    return WorkItem(
        key=domain_id(domain),
        kind="audit",
        destination=_DESTINATION,
        payload={"domain": domain},
        event_id=last,
        run_at=run_at,
    )
