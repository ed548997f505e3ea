"""From requests of the canonical API to mailboxes with vetted servers, and to changes."""

from typing import Any, Final, Literal

from berth_events.contracts import AccountSettings, MailServer
from berth_gateway.accounts.addresses import InvalidAddress, MailAddress
from berth_gateway.accounts.change_schemas import AccountUpdate, AliasList, CredentialsInput
from berth_gateway.accounts.commands import ConnectAccount
from berth_gateway.accounts.mailboxes import Alias, Change, Mailbox
from berth_gateway.accounts.schemas import AccountInput, ServerInput, Settings
from berth_gateway.accounts.servers import PROVIDER_SERVERS, NamedServer, ServerVetting, default_security
from berth_gateway.accounts.views import AccountView
from berth_gateway.autoconfig.findings import Findings, Source
from berth_gateway.autoconfig.lookup import FindsServers
from berth_gateway.autoconfig.presentation import username_of
from berth_gateway.errors import FieldFault, InvalidFields
from berth_gateway.workspaces.mailboxes import ImportedMailbox
from berth_vault import Credential, SecretName

__all__ = ["aliases_of", "change_of", "connect_of", "credentials_of", "imported_of", "initial_change_of", "mailbox_of"]

Protocol = Literal["imap", "smtp"]

_WITHOUT: Final = {"imap": "an account that only sends", "smtp": "an account that only receives"}


async def connect_of(body: AccountInput, vetting: ServerVetting, finder: FindsServers) -> ConnectAccount:
    """The account with a password of its own that a request asks for.

    Raises:
        InvalidFields: all faults that were found.
    """
    if body.workspace_id is not None:
        remedy = "Send a password, and servers where the provider needs them."
        raise InvalidFields([FieldFault("workspace_id", "Only mailboxes with a password can be tried out.", remedy)])
    return ConnectAccount(
        mailbox=await mailbox_of(body, vetting, finder),
        provider=body.provider or "custom",
        first_name=body.first_name,
        last_name=body.last_name,
        seat_kind=body.seat_kind,
        on_failure="keep",
        change=initial_change_of(body),
    )


def imported_of(body: AccountInput) -> ImportedMailbox:
    """The mailbox of an email workspace that a request asks for.

    Raises:
        InvalidFields: the address is none, or there is something that the workspace knows.
    """
    faults: list[FieldFault] = []
    address = _address(body, faults)
    for name in ("provider", "password", "imap", "smtp"):
        if getattr(body, name) is not None:
            detail = "The email workspace knows provider, servers and credential."
            faults.append(FieldFault(name, detail, "Remove it, or leave out workspace_id."))
    if faults or address is None:
        raise InvalidFields(faults)
    return ImportedMailbox(address=address, first_name=body.first_name, last_name=body.last_name)


def initial_change_of(body: AccountInput) -> Change:
    """What an account is given from the beginning, besides servers and credential."""
    return Change(
        signature=body.signature or None,
        time_zone=body.time_zone if "time_zone" in body.model_fields_set else None,
        settings=_settings(body.settings),
        tags=body.tags or None,
    )


def change_of(body: AccountUpdate) -> Change:
    """The change that a request asks for."""
    return Change(
        first_name=body.first_name,
        last_name=body.last_name,
        imap_issue=body.imap_issue,
        signature=body.signature,
        time_zone=body.time_zone,
        settings=_settings(body.settings),
        tags=body.tags,
    )


def aliases_of(body: AliasList) -> list[Alias]:
    """The aliases that a request names.

    Raises:
        InvalidFields: some are no addresses.
    """
    found, faults = [], []
    for position, given in enumerate(body.aliases):
        try:
            found.append(Alias(address=MailAddress.parse(given.email), name=given.name))
        except InvalidAddress as error:
            faults.append(FieldFault(f"aliases.{position}.email", str(error), "Write it as name@example.com."))
    if faults:
        raise InvalidFields(faults)
    return found


def credentials_of(body: CredentialsInput, view: AccountView) -> AccountInput:
    """The account as it would be with new credentials: what is left out is as it was.

    A provider that changes brings its own servers.
    """
    provider = body.provider or view.provider
    servers: dict[str, Any] = {}
    present: tuple[tuple[Protocol, MailServer | None], ...] = (("imap", view.imap), ("smtp", view.smtp))
    for protocol, server in present:
        if protocol in body.model_fields_set:
            given: ServerInput | None = getattr(body, protocol)
            kept = provider == view.provider and given is not None and given.host is None
            servers[protocol] = _at(server, given) if kept and server and given else given
        elif provider == view.provider:
            servers[protocol] = _as_input(server) if server else None
    return AccountInput(
        email=view.address,
        first_name=view.first_name,
        last_name=view.last_name,
        provider=provider,
        password=body.password,
        seat_kind=view.seat_kind,
        **servers,
    )


def _at(server: MailServer, given: ServerInput) -> ServerInput:
    """What was given for a server that is not named: it is where it was. Another port has its own kind of TLS."""
    named = {name: value for name, value in given if value is not None}
    if given.port not in {None, server.port}:
        named.setdefault("security", None)
    return _as_input(server).model_copy(update=named)


def _as_input(server: MailServer) -> ServerInput:
    return ServerInput(host=server.host, port=server.port, security=server.security, username=server.username)


