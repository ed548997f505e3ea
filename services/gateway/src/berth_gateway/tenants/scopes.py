"""What keys may do, and what that is in calls: see docs/api.md."""

from typing import Final, Literal, get_args

__all__ = ["PLATFORM_ONLY", "SCOPES", "Scope"]

Scope = Literal[
    "accounts:read",
    "accounts:write",
    "workspaces:read",
    "workspaces:write",
    "domains:read",
    "domains:write",
    "usage:read",
    "events:read",
    "webhooks:read",
    "webhooks:write",
    "projects:read",
    "projects:write",
]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
#: They reach beyond one project, so that no project's key has them.
PLATFORM_ONLY: Final[frozenset[Scope]] = frozenset({"projects:read", "projects:write"})
