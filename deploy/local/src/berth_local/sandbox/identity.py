"""The token endpoints of Google and Microsoft over HTTPS, and the introspection that mail servers ask."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from berth_local.sandbox.google import Google
from berth_local.sandbox.microsoft import Microsoft
from berth_local.sandbox.tokens import Refusal, TokenBook

__all__ = ["IdentityService", "serve_identity"]

Fault = Callable[[Request], Awaitable[Response | None]]


class IdentityService:
    """Both identity providers.

    Args:
        now: seconds since 1970.
        token_directory: see TokenBook.

    Attributes:
        asked: how often each endpoint was asked: `google`, `microsoft`, `discovery`, `introspection`.
        fault: answers in place of the token endpoints, or None.
    """

    def __init__(self, now: Callable[[], float] = time.time, token_directory: Path | None = None) -> None:
        self.tokens = TokenBook(now, token_directory)
        self.google = Google(self.tokens, now)
        self.microsoft = Microsoft(self.tokens, now)
        self.asked: Counter[str] = Counter()
        self.fault: Fault | None = None

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/token", self._google, methods=["POST"]),
                Route("/introspect", self._introspect, methods=["POST"]),
                Route("/{tenant}/v2.0/.well-known/openid-configuration", self._discovery),
                Route("/{tenant}/oauth2/v2.0/token", self._microsoft, methods=["POST"]),
            ]
        )

    async def _google(self, request: Request) -> Response:
        form = await _form(request)
        return await self._answer("google", request, lambda: self.google.token(form))

    async def _microsoft(self, request: Request) -> Response:
        form = await _form(request)
        return await self._answer(
            "microsoft", request, lambda: self.microsoft.token(request.path_params["tenant"], form)
        )

    async def _discovery(self, request: Request) -> Response:
        origin = f"{request.url.scheme}://{request.url.netloc}"
        return await self._answer(
            "discovery", request, lambda: self.microsoft.discover(request.path_params["tenant"], origin)
        )

    async def _introspect(self, request: Request) -> Response:
        self.asked["introspection"] += 1
        return JSONResponse(self.tokens.introspect((await _form(request)).get("token", "")))

    async def _answer(self, name: str, request: Request, answer: Callable[[], dict[str, Any]]) -> Response:
        self.asked[name] += 1
        if self.fault is not None and (instead := await self.fault(request)) is not None:
            return instead
        try:
            return JSONResponse(answer())
        except Refusal as refusal:
            return JSONResponse(refusal.body(), status_code=refusal.status)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the sandbox decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serve_identity(
    service: IdentityService, listening: socket.socket, context: ssl.SSLContext | None
) -> AsyncIterator[None]:
    """Serve on a listening socket, with TLS when there is a context."""
    # asyncio does so only for sockets that name their protocol; without it every answer waits 40 ms for an acknowledgement
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(service.application(), log_config=None, access_log=False, lifespan="off")
    config.load()
    config.ssl = context
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield  # whoever connects before it has started waits in the socket's backlog
    finally:
        server.should_exit = server.force_exit = True  # clients that keep their connections are not waited for
        await serving


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
