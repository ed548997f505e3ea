"""Records with their signatures, asked of the recursive name servers with validation switched off (RFC 4035 §3.2)."""

from collections.abc import Sequence
from typing import Final, Literal

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.name
import dns.nameserver
import dns.rdataclass
import dns.rdatatype
import dns.resolver

from berth_dns_auditor.checks.dnssec import Signed
from berth_dns_auditor.resolver import TemporaryDnsError
from berth_net import Nameserver

__all__ = ["RecursiveSignatures"]

DEADLINE: Final = 6.0
_EDNS_PAYLOAD: Final = 1232


class RecursiveSignatures:
    """Asks recursive name servers, through dnspython: only what is signed costs that.

    Args:
        nameservers: At least one.
    """

    def __init__(self, nameservers: Sequence[Nameserver]) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [_spoken_to(server) for server in nameservers]
        self._resolver.flags = dns.flags.RD | dns.flags.CD
        self._resolver.use_edns(0, dns.flags.DO, _EDNS_PAYLOAD)

    async def signed(self, name: str, rdtype: Literal["DNSKEY", "SOA"]) -> Signed:
        """See `Signatures.signed`."""
        asked = dns.name.from_text(name)
        try:
            answer = await self._resolver.resolve(
                asked, rdtype, lifetime=DEADLINE, search=False, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN:
            return Signed(None, None)
        except (dns.exception.DNSException, OSError) as error:
            raise TemporaryDnsError(name, rdtype, type(error).__name__) from error
        section = answer.response.answer
        covered = dns.rdatatype.from_text(rdtype)
        records = answer.response.get_rrset(section, asked, dns.rdataclass.IN, covered)
        return Signed(
            records,
            answer.response.get_rrset(section, asked, dns.rdataclass.IN, dns.rdatatype.RRSIG, covered),
        )


def _spoken_to(server: Nameserver) -> dns.nameserver.Nameserver:
    match server.transport:
        case "udp":
            return dns.nameserver.Do53Nameserver(server.address, server.port)
        case "tls":
            return dns.nameserver.DoTNameserver(server.address, server.port, server.name or None)
        case "https":
            return dns.nameserver.DoHNameserver(str(server))
