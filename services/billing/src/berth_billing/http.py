"""Billing's internal API: subscriptions in, seats out. For the operator's own systems, not for platform teams."""

import secrets
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, HTTPException, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from berth_billing import repository
from berth_billing.subscriptions import NoSubscription, Subscriptions
from berth_events.contracts import SeatCount
from berth_events.runtime.database import Pool

__all__ = ["make_app"]


#: More than anybody has, and small enough for the column.
_MANY_SEATS: Final = 1_000_000_000


class LimitsIn(BaseModel):
    """Seats of each kind."""

    model_config = ConfigDict(extra="forbid")

    monitoring: int = Field(ge=0, le=_MANY_SEATS)
    spam_check: int = Field(ge=0, le=_MANY_SEATS)


class SubscriptionIn(BaseModel):
    """A plan and the seats that it allows."""

    model_config = ConfigDict(extra="forbid")

    plan: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$", examples=["team"])
    limits: LimitsIn


class SubscriptionOut(BaseModel):
    """The subscription as it is now."""

    organization_id: UUID
    plan: str
    limits: SeatCount


class SeatsOut(BaseModel):
    """Seats taken now, and the limits; None without a subscription."""

    organization_id: UUID
    used: SeatCount
    limits: SeatCount | None


def make_app(pool: Pool, subscriptions: Subscriptions, token: str) -> FastAPI:
    """The application.

    Args:
        pool: billing's database.
        subscriptions: the commands.
        token: what callers present as `Authorization: Bearer`.
    """
    bearer = HTTPBearer(auto_error=False)

    async def authenticate(
        presented: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> None:
        if presented is None or not secrets.compare_digest(presented.credentials.encode(), token.encode()):
            raise HTTPException(
                status.HTTP_401_UNAUTHORIZED,
                "present the internal token as Authorization: Bearer",
                {"WWW-Authenticate": "Bearer"},
            )

    router = APIRouter(prefix="/internal", dependencies=[Depends(authenticate)])

    @router.put("/subscriptions/{organization_id}")
    async def put_subscription(organization_id: UUID, body: SubscriptionIn) -> SubscriptionOut:
        """Activate or change the organization's subscription; the same body again changes nothing."""
        limits = SeatCount.model_validate(body.limits.model_dump())
        await subscriptions.put(organization_id, body.plan, limits)
        return SubscriptionOut(organization_id=organization_id, plan=body.plan, limits=limits)

    @router.delete("/subscriptions/{organization_id}", status_code=status.HTTP_204_NO_CONTENT)
    async def end_subscription(organization_id: UUID) -> None:
        """End the subscription: new accounts are refused, existing ones stay."""
        try:
            await subscriptions.end(organization_id)
        except NoSubscription as error:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "the organization has no active subscription") from error

    @router.get("/organizations/{organization_id}/seats")
    async def seats(organization_id: UUID) -> SeatsOut:
        """Seats taken now, by billing's own count of the events."""
        async with pool.acquire() as connection:
            used = await repository.seats_used(connection, organization_id)
            subscription = await repository.subscription(connection, organization_id)
        limits = subscription.limits if subscription and subscription.active else None
        return SeatsOut(organization_id=organization_id, used=used, limits=limits)

    app = FastAPI(title="Berth billing (internal)", version="1", docs_url=None, redoc_url=None)
    app.include_router(router)
    return app
