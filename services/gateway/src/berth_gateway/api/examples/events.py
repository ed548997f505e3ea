"""Examples of the event feed."""

from typing import Any, Final

from berth_gateway.api.examples.accounts import ACCOUNT

__all__ = ["EVENT_PAGE", "EVENT_STREAM", "EXAMPLES"]

_ACCOUNT_ID: Final = ACCOUNT["id"]
_EVENT_ID: Final = "a4a7f0c2-55a6-5c49-8a5e-6a2f5f1f7c10"

_EVENT: Final[dict[str, Any]] = {
    "cursor": "ZTQy",
    "specversion": "1.0",
    "id": _EVENT_ID,
    "source": "/berth/gateway",
    "type": "AccountRemoved",
    "subject": _ACCOUNT_ID,
    "sequence": 2,
    "time": "2026-11-21T09:31:00.000Z",
    "data": {
        "account_id": _ACCOUNT_ID,
        "organization_id": "c0a8f3f6-3c55-4f4c-8d0d-0f6d1f5c2a01",
        "project_id": "b58f1d53-8a0b-4b43-9a0e-4c9b9d0f7a02",
        "address": "alice@acme.com",
        "seat_kind": "monitoring",
        "reason": "requested",
    },
}

EVENT_PAGE: Final[dict[str, Any]] = {"items": [_EVENT], "next_cursor": "ZTQy"}

EVENT_STREAM: Final = 'retry: 1000\n\nid: ZTQy\nevent: AccountRemoved\ndata: {"cursor":"ZTQy", ...}\n\n: still here\n\n'

#: By operation id, then by status or `request`.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "listEvents": {"200": EVENT_PAGE},
}
