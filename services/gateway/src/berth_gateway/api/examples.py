"""The examples of the OpenAPI document. A test holds each against its model."""

from typing import Any, Final

__all__ = ["ACCOUNT", "ACCOUNT_INPUTS", "ACCOUNT_PAGE", "EVENT_PAGE", "EVENT_STREAM", "EXAMPLES", "VERIFICATION"]

_ACCOUNT_ID: Final = "0d3c5a0e-8f57-4d0e-9c53-2f0c7a4b9e11"
_EVENT_ID: Final = "a4a7f0c2-55a6-5c49-8a5e-6a2f5f1f7c10"

ACCOUNT_INPUTS: Final[dict[str, Any]] = {
    "custom": {
        "summary": "A mailbox on servers of its own",
        "value": {
            "email": "alice@acme.com",
            "first_name": "Alice",
            "last_name": "Doe",
            "provider": "custom",
            "password": "correct horse battery staple",
            "imap": {"host": "imap.acme.com", "port": 993, "security": "tls"},
            "smtp": {"host": "smtp.acme.com", "port": 587, "security": "starttls"},
            "seat_kind": "monitoring",
        },
    },
    "gmail": {
        "summary": "Gmail with an app password",
        "value": {"email": "bob@gmail.com", "provider": "gmail", "password": "abcd efgh ijkl mnop"},
    },
    "sendOnly": {
        "summary": "An account that only sends, with a password of its own",
        "value": {
            "email": "news@acme.com",
            "provider": "custom",
            "imap": None,
            "smtp": {"host": "smtp.acme.com", "port": 465, "username": "relay-7", "password": "s3cret"},
            "seat_kind": "spam_check",
        },
    },
}

_DIAGNOSIS: Final[dict[str, Any]] = {
    "code": "AUTH_BAD_CREDENTIALS",
    "rule_id": "dovecot.imap.auth_failed",
    "table_version": "2026-11-01",
    "confidence": "high",
    "severity": "error",
    "action_by": "user",
    "meaning": "The server refused user name or password",
    "remedy": "Check the password; otherwise use an app password",
    "retry_policy": "never",
    "reply": "NO [AUTHENTICATIONFAILED] Authentication failed.",
}

ACCOUNT: Final[dict[str, Any]] = {
    "id": _ACCOUNT_ID,
    "number": 17,
    "email": "alice@acme.com",
    "first_name": "Alice",
    "last_name": "Doe",
    "provider": "custom",
    "status": "connected",
    "seat_kind": "monitoring",
    "suspended": False,
    "imap": {"host": "imap.acme.com", "port": 993, "security": "tls", "username": "alice@acme.com"},
    "smtp": {"host": "smtp.acme.com", "port": 587, "security": "starttls", "username": "alice@acme.com"},
    "diagnosis": None,
    "verification": {
        "verification_id": "6f1f0c59-6c8e-4f43-9f3c-0a2f1f6f4a01",
        "outcome": "connected",
        "started_at": "2026-11-21T09:30:00.120Z",
        "duration_ms": 812.4,
        "imap": True,
        "smtp": True,
    },
    "checkup": None,
    "imap_issue": False,
    "workspace_id": None,
    "import_id": None,
    "signature": "Best,<br/>Alice",
    "time_zone": "Europe/Berlin",
    "settings": {
        "alias": None,
        "description": "Primary sales mailbox",
        "reply_to": None,
        "bcc": None,
        "tracking_domain": None,
        "client_number": 7,
        "daily_limit": 50,
        "wait_minutes": None,
        "sending_enabled": True,
        "append_sent": None,
        "alive": True,
        "autopilot": None,
        "warmup_enabled": True,
        "warmup_paused": None,
        "warmup_initial": None,
        "warmup_target": 25,
        "warmup_increase": 2,
        "warmup_conversations": 10,
        "warmup_reply_rate": 30,
        "warmup_key": None,
        "warmup_auto_adjust": None,
        "warmup_rampup": None,
    },
    "tags": [{"id": 7, "name": "outreach", "color": "#4CAF50"}],
    "domain": {
        "domain": "acme.com",
        "spf_valid": True,
        "spf_value": "v=spf1 include:spf.acme.com -all",
        "dkim_valid": True,
        "dkim_selector": "20251104",
        "dkim_value": "v=DKIM1; k=rsa; p=MIIB...",
        "dmarc_valid": False,
        "dmarc_value": None,
        "mx_records": [["mx1.acme.com", "203.0.113.25", "10"]],
        "last_check_at": "2026-11-21T09:30:01.004Z",
        "checks": {"mx": "pass", "spf": "pass", "dkim": "pass", "dmarc": "fail"},
        "findings": [
            {"code": "DMARC_MISSING", "subject": "_dmarc.acme.com", "severity": "high", "evidence": ["NXDOMAIN"]}
        ],
    },
    "created_at": "2026-11-21T09:29:59.871Z",
    "updated_at": "2026-11-21T09:30:00.932Z",
}

PENDING: Final[dict[str, Any]] = {
    **ACCOUNT,
    "status": "pending",
    "verification": None,
    "domain": {
        **ACCOUNT["domain"],
        **dict.fromkeys(["spf_valid", "spf_value", "dkim_valid", "dkim_selector", "dkim_value", "dmarc_valid"]),
        "mx_records": [],
        "last_check_at": None,
        "checks": {"mx": "unknown", "spf": "unknown", "dkim": "unknown", "dmarc": "unknown"},
        "findings": [],
    },
}

