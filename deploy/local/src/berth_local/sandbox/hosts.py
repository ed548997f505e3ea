"""Who lives in the sandbox: mail hosts, their domains and mailboxes."""

import socket
from dataclasses import dataclass
from typing import Final

__all__ = [
    "GOOGLE_DOMAIN",
    "HOSTS",
    "LOW_PORTS",
    "MAILBOXES",
    "MICROSOFT_DOMAIN",
    "NAME_SERVER_PORT",
    "SPARE_MAILBOX",
    "STANDARD_PORTS",
    "TOKEN_PORT",
    "MailHost",
    "Ports",
    "free_network",
    "loopback",
    "reserve",
]

#: Tried first; all above 1024, so that nobody has to be root.
NAME_SERVER_PORT: Final = 20053
#: Of the identity providers' token endpoints, likewise.
TOKEN_PORT: Final = 20443


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of a mail host."""

    imap: int = 20143
    """STARTTLS"""
    imaps: int = 20993
    """TLS from the first byte"""
    submission: int = 20587
    """SMTP, STARTTLS"""
    submissions: int = 20465
    """SMTP, TLS from the first byte"""


#: What gives every user of a Linux machine the ports from IMAP's on, until it is started anew.
LOW_PORTS: Final = "`sudo sysctl net.ipv4.ip_unprivileged_port_start=143` lets them be used"
#: What everybody expects; of the played providers, where this user may listen on them.
STANDARD_PORTS: Final = Ports(imap=143, imaps=993, submission=587, submissions=465)
#: The third byte of the hosts' addresses, and where others are looked for when another sandbox has the standard ports there.
_NETWORK: Final = 53
_NETWORKS: Final = 20


@dataclass(frozen=True, slots=True)
class MailHost:
    """A mail host and its domain.

    Attributes:
        domain: what stands behind the @.
        number: the last byte of the host's loopback address.
        trusted: whether the authority that signs its certificate is one Berth trusts here.
        dmarc: whether the domain publishes a DMARC record.
    """

    domain: str
    number: int
    trusted: bool = True
    dmarc: bool = True

    @property
    def name(self) -> str:
        """The host's name, for MX."""
        return f"mail.{self.domain}"

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the host: those in its certificate."""
        return (self.name, f"imap.{self.domain}", f"smtp.{self.domain}")


#: Their mailboxes are also opened with access tokens, as those of Google Workspace and of Microsoft 365 are.
GOOGLE_DOMAIN: Final = "gworkspace.test"
MICROSOFT_DOMAIN: Final = "m365.test"

HOSTS: Final = (
    MailHost("acme.test", 1),
    MailHost("untrusted.test", 2, trusted=False),
    MailHost("nodmarc.test", 3, dmarc=False),
    MailHost(GOOGLE_DOMAIN, 4),
    MailHost(MICROSOFT_DOMAIN, 5),
)

#: Left by the demo for whoever tries the API.
SPARE_MAILBOX: Final = "new@acme.test"
#: Their passwords are generated at the first start.
MAILBOXES: Final = (
    "ada@acme.test",
    "grace@acme.test",
    "linus@untrusted.test",
    "edsger@nodmarc.test",
    SPARE_MAILBOX,
    *(f"{name}@{domain}" for domain in (GOOGLE_DOMAIN, MICROSOFT_DOMAIN) for name in ("barbara", "donald", "margaret")),
)


def loopback(number: int, network: int = _NETWORK) -> str:
    """The address of a host: 127.0.53.N where the system takes all of 127.0.0.0/8 (Linux), else 127.0.0.1.

    Berth may then be allowed the sandbox's network and still refuse 127.0.0.1, as it does in production.
    """
    address = f"127.0.{network}.{number}"
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return "127.0.0.1"
    return address


def free_network(number: int) -> int:
    """Where a host with the standard ports can be: the first network in which nobody else has them at its address.

    Where nobody may listen on them, or there is one address only, it is the hosts' own.
    """
    for network in range(_NETWORK, _NETWORK + _NETWORKS):
        if (listening := _listening(loopback(number, network), STANDARD_PORTS.imaps)) is not None:
            listening.close()
            return network
    return _NETWORK


def reserve(address: str, preferred: int, *, first: int | None = None) -> socket.socket:
    """A listening socket on the preferred port or the next free one.

    Trying one after the other gives the same ports after every start, and the accounts made with them stay right.

    Args:
        address: on loopback.
        preferred: one that everybody may listen on.
        first: tried before it.

    Raises:
        OSError: fifty ports in a row are taken.
    """
    for port in (*([first] if first else []), *range(preferred, preferred + 50)):
        if (listening := _listening(address, port)) is not None:
            return listening
    raise OSError(f"all ports from {preferred} to {preferred + 49} on {address} are taken")


def _listening(address: str, port: int) -> socket.socket | None:
    candidate = socket.socket()
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # asyncio does so only for sockets that name their protocol; without it answers wait 40 ms for an acknowledgement
    candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        candidate.bind((address, port))
        candidate.listen()
    except OSError:
        candidate.close()
        return None
    candidate.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return candidate
