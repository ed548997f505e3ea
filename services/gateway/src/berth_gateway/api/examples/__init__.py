"""The examples of the OpenAPI document, by operation id and then by status or `request`. A test holds each against its model."""

from typing import Any, Final

from berth_gateway.api.examples import accounts, autoconfig, changes, events, imports, tenants, webhooks

__all__ = ["CANONICAL"]

#: Of the canonical API; each dialect has its own.
CANONICAL: Final[dict[str, dict[str, Any]]] = {
    **tenants.EXAMPLES,
    **accounts.EXAMPLES,
    **changes.EXAMPLES,
    **autoconfig.EXAMPLES,
    **imports.EXAMPLES,
    **events.EXAMPLES,
    **webhooks.EXAMPLES,
}
