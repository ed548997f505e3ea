"""The examples of the OpenAPI document. A test holds each against its model."""

from typing import Any, Final

__all__ = ["ACCOUNT", "EXAMPLES", "IMAP_AUTH", "IMAP_AUTH_ERROR", "REFUSALS"]

IMAP_AUTH: Final[dict[str, Any]] = {
    "email": "alice@example.com",
    "first_name": "Alice",
    "last_name": "Doe",
    "provider": "custom",
    "imap_server": "imap.example.com",
    "imap_server_port": 993,
    "imap_server_username": "alice@example.com",
    "imap_server_password": "s3cret",
    "smtp_server": "smtp.example.com",
    "smtp_server_port": 587,
    "smtp_server_username": "alice@example.com",
    "smtp_server_password": "s3cret",
    "smtp_server_auth_type": "plain",
    "smtp_server_starttls": True,
}

ACCOUNT: Final[dict[str, Any]] = {
    "id": 1234,
    "created_at": "2026-11-21T09:30:00.000Z",
    "email": "alice@example.com",
    "first_name": "Alice",
    "last_name": "Doe",
    "provider": "custom",
    "alive": True,
    "suspended": False,
    "warming_enabled": False,
    "spamchecker_enabled": False,
    "score": None,
    "score_gmail": None,
    "score_outlook": None,
    "score_custom": None,
    "total_messages_sent": 0,
    "total_messages_received": 0,
    "config_rampup_target": 25,
    "config_rampup_increase": 2,
    "config_max_conversation_running": 10,
    "config_current_conversation_running": 0,
    "config_smtp_append_after_sent": True,
    "time_zone": "Etc/UTC",
    "autopilot": True,
    "copilot_enabled": False,
    "has_refresh_token": False,
    "has_notifications": False,
    "imap_issue": False,
    "current_warming_recipe": "default",
    "detected_sending_provider": None,
    "sending_reverse_dns_value": None,
    "sending_ip": None,
    "signature": "",
    "tags": [],
    "domain": {
        "id": 1041,
        "created_at": "2026-11-20T16:38:44.425Z",
        "updated_at": "2026-11-21T09:30:01.002Z",
        "domain": "example.com",
        "creation_date": None,
        "last_check_at": "2026-11-21T09:30:01.002Z",
        "spf_valid": True,
        "spf_value": "v=spf1 include:spf.example.com -all",
        "dkim_valid": True,
        "dkim_selector": "20251104",
        "dkim_value": "v=DKIM1; k=rsa; p=MIIB...",
        "dmarc_valid": True,
        "dmarc_value": "v=DMARC1; p=none; rua=mailto:postmaster@example.com",
        "domain_http_response": None,
        "domain_https": None,
        "avg_score": None,
        "expire_at": None,
        "score_change": None,
        "mx_records": [["mx1.example.com", "203.0.113.25", "10"]],
    },
}

IMAP_AUTH_ERROR: Final[dict[str, Any]] = {
    "success": False,
    "imap_auth_success": False,
    "smtp_auth_success": True,
    "error": "The server refused user name or password. Check the password; otherwise use an app password",
    "diagnosis": {
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
    },
    "request_id": "5b8d1f0e-6f2f-4b9a-8a44-0b1f6a1d2c3e",
}

#: status -> description and text of the other errors.
REFUSALS: Final[dict[int | str, tuple[str, str]]] = {
    400: ("The body is neither JSON nor a form.", "The body is not valid JSON. Send one JSON object in UTF-8."),
    401: ("The key is missing, unknown or revoked.", "Invalid API key"),
    402: (
        "The organization has no subscription.",
        "The organization has no subscription. Activate one, then send the request again.",
    ),
    403: (
        "No seat is left, or the key lacks the scope.",
        "The organization's monitoring seats are all taken (10 of 10). Remove an account or raise the limit of the subscription.",
    ),
    404: ("There is no account of this id.", "Account not found"),
    413: ("The body is too large.", "The body is larger than 1,000,000 bytes. Send less in one request."),
    422: ("Fields are wrong.", "email is missing, provider is missing"),
    429: (
        "The key is used too often.",
        "There were too many requests within too short a time. Wait as many seconds as `Retry-After` says.",
    ),
    503: (
        "The service is busy or restarting.",
        "The service is busy or restarting; nothing was stored. Send the same request again.",
    ),
    504: (
        "The verification goes on; repeat the request to get its result.",
        "The verification takes longer than usual and goes on. Send the same request again: it waits for the same result.",
    ),
}

_CALL: Final[dict[str, Any]] = {
    "request": {
        "custom": {"summary": "A mailbox on servers of its own", "value": IMAP_AUTH},
        "test": {"summary": "Only test the connection", "value": {**IMAP_AUTH, "test": True}},
    },
    "200": ACCOUNT,
    "500": IMAP_AUTH_ERROR,
    **{
        str(status): {"error": text, "request_id": IMAP_AUTH_ERROR["request_id"]}
        for status, (_, text) in REFUSALS.items()
    },
}

#: By operation id, then by status or `request`.
EXAMPLES: Final = {"imapAuth": _CALL, "imapAuthAlias": _CALL}
