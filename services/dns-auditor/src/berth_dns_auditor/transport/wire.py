"""DNS messages (RFC 1035 §4): questions are written, and the answers that an audit needs are read, quickly.

Everything that is unusual, or of another type, is left to dnspython (`slow_wire.py`), which reads ten times slower.
"""

import re
import struct
from dataclasses import dataclass
from socket import AF_INET6, inet_ntop
from typing import Final, Self

from berth_dns_auditor.resolver import Rdtype
from berth_dns_auditor.transport.names import read_name, skip_name, wire_name

__all__ = [
    "EDNS_PAYLOAD",
    "NEGATIVE_TTL",
    "RDTYPES",
    "REFERRAL",
    "MalformedReply",
    "Question",
    "Reply",
    "Unusual",
    "read_reply",
]

#: What fits one unfragmented datagram (DNS flag day 2020).
EDNS_PAYLOAD: Final = 1232
#: For an empty answer without an SOA: seconds. There is no time in it to be honoured (RFC 2308 §5).
NEGATIVE_TTL: Final = 5
#: A message with more records in all sections is refused, so that none takes long to read.
RECORDS_MAX: Final = 600
#: More aliases in a row than this are taken for a loop.
ALIASES_MAX: Final = 8

#: Type numbers (IANA). The types that are not read here are read by dnspython.
RDTYPES: Final[dict[Rdtype, int]] = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "DS": 43,
    "DNSKEY": 48,
    "TLSA": 52,
    "SPF": 99,
    "CAA": 257,
}
_A, _NS, _CNAME, _SOA, _PTR, _MX, _TXT, _AAAA, _DS, _TLSA = (
    RDTYPES[name] for name in ("A", "NS", "CNAME", "SOA", "PTR", "MX", "TXT", "AAAA", "DS", "TLSA")
)
_OPT: Final = 41
#: Bytes; longer ones are certificates, and dnspython writes them in pieces.
DIGEST_MAX: Final = 64
#: Lengths by type: SHA-1, SHA-256, SHA-384 (IANA).
_DS_DIGESTS: Final = {1: 20, 2: 32, 4: 48}
_IN: Final = 1

_HEADER: Final = struct.Struct(">HHHHHH")
_FIXED: Final = struct.Struct(">HHIH")
_SOA_NUMBERS: Final = struct.Struct(">IIIII")
#: Recursion desired, and authentic data: say whether you validated it (RFC 6840 §5.7).
_QUERY_FLAGS: Final = 0x0120
_QR: Final = 0x8000
_OPCODE: Final = 0x7800
_TC: Final = 0x0200
_AD: Final = 0x0020
_RCODE: Final = 0x000F
#: Types of which a name has one record at most.
_SINGLE: Final = ("CNAME", "SOA")
_TTL_MAX: Final = 0x7FFF_FFFF
_OPT_RECORD: Final = b"\0" + struct.pack(">HHIH", _OPT, EDNS_PAYLOAD, 0, 0)
#: Names whose text needs no escapes, and so is what `read_name` would make of it.
_OWN_TEXT: Final = re.compile(r"[!-\[\]-~]*")
#: ASCII letters to the bit that changes their case; the lengths of labels (below 64) are no letters.
_CASE_BIT: Final = bytes(0x20 if chr(byte).isascii() and chr(byte).isalpha() else 0 for byte in range(256))


#: No records, no SOA that says so, but name servers (RFC 2308 §2.2).
REFERRAL: Final = "a referral: the server does not answer for others"


class MalformedReply(Exception):
    """The server's message cannot be read, or is no answer. Check the zone, or the name server's software."""


class Unusual(ValueError):
    """The message is malformed, or has something that this parser leaves to dnspython."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        name: The name on the wire, lower case.
        text: The same as text.
        rdtype: The type.
    """

    name: bytes
    text: str
    rdtype: Rdtype

    @classmethod
    def of(cls, name: str, rdtype: Rdtype) -> Self | None:
        """The question for a name (see `wire_name`), or None when no such name can exist."""
        wire = wire_name(name)
        if wire is None:
            return None
        text = name.lower() if _OWN_TEXT.fullmatch(name) else read_name(wire, 0)[0]
        return cls(wire.lower(), text, rdtype)

    def section(self, random_bits: int) -> bytes:
        """The question section, each letter in a random case (0x20): one more thing that a forger must guess.

        Args:
            random_bits: at least 8 for each byte of the name.
        """
        name = self.name
        letters = int.from_bytes(name.translate(_CASE_BIT), "big")
        mixed = (int.from_bytes(name, "big") ^ (letters & random_bits)).to_bytes(len(name), "big")
        return mixed + struct.pack(">HH", RDTYPES[self.rdtype], _IN)

    @staticmethod
    def message(id_: int, section: bytes) -> bytes:
        """A query with this id and question section, and EDNS."""
        return _HEADER.pack(id_, _QUERY_FLAGS, 1, 0, 0, 1) + section + _OPT_RECORD


