"""The examples of the OpenAPI document. A test holds each against its model."""

from typing import Any, Final

from berth_gateway.dialects.smartlead.presentation import MASK

__all__ = ["DETAIL", "EXAMPLES", "LISTED", "OAUTH", "SAVE", "SAVED"]

_TAG: Final[dict[str, Any]] = {"id": 10, "name": "Winners", "color": "#B1FCCF"}
_CARRIED_TAG: Final[dict[str, Any]] = {"tag_id": 10, "tag_name": "Winners", "tag_color": "#B1FCCF", **_TAG}

SAVE: Final[dict[str, Any]] = {
    "from_name": "John Doe",
    "from_email": "john@example.com",
    "user_name": "john@example.com",
    "password": "s3cret",
    "smtp_host": "smtp.example.com",
    "smtp_port": 587,
    "imap_host": "imap.example.com",
    "imap_port": 993,
    "warmup_enabled": True,
    "total_warmup_per_day": 20,
    "daily_rampup": 2,
    "max_email_per_day": 50,
    "time_to_wait_in_mins": 5,
    "type": "SMTP",
}
OAUTH: Final[dict[str, Any]] = {
    "from_name": "John Doe",
    "from_email": "john@gmail.com",
    "username": "john@gmail.com",
    "type": "GMAIL",
    "token": {
        "scope": "https://mail.google.com/",
        "token_type": "Bearer",
        "access_token": "ya29.a0",
        "refresh_token": "1//0g",
        "expiry_date": 1795264200000,
    },
    "warmup_enabled": True,
    "use_whitelabel_credentials": False,
}
SAVED: Final[dict[str, Any]] = {
    "ok": True,
    "message": "Email account added successfully",
    "data": {
        "id": 123,
        "from_email": "john@example.com",
        "is_smtp_success": True,
        "is_imap_success": True,
        "warmup_details": {"status": "ACTIVE", "total_warmup_per_day": 20},
    },
    "emailAccountId": 123,
    "warmupKey": "date-oak",
}
_OAUTH_SAVED: Final[dict[str, Any]] = {
    "ok": True,
    "message": "OAuth account added successfully",
    "data": {
        "id": 123,
        "from_email": "john@gmail.com",
        "type": "GMAIL",
        "is_smtp_success": True,
        "is_imap_success": True,
    },
    "emailAccountId": 123,
    "warmupKey": "date-oak",
}
_ACCOUNT: Final[dict[str, Any]] = {
    "id": 123,
    "created_at": "2026-11-21T09:30:00.000Z",
    "updated_at": "2026-11-21T09:30:02.115Z",
    "user_id": 456,
    "from_name": "John Doe",
    "from_email": "john@example.com",
    "minTimeToWaitInMins": 5,
    "username": "john@example.com",
    "password": MASK,
    "smtp_host": "smtp.example.com",
    "smtp_port": 587,
    "smtp_port_type": "TLS",
    "message_per_day": 50,
    "different_reply_to_address": None,
    "is_different_imap_account": False,
    "imap_username": "john@example.com",
    "imap_password": MASK,
    "imap_host": "imap.example.com",
    "imap_port": 993,
    "imap_port_type": "SSL",
    "signature": "<p>Best regards,<br>John</p>",
    "custom_tracking_domain": None,
    "bcc_email": None,
    "is_smtp_success": True,
    "is_imap_success": True,
    "smtp_failure_error": None,
    "imap_failure_error": None,
    "type": "SMTP",
    "daily_sent_count": 0,
    "client_id": None,
    "campaign_count": 1,
    "is_connected_to_campaign": True,
    "is_suspended": False,
    "use_whitelabel_credentials": False,
    "expires_at": None,
    "tags": [_CARRIED_TAG],
}
LISTED: Final[dict[str, Any]] = {
    **_ACCOUNT,
    "warmup_details": {
        "status": "ACTIVE",
        "total_sent_count": 0,
        "total_spam_count": 0,
        "warmup_reputation": "0%",
        "warmup_key_id": 123,
        "warmup_created_at": "2026-11-21T09:30:00.000Z",
        "reply_rate": 30,
        "blocked_reason": None,
    },
    "campaign_ids": [101],
}
DETAIL: Final[dict[str, Any]] = {
    **_ACCOUNT,
    "warmup_details": {
        "id": 123,
        "status": "ACTIVE",
        "created_at": "2026-11-21T09:30:00.000Z",
        "reply_rate": 30,
        "warmup_key_id": 123,
        "blocked_reason": None,
        "total_sent_count": 0,
        "total_spam_count": 0,
        "warmup_max_count": 20,
        "warmup_min_count": 0,
        "is_warmup_blocked": False,
        "max_email_per_day": 50,
        "warmup_reputation": "0%",
    },
    "campaign_ids": [101],
}
_STATS: Final[dict[str, Any]] = {
    "id": 123,
    "sent_count": "0",
    "spam_count": "0",
    "inbox_count": "0",
    "warmup_email_received_count": "0",
    "stats_by_date": [
        {"id": 1, "date": "2026-11-15", "sent_count": 0, "reply_count": 0, "save_from_spam_count": 0},
    ],
    "total_sent": 0,
    "reputation_score": 0,
    "daily_stats": [{"date": "2026-11-15", "sent": 0, "spam": 0, "delivered": 0, "opened": 0, "replied": 0}],
}


