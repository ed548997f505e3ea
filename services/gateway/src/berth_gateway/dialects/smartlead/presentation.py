"""From what is known of an account to what SmartLead's clients are shown."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from berth_events.contracts import Diagnosis, MailServer, Provider, Verification
from berth_gateway.accounts.schemas import instant
from berth_gateway.accounts.views import AccountView, Tag

__all__ = [
    "MASK",
    "detail",
    "listed",
    "oauth_saved",
    "reason",
    "saved",
    "tag",
    "user_number",
    "warmup_key",
]

#: Stands for every password: SmartLead shows them, Berth cannot.
MASK: Final = "********"
#: What is shown while nothing was set: the values of SmartLead's own examples.
_DAILY_LIMIT: Final = 50
_WAIT_MINUTES: Final = 5

_TYPES: Final[dict[Provider, str]] = {"gmail": "GMAIL", "outlook": "OUTLOOK", "custom": "SMTP"}
_PORT_TYPES: Final = {"tls": "SSL", "starttls": "TLS", "auto": "TLS"}
_TOKENS: Final = frozenset({"xoauth2", "oauthbearer"})
_REFUSED_TOKEN: Final = frozenset({"OAUTH_TOKEN_REJECTED", "AUTH_BAD_CREDENTIALS"})
#: The words of a key that nobody has chosen.
_FRUITS: Final = ("apple", "banana", "cherry", "date", "elder", "fig", "grape", "hazel")
_TREES: Final = ("ash", "birch", "cedar", "fir", "larch", "maple", "oak", "pine")


def user_number(project_id: UUID) -> int:
    """The number that stands for a project."""
    return project_id.int % (2**31 - 1) + 1


def warmup_key(view: AccountView) -> str:
    """The key that was set, or two words made of the account's number."""
    fruit, tree = _FRUITS[view.number % len(_FRUITS)], _TREES[view.number // len(_FRUITS) % len(_TREES)]
    return view.settings.warmup_key or f"{fruit}-{tree}"


def tag(label: Tag) -> dict[str, Any]:
    """A tag that an account carries, under the names of the documents (`id`) and of the product (`tag_id`)."""
    number, name, color = label.number, label.name, label.color
    return {"tag_id": number, "tag_name": name, "tag_color": color, "id": number, "name": name, "color": color}


def listed(view: AccountView, user: int, campaigns: Sequence[int]) -> dict[str, Any]:
    """An account in a list, without the ids of its campaigns."""
    created_at = instant(view.created_at)
    return {
        **_account(view, user, campaigns),
        "warmup_details": {
            "status": _warmup_status(view),
            "total_sent_count": 0,
            "total_spam_count": 0,
            "warmup_reputation": "0%",
            "warmup_key_id": view.number,
            "warmup_created_at": created_at,
            "reply_rate": view.settings.warmup_reply_rate or 0,
            "blocked_reason": None,
        },
    }


def detail(view: AccountView, user: int, campaigns: Sequence[int]) -> dict[str, Any]:
    """One account."""
    return {
        **_account(view, user, campaigns),
        "warmup_details": {
            "id": view.number,
            "status": _warmup_status(view),
            "created_at": instant(view.created_at),
            "reply_rate": view.settings.warmup_reply_rate or 0,
            "warmup_key_id": view.number,
            "blocked_reason": None,
            "total_sent_count": 0,
            "total_spam_count": 0,
            "warmup_max_count": view.settings.warmup_target or 0,
            "warmup_min_count": 0,
            "is_warmup_blocked": False,
            "max_email_per_day": _daily_limit(view),
            "warmup_reputation": "0%",
        },
        "campaign_ids": list(campaigns),
    }


def _account(view: AccountView, user: int, campaigns: Sequence[int]) -> dict[str, Any]:
    imap, smtp, settings = view.imap, view.smtp, view.settings
    imap_works, smtp_works = _works(view, "imap"), _works(view, "smtp")
    return {
        "id": view.number,
        "created_at": instant(view.created_at),
        "updated_at": instant(view.updated_at),
        "user_id": user,
        "from_name": f"{view.first_name} {view.last_name}".strip(),
        "from_email": view.address,
        "minTimeToWaitInMins": _WAIT_MINUTES if settings.wait_minutes is None else settings.wait_minutes,
        "username": smtp and smtp.username,
        "password": _mask(view, smtp),
        "smtp_host": smtp and smtp.host,
        "smtp_port": smtp and smtp.port,
        "smtp_port_type": smtp and _PORT_TYPES[smtp.security],
        "message_per_day": _daily_limit(view),
        "different_reply_to_address": settings.reply_to or None,
        "is_different_imap_account": bool(imap and smtp and imap.username != smtp.username),
        "imap_username": imap and imap.username,
        "imap_password": _mask(view, imap),
        "imap_host": imap and imap.host,
        "imap_port": imap and imap.port,
        "imap_port_type": imap and _PORT_TYPES[imap.security],
        "signature": view.signature or None,
        "custom_tracking_domain": settings.tracking_domain or None,
        "bcc_email": settings.bcc or None,
        "is_smtp_success": smtp_works,
        "is_imap_success": imap_works,
        "smtp_failure_error": None if smtp_works else _failure(view, "smtp"),
        "imap_failure_error": None if imap_works else _failure(view, "imap"),
        "type": _TYPES[view.provider],
        "daily_sent_count": 0,
        "client_id": settings.client_number,
        "campaign_count": len(campaigns),
        "is_connected_to_campaign": bool(campaigns),
        "is_suspended": view.suspended,
        "use_whitelabel_credentials": False,
        "expires_at": None,
        "tags": [tag(each) for each in view.tags],
    }


def saved(view: AccountView, *, updated: bool) -> dict[str, Any]:
    """The answer to `save` of a mailbox that works."""
    return {
        "ok": True,
        "message": f"Email account {'updated' if updated else 'added'} successfully",
        "data": {
            "id": view.number,
            "from_email": view.address,
            "is_smtp_success": True,
            "is_imap_success": True,
            "warmup_details": {
                "status": _warmup_status(view),
                "total_warmup_per_day": view.settings.warmup_target or 0,
            },
        },
        "emailAccountId": view.number,
        "warmupKey": warmup_key(view),
    }


def oauth_saved(view: AccountView, *, updated: bool) -> dict[str, Any]:
    """The answer to `save-oauth` of a token that works."""
    return {
        "ok": True,
        "message": f"OAuth account {'updated' if updated else 'added'} successfully",
        "data": {
            "id": view.number,
            "from_email": view.address,
            "type": _TYPES[view.provider],
            "is_smtp_success": True,
            "is_imap_success": True,
        },
        "emailAccountId": view.number,
        "warmupKey": warmup_key(view),
    }


def reason(verification: Verification, number: int, *, token: bool) -> dict[str, Any]:
    """The answer to a save of a mailbox that does not work; it is kept nevertheless.

    Args:
        verification: what was found.
        number: of the account.
        token: an access token was to be proven.
    """
    imap_only = verification.smtp is not False and verification.imap is False
    message = f"{'IMAP' if imap_only else 'SMTP'} connection failed"
    failed = verification.diagnosis
    if token and failed is not None and failed.code in _REFUSED_TOKEN:
        message = "Invalid or expired OAuth token"
    return {
        "ok": False,
        "message": message,
        "error": _sentence(_of_protocol(verification, "imap" if imap_only else "smtp") or failed),
        "errorCode": "ACCOUNT_VERIFICATION_FAILED",
        "emailAccountId": number,
    }


def _of_protocol(verification: Verification, protocol: str) -> Diagnosis | None:
    """The first failure of a protocol; of what both need before, too."""
    other = {"imap": "smtp", "smtp": "imap"}[protocol]
    failures = (step.diagnosis for step in verification.steps if step.outcome == "failed" and step.protocol != other)
    return next((diagnosis for diagnosis in failures if diagnosis is not None), None)


def _sentence(diagnosis: Diagnosis | None) -> str:
    if diagnosis is None:
        return "The connection could not be verified."
    return f"{diagnosis.meaning.rstrip('.')}. {diagnosis.remedy}"


def _works(view: AccountView, protocol: str) -> bool:
    proven: bool | None = getattr(view.proof, protocol) if view.proof else None
    return view.status == "connected" if proven is None else proven


def _failure(view: AccountView, protocol: str) -> str | None:
    """Why a protocol does not work; None while nothing is known."""
    if view.proof is None:
        return None
    return _sentence(getattr(view.proof, f"{protocol}_diagnosis") or view.proof.diagnosis)


def _mask(view: AccountView, server: MailServer | None) -> str | None:
    oauth = view.workspace_id is not None or (server is not None and server.mechanism in _TOKENS)
    return None if server is None or oauth else MASK


def _daily_limit(view: AccountView) -> int:
    return _DAILY_LIMIT if view.settings.daily_limit is None else view.settings.daily_limit


def _warmup_status(view: AccountView) -> str:
    if not view.settings.warmup_enabled:
        return "INACTIVE"
    return "PAUSED" if view.suspended or view.settings.warmup_paused else "ACTIVE"


def warmup_stats(number: int, days: Sequence[str]) -> dict[str, Any]:
    """Both generations' statistics of a warm-up that does not take place."""
    return {
        "id": number,
        "sent_count": "0",
        "spam_count": "0",
        "inbox_count": "0",
        "warmup_email_received_count": "0",
        "stats_by_date": [
            {"id": place, "date": day, "sent_count": 0, "reply_count": 0, "save_from_spam_count": 0}
            for place, day in enumerate(days, 1)
        ],
        "total_sent": 0,
        "reputation_score": 0,
        "daily_stats": [{"date": day, "sent": 0, "spam": 0, "delivered": 0, "opened": 0, "replied": 0} for day in days],
    }