@dataclass(frozen=True, slots=True)
class Reply:
    """What a message says in answer to a question.

    Attributes:
        rcode: The response code with its extended bits (RFC 6891 §6.1.3).
        truncated: The answer did not fit; nothing else of it was read.
        authenticated: The server says that it validated the answer (AD).
        records: The records at the end of the chain of aliases, as `Answer.records`.
        aliases: The targets of the CNAMEs, in order.
        ttl: Seconds: the least of the records and aliases, or of the SOA for none (RFC 2308 §5).
        settled: Whether the message says what is at the end of the chain, be it nothing.
    """

    rcode: int
    truncated: bool = False
    authenticated: bool = False
    records: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ttl: int = 0
    settled: bool = True


@dataclass(slots=True)
class _Sections:
    """What was collected on the way through a message."""

    found: list[tuple[str, int, int, int]]  # owner, ttl, position and length of the rdata
    cnames: dict[str, tuple[str, int]]
    soas: list[tuple[str, int]]
    delegated: bool = False  # there are NS in the authority section


def read_reply(message: bytes, asked: Question) -> Reply:
    """Read a message that was found to carry the question.

    The work is bounded by its length: each name is read once, in at most eight jumps backwards.

    Args:
        message: The whole message.
        asked: The question.

    Raises:
        Unusual: ask the slow parser.
        MalformedReply: the message counts too many records.
    """
    try:
        return _read(message, asked, 12 + len(asked.name) + 4)
    except (ValueError, IndexError, struct.error) as error:
        raise Unusual(str(error)) from error


def _read(message: bytes, asked: Question, position: int) -> Reply:
    _, flags, _, answers, authorities, additional = _HEADER.unpack_from(message)
    if not flags & _QR or flags & _OPCODE:
        raise Unusual("not a response to a query")
    if flags & _TC:
        return Reply(flags & _RCODE, truncated=True)
    if answers + authorities + additional > RECORDS_MAX:
        raise MalformedReply(f"more than {RECORDS_MAX} records")
    if RDTYPES[asked.rdtype] not in _READERS:
        raise Unusual("a type for dnspython")
    sections = _Sections([], {}, [])
    position = _answers(message, asked, position, answers, sections)
    for _ in range(authorities):
        position = _authority(message, position, sections)
    rcode = flags & _RCODE
    for _ in range(additional):
        position = skip_name(message, position)
        rdtype, _, ttl, size = _FIXED.unpack_from(message, position)
        if rdtype == _OPT:
            rcode |= ttl >> 24 << 4
        position += 10 + size
    if position != len(message):
        raise Unusual("cut off, or something follows the message")
    return _conclude(message, asked, rcode, sections, authenticated=bool(flags & _AD))


def _answers(message: bytes, asked: Question, position: int, count: int, sections: _Sections) -> int:
    wanted = RDTYPES[asked.rdtype]
    for _ in range(count):
        if message[position] == 0xC0 and message[position + 1] == 12:  # noqa: PLR2004 - a pointer to the question
            owner = asked.text
            position += 2
        else:
            owner, position = read_name(message, position)
        rdtype, rdclass, ttl, size = _FIXED.unpack_from(message, position)
        position += 10
        if rdclass != _IN:
            raise Unusual("a class other than IN")
        if ttl > _TTL_MAX:
            ttl = 0  # RFC 2181 §8
        if rdtype == wanted:
            sections.found.append((owner, ttl, position, size))
        elif rdtype == _CNAME:
            target, end = read_name(message, position)
            if end != position + size or owner in sections.cnames:
                raise Unusual("a CNAME that is malformed or not alone")
            sections.cnames[owner] = target, ttl
        position += size
    return position


def _authority(message: bytes, position: int, sections: _Sections) -> int:
    start = position
    position = skip_name(message, position)
    rdtype, rdclass, ttl, size = _FIXED.unpack_from(message, position)
    position += 10
    if rdtype == _SOA:
        owner, _ = read_name(message, start)
        numbers = skip_name(message, skip_name(message, position))
        if rdclass != _IN or numbers + 20 != position + size or sections.soas:
            raise Unusual("an SOA that is malformed, or not alone")
        minimum: int = _SOA_NUMBERS.unpack_from(message, numbers)[4]
        sections.soas.append((owner, min(ttl if ttl <= _TTL_MAX else 0, minimum)))
    elif rdtype == _NS:
        sections.delegated = True
    return position + int(size)


