"""Usage: seats by kind under their limits, now or as of a date."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, get_args

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from berth_events.contracts import SeatKind
from berth_gateway.accounts.schemas import Instant
from berth_gateway.api.authentication import ReadsUsage
from berth_gateway.api.openapi import KEY, problems
from berth_gateway.api.services import Provided
from berth_gateway.errors import InvalidFields

__all__ = ["router"]

router = APIRouter(prefix="/v1/usage", tags=["usage"])


class Seats(BaseModel):
    """Seats of one kind."""

    used: int = Field(description="taken in the whole organization, which the limit is for")
    used_by_project: int = Field(description="of these, the ones of this project")
    limit: int | None = Field(description="null: no subscription")
    free: int | None = Field(description="null: no subscription")


class UsageReport(BaseModel):
    """Seats that are or were taken."""

    as_of: Instant
    subscribed: bool
    seats: dict[SeatKind, Seats]


@router.get("", operation_id="getUsage", responses=problems(*KEY, InvalidFields))
async def get_usage(
    services: Provided,
    caller: ReadsUsage,
    as_of: Annotated[
        date | None, Query(description="the end of this day, UTC; left out, or a day to come: now")
    ] = None,
) -> UsageReport:
    """The seats of the organization by kind, and the limits of its subscription."""
    now = services.clock.now()
    moment = now if as_of is None else min(now, _end(as_of))
    tenant = caller.tenant
    async with services.pool.acquire() as connection:
        found = await services.usage.at(connection, tenant.organization_id, tenant.project_id, moment)
    seats: dict[SeatKind, Seats] = {}
    for kind in get_args(SeatKind):
        used, limit = found.organization.get(kind, 0), found.limits[kind] if found.limits else None
        seats[kind] = Seats(
            used=used,
            used_by_project=found.project.get(kind, 0),
            limit=limit,
            free=None if limit is None else max(0, limit - used),
        )
    return UsageReport(as_of=moment, subscribed=found.limits is not None, seats=seats)


def _end(day: date) -> datetime:
    last = date.max - timedelta(days=1)
    return datetime.combine(min(day, last) + timedelta(days=1), time(), UTC) - timedelta(microseconds=1)
