"""The gateway's application: the canonical API, the dialects, and what surrounds every request."""

import re
from typing import Final
from uuid import UUID

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.responses import Response

from berth_gateway.api import (
    account_actions,
    account_details,
    accounts,
    autoconfig,
    domains,
    events,
    imports,
    keys,
    openapi,
    organizations,
    probes,
    problems,
    tags,
    usage,
    webhooks,
    workspaces,
)
from berth_gateway.api.examples import CANONICAL
from berth_gateway.api.middleware import BodyLimit, Interruption, RequestIdentity
from berth_gateway.api.services import Services
from berth_gateway.dialects import Dialect, mailreach, sendkit, smartlead
from berth_gateway.errors import GatewayError

__all__ = ["make_app"]

_CANONICAL: Final = (
    organizations, keys, accounts, account_actions, account_details, probes, autoconfig, tags, domains, usage, events,
    webhooks, workspaces, imports,
)  # fmt: skip
_DIALECTS: Final[tuple[Dialect, ...]] = (mailreach, smartlead, sendkit)
_MAX_BODY_BYTES: Final = 1_000_000
#: 10,000 mailboxes with names, and user names and passwords for both servers, have 5 MB; indented 7.
_MAX_IMPORT_BYTES: Final = 8_000_000
_IMPORTS: Final = re.compile(r"/v1/(?:imports|email-workspaces/[^/]+/imports)")
_DESCRIPTION: Final = """\
Connects mailboxes: proves over IMAP and SMTP that they work, says why when they do not, and audits their domains.

Send a key as `Authorization: Bearer KEY` or `X-Api-Key: KEY`; with a platform key, say in `X-Project-Id` for which project.
Errors are problem documents (RFC 9457); each names what to mend. Every answer carries `X-Request-Id`.
"""


def make_app(services: Services) -> FastAPI:
    """The application, without the routes that the runtime adds for probes and metrics."""
    app = FastAPIOffline(  # whose pages load nothing from elsewhere
        title="Berth",
        version="1",
        description=_DESCRIPTION,
        redirect_slashes=False,  # some clients follow no redirects
        redoc_url=None,
    )
    app.state.services = services
    problems.install(app, _render)
    sources = (CANONICAL, *(dialect.EXAMPLES for dialect in _DIALECTS))
    openapi.install(app, {name: example for source in sources for name, example in source.items()})
    # the last one added is the outermost
    app.add_middleware(BodyLimit, max_bytes=_max_body_bytes, render=_render)
    app.add_middleware(Interruption, render=_render)
    app.add_middleware(RequestIdentity)
    for each in _CANONICAL:
        app.include_router(each.router)
    for dialect in _DIALECTS:
        for router in dialect.ROUTERS:
            app.include_router(router)
    return app


def _max_body_bytes(path: str) -> int:
    return _MAX_IMPORT_BYTES if _IMPORTS.fullmatch(path) else _MAX_BODY_BYTES


def _render(path: str, error: GatewayError, request: UUID) -> Response:
    """An error in the form of the API that the path belongs to."""
    for dialect in _DIALECTS:
        if dialect.owns(path):
            return dialect.refusal(error, request)
    if path.startswith("/api/"):  # MailReach's clients know an unknown path by its empty body
        return Response(status_code=error.status)
    return problems.problem_response(error, request)
