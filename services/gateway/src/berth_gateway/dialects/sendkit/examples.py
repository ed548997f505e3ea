"""The examples of the OpenAPI document. A test holds each against its model."""

from typing import Any, Final

__all__ = ["CREATE", "CREATED", "EXAMPLES", "FORM", "MAILBOX", "REFUSALS"]

_ID: Final = "665b1c2d3e4f4a6b9c8d9e0f"
_WORKSPACE_ID: Final = "b58f1d538a0b4b439a0e4c9b"
_CREATED_AT: Final = "2026-11-21T10:30:00.000Z"
_UPDATED_AT: Final = "2026-11-21T10:30:02.412Z"

CREATE: Final[dict[str, Any]] = {
    "email": "sarah@company.com",
    "displayName": "Sarah Johnson",
    "provider": "custom",
    "smtp": {
        "host": "smtp.company.com",
        "port": 587,
        "secure": True,
        "username": "sarah@company.com",
        "password": "app-password-here",
    },
    "imap": {
        "host": "imap.company.com",
        "port": 993,
        "secure": True,
        "username": "sarah@company.com",
        "password": "app-password-here",
    },
    "dailySendLimit": 15,
    "signature": "<p>Best regards,<br>Sarah Johnson</p>",
    "tags": ["outreach"],
}

CREATED: Final[dict[str, Any]] = {
    "_id": _ID,
    "email": "sarah@company.com",
    "displayName": "Sarah Johnson",
    "provider": "custom",
    "status": "inactive",
    "connectionType": "smtp",
    "dailySendLimit": 15,
    "sendingEnabled": False,
    "signature": "<p>Best regards,<br>Sarah Johnson</p>",
    "tags": ["outreach"],
    "smtpHost": "smtp.company.com",
    "smtpPort": 587,
    "smtpSecure": True,
    "imapHost": "imap.company.com",
    "imapPort": 993,
    "imapSecure": True,
    "createdAt": _CREATED_AT,
    "updatedAt": _CREATED_AT,
}

_CONFIG: Final[dict[str, Any]] = {"startingVolume": 5, "dailyIncrease": 2, "targetVolume": 25}
_WARMUP: Final[dict[str, Any]] = {
    "enabled": False,
    "status": "not_started",
    "currentDay": 0,
    "currentVolume": 0,
    "config": _CONFIG,
    "metrics": {},
}

MAILBOX: Final[dict[str, Any]] = {
    **CREATED,
    "status": "active",
    "sendingEnabled": True,
    "updatedAt": _UPDATED_AT,
    "sentToday": 0,
    "warmup": _WARMUP,
    "bounceRate": 0.0,
    "totalSent": 0,
    "totalReceived": 0,
    "setupStatus": {
        "healthScore": 100,
        "mx": {"status": "pass"},
        "spf": {"status": "pass"},
        "dkim": {"status": "pass"},
        "dmarc": {"status": "pass"},
    },
    "lastError": None,
}

_HEALTH: Final[dict[str, Any]] = {
    "email": "sarah@company.com",
    "status": "active",
    "sendingEnabled": True,
    "dns": {
        "mx": {"status": "pass", "records": [{"exchange": "mx1.company.com", "priority": 10}]},
        "spf": {"status": "pass", "record": "v=spf1 include:spf.company.com -all"},
        "dkim": {"status": "pass", "record": "v=DKIM1; k=rsa; p=MIIB...", "selector": "s1"},
        "dmarc": {"status": "pass", "record": "v=DMARC1; p=reject"},
        "healthScore": 100,
    },
    "warmup": _WARMUP,
    "deliverability": {"bounceRate": 0.0, "totalSent": 0, "totalReceived": 0, "consecutiveFailures": 0},
    "dailySendLimit": 15,
    "sentToday": 0,
    "lastError": None,
}

_TEST: Final[dict[str, Any]] = {
    "status": "failed",
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
    "testedAt": _UPDATED_AT,
}

_WORKSPACE: Final[dict[str, Any]] = {
    "id": _WORKSPACE_ID,
    "name": "Outreach",
    "ownerId": "c0a8f3f63c554f4c8d0d0f6d",
    "memberCount": 1,
    "usage": {"totalMailboxes": 2},
    "createdAt": _CREATED_AT,
}
_ACCOUNT: Final[dict[str, Any]] = {
    "id": "c0a8f3f63c554f4c8d0d0f6d",
    "name": "Globex",
    "subscribed": True,
    "usage": {"currentUsage": 2, "maxMailboxes": 10},
    "workspaceCount": 1,
    "workspaceId": _WORKSPACE_ID,
    "createdAt": _CREATED_AT,
}
_SETTINGS: Final[dict[str, Any]] = {**_CONFIG, "mailboxId": _ID, "enabled": True, "status": "active"}
_MEASURED: Final[dict[str, Any]] = {"totalSent": 0, "totalReceived": 0, "inboxRate": None, "spamRate": None}
_STATISTICS: Final[dict[str, Any]] = {**_WARMUP, "mailboxId": _ID, "email": "sarah@company.com", **_MEASURED}

