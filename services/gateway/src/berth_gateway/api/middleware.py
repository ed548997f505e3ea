"""What surrounds every request: its id, its place in a trace, the limit of its body, and its end when the service stops."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID, uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from berth_gateway.api.problems import Renderer
from berth_gateway.errors import BodyTooLarge, Interrupted

__all__ = ["BodyLimit", "Interruption", "RequestIdentity"]

_TRACEPARENT: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class RequestIdentity:
    """Gives each request an id, the caller's own when it is a UUID, and names it in the answer and in the logs.

    `scope["state"]` holds `request_id`, `traceparent` (W3C Trace Context, or None), and `headers`: the answer gets those of them
    that it does not have by itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        identity = _uuid(headers.get("x-request-id")) or uuid4()
        traceparent = headers.get("traceparent")
        state = scope.setdefault("state", {})
        state["request_id"] = identity
        state["traceparent"] = traceparent if _TRACEPARENT.fullmatch(traceparent or "") else None

        state["headers"] = {"X-Request-Id": str(identity)}

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in state["headers"].items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=str(identity)):
            await self._app(scope, receive, send_named)


class Interruption:
    """Answers requests that are cancelled, which the server does when it stops and they have not ended in time.

    Without an answer of ours the server sends a bare 500, which for MailReach's clients means a wrong password.

    Args:
        app: the application.
        render: makes the answer.
    """

    def __init__(self, app: ASGIApp, render: Renderer) -> None:
        self._app, self._render = app, render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if scope["type"] != "http" or started:
                raise
            answer = self._render(scope["path"], Interrupted(), scope["state"]["request_id"])
            await answer(scope, receive, send)  # and then the task ends, as it was told to


class BodyLimit:
    """Reads the whole body before the application runs, and refuses it when it is too large, announced or not.

    Args:
        app: the application.
        max_bytes: largest body on a path.
        render: makes the answer.
    """

    def __init__(self, app: ASGIApp, max_bytes: Callable[[str], int], render: Renderer) -> None:
        self._app, self._max_bytes, self._render = app, max_bytes, render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        messages: list[Message] = []
        size, more, limit = 0, True, self._max_bytes(scope["path"])
        too_large = announced.isdecimal() and int(announced[:20]) > limit
        while more and not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            messages.append(message)
            size += len(message.get("body", b""))
            too_large = size > limit
            more = message.get("more_body", False)
        if too_large:
            error = BodyTooLarge(f"The body is larger than {limit:,} bytes. Send less in one request.")
            answer = self._render(scope["path"], error, scope["state"]["request_id"])
            await answer(scope, receive, send)
            return
        await self._app(scope, _replay(messages, receive), send)


def _replay(messages: list[Message], receive: Receive) -> Callable[[], Awaitable[Message]]:
    remaining = iter(messages)

    async def replayed() -> Message:
        found = next(remaining, None)
        return found if found is not None else await receive()

    return replayed


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
