"""What a domain publishes of its mail servers: MX and SRV records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from berth_net.resolver import LookupFailed, stub_resolver

__all__ = ["DnsMailRecords", "MailRecords", "ServiceRecord"]


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One SRV record (RFC 2782).

    Attributes:
        host: a stranger's word; empty: the domain says that it does not offer the service.
    """

    host: str
    port: int


class MailRecords(Protocol):
    """Finds what a domain publishes."""

    async def exchanges(self, domain: str) -> tuple[str, ...]:
        """The hosts that take the domain's mail, the preferred one first; none when there are no MX records.

        Raises:
            LookupFailed: the question was not answered.
        """
        ...

    async def services(self, name: str) -> tuple[ServiceRecord, ...]:
        """The SRV records of a name, by priority and weight; none when there are none.

        Raises:
            LookupFailed: the question was not answered.
        """
        ...


class DnsMailRecords:
    """Asks name servers.

    Args:
        nameservers: entries of BERTH_DNS_SERVERS; none means those of the system.
        deadline: seconds for one question, retries included.

    Raises:
        ValueError: an entry is not a name server.
    """

    def __init__(self, nameservers: Sequence[str] = (), *, deadline: float = 3.0) -> None:
        self._resolver, self._deadline = stub_resolver(nameservers), deadline

    async def exchanges(self, domain: str) -> tuple[str, ...]:
        """See `MailRecords.exchanges`. A null MX (RFC 7505) is no host."""
        records = sorted(await self._ask(domain, dns.rdatatype.MX), key=lambda record: record.preference)
        return tuple(host for record in records if (host := _text(record.exchange)))

    async def services(self, name: str) -> tuple[ServiceRecord, ...]:
        """See `MailRecords.services`. The heavier of equal priority stands first: that is repeatable, unlike a draw."""
        records = await self._ask(name, dns.rdatatype.SRV)
        ordered = sorted(records, key=lambda record: (record.priority, -record.weight))
        return tuple(ServiceRecord(_text(record.target), record.port) for record in ordered)

    async def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> list[Any]:
        try:
            answer = await self._resolver.resolve(
                dns.name.from_text(name), kind, lifetime=self._deadline, search=False, raise_on_no_answer=False
            )
        except (dns.resolver.NXDOMAIN, dns.name.NameTooLong):  # what is too long for the DNS is not in it
            return []
        except dns.exception.DNSException as error:
            raise LookupFailed(f"The lookup of {name} failed: {type(error).__name__}.") from error
        return list(answer.rrset or ())


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")
