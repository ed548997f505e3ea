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
    "custom_message_content_ref": "",
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
    409: (
        "The project has as many as it may.",
        "The project has as many webhooks as it may have. Remove one that is not used.",
    ),
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

_REFUSED: Final[dict[str, Any]] = {
    str(status): {"error": text, "request_id": IMAP_AUTH_ERROR["request_id"]} for status, (_, text) in REFUSALS.items()
}
_IMAP_AUTH: Final[dict[str, Any]] = {
    "request": {
        "custom": {"summary": "A mailbox on servers of its own", "value": IMAP_AUTH},
        "test": {"summary": "Only test the connection", "value": {**IMAP_AUTH, "test": True}},
    },
    "200": ACCOUNT,
    "500": IMAP_AUTH_ERROR,
}

_UPDATE: Final[dict[str, Any]] = {
    "config_rampup_target": 25,
    "config_rampup_increase": 2,
    "config_max_conversation_running": 10,
    "time_zone": "Paris",
    "signature": "Best,<br/>Alice Doe",
    "alive": True,
    "desc": "Primary sales mailbox",
}
_WORKSPACE: Final[dict[str, Any]] = {
    "id": 42,
    "name": "Acme Microsoft 365",
    "created_at": "2026-11-21T09:30:00.000Z",
    "provider": "outlook",
    "outlook_tenant_id": "b1f0c3d2-6a55-4f0e-8c1b-3d2e1f0a9b87",
    "outlook_client_id": "5c2a7b90-1d3e-4f6a-9b8c-7e6d5c4b3a29",
    "outlook_client_secret_expires_at": "2028-01-29T00:00:00.000Z",
}
_OUTLOOK: Final[dict[str, Any]] = {
    "name": "Acme Microsoft 365",
    "provider": "outlook",
    "outlook_client_id": _WORKSPACE["outlook_client_id"],
    "outlook_client_secret": "0d9a8b7c-6e5f-4a3b-8c2d-1e0f9a8b7c6d",
    "outlook_client_secret_value": "the secret itself",
    "outlook_tenant_id": _WORKSPACE["outlook_tenant_id"],
    "outlook_client_secret_expires_at": "29/01/2028",
}
_GOOGLE: Final = {
    "name": "Acme Google Workspace",
    "provider": "google",
    "file_key_json": "(the JSON key file, as text)",
}
_TASK: Final[dict[str, Any]] = {
    "id": 8421,
    "progress": 100,
    "logs": ["1234: suspend done", "1235: Account not found"],
    "email_workspace_id": None,
}
_QUEUED: Final = {"queued": True, "job_id": IMAP_AUTH_ERROR["request_id"]}
_CONNECT: Final = {"accounts": ["alice@acme.com", "bob@acme.com", "carol@acme.com"]}
_SUCCESS: Final = {"success": True}
_ALERT: Final[dict[str, Any]] = {
    "id": 3,
    "url": "https://hooks.acme.com/mail",
    "event": "Account disconnected",
    "created_at": "2026-11-21T09:30:00.000Z",
    "secret": None,
}


def _sent(summary: str, value: Any) -> dict[str, Any]:
    return {"example": {"summary": summary, "value": value}}


_CALLS: Final[dict[str, dict[str, Any]]] = {
    "imapAuth": _IMAP_AUTH,
    "imapAuthAlias": _IMAP_AUTH,
    "mailreachPing": {"200": _SUCCESS},
    "mailreachListAccounts": {"200": [ACCOUNT]},
    "mailreachGetAccount": {"200": ACCOUNT},
    "mailreachUpdateAccount": {"request": _sent("Some settings", _UPDATE), "200": ACCOUNT},
    "mailreachDeleteAccount": {"200": _SUCCESS},
    "mailreachReconnect": {"201": _QUEUED},
    "mailreachSuspend": {"200": {**ACCOUNT, "alive": False, "suspended": True}},
    "mailreachCheckup": {"201": _QUEUED},
    "mailreachStats": {
        "200": {
            "total_messages_sent": 0,
            "total_messages_received": 0,
            "total_spam": 0,
            "config_current_conversation_running": 0,
            "consolidated_cutoff": None,
        }
    },
    "mailreachAliases": {"200": [{"email": "sales@acme.com", "name": "Acme Sales"}]},
    "mailreachLinkTag": {"request": _sent("An account", {"account_id": 1234}), "200": {"id": 7, "name": "sales-team"}},
    "mailreachGraph": {"200": {"labels": [], "data": [], "consolidated": True}},
    "mailreachBatch": {
        "request": _sent("Two accounts", {"account_ids": [1234, 1235], "action": "suspend"}),
        "200": _TASK,
    },
    "mailreachGetTask": {"200": _TASK},
    "mailreachCreateAlert": {
        "request": _sent(
            "Tell of disconnections", {"url": "https://hooks.acme.com/mail", "event": "Account disconnected"}
        ),
        "200": {**_ALERT, "secret": "whsec_(44 characters)"},
    },
    "mailreachListAlerts": {"200": [_ALERT]},
    "mailreachDeleteAlert": {"200": _SUCCESS},
    "mailreachCreateWorkspace": {
        "request": {
            "outlook": {"summary": "A Microsoft app registration", "value": _OUTLOOK},
            "google": {"summary": "A Google service account", "value": _GOOGLE},
        },
        "200": _WORKSPACE,
    },
    "mailreachListWorkspaces": {"200": [_WORKSPACE]},
    "mailreachGetWorkspace": {"200": _WORKSPACE},
    "mailreachUpdateWorkspace": {"request": _sent("Another name", {"name": "Acme 365"}), "200": _WORKSPACE},
    "mailreachDeleteWorkspace": {"200": _SUCCESS},
    "mailreachConnectAccounts": {
        "request": _sent("Three mailboxes", _CONNECT),
        "200": {"completed": True, "errors": [], "task_id": 8421},
    },
}
_ALIASED: Final = ("mailreachPing", *(name for name in _CALLS if "Workspace" in name), "mailreachConnectAccounts")

#: What every call may answer, what those with a body may, and what those that connect may.
_EVERY: Final = ("401", "403", "404", "422", "429", "503")
_WITH_BODY: Final = ("400", "413")
_CONNECTING: Final = ("402", "504")


def _with_refusals(name: str, call: dict[str, Any]) -> dict[str, Any]:
    statuses = [*_EVERY, *(_WITH_BODY if "request" in call else ())]
    if name.startswith(("imapAuth", "mailreachConnect")):
        statuses += _CONNECTING
    if name == "mailreachCreateAlert":
        statuses.append("409")
    return {**call, **{status: _REFUSED[status] for status in statuses}}


#: By operation id, then by status or `request`.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    name: _with_refusals(name, call)
    for name, call in {**_CALLS, **{f"{name}Alias": _CALLS[name] for name in _ALIASED}}.items()
}
