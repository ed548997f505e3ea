"""Single questions to single authoritative name servers, whose addresses a stranger's zone names."""

import errno
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from berth_dns_auditor.checks.delegation import AuthorityReply, NotAsked
from berth_dns_auditor.remembered import Remembered
from berth_dns_auditor.resolver import Rdtype
from berth_dns_auditor.transport.slow_wire import record_text
from berth_net import is_routable

__all__ = ["NameServers"]

#: Seconds that a server has for one answer; and how often it is asked by UDP.
ATTEMPT: Final = 2.0
ATTEMPTS: Final = 2
PORT: Final = 53
#: Seconds that a reply is kept, and that there was none.
KEPT: Final = 6 * 3600.0
SILENCE_KEPT: Final = 15 * 60.0
_NO_WAY: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def dial_publicly(address: str) -> tuple[str, int]:
    """Where a name server is asked: at its address if that is on the public Internet.

    Raises:
        NotAsked: it is not.
    """
    if not is_routable(ip_address(address)):
        raise NotAsked(f"{address} is not on the public Internet")
    return address, PORT


class NameServers:
    """Asks authoritative name servers, through dnspython, each question once in six hours.

    Args:
        dial: The address and port of a server; raises NotAsked for one that must not be asked.
        attempt: Seconds that a server has for one answer.
        monotonic: The clock, in seconds.
    """

    def __init__(
        self,
        dial: Callable[[str], tuple[str, int]] = dial_publicly,
        *,
        attempt: float = ATTEMPT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dial, self._attempt = dial, attempt
        self._replies: Remembered[AuthorityReply | None] = Remembered(
            lambda reply: KEPT if reply else SILENCE_KEPT, monotonic=monotonic
        )

    async def close(self) -> None:
        """Give up what is under way."""
        await self._replies.close()

    def forget(self, domain: str) -> None:
        """Ask anew next time."""
        self._replies.forget(domain)

    async def ask(self, address: str, name: str, rdtype: Rdtype, *, tcp: bool = False) -> AuthorityReply | None:
        """What a server says; None when it does not answer.

        Args:
            address: The server's.
            name: What is asked.
            rdtype: The type.
            tcp: Whether to ask by TCP, else by UDP, and by TCP what does not fit.

        Raises:
            NotAsked: nothing can be learnt from here.
        """
        where, port = self._dial(address)
        key = f"{name} {rdtype} {address} {'tcp' if tcp else 'udp'}"
        return await self._replies.get(key, lambda: self._ask(where, port, name, rdtype, tcp=tcp))

    async def _ask(self, where: str, port: int, name: str, rdtype: Rdtype, *, tcp: bool) -> AuthorityReply | None:
        query = dns.message.make_query(dns.name.from_text(name), rdtype, flags=0, use_edns=True, payload=1232)
        for _ in range(1 if tcp else ATTEMPTS):
            try:
                if tcp:
                    reply = await dns.asyncquery.tcp(query, where, timeout=self._attempt, port=port)
                else:
                    reply, _ = await dns.asyncquery.udp_with_fallback(query, where, timeout=self._attempt, port=port)
            except (dns.exception.DNSException, EOFError):
                continue
            except OSError as error:
                if error.errno in _NO_WAY:
                    raise NotAsked(f"there is no way to {where}") from error
                continue
            return _read(reply, query.question[0].name, dns.rdatatype.from_text(rdtype))
        return None


def _read(reply: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> AuthorityReply:
    def texts(section: list[dns.rrset.RRset], kind: dns.rdatatype.RdataType) -> tuple[str, ...]:
        rrset = reply.get_rrset(section, name, dns.rdataclass.IN, kind)
        return tuple(sorted(record_text(rdata) for rdata in rrset or ()))

    return AuthorityReply(
        rcode=dns.rcode.to_text(reply.rcode()),
        authoritative=bool(reply.flags & dns.flags.AA),
        records=texts(reply.answer, rdtype),
        delegated=texts(reply.authority, dns.rdatatype.NS),
    )