def _settings(given: Settings | None) -> AccountSettings:
    return AccountSettings(**given.model_dump(exclude_none=True)) if given else AccountSettings()


async def mailbox_of(body: AccountInput, vetting: ServerVetting, finder: FindsServers) -> Mailbox:
    """Fill in what the provider, autoconfiguration and the defaults say, and vet the servers.

    Args:
        body: the request.
        vetting: refuses hosts.
        finder: is asked for the servers of `custom` that were left out.

    Raises:
        InvalidFields: all faults that were found.
    """
    faults: list[FieldFault] = []
    address = _address(body, faults)
    if body.provider is None:
        faults.append(FieldFault("provider", "The field is missing.", "Send gmail, outlook or custom."))
    servers: dict[Protocol, NamedServer] = {}
    secrets: dict[SecretName, str] = {}
    both: tuple[tuple[Protocol, ServerInput | None], ...] = (("imap", body.imap), ("smtp", body.smtp))
    found = await _found(body, address, finder)
    filled_in: dict[Protocol, Source] = {}
    for protocol, given in both:
        if given is None and not _without_host(body, protocol):
            continue
        server = _server(body, protocol, given or ServerInput(), found, faults)
        if server is None:
            continue
        servers[protocol] = server
        place = found.best(protocol) if found and _without_host(body, protocol) else None
        if place is not None:
            filled_in[protocol] = place.source
        secret = (given and given.password) or body.password
        if secret is None:
            remedy = f"Send `password`, or `{protocol}.password`."
            faults.append(FieldFault("password", f"There is no password for {protocol.upper()}.", remedy))
        else:
            secrets["imap_password" if protocol == "imap" else "smtp_password"] = secret.get_secret_value()
    if not servers and not faults:
        faults.append(FieldFault("smtp", "The account would have no server at all.", "Name `imap`, `smtp` or both."))
    vetted, refused = await vetting.vet(list(servers.values()))
    if faults or refused or address is None:
        raise InvalidFields([*faults, *refused])
    by_protocol = dict(zip(servers, vetted, strict=True))
    return Mailbox(
        address=address,
        imap=by_protocol.get("imap"),
        smtp=by_protocol.get("smtp"),
        credential=Credential(secrets),
        filled_in=filled_in,
    )


def _address(body: AccountInput, faults: list[FieldFault]) -> MailAddress | None:
    try:
        return MailAddress.parse(body.email)
    except InvalidAddress as error:
        faults.append(FieldFault("email", str(error), "Write it as name@example.com."))
        return None


async def _found(body: AccountInput, address: MailAddress | None, finder: FindsServers) -> Findings | None:
    """What autoconfiguration says, where there is a server to be filled in."""
    wanted = body.provider == "custom" and any(_without_host(body, protocol) for protocol in ("imap", "smtp"))
    return await finder.find(address.domain) if wanted and address is not None else None


def _without_host(body: AccountInput, protocol: str) -> bool:
    """Nobody said where it is: null would be that there is none."""
    given: ServerInput | None = getattr(body, protocol)
    return protocol not in body.model_fields_set if given is None else given.host is None


def _server(
    body: AccountInput, protocol: Protocol, given: ServerInput, found: Findings | None, faults: list[FieldFault]
) -> NamedServer | None:
    username = body.email.strip()
    host, port, security = given.host, given.port, given.security
    if host is None:
        for name in ("port", "security"):
            if getattr(given, name) is not None:
                remedy = f"Name `{protocol}.host` too, or leave it out."
                faults.append(FieldFault(f"{protocol}.{name}", "It is of a server that is not named.", remedy))
        place = found.best(protocol) if found else None
        if place is not None:
            host, port, security, username = place.host, place.port, place.security, username_of(username, place)
        elif protocol in PROVIDER_SERVERS[body.provider or "custom"]:
            host, port = PROVIDER_SERVERS[body.provider or "custom"][protocol]
        else:
            field = f"{protocol}.host" if protocol in body.model_fields_set else protocol
            faults.append(_missing(protocol, field, found))
            return None
    if port is None:
        faults.append(FieldFault(f"{protocol}.port", "The field is missing.", "Send the port of the server."))
        return None
    return NamedServer(
        host=host,
        port=port,
        security=security or default_security(port),
        username=given.username or username,
        host_field=f"{protocol}.host",
        port_field=f"{protocol}.port",
    )


def _missing(protocol: Protocol, field: str, found: Findings | None) -> FieldFault:
    """No server was named, and none was found that a password may go to unasked."""
    remedy = f"Name the server, or send null for {_WITHOUT[protocol]}."
    if found is None:
        return FieldFault(field, "The field is missing.", remedy)
    if places := found.places(protocol):
        detail = f"The field is missing, and {places[0].host} is named by a DNS record alone, which may be forged."
        return FieldFault(field, detail, f"Name that server if it is right. {remedy}")
    if not found.complete:
        detail = "The field is missing, and the DNS did not say in time which server the domain has."
        return FieldFault(field, detail, f"{remedy} Or send the request again.")
    if found.service is not None and not found.service.sign_in:
        detail = f"The field is missing, and {found.service.name} lets no other program sign in."
        return FieldFault(field, detail, remedy)
    return FieldFault(field, "The field is missing, and no server was found by the domain.", remedy)
