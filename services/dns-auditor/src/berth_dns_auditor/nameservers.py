"""The resolver over the network: dnspython, UDP first, TCP when an answer is truncated."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
from dns.rdata import Rdata
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TXT import TXT

from berth_dns_auditor.resolver import Answer, Rcode, Rdtype, TemporaryDnsError

__all__ = ["Nameserver", "NameserverResolver", "system_nameservers"]

#: What fits one unfragmented datagram (DNS flag day 2020).
EDNS_PAYLOAD: Final = 1232
#: More aliases in a row than this are taken for a loop.
ALIASES_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Nameserver:
    """Where a resolver listens."""

    address: str
    port: int = 53

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def system_nameservers() -> tuple[Nameserver, ...]:
    """The resolvers that the operating system is set up with. Reads a file: call it at start only."""
    return tuple(Nameserver(str(server)) for server in dns.resolver.Resolver().nameservers)


class NameserverResolver:
    """Asks recursive name servers in turn until one gives a definite answer.

    Args:
        nameservers: At least one. One that answers with an error is not asked again for the same question.
        attempt: Seconds that one server has for one try.
        rounds: How often each server is tried.
        deadline: Seconds that one question has altogether, without the wait for a free slot.
        in_flight: Questions under way at once; more wait.
    """

    def __init__(
        self,
        nameservers: Sequence[Nameserver],
        *,
        attempt: float = 2.0,
        rounds: int = 3,
        deadline: float = 8.0,
        in_flight: int = 256,
    ) -> None:
        self._nameservers = tuple(nameservers)
        self._attempt = attempt
        self._rounds = rounds
        self._deadline = deadline
        self._slots = asyncio.Semaphore(in_flight)

    async def query(self, name: str, rdtype: Rdtype) -> Answer:
        """Ask; see `Resolver.query`."""
        asked = name.lower().removesuffix(".")
        target = _wire_name(asked)
        if target is None:
            return Answer(asked, rdtype, "NXDOMAIN")
        try:
            async with self._slots, asyncio.timeout(self._deadline):
                return await self._follow(asked, target, rdtype)
        except TimeoutError:
            raise TemporaryDnsError(asked, rdtype, f"no answer within {self._deadline:g} s") from None

    async def _follow(self, asked: str, target: dns.name.Name, rdtype: Rdtype) -> Answer:
        aliases: list[str] = []
        while True:
            server, reply = await self._ask(asked, target, rdtype)
            try:
                chain = reply.resolve_chaining()
            except dns.exception.DNSException as error:
                raise TemporaryDnsError(asked, rdtype, f"{type(error).__name__} from {server}") from error
            aliases += [_text_name(rrset[0].target) for rrset in chain.cnames]
            if len(aliases) > ALIASES_MAX:
                raise TemporaryDnsError(asked, rdtype, f"more than {ALIASES_MAX} aliases in a row")
            if not _ends_at_alias(reply, chain):
                return Answer(
                    name=asked,
                    rdtype=rdtype,
                    rcode=cast("Rcode", dns.rcode.to_text(reply.rcode())),
                    records=tuple(_record(rdata) for rdata in chain.answer or ()),
                    aliases=tuple(aliases),
                    ttl=chain.minimum_ttl,
                    server=str(server),
                )
            target = chain.canonical_name

    async def _ask(
        self, asked: str, target: dns.name.Name, rdtype: Rdtype
    ) -> tuple[Nameserver, dns.message.QueryMessage]:
        reasons: dict[Nameserver, str] = {}
        usable = list(self._nameservers)
        for _ in range(self._rounds):
            for server in tuple(usable):
                try:
                    reply = await self._exchange(server, target, rdtype)
                except TimeoutError:
                    reasons[server] = f"{server} timed out"
                    continue
                except (dns.exception.DNSException, OSError, EOFError) as error:
                    reasons[server] = f"{server}: {type(error).__name__}"
                    continue
                if reply.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
                    return server, reply
                reasons[server] = f"{server} answered {dns.rcode.to_text(reply.rcode())}"
                usable.remove(server)
        raise TemporaryDnsError(asked, rdtype, "; ".join(reasons.values()))

    async def _exchange(self, server: Nameserver, target: dns.name.Name, rdtype: Rdtype) -> dns.message.QueryMessage:
        question = dns.message.make_query(target, rdtype, use_edns=0, payload=EDNS_PAYLOAD)
        async with asyncio.timeout(self._attempt):
            reply, _ = await dns.asyncquery.udp_with_fallback(
                question,
                server.address,
                timeout=None,
                port=server.port,
                ignore_unexpected=True,
                ignore_errors=True,
            )
        return cast("dns.message.QueryMessage", reply)


def _wire_name(text: str) -> dns.name.Name | None:
    try:
        labels = [label.encode("latin-1") for label in text.split(".")] if text else []
        return dns.name.Name([*labels, b""])
    except (dns.exception.DNSException, UnicodeEncodeError):
        return None


def _text_name(name: dns.name.Name) -> str:
    return ".".join(label.decode("latin-1") for label in name.labels if label).lower()


def _ends_at_alias(reply: dns.message.QueryMessage, chain: dns.message.ChainingResult) -> bool:
    """Whether the server said where the alias points, but not (with records, or an SOA for none) what is there."""
    if chain.answer is not None or not chain.cnames or reply.rcode() != dns.rcode.NOERROR:
        return False
    return not any(rrset.rdtype == dns.rdatatype.SOA for rrset in reply.authority)


def _record(rdata: Rdata) -> str:
    match rdata:
        case TXT():
            return b"".join(rdata.strings).decode("latin-1")
        case MX():
            return f"{rdata.preference} {_text_name(rdata.exchange)}"
        case PTR():
            return _text_name(rdata.target)
        case _:
            return rdata.to_text()
