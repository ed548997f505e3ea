"""The project's event feed: pages, and Server-Sent Events."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError
from starlette.responses import JSONResponse, Response, StreamingResponse

from berth_events.contracts import event_types
from berth_events.runtime.database import INFRASTRUCTURE_ERRORS
from berth_gateway.accounts.schemas import Instant
from berth_gateway.api.authentication import ReadsEvents
from berth_gateway.api.examples.events import EVENT_STREAM
from berth_gateway.api.openapi import KEY, problems
from berth_gateway.api.paths import decode_cursor, encode_cursor
from berth_gateway.api.services import Provided, Services
from berth_gateway.errors import FieldFault, InvalidCursor, InvalidFields
from berth_gateway.feed import FeedEvent

__all__ = ["router"]

_QUERY: Final = frozenset({"cursor", "limit", "type", "subject"})


async def _known_query(request: Request) -> None:
    """Refuse what the feed does not know: with a misspelt cursor it would begin anew."""
    unknown = sorted(request.query_params.keys() - _QUERY)
    if unknown:
        detail, remedy = "There is no such field.", "Remove it, or check its spelling."
        raise InvalidFields([FieldFault(name, detail, remedy) for name in unknown])


router = APIRouter(prefix="/v1/events", tags=["events"], dependencies=[Depends(_known_query)])

_log = structlog.get_logger(__name__)

_EVENT_TYPES: Final = tuple(sorted({name for name, _ in event_types()}))
_CURSOR: Final = "e"
_PAGE: Final = 100
_EVENT_STREAM: Final = "text/event-stream"
_STREAM_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventResource(BaseModel):
    """One event, as CloudEvents 1.0 attributes with its data and its place in the feed."""

    cursor: str = Field(description="continue behind this event with it")
    specversion: str = "1.0"
    id: UUID
    source: str
    type: str
    subject: UUID = Field(description="the account, domain or organization that it is about")
    sequence: int = Field(description="counts the events of the subject at its source")
    time: Instant
    data: dict[str, Any]


class EventPage(BaseModel):
    """Events in the order of the feed. The cursor stays valid: ask with it again for what comes."""

    items: list[EventResource]
    next_cursor: str


Cursor = Annotated[
    str | None, Query(description="behind this place; left out: from the beginning; `now`: only what comes")
]


def _known(name: str) -> str:
    if name not in _EVENT_TYPES:
        raise PydanticCustomError("event_type", "not an event type")
    return name


EventType = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(_EVENT_TYPES)})]
Types = Annotated[
    list[EventType] | None, Query(alias="type", max_length=50, description="only these event types; may be repeated")
]
Subject = Annotated[
    UUID | None, Query(description="only events of this account, email workspace, domain or organization, by its id")
]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", description="streams: overrides `cursor`")]


@router.get(
    "",
    operation_id="listEvents",
    response_model=EventPage,
    responses={
        200: {
            "content": {
                _EVENT_STREAM: {"example": EVENT_STREAM},
            }
        },
        **problems(*KEY, InvalidCursor, InvalidFields),
    },
)
async def list_events(
    request: Request,
    services: Provided,
    caller: ReadsEvents,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=_PAGE)] = _PAGE,
    types: Types = None,
    subject: Subject = None,
    last_event_id: LastEventId = None,
) -> Response:
    """What happened to the project's accounts, in one order: a page, or with `Accept: text/event-stream` a stream."""
    project_id = caller.tenant.project_id
    if _EVENT_STREAM in request.headers.get("accept", ""):
        return await _stream(services, project_id, last_event_id or cursor, types, subject)
    after = await _position(services, cursor)
    found = await services.feed.read(project_id, after=after, limit=limit, types=types, subject=subject)
    page = EventPage(
        items=[_resource(event) for event in found],
        next_cursor=encode_cursor(_CURSOR, found[-1].position if found else after),
    )
    return JSONResponse(page.model_dump(mode="json"))


@router.get(
    "/stream",
    operation_id="streamEvents",
    response_class=StreamingResponse,
    responses={
        200: {"content": {_EVENT_STREAM: {"example": EVENT_STREAM}}},
        **problems(*KEY, InvalidCursor, InvalidFields),
    },
)
async def stream_events(
    services: Provided,
    caller: ReadsEvents,
    cursor: Cursor = None,
    types: Types = None,
    subject: Subject = None,
    last_event_id: LastEventId = None,
) -> Response:
    """The feed as Server-Sent Events.

    The id of each is its cursor, so that a client that reconnects with `Last-Event-ID` misses nothing. Comments come every
    15 seconds when nothing happens. The stream ends after 10 minutes; reconnect.
    """
    return await _stream(services, caller.tenant.project_id, last_event_id or cursor, types, subject)


async def _position(services: Services, cursor: str | None) -> int:
    return await services.feed.decided() if cursor == "now" else decode_cursor(_CURSOR, cursor)


async def _stream(
    services: Services, project_id: UUID, cursor: str | None, types: list[str] | None, subject: UUID | None
) -> Response:
    after = await _position(services, cursor)
    return StreamingResponse(
        _events(services, project_id, after, types, subject), media_type=_EVENT_STREAM, headers=_STREAM_HEADERS
    )


async def _events(
    services: Services, project_id: UUID, after: int, types: list[str] | None, subject: UUID | None
) -> AsyncIterator[str]:
    timing, clock = services.timing, services.clock
    ends_at = clock.monotonic() + timing.cap
    yield "retry: 1000\n\n"
    with services.tail.listen(project_id) as grown:
        while (remaining := ends_at - clock.monotonic()) > 0:
            grown.clear()
            try:
                found = await services.feed.read(project_id, after=after, limit=_PAGE, types=types, subject=subject)
            except INFRASTRUCTURE_ERRORS as error:
                _log.warning("stream.ended", error=type(error).__name__)
                return  # the client reconnects and continues where it was
            for event in found:
                after = event.position
                yield _frame(event)
            if len(found) == _PAGE:
                continue
            try:
                async with asyncio.timeout(min(timing.heartbeat, remaining)):
                    await grown.wait()
            except TimeoutError:
                yield ": still here\n\n"


def _resource(event: FeedEvent) -> EventResource:
    return EventResource(
        cursor=encode_cursor(_CURSOR, event.position),
        id=event.event_id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        sequence=event.sequence,
        time=event.time,
        data=dict(event.data),
    )


def _frame(event: FeedEvent) -> str:
    resource = _resource(event)
    data = json.dumps(resource.model_dump(mode="json"), separators=(",", ":"))
    return f"id: {resource.cursor}\nevent: {event.type}\ndata: {data}\n\n"
