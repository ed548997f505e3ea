"""Examples of what changes accounts, and of probes, tags, domains and usage."""

from typing import Any, Final

from berth_gateway.api.examples.accounts import ACCOUNT, ACCOUNT_INPUTS, VERIFICATION

__all__ = ["EXAMPLES"]

_ACCOUNT_ID: Final = ACCOUNT["id"]
_PROBE: Final = {"id": "7d0c9a52-3a3c-4f0e-8a43-6a1f3f0d9b77", "status": "pending"}
_ALIASES: Final = {"aliases": [{"email": "sales@acme.com", "name": "Acme Sales"}]}
_TAG: Final = {"id": 7, "name": "outreach", "color": "#4CAF50"}
_CHECK: Final = {"state": "pass"}
_RECORD: Final[dict[str, Any]] = {
    "mx": {**_CHECK, "records": [{"host": "mx1.acme.com", "address": "203.0.113.25", "preference": 10}]},
    "spf": {**_CHECK, "value": "v=spf1 include:spf.acme.com -all", "lookups": 1, "void_lookups": 0},
    "dkim": {**_CHECK, "selector": "20251104", "value": "v=DKIM1; k=rsa; p=MIIB..."},
    "dmarc": {"state": "fail", "value": None, "policy": None, "location": None},
    "registration": {"created_at": "2021-06-23T14:11:34Z", "expires_at": "2027-06-23T14:11:34Z"},
    "web": {"http": True, "https": True},
    "health_score": 85,
    "findings": ACCOUNT["domain"]["findings"],
}
_DOMAIN: Final[dict[str, Any]] = {
    **ACCOUNT["domain"],
    "accounts": 12,
    "health_score": 85,
    "created_at": "2021-06-23T14:11:34.000Z",
    "expires_at": "2027-06-23T14:11:34.000Z",
    "http": True,
    "https": True,
}
_DETAIL: Final[dict[str, Any]] = {**_DOMAIN, "record": _RECORD}


def _named(summary: str, value: Any) -> dict[str, Any]:
    return {"example": {"summary": summary, "value": value}}


#: By operation id, then by status or `request`.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "updateAccount": {
        "request": _named(
            "A name, a limit and tags",
            {"first_name": "Alice", "settings": {"daily_limit": 50, "client_number": 7}, "tags": ["outreach"]},
        ),
        "200": ACCOUNT,
    },
    "batchAccounts": {
        "request": _named(
            "Try two accounts again", {"action": "reconnect", "account_ids": [_ACCOUNT_ID, _PROBE["id"]]}
        ),
        "200": {
            "done": 1,
            "unchanged": 0,
            "failed": 1,
            "items": [
                {"account_id": _ACCOUNT_ID, "outcome": "done", "problem": None, "detail": None},
                {
                    "account_id": _PROBE["id"],
                    "outcome": "failed",
                    "problem": "urn:berth:problem:not-found",
                    "detail": "There is nothing under this address. Check the id; ids of other projects are not found either.",
                },
            ],
        },
    },
    "reconnectAccount": {"202": ACCOUNT},
    "checkUpAccount": {"202": ACCOUNT},
    "suspendAccount": {"request": _named("Why", {"reason": "on leave"}), "200": {**ACCOUNT, "suspended": True}},
    "resumeAccount": {"200": ACCOUNT},
    "replaceCredentials": {
        "request": _named("A new password for the servers that it has", {"password": "a new app password"}),
        "202": _PROBE,
    },
    "getStatistics": {
        "200": {
            "account_id": _ACCOUNT_ID,
            "past_days": 14,
            "checks": 57,
            "failures": 1,
            "availability": 0.982,
            "mean_duration_ms": 640.2,
            "days": [
                {"day": "2026-11-20", "checks": 4, "failures": 1},
                {"day": "2026-11-21", "checks": 4, "failures": 0},
            ],
            "messages_sent": None,
            "messages_received": None,
        }
    },
    "listAliases": {"200": _ALIASES},
    "setAliases": {"request": _named("One alias", _ALIASES), "200": _ALIASES},
    "probeMailbox": {"request": ACCOUNT_INPUTS, "202": _PROBE},
    "getProbe": {"200": {**VERIFICATION, "account_id": _PROBE["id"]}},
    "listTags": {"200": {"items": [_TAG]}},
    "createTag": {"request": _named("A tag", {"name": "outreach"}), "201": _TAG},
    "updateTag": {"request": _named("Another colour", {"color": "#B1FCCF"}), "200": {**_TAG, "color": "#B1FCCF"}},
    "listDomains": {"200": {"items": [_DOMAIN], "next_cursor": None}},
    "getDomain": {"200": _DETAIL},
    "auditDomain": {"202": _DETAIL},
    "getUsage": {
        "200": {
            "as_of": "2026-11-21T09:30:00.000Z",
            "subscribed": True,
            "seats": {
                "monitoring": {"used": 42, "used_by_project": 12, "limit": 100, "free": 58},
                "spam_check": {"used": 3, "used_by_project": 0, "limit": 10, "free": 7},
            },
        }
    },
}
