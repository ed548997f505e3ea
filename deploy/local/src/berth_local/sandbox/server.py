"""Everything of the sandbox in one process."""

import json
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from ipaddress import ip_network
from pathlib import Path

from berth_connector.diagnosis import DiagnosisTable
from berth_local.files import write_private
from berth_local.sandbox.certificates import Certificates
from berth_local.sandbox.description import Host, Mailbox, PlayedProvider, Sandbox
from berth_local.sandbox.dns import Upstream, Zone, serve_dns
from berth_local.sandbox.hosts import (
    HOSTS,
    MAILBOXES,
    NAME_SERVER_PORT,
    TOKEN_PORT,
    MailHost,
    Ports,
    loopback,
    reserve,
)
from berth_local.sandbox.identity import IdentityService, serve_identity
from berth_local.sandbox.imap import Mailboxes, serve_imap
from berth_local.sandbox.providers.mailboxes import PASSWORD, Casting
from berth_local.sandbox.providers.play import play
from berth_local.sandbox.smtp import serve_smtp
from berth_local.sandbox.workspaces import offer_workspaces
from berth_local.sandbox.zone import provider_zones, zone_file

__all__ = ["sandbox"]

NAME_SERVER_ADDRESS = "127.0.0.1"
#: The services find it without a name server.
TOKEN_HOST = "localhost"


@asynccontextmanager
async def sandbox(directory: Path, *, providers: bool = True) -> AsyncIterator[Sandbox]:
    """Run the sandbox. Mail is kept in memory only; passwords and the authority's key are kept in the directory.

    Args:
        directory: its own.
        providers: whether Gmail and the others are played; if not, their names lead to them.

    Raises:
        OSError: no port is free.
    """
    passwords = _passwords(directory / "passwords.json")
    certificates = Certificates(directory)
    identity = IdentityService()
    casting = Casting(DiagnosisTable.load()) if providers else None
    there = casting.addresses() if casting else []
    mailboxes = Mailboxes(
        {**passwords, **dict.fromkeys(there, PASSWORD)}, identity.tokens, casting.aliases() if casting else {}
    )
    hosts = []
    played: list[PlayedProvider] = []
    async with AsyncExitStack() as stack:
        for mail_host in HOSTS:
            host, sockets = _reserve(mail_host)
            hosts.append(host)
            context = certificates.server_context(*mail_host.names, trusted=host.trusted)
            for service, listening in sockets.items():
                serve = serve_imap if service.startswith("imap") else serve_smtp
                starttls = service in ("imap", "submission")
                server = await serve(mailboxes, host.name, listening, context, starttls=starttls)
                stack.callback(server.close)
        zone = zone_file(hosts)
        if casting:
            played += await stack.enter_async_context(play(casting, mailboxes, certificates))
            zone = zone_file(hosts, {domain: one.exchange for one in casting.services for domain in one.domains})
            zone += provider_zones(
                casting.services, {one.name: one.address for one in played}, [host.domain for host in hosts]
            )
        port, transport, tcp = await serve_dns(
            Zone(zone), Upstream.of_this_machine(), NAME_SERVER_ADDRESS, NAME_SERVER_PORT
        )
        stack.callback(transport.close)
        stack.callback(tcp.close)
        tokens = reserve(NAME_SERVER_ADDRESS, TOKEN_PORT)
        token_origin = f"https://{TOKEN_HOST}:{tokens.getsockname()[1]}"
        context = certificates.server_context(TOKEN_HOST, trusted=True)
        await stack.enter_async_context(serve_identity(identity, tokens, context))
        addresses = [*(host.address for host in hosts), *(provider.address for provider in played)]
        yield Sandbox(
            dns_servers=(f"{NAME_SERVER_ADDRESS}:{port}",),
            networks=tuple(sorted({_network(address) for address in addresses})),
            authority_file=str(certificates.authority_file.resolve()),
            hosts=tuple(hosts),
            mailboxes=tuple(
                Mailbox(address=address, password=password, host=f"mail.{address.partition('@')[2]}")
                for address, password in passwords.items()
            ),
            providers=tuple(played),
            provider_password=PASSWORD if played else None,
            identity=offer_workspaces(identity, directory, token_origin, [*passwords, *there]),
        )


def _passwords(file: Path) -> dict[str, str]:
    """The passwords of the mailboxes, generated for those that have none yet."""
    file.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    passwords = {address: known.get(address) or secrets.token_urlsafe(12) for address in MAILBOXES}
    if passwords != known:
        write_private(file, json.dumps(passwords, indent=2))
    return passwords


def _reserve(mail_host: MailHost) -> tuple[Host, dict[str, socket.socket]]:
    address = loopback(mail_host.number)
    sockets = {service: reserve(address, port) for service, port in asdict(Ports()).items()}
    ports = {service: listening.getsockname()[1] for service, listening in sockets.items()}
    host = Host(
        name=mail_host.name,
        domain=mail_host.domain,
        address=address,
        trusted=mail_host.trusted,
        dmarc=mail_host.dmarc,
        **ports,
    )
    return host, sockets


def _network(address: str) -> str:
    return address + "/32" if address == NAME_SERVER_ADDRESS else str(ip_network(f"{address}/24", strict=False))