ACCOUNT_PAGE: Final[dict[str, Any]] = {"items": [ACCOUNT], "next_cursor": "YTE3"}

VERIFICATION: Final[dict[str, Any]] = {
    "account_id": _ACCOUNT_ID,
    "status": "failed",
    "outcome": "failed",
    "started_at": "2026-11-21T09:30:00.120Z",
    "duration_ms": 812.4,
    "imap": False,
    "smtp": True,
    "diagnosis": _DIAGNOSIS,
    "steps": [
        {
            "protocol": "imap",
            "name": "connect",
            "outcome": "ok",
            "started_at": "2026-11-21T09:30:00.131Z",
            "duration_ms": 12.3,
            "message": "",
            "diagnosis": None,
            "transcript": [],
        },
        {
            "protocol": "imap",
            "name": "authenticate",
            "outcome": "failed",
            "started_at": "2026-11-21T09:30:00.198Z",
            "duration_ms": 204.8,
            "message": "The server refused the credential",
            "diagnosis": _DIAGNOSIS,
            "transcript": ["C: A2 AUTHENTICATE PLAIN ***", "S: A2 NO [AUTHENTICATIONFAILED] Authentication failed."],
        },
    ],
}

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

_NAME: Final = {"acme": {"summary": "A name", "value": {"name": "Acme"}}}
_ORGANIZATION_ID: Final = "c0a8f3f6-3c55-4f4c-8d0d-0f6d1f5c2a01"
_PROJECT_ID: Final = "b58f1d53-8a0b-4b43-9a0e-4c9b9d0f7a02"
_CREATED_AT: Final = "2026-11-21T09:00:00.000Z"

_ORGANIZATION: Final[dict[str, Any]] = {"id": _ORGANIZATION_ID, "name": "Acme", "created_at": _CREATED_AT}
_PROJECT: Final[dict[str, Any]] = {
    "id": _PROJECT_ID,
    "organization_id": _ORGANIZATION_ID,
    "name": "Acme",
    "created_at": _CREATED_AT,
}
_API_KEY: Final[dict[str, Any]] = {
    "id": "9a1f5d10-0b61-4c7e-8f8e-0f9d4b1f2e03",
    "kind": "project",
    "organization_id": _ORGANIZATION_ID,
    "project_id": _PROJECT_ID,
    "name": "production",
    "prefix": "k5xw2n7q",
    "scopes": ["accounts:read", "accounts:write", "events:read"],
    "rate_limit": None,
    "created_at": _CREATED_AT,
    "last_used_at": "2026-11-21T09:29:00.000Z",
    "expires_at": "2027-11-21T00:00:00.000Z",
    "retiring_until": None,
    "revoked_at": None,
}
_PLATFORM_KEY: Final[dict[str, Any]] = {
    **_API_KEY,
    "kind": "platform",
    "project_id": None,
    "name": "backend",
    "scopes": ["accounts:read", "accounts:write", "projects:read", "projects:write"],
}
_SECRET: Final = {"key": "berth_k5xw2n7q_(43 random characters)"}
_KEY_INPUT: Final = {
    "production": {
        "summary": "A key for the accounts of one project, for a year",
        "value": {
            "name": "production",
            "scopes": ["accounts:read", "accounts:write", "events:read"],
            "expires_at": "2027-11-21T00:00:00Z",
        },
    }
}
_PLATFORM_KEY_INPUT: Final = {
    "backend": {
        "summary": "A key that manages projects, and the accounts of each",
        "value": {"name": "backend", "scopes": _PLATFORM_KEY["scopes"], "rate_limit": "600/second"},
    }
}

#: By operation id, then by status or `request`.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "createOrganization": {"request": _NAME, "201": _ORGANIZATION},
    "listOrganizations": {"200": {"items": [_ORGANIZATION], "next_cursor": None}},
    "getOrganization": {"200": _ORGANIZATION},
    "renameOrganization": {"request": _NAME, "200": _ORGANIZATION},
    "createProject": {"request": _NAME, "201": _PROJECT},
    "listProjects": {"200": {"items": [_PROJECT], "next_cursor": None}},
    "getProject": {"200": _PROJECT},
    "renameProject": {"request": _NAME, "200": _PROJECT},
    "createPlatformKey": {"request": _PLATFORM_KEY_INPUT, "201": {**_PLATFORM_KEY, **_SECRET}},
    "listPlatformKeys": {"200": {"items": [_PLATFORM_KEY], "next_cursor": None}},
    "createKey": {"request": _KEY_INPUT, "201": {**_API_KEY, **_SECRET}},
    "listKeys": {"200": {"items": [_API_KEY], "next_cursor": None}},
    "getKey": {"200": _API_KEY},
    "changeKey": {
        "request": {"longer": {"summary": "Never expires", "value": {"expires_at": None}}},
        "200": {**_API_KEY, "expires_at": None},
    },
    "rotateKey": {
        "request": {"hour": {"summary": "Both secrets for an hour", "value": {"grace_seconds": 3600}}},
        "200": {**_API_KEY, **_SECRET, "retiring_until": "2026-11-21T10:30:00.000Z"},
    },
    "connectAccount": {"request": ACCOUNT_INPUTS, "202": PENDING},
    "listAccounts": {"200": ACCOUNT_PAGE},
    "getAccount": {"200": ACCOUNT},
    "getVerification": {"200": VERIFICATION},
    "listEvents": {"200": EVENT_PAGE},
}
