"""Examples of accounts: connect, list, show."""

from typing import Any, Final

__all__ = ["ACCOUNT", "ACCOUNT_INPUTS", "ACCOUNT_PAGE", "EXAMPLES", "PENDING", "VERIFICATION"]

_ACCOUNT_ID: Final = "0d3c5a0e-8f57-4d0e-9c53-2f0c7a4b9e11"

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

#: By operation id, then by status or `request`.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "connectAccount": {"request": ACCOUNT_INPUTS, "202": PENDING},
    "listAccounts": {"200": ACCOUNT_PAGE},
    "getAccount": {"200": ACCOUNT},
    "getVerification": {"200": VERIFICATION},
}