def _conclude(message: bytes, asked: Question, rcode: int, sections: _Sections, *, authenticated: bool) -> Reply:
    name, aliases, ttls = asked.text, [], []
    here = [record for record in sections.found if record[0] == name]
    while not here and name in sections.cnames:
        name, ttl = sections.cnames[name]
        aliases.append(name)
        ttls.append(ttl)
        if len(aliases) > ALIASES_MAX:
            raise Unusual("a loop of aliases")
        here = [record for record in sections.found if record[0] == name]
    if here and (rcode or (asked.rdtype in _SINGLE and len(here) > 1)):
        raise Unusual("records and an error, or more than there can be")
    if sections.delegated and not (here or aliases or rcode or sections.soas):
        raise MalformedReply(REFERRAL)
    if here:
        ttls += [ttl for _, ttl, _, _ in here]
    else:
        ttls.append(next((ttl for owner, ttl in sections.soas if _covers(owner, name)), NEGATIVE_TTL))
    read = _READERS[RDTYPES[asked.rdtype]]
    # No record is in a set twice (RFC 2181 §5); names may be compressed in two ways, but two TXT of the same text may
    # differ in their strings.
    raw = asked.rdtype == "TXT"
    texts = [(start, size, read(message, start, size)) for _, _, start, size in here]
    records = {message[start : start + size] if raw else text: text for start, size, text in texts}
    return Reply(
        rcode,
        authenticated=authenticated,
        records=tuple(records.values()),
        aliases=tuple(aliases),
        ttl=min(ttls),
        settled=bool(here or not aliases or rcode or sections.soas),
    )


def _covers(zone: str, name: str) -> bool:
    return not zone or name == zone or name.endswith(f".{zone}")


def _read_a(message: bytes, position: int, size: int) -> str:
    one, two, three, four = message[position : position + size]
    return f"{one}.{two}.{three}.{four}"


def _read_aaaa(message: bytes, position: int, size: int) -> str:
    return inet_ntop(AF_INET6, message[position : position + size])


def _read_target(message: bytes, position: int, size: int) -> str:
    name, end = read_name(message, position)
    if end != position + size:
        raise Unusual("a name that does not fill its record")
    return name


def _read_mx(message: bytes, position: int, size: int) -> str:
    preference = message[position] << 8 | message[position + 1]
    return f"{preference} {_read_target(message, position + 2, size - 2)}"


def _read_soa(message: bytes, position: int, size: int) -> str:
    primary, middle = read_name(message, position)
    mailbox, numbers = read_name(message, middle)
    if numbers + 20 != position + size:
        raise Unusual("an SOA that is malformed")
    return " ".join((primary, mailbox, *map(str, _SOA_NUMBERS.unpack_from(message, numbers))))


def _read_txt(message: bytes, position: int, size: int) -> str:
    end = position + size
    strings = []
    while position < end:
        length = message[position]
        strings.append(message[position + 1 : position + 1 + length])
        position += 1 + length
    if position != end or not strings:
        raise Unusual("strings that do not fill their record")
    return b"".join(strings).decode("latin-1")


def _read_ds(message: bytes, position: int, size: int) -> str:
    if _DS_DIGESTS.get(message[position + 3]) != size - 4:
        raise Unusual("a digest of another type or length")
    return _read_digest(message, position, size, message[position] << 8 | message[position + 1], 2)


def _read_tlsa(message: bytes, position: int, size: int) -> str:
    return _read_digest(message, position, size, message[position], 1)


def _read_digest(message: bytes, position: int, size: int, first: int, width: int) -> str:
    """A number, two of one byte, and hexadecimal digits, as both types are written."""
    digest = message[position + width + 2 : position + size]
    if not 0 < len(digest) <= DIGEST_MAX:
        raise Unusual("a digest that is none, or long")
    return f"{first} {message[position + width]} {message[position + width + 1]} {digest.hex()}"


_READERS: Final = {
    _A: _read_a,
    _AAAA: _read_aaaa,
    _NS: _read_target,
    _CNAME: _read_target,
    _PTR: _read_target,
    _MX: _read_mx,
    _SOA: _read_soa,
    _TXT: _read_txt,
    _DS: _read_ds,
    _TLSA: _read_tlsa,
}
