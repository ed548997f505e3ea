"""Between MailReach's forms and ours."""

from datetime import datetime
from typing import Final, Literal, TypeVar
from uuid import UUID

from berth_events.contracts import AccountSettings, Provider, Verification
from berth_gateway.accounts.addresses import InvalidAddress, MailAddress
from berth_gateway.accounts.mailboxes import Change, Mailbox
from berth_gateway.accounts.presentation import domain_resource
from berth_gateway.accounts.servers import PROVIDER_SERVERS, NamedServer, ServerVetting, default_security
from berth_gateway.accounts.views import AccountView, Audit
from berth_gateway.dialects.mailreach.account_schemas import AccountUpdate
from berth_gateway.dialects.mailreach.schemas import (
    Account,
    AccountDomain,
    DryRunAccount,
    ImapAuthError,
    ImapAuthRequest,
    Tag,
)
from berth_gateway.errors import FieldFault, InvalidFields
from berth_vault import Credential, SecretName

__all__ = ["account", "change_of", "dry_run_account", "error_of", "error_text", "mailbox_of"]

_DEFAULT_PORTS: Final = {"imap": 993, "smtp": 587}
_SENDING_PROVIDERS: Final[dict[Provider, str | None]] = {"gmail": "google", "outlook": "microsoft", "custom": None}

Protocol = Literal["imap", "smtp"]
V = TypeVar("V")


async def mailbox_of(request: ImapAuthRequest, vetting: ServerVetting) -> Mailbox:
    """Fill in the provider's servers and the defaults, and vet the servers.

    Raises:
        InvalidFields: all faults; each field by its name in MailReach's API.
    """
    faults: list[FieldFault] = []
    address = _address(request, faults)
    protocols: list[Protocol] = ["smtp"] if request.smtp_only else ["imap", "smtp"]
    servers: dict[Protocol, NamedServer] = {}
    secrets: dict[SecretName, str] = {}
    for protocol in protocols:
        optional = protocol == "imap" and request.imap_issue
        server = _server(request, protocol)
        secret = getattr(request, f"{protocol}_server_password") or request.password
        if server is None and not optional:
            faults.append(_missing(f"{protocol}_server"))
        if secret is None and not optional:
            faults.append(_missing(f"{protocol}_server_password"))
        if server is not None and secret is not None:
            servers[protocol] = server
            secrets["imap_password" if protocol == "imap" else "smtp_password"] = secret.get_secret_value()
    vetted, refused = await vetting.vet(list(servers.values()))
    if faults or refused or address is None:
        raise InvalidFields([*faults, *refused])
    by_protocol = dict(zip(servers, vetted, strict=True))
    return Mailbox(
        address=address,
        imap=by_protocol.get("imap"),
        smtp=by_protocol["smtp"],
        credential=Credential(secrets),
        imap_issue=request.imap_issue,
    )


def account(view: AccountView, *, proven: bool = False) -> Account:
    """The account with every documented key: settings as they are stored, measurements of a warm-up network null or zero.

    Args:
        view: what is known.
        proven: it was just now, even if that is not in the view yet.
    """
    settings, checkup = view.settings, view.checkup
    works = proven or view.status == "connected"
    return Account(
        id=view.number,
        created_at=view.created_at,
        email=view.address,
        first_name=view.first_name,
        last_name=view.last_name,
        provider=view.provider,
        alive=works and settings.alive is not False and not view.suspended,
        suspended=view.suspended,
        warming_enabled=bool(settings.warmup_enabled) and view.seat_kind != "spam_check",
        spamchecker_enabled=view.seat_kind == "spam_check",
        config_rampup_target=_given(settings.warmup_target, 25),
        config_rampup_increase=_given(settings.warmup_increase, 2),
        config_max_conversation_running=_given(settings.warmup_conversations, 10),
        config_smtp_append_after_sent=_given(settings.append_sent, default=True),
        time_zone=view.time_zone,
        autopilot=_given(settings.autopilot, default=True),
        has_refresh_token=view.workspace_id is not None,
        imap_issue=view.imap_issue,
        detected_sending_provider=(checkup and checkup.provider) or _SENDING_PROVIDERS[view.provider],
        sending_reverse_dns_value=checkup and checkup.reverse_dns,
        sending_ip=checkup and checkup.sending_ip,
        signature=view.signature,
        tags=[Tag(id=tag.number, name=tag.name) for tag in view.tags],
        domain=_domain(view.domain, view.domain_number, view.created_at, view.audit),
    )