def _said(text: str) -> dict[str, Any]:
    return {"ok": False, "message": text, "error": text}


_NOT_FOUND: Final[dict[str, Any]] = {
    "ok": False,
    "message": "Email account not found!",
    "error": "Email account not found",
    "errorCode": "ACCOUNT_NOT_FOUND",
    "emailAccountId": 123,
}
_LIMIT: Final = "Too many requests. Please retry after 30 seconds."
_REFUSALS: Final[dict[str, Any]] = {
    "400": _said(
        "The API key belongs to an organization. Say with `X-Project-Id` which of its projects the request is for."
    ),
    "401": {"message": "Invalid API Key"},
    "403": _said("The API key lacks the scope accounts:write. Use a key that has it."),
    "404": _NOT_FOUND,
    "413": _said("The body is larger than 1,000,000 bytes. Send less in one request."),
    "422": _said("from_name is required"),
    "429": {"message": _LIMIT, "error": {"code": "RATE_LIMIT_EXCEEDED", "message": _LIMIT, "retry_after": 30}},
    "500": _said("The service made a mistake; nothing was stored. Report it with the request_id."),
    "503": _said("The service is busy or restarting; nothing was stored. Send the same request again."),
}
_FAILED: Final[dict[str, Any]] = {
    "400": {
        "ok": False,
        "message": "SMTP connection failed",
        "error": "User name or password refused. Check the password; otherwise use an app password or OAuth",
        "errorCode": "ACCOUNT_VERIFICATION_FAILED",
        "emailAccountId": 123,
    },
    "504": _said(
        "The verification takes longer than usual and goes on. Send the same request again: it waits for the same result."
    ),
}
_EXPIRED: Final[dict[str, Any]] = {
    **_FAILED,
    "400": {
        "ok": False,
        "message": "Invalid or expired OAuth token",
        "error": "The mail server refuses the token. One fresh token, then check subject, scope or role",
        "errorCode": "ACCOUNT_VERIFICATION_FAILED",
        "emailAccountId": 123,
    },
}
_TAG_NAME: Final = {
    "409": _said("The project has a tag of this name already, in this or another case. Use that tag, or another name."),
    "404": _said("Tag not found"),
}


def _mapped(message: str, done: str) -> dict[str, Any]:
    summary = {"total_processed": 1, done: 1, "skipped": 0, "failed": 0}
    return {"ok": True, "success": True, "message": message, "data": {"summary": summary}}


