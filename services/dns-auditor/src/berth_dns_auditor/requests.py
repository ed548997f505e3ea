"""What is to be audited: the work that intake writes and workers perform."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from berth_events.contracts import domain_id
from berth_events.runtime.work import WorkItem

__all__ = ["INTERVAL", "audit_of"]

#: How often a domain is audited for as long as an account needs it.
INTERVAL: Final = timedelta(hours=24)
#: All questions go to the same name servers.
_DESTINATION: Final = "dns"


def audit_of(
    domain: str, event_id: UUID, *, run_at: datetime | None = None, traceparent: str | None = None
) -> WorkItem:
    """The work item of a domain: its key is the domain's id, so a domain waits once.

    Args:
        domain: in A-label form.
        event_id: the event that asks for it.
        run_at: not before; None is at once.
        traceparent: W3C Trace Context of that event, or None.
    """
    return WorkItem(
        key=domain_id(domain),
        kind="audit",
        destination=_DESTINATION,
        payload={"domain": domain},
        event_id=event_id,
        run_at=run_at,
        traceparent=traceparent,
    )
