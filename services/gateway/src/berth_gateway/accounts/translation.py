"""From a request of the canonical API to a mailbox with vetted servers."""

from typing import Final, Literal

from berth_gateway.accounts.addresses import InvalidAddress, MailAddress
from berth_gateway.accounts.mailboxes import Mailbox
from berth_gateway.accounts.schemas import AccountInput, ServerInput
from berth_gateway.accounts.servers import PROVIDER_SERVERS, NamedServer, ServerVetting, default_security
from berth_gateway.errors import FieldFault, InvalidFields
from berth_vault import Credential, SecretName

__all__ = ["mailbox_of"]

Protocol = Literal["imap", "smtp"]

_WITHOUT: Final = {"imap": "an account that only sends", "smtp": "an account that only receives"}


async def mailbox_of(body: AccountInput, vetting: ServerVetting) -> Mailbox:
    """Fill in what the provider and the defaults say, and vet the servers.

    Raises:
        InvalidFields: all faults that were found.
    """
    faults: list[FieldFault] = []
    address = _address(body, faults)
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
        if protocol not in PROVIDER_SERVERS[body.provider]:
            remedy = f"Name the server, or send null for {_WITHOUT[protocol]}."
            faults.append(FieldFault(protocol, "The field is missing.", remedy))
            return None
        host, port = PROVIDER_SERVERS[body.provider][protocol]
        given = ServerInput(host=host, port=port)
    return NamedServer(
        host=given.host,
        port=given.port,
        security=given.security or default_security(given.port),
        username=given.username or body.email.strip(),
        host_field=f"{protocol}.host",
        port_field=f"{protocol}.port",
    )
