"""What billing decided. Aggregate: the organization."""

from datetime import date
from typing import ClassVar

from pydantic import Field

from berth_events.contracts import topics
from berth_events.contracts.accounts import SeatKind
from berth_events.contracts.base import Event, Identifier, Text, Timestamp, Value

__all__ = [
    "BillingEvent",
    "SeatCount",
    "SeatLimitReached",
    "SeatUsageClosed",
    "SubscriptionActivated",
    "SubscriptionChanged",
    "SubscriptionEnded",
]


class SeatCount(Value):
    """A number for each kind of seat."""

    monitoring: int = Field(ge=0, description="seats of accounts that are connected and looked after")
    spam_check: int = Field(ge=0, description="seats of accounts that only take part in spam checks")


class BillingEvent(Event, abstract=True):
    """An event of one organization's subscription."""

    topic: ClassVar[str] = topics.BILLING
    key_field: ClassVar[str] = "organization_id"

    organization_id: Identifier = Field(description="the tenant; the key of the record")


class SubscriptionActivated(BillingEvent):
    """The organization has a plan; the gateway accepts accounts up to its limits."""

    plan: Text = Field(description="name of the plan")
    limits: SeatCount = Field(description="how many seats of each kind may be taken at once")


class SubscriptionChanged(BillingEvent):
    """Plan or limits changed. Accounts beyond a lowered limit stay; new ones are refused."""

    plan: Text = Field(description="name of the plan from now on")
    limits: SeatCount = Field(description="how many seats of each kind may be taken at once from now on")


class SubscriptionEnded(BillingEvent):
    """The organization has no plan any more: new accounts are refused."""


class SeatLimitReached(BillingEvent):
    """The last seat of a kind was taken. Said once until a seat is free again or the limit is raised."""

    seat_kind: SeatKind = Field(description="the kind of seat that is used up")
    limit: int = Field(ge=0, description="seats of this kind that the plan allows")
    used: int = Field(ge=0, description="seats of this kind that are taken; more than the limit after it was lowered")
    reached_at: Timestamp = Field(description="when the account that took the last seat was accepted")


class SeatUsageClosed(BillingEvent):
    """The highest number of seats that were taken at once on a day (UTC): what an invoice is made of."""

    day: date = Field(description="the day, in UTC")
    peak: SeatCount = Field(description="for each kind, the most seats that were taken at the same time on that day")
