"""Between SmartLead's forms and ours."""

from typing import Final, Literal

from berth_events.contracts import AccountSettings, Provider
from berth_gateway.accounts.addresses import InvalidAddress, MailAddress
from berth_gateway.accounts.listing import AccountFilter
from berth_gateway.accounts.mailboxes import Change, Mailbox
from berth_gateway.accounts.servers import PROVIDER_SERVERS, NamedServer, ServerVetting, default_security
from berth_gateway.dialects.smartlead.presentation import MASK
from berth_gateway.dialects.smartlead.refusals import invalid
from berth_gateway.dialects.smartlead.requests import (
    ListQuery,
    SaveOAuthRequest,
    SaveRequest,
    UpdateRequest,
    WarmupRequest,
)
from berth_gateway.errors import InvalidFields
from berth_vault import Credential

__all__ = ["change_of", "filter_of", "mailbox_of", "names_of", "provider_of", "saved_change_of", "warmup_change_of"]

Protocol = Literal["imap", "smtp"]
Security = Literal["tls", "starttls", "auto"]

_PROVIDERS: Final[dict[str, Provider]] = {"GMAIL": "gmail", "OUTLOOK": "outlook"}
#: What the port's type says on a port that is not one of the usual; "TLS" may be either, so it is found out.
_SECURITIES: Final[dict[str | None, Security]] = {"SSL": "tls", "STARTTLS": "starttls"}


def provider_of(kind: str | None) -> Provider:
    """Ours for `type`."""
    return _PROVIDERS.get(kind or "", "custom")


def names_of(from_name: str) -> tuple[str, str]:
    """First and last name: the text before the first blank, and the rest. Joined by it they are the text again."""
    first, _, last = from_name.strip().partition(" ")
    return first, last


async def mailbox_of(form: SaveRequest | SaveOAuthRequest, vetting: ServerVetting) -> Mailbox:
    """The mailbox that the form is about, with its servers vetted.

    Raises:
        Refused: faults of the fields.
        InvalidFields: servers that are refused.
    """
    secrets = _secrets_of(form)
    try:
        address = MailAddress.parse(form.from_email)
    except InvalidAddress:
        raise invalid(["from_email must be a valid email"]) from None
    servers, refused = await vetting.vet([_server(form, "imap"), _server(form, "smtp")])
    if refused:
        raise InvalidFields(refused)
    imap, smtp = servers
    return Mailbox(address=address, imap=imap, smtp=smtp, credential=secrets)


def _secrets_of(form: SaveRequest | SaveOAuthRequest) -> Credential:
    """The passwords, or the access token in the place of both."""
    if form.token is not None:
        token = form.token.access_token.get_secret_value()
        return Credential({"imap_password": token, "smtp_password": token})
    if not isinstance(form, SaveRequest) or form.password is None:
        raise invalid(["password is required"])
    for name, secret in (("password", form.password), ("imap_password", form.imap_password)):
        if secret is not None and secret.get_secret_value() == MASK:
            raise invalid([f"{name} is the mask that is shown instead of passwords"])
    imap = form.imap_password or form.password
    return Credential({"imap_password": imap.get_secret_value(), "smtp_password": form.password.get_secret_value()})


def _server(form: SaveRequest | SaveOAuthRequest, protocol: Protocol) -> NamedServer:
    provider = provider_of(form.type)
    known_host, known_port = PROVIDER_SERVERS[provider].get(protocol, ("", 0))
    port: int = getattr(form, f"{protocol}_port") or known_port
    security = default_security(port)
    if security == "auto":
        security = _SECURITIES.get(getattr(form, f"{protocol}_port_type"), "auto")
    user = form.user_name or form.from_email.strip()
    return NamedServer(
        host=getattr(form, f"{protocol}_host") or known_host,
        port=port,
        security=security,
        username=(protocol == "imap" and form.imap_user_name) or user,
        mechanism="auto" if form.token is None else "xoauth2",
        host_field=f"{protocol}_host",
        port_field=f"{protocol}_port",
    )


def saved_change_of(form: SaveRequest | SaveOAuthRequest) -> Change:
    """What `save` sets besides servers, secrets and name."""
    return Change(
        signature=form.signature,
        settings=AccountSettings(
            **_settings_of(form),
            warmup_enabled=form.warmup_enabled,
            warmup_target=form.total_warmup_per_day,
            warmup_increase=form.daily_rampup,
            warmup_reply_rate=form.reply_rate_percentage,
        ),
    )


def change_of(form: UpdateRequest) -> Change:
    """What an update sets."""
    first, last = (None, None) if form.from_name is None else names_of(form.from_name)
    return Change(
        first_name=first, last_name=last, signature=form.signature, settings=AccountSettings(**_settings_of(form))
    )


def warmup_change_of(form: WarmupRequest) -> Change:
    """What the warm-up call sets."""
    return Change(
        settings=AccountSettings(
            warmup_enabled=form.warmup_enabled,
            warmup_target=form.total_warmup_per_day,
            warmup_increase=form.daily_rampup,
            warmup_reply_rate=form.reply_rate_percentage,
            warmup_key=form.warmup_key_id,
            warmup_auto_adjust=form.auto_adjust_warmup,
            warmup_rampup=form.is_rampup_enabled,
        )
    )


def _settings_of(form: SaveRequest | SaveOAuthRequest | UpdateRequest) -> dict[str, int | str | None]:
    return {
        "daily_limit": form.max_email_per_day,
        "tracking_domain": form.custom_tracking_url,
        "bcc": form.bcc,
        "client_number": form.client_id,
        "wait_minutes": form.time_to_wait_in_mins,
        "reply_to": form.different_reply_to_address,
    }


def filter_of(query: ListQuery) -> AccountFilter:
    """Which accounts a list is of."""
    provider = None if query.esp is None else [provider_of(query.esp)]
    return AccountFilter(
        # nobody is ever blocked: Berth does not warm up
        providers=[] if query.is_warmup_blocked else provider,
        username=query.username,
        smtp_works=query.is_smtp_success,
        client_number=query.client_id,
        warmup_enabled=None if query.warmup_status is None else query.warmup_status == "ACTIVE",
        in_campaign=query.is_in_use,
    )