FORM: Final[dict[str, str]] = {
    "file": "email,password,smtphost,imaphost\nsarah@company.com,app-password-here,smtp.company.com,imap.company.com\n"
}
_REPORT: Final[dict[str, Any]] = {
    "imported": 45,
    "skipped": 3,
    "failed": 2,
    "errors": [
        {"email": "tom@company.com", "error": _TEST["error"]},
        {"email": "ann@company.com", "error": "Missing SMTP host or password"},
    ],
}

#: status -> code and text.
REFUSALS: Final[dict[int, tuple[str, str]]] = {
    400: ("VALIDATION_ERROR", "smtp.host: The field is missing"),
    401: (
        "UNAUTHORIZED",
        "The API key is unknown, has expired or was revoked. Ask those who manage your keys for a new one.",
    ),
    403: ("FORBIDDEN", "The API key lacks the scope accounts:write. Use a key that has it."),
    404: ("NOT_FOUND", "Mailbox not found"),
    409: ("CONFLICT", "Mailbox already exists"),
    413: ("PAYLOAD_TOO_LARGE", "The body is larger than 1,000,000 bytes. Send less in one request."),
    429: (
        "RATE_LIMITED",
        "There were too many requests within too short a time. Wait as many seconds as `Retry-After` says.",
    ),
    503: ("UNAVAILABLE", "The service is busy or restarting; nothing was stored. Send the same request again."),
}


def _done(data: Any, **members: Any) -> dict[str, Any]:
    return {"success": True, "data": data, **members}


def _request(value: Any) -> dict[str, Any]:
    return {"example": {"summary": "An example", "value": value}}


def _page(data: Any, limit: int) -> dict[str, Any]:
    pagination = {"page": 1, "limit": limit, "total": 1, "pages": 1, "nextCursor": None}
    return _done([data], pagination=pagination)


_UPDATE: Final = {"displayName": "Sarah J.", "dailySendLimit": 30, "sendingEnabled": True, "tags": ["outreach", "vip"]}
_NAME: Final = {"name": "Outreach"}
_BULK_RESULTS: Final = [{"mailboxId": _ID, "success": True, "error": None}]
_APPLIED: Final[dict[str, Any]] = {"200": _done(_SETTINGS)}

#: By operation id, then by status or `request`.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "sendkitCreateMailbox": {
        "request": _request(CREATE),
        "201": _done(
            CREATED,
            message="Mailbox queued for SMTP verification. Poll GET /v1/mailboxes/:id/connection-test until status is no "
            'longer "inactive".',
        ),
    },
    "sendkitListMailboxes": {"200": _page(MAILBOX, 25)},
    "sendkitConnectionTest": {"200": _done(_TEST)},
    "sendkitGetMailbox": {"200": _done(MAILBOX)},
    "sendkitMailboxHealth": {"200": _done(_HEALTH)},
    "sendkitUpdateMailbox": {
        "request": _request(_UPDATE),
        "200": _done({"_id": _ID, "email": "sarah@company.com", **_UPDATE, "updatedAt": _UPDATED_AT}),
    },
    "sendkitDeleteMailbox": {"200": _done({"message": "Mailbox removed"})},
    "sendkitImportSmtp": {"200": _done(_REPORT)},
    "sendkitImportOutlook": {"200": _done({**_REPORT, "imported": 47, "failed": 0, "errors": []})},
    "sendkitListWorkspaces": {"200": _page(_WORKSPACE, 1000)},
    "sendkitCreateWorkspace": {"request": _request(_NAME), "201": _done(_WORKSPACE)},
    "sendkitGetWorkspace": {"200": _done(_WORKSPACE)},
    "sendkitRenameWorkspace": {"request": _request(_NAME), "200": _done(_WORKSPACE)},
    "sendkitDeleteWorkspace": {"200": _done({"message": "Workspace removed"})},
    "sendkitAccount": {"200": _done(_ACCOUNT)},
    "sendkitWarmupConfig": _APPLIED,
    "sendkitUpdateWarmupConfig": {"request": _request(_CONFIG), **_APPLIED},
    "sendkitListWarmupStatistics": {
        "200": {
            **_page(_STATISTICS, 25),
            "summary": {"totalMailboxes": 1, "active": 1, "paused": 0, "notStarted": 0, **_MEASURED},
        }
    },
    "sendkitWarmupStatistics": {"200": _done(_STATISTICS)},
    "sendkitStartWarmup": {"request": _request(_CONFIG), **_APPLIED},
    "sendkitStopWarmup": _APPLIED,
    "sendkitPauseWarmup": _APPLIED,
    "sendkitResumeWarmup": _APPLIED,
    "sendkitBulkWarmup": {
        "request": _request({"operation": "start", "mailboxes": [_ID], "config": _CONFIG}),
        "200": _done({"operation": "start", "succeeded": 1, "failed": 0, "results": _BULK_RESULTS}),
    },
}
