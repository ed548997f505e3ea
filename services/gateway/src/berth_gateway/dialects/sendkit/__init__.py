"""SendKit's API, so that its clients work when their host is changed."""

from typing import Final

from berth_gateway.dialects.sendkit import imports, mailboxes, warmup, workspaces
from berth_gateway.dialects.sendkit.examples import EXAMPLES
from berth_gateway.dialects.sendkit.refusals import owns, refusal

__all__ = ["EXAMPLES", "ROUTERS", "owns", "refusal"]

#: Paths without an id before those with one.
ROUTERS: Final = (imports.router, mailboxes.router, workspaces.router, warmup.router)
