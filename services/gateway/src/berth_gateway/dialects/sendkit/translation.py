"""From what SendKit's clients send to commands and filters."""

import math
from collections.abc import Callable
from typing import Final, Literal

from berth_events.contracts import AccountSettings, MailServer, Provider
from berth_gateway.accounts.addresses import InvalidAddress, MailAddress
from berth_gateway.accounts.commands import ConnectAccount
from berth_gateway.accounts.listing import AccountFilter
from berth_gateway.accounts.mailboxes import Change, Mailbox
from berth_gateway.accounts.servers import PROVIDER_SERVERS, NamedServer, ServerVetting, default_security
from berth_gateway.autoconfig.lookup import Autoconfig
from berth_gateway.dialects.sendkit.requests import (
    CreateMailbox,
    ImapServer,
    ListMailboxes,
    SmtpServer,
    UpdateMailbox,
    WarmupConfigInput,
)
from berth_gateway.errors import FieldFault, InvalidFields
from berth_vault import Credential, SecretName

__all__ = ["change_of", "connect_of", "filter_of", "warmup_change"]

_PROVIDERS: Final[dict[str, Provider]] = {
    "gmail": "gmail",
    "google": "gmail",
    "outlook": "outlook",
    "azure": "outlook",
    "microsoft": "outlook",
}
_IMAP_PORT: Final = 993
#: Statuses of ours, and what becomes of the account when it does not work, by SendKit's status.
_STATUSES: Final[dict[str, tuple[tuple[str, ...], Literal["keep", "remove"] | None]]] = {
    "active": (("connected",), None),
    "error": (("disconnected",), None),
    "inactive": (("pending", "failed"), "remove"),
    "pending": (("pending",), "keep"),
    "failed": (("failed",), "keep"),
}


async def connect_of(
    body: CreateMailbox,
    vetting: ServerVetting,
    autoconfig: Autoconfig,
    *,
    on_failure: Literal["keep", "remove"] = "remove",
    only_sends: bool = False,
) -> ConnectAccount:
    """The account that is to be.

    Without `imap`, mail is read where the service of the SMTP server has it, else where autoconfiguration of the domain says so
    and names the same SMTP server, else at imap.example.com where that is beside smtp.example.com, else on the SMTP server
    itself. Of the last two nobody knows yet whether they are there: the mailbox only sends when they are not.

    Args:
        body: what was sent.
        vetting: refuses hosts.
        autoconfig: finds the IMAP server that nobody named.
        on_failure: what becomes of it when it does not work.
        only_sends: it has no IMAP server, if `imap` names none.

    Raises:
        InvalidFields: all faults; each field by its name in SendKit's API.
    """
    faults: list[FieldFault] = []
    address = _address(body.email, faults)
    named = [_named(body.smtp, "smtp", body)]
    if body.imap is not None:
        named.append(_named(body.imap, "imap", body))
    vetted, refused = await vetting.vet(named)
    if faults or refused or address is None:
        raise InvalidFields([*faults, *refused])
    smtp, imap, guessed = vetted[0], vetted[1] if body.imap else None, False
    if imap is None and not only_sends:
        imap, guessed = await _derived(body, address.domain, vetting, autoconfig)
    secret = body.smtp.password.get_secret_value()
    imap_secret = body.imap.password.get_secret_value() if body.imap and body.imap.password else secret
    secrets: dict[SecretName, str] = (
        {"smtp_password": secret, "imap_password": imap_secret} if imap else {"smtp_password": secret}
    )
    first_name, last_name = _names(body.display_name)
    return ConnectAccount(
        mailbox=Mailbox(
            address=address,
            imap=imap,
            smtp=smtp,
            credential=Credential(secrets),
            imap_guessed=guessed,
        ),
        provider=provider_of(body.provider),
        first_name=first_name,
        last_name=last_name,
        seat_kind="monitoring",
        on_failure=on_failure,
        change=Change(
            signature=body.signature or None,
            settings=AccountSettings(daily_limit=body.daily_send_limit),
            tags=_tags(body.tags) or None,
        ),
    )


def change_of(body: UpdateMailbox) -> Change:
    """What is to be different."""
    names = (None, None) if body.display_name is None else _names(body.display_name)
    return Change(
        first_name=names[0],
        last_name=names[1],
        signature=body.signature,
        settings=AccountSettings(daily_limit=body.daily_send_limit, sending_enabled=body.sending_enabled),
        tags=None if body.tags is None else _tags(body.tags),
    )


def warmup_change(config: WarmupConfigInput, *, enabled: bool | None = None, paused: bool | None = None) -> Change:
    """How a mailbox is to be warmed from now on."""
    return Change(
        settings=AccountSettings(
            warmup_enabled=enabled,
            warmup_paused=paused,
            warmup_initial=config.starting_volume,
            warmup_increase=config.daily_increase,
            warmup_target=config.target_volume,
        )
    )