_SUSPENDED: Final = {"400": {"success": False, **_said("Invalid email account id")}}


def _call(answer: Any, request: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    named = {} if request is None else {"request": {"example": {"summary": "An example", "value": request}}}
    return {**named, "200": answer, **_REFUSALS, **more}


def _suspension(*, suspended: bool) -> dict[str, Any]:
    message = f"Email account {'suspended' if suspended else 'unsuspended'} successfully"
    answer = {"success": True, "message": message, "data": {"accountId": 123, "isSuspended": suspended}}
    return _call(answer, **_SUSPENDED)


_UPDATE: Final = _call(
    {"ok": True, "message": "Email account updated successfully", "emailAccountId": 123},
    {"max_email_per_day": 40, "signature": "<p>John</p>", "is_suspended": False},
)
_ACCOUNTS: Final = {"email_account_ids": [123]}

#: By operation id, then by status or `request`.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "smartleadSave": _call(SAVED, SAVE, **_FAILED),
    "smartleadSaveOauth": _call(_OAUTH_SAVED, OAUTH, **_EXPIRED),
    "smartleadList": _call([LISTED]),
    "smartleadReconnectFailed": _call(
        {
            "ok": True,
            "message": "Email account(s) added to the queue to reconnect. We will send you an email once completed.",
        },
        {},
        **{
            "404": {"ok": True, "message": "No failed email account found!"},
            "406": {"ok": True, "message": "Bulk reconnect API cannot be consumed more than 3 times a day"},
        },
    ),
    "smartleadSuspend": _suspension(suspended=True),
    "smartleadUnsuspend": _suspension(suspended=False),
    "smartleadUnsuspendByPut": _suspension(suspended=False),
    "smartleadGet": _call(DETAIL),
    "smartleadUpdate": _UPDATE,
    "smartleadUpdateByPatch": _UPDATE,
    "smartleadDelete": _call({"ok": True, "message": "Email account deleted successfully!", "emailAccountId": 123}),
    "smartleadWarmup": _call(
        {
            "ok": True,
            "message": "Warmup settings updated successfully",
            "emailAccountId": 123,
            "warmupKey": "date-oak",
        },
        {"warmup_enabled": True, "total_warmup_per_day": 35, "daily_rampup": 5, "reply_rate_percentage": 30},
    ),
    "smartleadWarmupStats": _call(_STATS),
    "smartleadTags": _call({"ok": True, "data": [_TAG]}),
    "smartleadCreateTag": _call({"ok": True, "data": _TAG}, {"name": "Winners", "color": "#B1FCCF"}, **_TAG_NAME),
    "smartleadUpdateTag": _call({"ok": True, "data": _TAG}, _TAG, **_TAG_NAME),
    "smartleadTagList": _call(
        {
            "ok": True,
            "data": [
                {
                    "email_account_id": 123,
                    "from_email": "john@example.com",
                    "email_id": "john@example.com",
                    "tags": [_CARRIED_TAG],
                }
            ],
        },
        {"email_ids": ["john@example.com"]},
    ),
    "smartleadAddTags": _call(
        _mapped("Tags added to email accounts successfully", "created"), {**_ACCOUNTS, "tag_ids": [10]}
    ),
    "smartleadRemoveTags": _call(
        _mapped("Tags removed from email accounts successfully", "deleted"), {**_ACCOUNTS, "tag_ids": [10]}
    ),
    "smartleadCampaignAccounts": _call([LISTED]),
    "smartleadAddCampaignAccounts": _call(
        {
            "ok": True,
            "result": [
                {
                    "id": 1,
                    "email_campaign_id": 101,
                    "email_account_id": 123,
                    "updated_at": "2026-11-21T09:31:00.000Z",
                }
            ],
        },
        _ACCOUNTS,
    ),
    "smartleadRemoveCampaignAccounts": _call({"ok": True, "result": 1}, _ACCOUNTS),
}
