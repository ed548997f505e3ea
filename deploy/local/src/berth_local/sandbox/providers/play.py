"""All played providers: each at an address of its own, under all its names, with a certificate for them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Final

from berth_local.sandbox.certificates import Certificates
from berth_local.sandbox.description import PlayedProvider
from berth_local.sandbox.hosts import STANDARD_PORTS, Ports, free_network, loopback, reserve
from berth_local.sandbox.imap import Mailboxes
from berth_local.sandbox.providers.mailboxes import Casting
from berth_local.sandbox.providers.server import ProviderServer

__all__ = ["play"]

#: The last byte of the first provider's address.
_FIRST_NUMBER: Final = 11


@asynccontextmanager
async def play(
    casting: Casting, mailboxes: Mailboxes, certificates: Certificates
) -> AsyncIterator[list[PlayedProvider]]:
    """Serve until the block ends.

    Args:
        casting: who is there, and what is said to whom.
        mailboxes: the mail store; has the mailboxes of `casting`.
        certificates: issues those of the hosts.

    Raises:
        OSError: no port is free.
    """
    network = free_network(_FIRST_NUMBER)
    async with AsyncExitStack() as stack:
        yield [
            await _serve(stack, provider, loopback(number, network), casting, mailboxes, certificates)
            for number, provider in enumerate(casting.mailboxes, _FIRST_NUMBER)
        ]


async def _serve(
    stack: AsyncExitStack,
    provider: str,
    address: str,
    casting: Casting,
    mailboxes: Mailboxes,
    certificates: Certificates,
) -> PlayedProvider:
    services = [service for service in casting.services if service.provider == provider]
    imap_hosts = tuple(dict.fromkeys(host for service in services for host in service.imap))
    smtp_hosts = tuple(dict.fromkeys(host for service in services for host in service.smtp))
    context = certificates.server_context(*imap_hosts, *smtp_hosts, trusted=True)
    servers = {
        protocol: ProviderServer(provider, protocol, casting, mailboxes, context) for protocol in ("imap", "smtp")
    }
    for server in servers.values():
        stack.push_async_callback(server.close)
    ports = {}
    for kind, preferred in asdict(Ports()).items():
        listening = reserve(address, preferred, first=asdict(STANDARD_PORTS)[kind])
        ports[kind] = listening.getsockname()[1]
        server = servers["imap" if kind.startswith("imap") else "smtp"]
        stack.callback((await server.listen(listening, starttls=kind in ("imap", "submission"))).close)
    return PlayedProvider(
        name=provider,
        address=address,
        imap_hosts=imap_hosts,
        smtp_hosts=smtp_hosts,
        domains=tuple(domain for service in services for domain in service.domains),
        mailboxes=tuple(casting.mailboxes[provider]),
        **ports,
    )
