"""From what is known of accounts and projects to what SendKit's clients see."""

from typing import Any, Final, Literal

from berth_events.contracts import Diagnosis, MailServer
from berth_gateway.accounts.servers import default_security
from berth_gateway.accounts.views import AccountView
from berth_gateway.dialects.sendkit import repository
from berth_gateway.dialects.sendkit.ids import short
from berth_gateway.dialects.sendkit.schemas import (
    ConnectionTest,
    CreatedMailbox,
    Dkim,
    DnsReport,
    Exchange,
    Health,
    Mailbox,
    MailboxStatus,
    Mx,
    Record,
    SetupState,
    SetupStatus,
    UpdatedMailbox,
    Warmup,
    WarmupConfig,
    WarmupSettings,
    WarmupState,
    WarmupStatistics,
    Workspace,
    WorkspaceUsage,
)

__all__ = [
    "connection_test",
    "created",
    "health",
    "mailbox",
    "reason",
    "updated",
    "warmup_settings",
    "warmup_statistics",
    "workspace",
]

#: What is shown of settings that were never set.
_DAILY_LIMIT: Final = 15
_WARMUP: Final = WarmupConfig(starting_volume=5, daily_increase=2, target_volume=25)


def status_of(view: AccountView) -> MailboxStatus:
    """SendKit's word: a mailbox that goes when it does not work is inactive until that is known."""
    if view.suspended:
        return "suspended"
    undecided = view.on_failure == "remove"
    match view.status:
        case "connected":
            return "active"
        case "disconnected":
            return "error"
        case "failed":
            return "inactive" if undecided else "failed"
        case "pending":
            return "inactive" if undecided else "pending"


def created(view: AccountView) -> CreatedMailbox:
    """A mailbox as it was when it was added."""
    added: dict[str, Any] = {"status": "inactive", "sending_enabled": False, "updated_at": view.created_at}
    return CreatedMailbox(**{**_common(view), **added})


def mailbox(view: AccountView) -> Mailbox:
    """A mailbox."""
    dns = _dns(view)
    return Mailbox(
        **_common(view),
        warmup=_warmup(view),
        setup_status=SetupStatus(
            health_score=dns.health_score,
            mx=SetupState(status=dns.mx.status),
            spf=SetupState(status=dns.spf.status),
            dkim=SetupState(status=dns.dkim.status),
            dmarc=SetupState(status=dns.dmarc.status),
        ),
        last_error=_last_error(view),
    )


def updated(view: AccountView) -> UpdatedMailbox:
    """What may be changed of a mailbox."""
    known = _common(view)
    return UpdatedMailbox(**{name: known[name] for name in UpdatedMailbox.model_fields})


def health(view: AccountView) -> Health:
    """How a mailbox is."""
    known = _common(view)
    taken = ("email", "status", "sending_enabled", "daily_send_limit")
    return Health(
        **{name: known[name] for name in taken}, dns=_dns(view), warmup=_warmup(view), last_error=_last_error(view)
    )


def connection_test(view: AccountView) -> ConnectionTest:
    """What the first verification said, or says; also of a mailbox that is not there any more."""
    gone = view.removed_reason is not None
    undecided = view.on_failure == "remove" and not gone
    if view.status == "connected":
        return ConnectionTest(status="passed", tested_at=view.verified_at)
    if view.status == "pending" and gone:
        return ConnectionTest(status="failed", error="The mailbox was deleted before it was verified.")
    if view.status == "pending" or (view.status == "failed" and undecided):
        return ConnectionTest(status="pending")
    diagnosis = view.proof.diagnosis if view.proof else None
    return ConnectionTest(status="failed", error=reason(diagnosis), diagnosis=diagnosis, tested_at=view.verified_at)


def reason(diagnosis: Diagnosis | None) -> str:
    """A diagnosis in two sentences."""
    if diagnosis is None:
        return "The mailbox could not be verified."
    return f"{diagnosis.meaning.rstrip('.')}. {diagnosis.remedy}"


