"""What billing decided. Aggregate: the organization."""

from datetime import date
from typing import ClassVar

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.accounts import SeatKind
from berth_events.contracts.base import Event, Identifier, Timestamp, Value

__all__ = [
    "SeatCount",
    "SeatLimitReached",
    "SeatUsageClosed",
    "SubscriptionActivated",
    "SubscriptionChanged",
    "SubscriptionEnded",
]


class SeatCount(Value):
    """A number for each kind of seat."""

    monitoring: int = Field(ge=0)
    spam_check: int = Field(ge=0)


class BillingEvent(Event, abstract=True):
    """An event of one organization's subscription."""

    topic: ClassVar[str] = topics.BILLING
    key_field: ClassVar[str] = "organization_id"

    organization_id: Identifier


class SubscriptionActivated(BillingEvent):
    """The organization has a plan; the gateway accepts accounts up to its limits."""

    plan: str
    limits: SeatCount


class SubscriptionChanged(BillingEvent):
    """Plan or limits changed. Accounts beyond a lowered limit stay; new ones are refused."""

    plan: str
    limits: SeatCount


class SubscriptionEnded(BillingEvent):
    """The organization has no plan any more: new accounts are refused."""


class SeatLimitReached(BillingEvent):
    """The last seat of a kind was taken. Said once until a seat is free again or the limit is raised."""

    seat_kind: SeatKind
    limit: int
    used: int
    reached_at: Timestamp


class SeatUsageClosed(BillingEvent):
    """The highest number of seats that were taken at once on a day (UTC): what an invoice is made of."""

    day: date
    peak: SeatCount
