"""The examples of the calls on webhooks. A test holds each against its model."""

from typing import Any, Final

__all__ = ["DELIVERY", "DELIVERY_PAGE", "EXAMPLES", "REVEALED", "WEBHOOK", "WEBHOOK_INPUTS", "WEBHOOK_PAGE"]

_WEBHOOK_ID: Final = "f1c0a7de-9f5b-4c1f-8a5c-6a3b7f0e2d41"

WEBHOOK_INPUTS: Final[dict[str, Any]] = {
    "some": {
        "summary": "What became of accounts",
        "value": {
            "url": "https://hooks.acme.com/berth",
            "description": "mailbox status in the CRM",
            "types": ["AccountConnected", "AccountConnectionFailed", "AccountDisconnected", "AccountReconnected"],
        },
    },
    "all": {"summary": "Everything", "value": {"url": "https://hooks.acme.com/berth"}},
}

WEBHOOK: Final[dict[str, Any]] = {
    "id": _WEBHOOK_ID,
    **WEBHOOK_INPUTS["some"]["value"],
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "created_at": "2026-11-21T09:29:59.871Z",
    "updated_at": "2026-11-21T09:29:59.871Z",
}
REVEALED: Final[dict[str, Any]] = {**WEBHOOK, "secret": "whsec_(32 random bytes in base64)"}
WEBHOOK_PAGE: Final[dict[str, Any]] = {"items": [WEBHOOK], "next_cursor": None}

DELIVERY: Final[dict[str, Any]] = {
    "id": "5d7d2a1e-0b1c-4a33-9a7e-55d1f0c8e6b2",
    "event_id": "a4a7f0c2-55a6-5c49-8a5e-6a2f5f1f7c10",
    "type": "AccountConnected",
    "subject": "0d3c5a0e-8f57-4d0e-9c53-2f0c7a4b9e11",
    "state": "pending",
    "created_at": "2026-11-21T09:30:01.004Z",
    "finished_at": None,
    "next_attempt_at": "2026-11-21T09:35:08.310Z",
    "attempts": [
        {
            "at": "2026-11-21T09:30:01.020Z",
            "duration_ms": 38.4,
            "status": 503,
            "error": "status",
            "detail": "The endpoint answered 503, not 2xx.",
            "excerpt": "upstream connect error",
        },
        {
            "at": "2026-11-21T09:30:06.115Z",
            "duration_ms": 15000.9,
            "status": None,
            "error": "timeout",
            "detail": "There was no complete answer within 15 s.",
            "excerpt": "",
        },
    ],
}
_TEST: Final[dict[str, Any]] = {**DELIVERY, "type": "webhook.test", "subject": _WEBHOOK_ID, "attempts": []}
DELIVERY_PAGE: Final[dict[str, Any]] = {"items": [DELIVERY], "next_cursor": "ZDE3"}

#: By operation id, then by status or `request`.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "createWebhook": {"request": WEBHOOK_INPUTS, "201": REVEALED},
    "listWebhooks": {"200": WEBHOOK_PAGE},
    "getWebhook": {"200": WEBHOOK},
    "changeWebhook": {
        "request": {
            "pause": {"summary": "Keep what comes until later", "value": {"enabled": False}},
            "all": {"summary": "All types from now on", "value": {"types": None}},
        },
        "200": WEBHOOK,
    },
    "rotateWebhookSecret": {"200": REVEALED},
    "testWebhook": {"202": _TEST},
    "listDeliveries": {"200": DELIVERY_PAGE},
    "getDelivery": {"200": DELIVERY},
    "redeliver": {"202": DELIVERY},
    "recoverWebhook": {
        "request": {"outage": {"summary": "Since an outage began", "value": {"since": "2026-11-20T08:00:00Z"}}},
        "202": {"redelivered": 12},
    },
}
