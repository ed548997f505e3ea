"""MailReach's API, so that its clients work when their host is changed."""

from typing import Final

from berth_gateway.dialects.mailreach.endpoints import owns, refusal, router
from berth_gateway.dialects.mailreach.examples import EXAMPLES

__all__ = ["EXAMPLES", "ROUTERS", "owns", "refusal"]

ROUTERS: Final = (router,)
