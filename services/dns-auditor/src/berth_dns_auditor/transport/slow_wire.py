"""DNS messages read by dnspython: types that are rare in an audit, and whatever is unusual about a message."""

import struct
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from dns.rdata import Rdata
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.NS import NS
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.txtbase import TXTBase

from berth_dns_auditor.transport.names import name_text
from berth_dns_auditor.transport.wire import NEGATIVE_TTL, REFERRAL, MalformedReply, Reply

__all__ = ["read_reply_slowly", "record_text"]

#: dnspython takes 2 to 3 µs for each byte; a longer message that is unusual is not worth the time.
SIZE_MAX: Final = 16_384


def read_reply_slowly(message: bytes) -> Reply:
    """Read a message that was found to carry the question.

    Raises:
        MalformedReply: nothing can be learnt from it.
    """
    if len(message) > SIZE_MAX:
        raise MalformedReply(f"an unusual message of {len(message)} bytes")
    try:
        reply = dns.message.from_wire(message)
        rcode = int(reply.rcode())
        if reply.flags & dns.flags.TC:
            return Reply(rcode, truncated=True)
        if not isinstance(reply, dns.message.QueryMessage):
            raise MalformedReply("not an answer to a query")
        chain = reply.resolve_chaining()
    except (dns.exception.DNSException, ValueError, struct.error) as error:
        raise MalformedReply(type(error).__name__) from error
    soas = [rrset.name for rrset in reply.authority if rrset.rdtype == dns.rdatatype.SOA]
    delegated = any(rrset.rdtype == dns.rdatatype.NS for rrset in reply.authority)
    if delegated and chain.answer is None and not (chain.cnames or rcode or soas):
        raise MalformedReply(REFERRAL)
    timed = chain.answer is not None or any(chain.canonical_name.is_subdomain(zone) for zone in soas)
    return Reply(
        rcode,
        authenticated=bool(reply.flags & dns.flags.AD),
        records=tuple(record_text(rdata) for rdata in chain.answer or ()),
        aliases=tuple(_text(rrset[0].target) for rrset in chain.cnames),
        ttl=chain.minimum_ttl if timed else min(chain.minimum_ttl, NEGATIVE_TTL),
        settled=bool(chain.answer is not None or not chain.cnames or rcode or soas),
    )


def _text(name: dns.name.Name) -> str:
    return name_text([label for label in name.labels if label])


def record_text(rdata: Rdata) -> str:
    """A record as `Answer.records` has it."""
    match rdata:
        case TXTBase():
            return b"".join(rdata.strings).decode("latin-1")
        case MX():
            return f"{rdata.preference} {_text(rdata.exchange)}"
        case PTR() | NS() | CNAME():
            return _text(rdata.target)
        case SOA():
            numbers = (rdata.serial, rdata.refresh, rdata.retry, rdata.expire, rdata.minimum)
            return " ".join((_text(rdata.mname), _text(rdata.rname), *map(str, numbers)))
        case _:
            return rdata.to_text()
