"""The boundary to the DNS: a question, its answer, and the one error that means nothing was learnt."""

from dataclasses import dataclass
from typing import Final, Literal, Protocol

__all__ = [
    "Answer",
    "Rcode",
    "Rdtype",
    "Reply",
    "Resolver",
    "TemporaryDnsError",
    "exchanges",
    "printable",
]

Rdtype = Literal["A", "AAAA", "MX", "PTR", "TXT", "NS", "CNAME", "SOA", "DS", "DNSKEY", "TLSA", "CAA", "SPF"]
#: The two definite response codes; every other one is temporary (RFC 7208 §4.4).
Rcode = Literal["NOERROR", "NXDOMAIN"]

#: Text that goes into a record or a finding is cut to this many characters.
PRINTABLE_MAX: Final = 4096


class TemporaryDnsError(Exception):
    """The DNS gave no usable answer (timeout, SERVFAIL, REFUSED). Ask again later, or check the zone's name servers."""

    def __init__(self, name: str, rdtype: Rdtype, reason: str) -> None:
        super().__init__(f"{printable(name)} {rdtype}: {reason}")
        self.name, self.rdtype, self.reason = name, rdtype, reason


@dataclass(frozen=True, slots=True)
class Answer:
    r"""A definite answer, with CNAMEs followed to their end.

    Attributes:
        name: The name that was asked: lower case, without a final dot.
        rdtype: The type that was asked.
        rcode: The response code at the end of the chain of aliases.
        records: The records of that type: an address, a host name, `"10 mx.example.com"` for MX, and for TXT the
            strings of one record joined without spaces (RFC 7208 §3.3), one character per byte. Other types are as in
            a zone file, names lower case and without a final dot. In names that come from the DNS a dot or backslash
            inside a label is `\.` or `\\`, and a byte outside printable ASCII is `\DDD` (RFC 1035 §5.1).
        aliases: The targets of the CNAMEs that were followed, in order.
        ttl: Seconds the answer may be kept.
        server: The name server that gave it, as `ip:port`.
        authenticated: The name server says that it validated the answer with DNSSEC (AD, RFC 6840 §5.8).
    """

    name: str
    rdtype: Rdtype
    rcode: Rcode = "NOERROR"
    records: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ttl: int = 0
    server: str = ""
    authenticated: bool = False

    @property
    def evidence(self) -> str:
        """What was asked and how it was answered, on one line."""
        chain = "".join(f" -> {printable(alias)}" for alias in self.aliases)
        source = f", ttl {self.ttl}, from {self.server}" if self.server else ""
        return f"{printable(self.name)} {self.rdtype}{chain}: {self.rcode}, {len(self.records)} record(s){source}"


#: An answer, or the temporary error as a value, for questions of which some may go unanswered.
Reply = Answer | TemporaryDnsError


class Resolver(Protocol):
    """Asks the DNS."""

    async def query(self, name: str, rdtype: Rdtype) -> Answer:
        r"""Ask for the records of one type at one name.

        In the name `\.`, `\\` and `\DDD` stand for a byte of a label, every other character for its own byte (Latin-1).
        A name that cannot exist (an empty label, a label over 63 or a name over 253 bytes) is NXDOMAIN.

        Raises:
            TemporaryDnsError: nothing definite was learnt within the deadline.
        """


def exchanges(answer: Answer) -> list[tuple[int, str]]:
    """The (preference, host) pairs of an MX answer, best first; the host of a null MX (RFC 7505) is empty."""
    pairs = (record.partition(" ") for record in answer.records)
    return sorted((int(preference), host) for preference, _, host in pairs)


def printable(text: str, limit: int = PRINTABLE_MAX) -> str:
    r"""Text from the DNS in a form that every store and terminal takes.

    Bytes outside printable ASCII become `\DDD` (RFC 1035 §5.1), and what exceeds `limit` characters is cut.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    shown = "".join(char if " " <= char <= "~" else f"\\{ord(char):03d}" for char in text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."