def filter_of(query: ListMailboxes) -> AccountFilter | None:
    """The accounts that are meant; None when there can be none."""
    if _finds_nothing(query):
        return None
    statuses, on_failure = _STATUSES.get(query.status or "", (None, None))
    suspended = None if query.status is None else query.status == "suspended"
    oauth = None if query.connection_type is None else query.connection_type == "oauth"
    if query.provider in {"outlook", "azure"}:
        if oauth is (query.provider == "outlook"):
            return None
        oauth = query.provider == "azure"
    warmup_enabled, warmup_paused = query.warmup_enabled, None
    if query.warmup_status is not None:
        wanted = query.warmup_status != "not_started"
        if warmup_enabled is not None and warmup_enabled != wanted:
            return None
        warmup_enabled, warmup_paused = wanted, query.warmup_status == "paused" if wanted else None
    return AccountFilter(
        statuses=statuses,
        on_failure=on_failure,
        suspended=suspended,
        providers=None if query.provider is None else [provider_of(query.provider)],
        oauth=oauth,
        sending_enabled=query.sending_enabled,
        tags=query.tags or None,
        tag_mode=query.tag_mode,
        untagged=query.untagged or None,
        search=query.search,
        warmup_enabled=warmup_enabled,
        warmup_paused=warmup_paused,
        min_health=_percent(query.min_health_score, math.ceil),
        max_health=_percent(query.max_health_score, math.floor),
    )


def _finds_nothing(query: ListMailboxes) -> bool:
    """What is asked for is true of no mailbox: Berth has no campaigns, and measures neither warm-up nor bounces."""
    return any(
        (
            query.status == "warming_up",
            query.warmup_status not in {None, "not_started", "active", "paused"},
            query.warmup_health is not None,
            query.min_bounce_rate is not None and not query.min_bounce_rate <= 0,
            query.max_bounce_rate is not None and not query.max_bounce_rate >= 0,
            query.high_bounce_rate is True,
            bool(query.campaign_ids),
            query.not_in_campaign is not None and query.not_in_campaign.lower() in {"false", "0"},
            query.in_active_campaign is True,
        )
    )


def provider_of(name: str) -> Provider:
    """Who runs the mailbox; SendKit takes any text."""
    return _PROVIDERS.get(name.strip().lower(), "custom")


def security_of(port: int, *, secure: bool) -> Literal["tls", "starttls", "auto"]:
    """`secure` is "has to be encrypted": how, the port says. Without it the server is asked, and is encrypted all the same."""
    return default_security(port) if secure else "auto"


def _named(server: SmtpServer | ImapServer, protocol: str, body: CreateMailbox) -> NamedServer:
    return NamedServer(
        host=server.host,
        port=server.port,
        security=security_of(server.port, secure=server.secure),
        username=server.username or body.smtp.username,
        host_field=f"{protocol}.host",
        port_field=f"{protocol}.port",
    )


async def _derived(
    body: CreateMailbox, domain: str, vetting: ServerVetting, autoconfig: Autoconfig
) -> tuple[MailServer | None, bool]:
    """The IMAP server that nobody named, and whether it is a guess."""
    host, guessed = _services_imap(body, autoconfig) or await _found_imap(body, domain, autoconfig), False
    if host is None:
        host, guessed = body.smtp.host, True
        name, _, rest = host.partition(".")
        if name.lower() == "smtp" and await vetting.exists(f"imap.{rest}"):
            host = f"imap.{rest}"
    server = NamedServer(
        host=host,
        port=_IMAP_PORT,
        security=default_security(_IMAP_PORT),
        username=body.smtp.username,
        host_field="imap.host",
        port_field="imap.port",
    )
    vetted, _ = await vetting.vet([server])  # a guess that is refused is no server
    return (vetted[0], guessed) if vetted else (None, False)


def _services_imap(body: CreateMailbox, autoconfig: Autoconfig) -> str | None:
    service = autoconfig.services.of_smtp(_smtp_host(body))
    if service is not None:
        return next(
            (server.host for server in service.imap if server.port == _IMAP_PORT and not server.of_domain), None
        )
    servers = PROVIDER_SERVERS[provider_of(body.provider)]
    return servers["imap"][0] if servers else None


async def _found_imap(body: CreateMailbox, domain: str, autoconfig: Autoconfig) -> str | None:
    """What the domain says, if it is of the SMTP server that was named: the password of one is not shown to another."""
    found = await autoconfig.find(domain)
    place = found.best("imap")
    same = any(_smtp_host(body) == known.host for known in found.smtp)
    return place.host if place is not None and place.port == _IMAP_PORT and same else None


def _smtp_host(body: CreateMailbox) -> str:
    return body.smtp.host.strip().lower().rstrip(".")


def _address(text: str, faults: list[FieldFault]) -> MailAddress | None:
    try:
        return MailAddress.parse(text.lower())
    except InvalidAddress as error:
        faults.append(FieldFault("email", str(error), "Write it as name@example.com."))
        return None


def _names(display_name: str) -> tuple[str, str]:
    """First and last name, from which the display name can be put together again."""
    first, _, last = display_name.strip().partition(" ")
    return first, last


def _tags(names: list[str]) -> list[str]:
    return [name.strip() for name in names if name.strip()]


def _percent(score: float | None, rounded: Callable[[float], int]) -> int | None:
    return None if score is None else rounded(min(max(score, -1), 101))