def warmup_settings(view: AccountView) -> WarmupSettings:
    """How a mailbox is to be warmed."""
    warmup = _warmup(view)
    return WarmupSettings(
        mailbox_id=short(view.account_id),
        enabled=warmup.enabled,
        status=warmup.status,
        **warmup.config.model_dump(by_alias=False),
    )


def warmup_statistics(view: AccountView) -> WarmupStatistics:
    """What the warm-up of a mailbox did."""
    warmup = _warmup(view)
    return WarmupStatistics(
        mailbox_id=short(view.account_id),
        email=_email(view),
        enabled=warmup.enabled,
        status=warmup.status,
        config=warmup.config,
    )


def workspace(found: repository.Workspace) -> Workspace:
    """A workspace."""
    return Workspace(
        id=short(found.project_id),
        name=found.name,
        owner_id=short(found.organization_id),
        usage=WorkspaceUsage(total_mailboxes=found.mailboxes),
        created_at=found.created_at,
    )


def _common(view: AccountView) -> dict[str, Any]:
    """The fields of the models by their names in Python."""
    status = status_of(view)
    local, _, _ = _email(view).rpartition("@")
    limit = view.settings.daily_limit
    return {
        "id": short(view.account_id),
        "email": _email(view),
        "display_name": f"{view.first_name} {view.last_name}".strip() or local,
        "provider": _provider(view),
        "status": status,
        "connection_type": "oauth" if view.workspace_id else "smtp",
        "daily_send_limit": _DAILY_LIMIT if limit is None else limit,
        "sending_enabled": status == "active" and view.settings.sending_enabled is not False,
        "signature": view.signature,
        "tags": [tag.name for tag in view.tags],
        **_server("smtp", view.smtp),
        **_server("imap", None if view.imap_issue else view.imap),
        "created_at": view.created_at,
        "updated_at": view.updated_at,
    }


def _email(view: AccountView) -> str:
    return view.address.lower()


def _provider(view: AccountView) -> Literal["gmail", "outlook", "azure", "custom"]:
    return "azure" if view.provider == "outlook" and view.workspace_id else view.provider


def _server(protocol: str, server: MailServer | None) -> dict[str, Any]:
    if server is None:
        return dict.fromkeys([f"{protocol}_host", f"{protocol}_port", f"{protocol}_secure"])
    # `secure: false` was kept as `auto` where the port would have said more: see translation.security_of
    secure = server.security != "auto" or default_security(server.port) == "auto"
    return {f"{protocol}_host": server.host, f"{protocol}_port": server.port, f"{protocol}_secure": secure}


def _last_error(view: AccountView) -> str | None:
    if view.status not in {"failed", "disconnected"}:
        return None
    return reason(view.proof.diagnosis if view.proof else None)


def _warmup(view: AccountView) -> Warmup:
    settings = view.settings
    status: WarmupState = "not_started"
    if settings.warmup_enabled:
        status = "paused" if settings.warmup_paused else "active"
    config = {
        "starting_volume": settings.warmup_initial,
        "daily_increase": settings.warmup_increase,
        "target_volume": settings.warmup_target,
    }
    kept = {name: value for name, value in config.items() if value is not None}
    return Warmup(enabled=bool(settings.warmup_enabled), status=status, config=_WARMUP.model_copy(update=kept))


def _dns(view: AccountView) -> DnsReport:
    """The last definite answers."""
    if view.audit is None:
        return DnsReport(
            mx=Mx(status="unknown", records=[]),
            spf=Record(status="unknown", record=None),
            dkim=Dkim(status="unknown", selector=None, record=None),
            dmarc=Record(status="unknown", record=None),
            health_score=None,
        )
    found = view.audit.definite
    exchanges = {(record.host, record.preference): None for record in found.mx.records}  # one row per address
    return DnsReport(
        mx=Mx(
            status=found.mx.state,
            records=[Exchange(exchange=host, priority=preference) for host, preference in exchanges],
        ),
        spf=Record(status=found.spf.state, record=found.spf.value),
        dkim=Dkim(status=found.dkim.state, selector=found.dkim.selector, record=found.dkim.value),
        dmarc=Record(status=found.dmarc.state, record=found.dmarc.value),
        health_score=view.audit.health,
    )
