"""The work that a checkup is."""

from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from berth_connector.requests import destination_of
from berth_events.contracts import AccountCheckupRequested, Envelope
from berth_events.runtime.work import WorkItem

__all__ = ["CHECKUP", "CheckupRequest", "checkup_of"]

#: What the workers' metrics call it.
CHECKUP: Final = "checkup"


class CheckupRequest(BaseModel):
    """One checkup. Servers and credential are those that the account has when the time comes.

    Attributes:
        sent_at: when a run that was killed has sent the message.
    """

    model_config = ConfigDict(frozen=True)

    account_id: UUID
    checkup_id: UUID
    correlation_id: UUID | None = None
    sent_at: datetime | None = None


def checkup_of(envelope: Envelope, event: AccountCheckupRequested) -> WorkItem:
    """The work that an event asks for.

    It has a key of its own, so that it neither waits for the account's verifications nor replaces one.
    """
    request = CheckupRequest(
        account_id=event.account_id, checkup_id=event.checkup_id, correlation_id=envelope.correlation_id
    )
    return WorkItem(
        key=event.checkup_id,
        kind=CHECKUP,
        destination=destination_of(event),
        payload=request.model_dump(mode="json"),
        event_id=envelope.event_id,
        traceparent=envelope.traceparent,
        organization_id=event.organization_id,
    )
