"""MailReach's API, so that its clients work when their host is changed."""

from typing import Final

from fastapi.routing import APIRoute

from berth_gateway.dialects.mailreach import accounts, alerts, endpoints, tasks, workspaces
from berth_gateway.dialects.mailreach.examples import EXAMPLES
from berth_gateway.dialects.mailreach.refusals import refusal

__all__ = ["EXAMPLES", "ROUTERS", "owns", "refusal"]

#: Paths without an id before those with one.
ROUTERS: Final = (endpoints.router, tasks.router, accounts.router, workspaces.router, alerts.router)


def owns(path: str) -> bool:
    """Whether a path is MailReach's."""
    routes = (route for router in ROUTERS for route in router.routes)
    return any(isinstance(route, APIRoute) and route.path_regex.match(path) for route in routes)
