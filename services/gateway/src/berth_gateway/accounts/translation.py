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
from berth_gateway.errors import FieldFault, InvalidFields
from berth_gateway.workspaces.mailboxes import ImportedMailbox
from berth_vault import Credential, SecretName

__all__ = ["aliases_of", "change_of", "connect_of", "credentials_of", "imported_of", "initial_change_of", "mailbox_of"]

Protocol = Literal["imap", "smtp"]

_WITHOUT: Final = {"imap": "an account that only sends", "smtp": "an account that only receives"}


async def connect_of(body: AccountInput, vetting: ServerVetting) -> ConnectAccount:
    """The account with a password of its own that a request asks for.

    Raises:
        InvalidFields: all faults that were found.
    """
    if body.workspace_id is not None:
        remedy = "Send a password, and servers where the provider needs them."
        raise InvalidFields([FieldFault("workspace_id", "Only mailboxes with a password can be tried out.", remedy)])
    return ConnectAccount(
        mailbox=await mailbox_of(body, vetting),
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
            servers[protocol] = getattr(body, protocol)
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


def _as_input(server: MailServer) -> ServerInput:
    return ServerInput(host=server.host, port=server.port, security=server.security, username=server.username)


def _settings(given: Settings | None) -> AccountSettings:
    return AccountSettings(**given.model_dump(exclude_none=True)) if given else AccountSettings()


async def mailbox_of(body: AccountInput, vetting: ServerVetting) -> Mailbox:
    """Fill in what the provider and the defaults say, and vet the servers.

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
    for protocol, given in both:
        server = _server(body, protocol, given, faults)
        if server is None:
            continue
        servers[protocol] = server
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
    )


def _address(body: AccountInput, faults: list[FieldFault]) -> MailAddress | None:
    try:
        return MailAddress.parse(body.email)
    except InvalidAddress as error:
        faults.append(FieldFault("email", str(error), "Write it as name@example.com."))
        return None


def _server(
    body: AccountInput, protocol: Protocol, given: ServerInput | None, faults: list[FieldFault]
) -> NamedServer | None:
    if given is None:
        if protocol in body.model_fields_set:
            return None
        if protocol not in PROVIDER_SERVERS[body.provider or "custom"]:
            remedy = f"Name the server, or send null for {_WITHOUT[protocol]}."
            faults.append(FieldFault(protocol, "The field is missing.", remedy))
            return None
        host, port = PROVIDER_SERVERS[body.provider or "custom"][protocol]
        given = ServerInput(host=host, port=port)
    return NamedServer(
        host=given.host,
        port=given.port,
        security=given.security or default_security(given.port),
        username=given.username or body.email.strip(),
        host_field=f"{protocol}.host",
        port_field=f"{protocol}.port",
    )