def change_of(request: AccountUpdate) -> Change:
    """The change that an update asks for."""
    return Change(
        first_name=request.first_name,
        last_name=request.last_name,
        imap_issue=request.imap_issue,
        signature=request.signature,
        time_zone=request.time_zone,
        settings=AccountSettings(
            alias=request.alias,
            description=request.desc,
            alive=request.alive,
            autopilot=request.autopilot,
            append_sent=request.config_smtp_append_after_sent,
            warmup_target=request.config_rampup_target,
            warmup_increase=request.config_rampup_increase,
            warmup_conversations=request.config_max_conversation_running,
        ),
    )


def _given(value: V | None, default: V) -> V:
    return default if value is None else value


def dry_run_account(request: ImapAuthRequest, mailbox: Mailbox, audit: Audit | None, now: datetime) -> DryRunAccount:
    """The account that the request would make, of a mailbox that works.

    Args:
        request: what was sent.
        mailbox: what was verified.
        audit: of the domain, when there is one.
        now: the time.
    """
    return DryRunAccount(
        id=request.id or 0,
        created_at=now,
        email=mailbox.address.text,
        first_name=request.first_name,
        last_name=request.last_name,
        provider=request.provider,
        alive=True,
        suspended=False,
        spamchecker_enabled=request.spamchecker_only,
        imap_issue=request.imap_issue,
        detected_sending_provider=_SENDING_PROVIDERS[request.provider],
        domain=_domain(mailbox.address.domain, 0, now, audit),
        imap_auth_success=True,
        smtp_auth_success=True,
    )


def error_of(mailbox: Mailbox, verification: Verification, request_id: UUID) -> ImapAuthError:
    """Why the mailbox does not work. IMAP that was not to be tried counts as working."""
    diagnosis = verification.diagnosis
    return ImapAuthError(
        imap_auth_success=mailbox.tried_imap is None or verification.imap is True,
        smtp_auth_success=verification.smtp is True,
        error=error_text(diagnosis.meaning, diagnosis.remedy) if diagnosis else error_text(None, None),
        diagnosis=diagnosis,
        request_id=request_id,
    )


def error_text(meaning: str | None, remedy: str | None) -> str:
    """What is wrong and what mends it, in one text."""
    if not meaning:
        return "The mailbox could not be verified."
    return f"{meaning.rstrip('.')}. {remedy}" if remedy else meaning


def _address(request: ImapAuthRequest, faults: list[FieldFault]) -> MailAddress | None:
    try:
        return MailAddress.parse(request.email)
    except InvalidAddress as error:
        faults.append(FieldFault("email", str(error), "Write it as name@example.com."))
        return None


def _missing(field: str) -> FieldFault:
    return FieldFault(field, "The field is missing.", "Add it.")


def _server(request: ImapAuthRequest, protocol: Protocol) -> NamedServer | None:
    known_host, known_port = PROVIDER_SERVERS[request.provider].get(protocol, (None, _DEFAULT_PORTS[protocol]))
    host: str | None = getattr(request, f"{protocol}_server") or known_host
    if host is None:
        return None
    port: int = getattr(request, f"{protocol}_server_port") or known_port
    return NamedServer(
        host=host,
        port=port,
        security=default_security(port),
        username=getattr(request, f"{protocol}_server_username") or request.email.strip(),
        mechanism=(protocol == "smtp" and request.smtp_server_auth_type) or "auto",
        host_field=f"{protocol}_server",
        port_field=f"{protocol}_server_port",
    )


def _domain(domain: str, number: int, created_at: datetime, audit: Audit | None) -> AccountDomain:
    shown = domain_resource(domain, audit)
    registration = audit.definite.registration if audit else None
    web = audit.definite.web if audit else None
    return AccountDomain(
        id=number,
        created_at=created_at,
        updated_at=shown.last_check_at or created_at,
        domain=domain,
        last_check_at=shown.last_check_at,
        spf_valid=shown.spf_valid,
        spf_value=shown.spf_value,
        dkim_valid=shown.dkim_valid,
        dkim_selector=shown.dkim_selector,
        dkim_value=shown.dkim_value,
        dmarc_valid=shown.dmarc_valid,
        dmarc_value=shown.dmarc_value,
        mx_records=shown.mx_records,
        creation_date=registration and registration.created_at,
        expire_at=registration and registration.expires_at,
        domain_http_response=web and web.http,
        domain_https=web and web.https,
        avg_score=audit.definite.health_score if audit else None,
    )
