"""Which mail service an address, a mail exchange or a server belongs to."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from berth_gateway.autoconfig.ispdb.table import ispdb_services
from berth_gateway.autoconfig.services import MailService, Protocol, own_services

__all__ = ["Exchange", "KnownServices"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A service that takes mail at some host.

    Attributes:
        certain: the table names the host or what is right above it, or lists exchanges as such. Else the host may be a
            customer's own machine at that service.
    """

    service: MailService
    certain: bool


class KnownServices:
    """The tables, by what they are asked for.

    Args:
        own: the lines of Berth's own table.
        ispdb: those of Thunderbird's.
    """

    def __init__(self, own: Iterable[MailService], ispdb: Iterable[MailService] = ()) -> None:
        own = list(own)
        own_smtp = _by_host(own, "smtp")
        own_hosts = _by_host(own, "imap") | own_smtp
        others = [_described(service, own_hosts) for service in ispdb]
        self._by_smtp = _by_host(others, "smtp") | own_smtp
        self._by_host = _by_host(others, "imap") | self._by_smtp | own_hosts
        self._by_domain = {domain: service for service in (*others, *own) for domain in service.domains}
        self._exchanges = [
            {suffix: service for service in table for suffix in service.exchanges} for table in (own, others)
        ]

    @classmethod
    def load(cls) -> "KnownServices":
        """The tables that come with Berth."""
        return cls(own_services(), ispdb_services())

    def of_domain(self, domain: str) -> MailService | None:
        """The service whose own addresses are in this domain."""
        return self._by_domain.get(domain)

    def of_exchange(self, host: str) -> Exchange | None:
        """The service that takes mail at this host. In each table the longest suffix counts, as far as the registrable domain."""
        suffixes = list(_suffixes(host))
        for table in self._exchanges:
            for depth, suffix in enumerate(suffixes):
                service = table.get(suffix)
                if service is not None:
                    return Exchange(service, certain=service.table == "service_table" or depth <= 1)
        return None

    def of_smtp(self, host: str) -> MailService | None:
        """The service that sends from this host."""
        return self._by_smtp.get(host)

    def of_host(self, host: str) -> MailService | None:
        """The service that has this server."""
        return self._by_host.get(host)


def _described(service: MailService, known: Mapping[str, MailService]) -> MailService:
    """With what the own table says, when the servers are those of a service there: it knows of app passwords."""
    hosts = (server.host for server in (*service.smtp, *service.imap))
    other = next((known[host] for host in hosts if host in known), None)
    return service.described_by(other) if other else service


def _by_host(services: Iterable[MailService], protocol: Protocol) -> dict[str, MailService]:
    """A host of several services may belong to any of them; the first one counts."""
    return {
        server.host: service
        for service in reversed(list(services))
        for server in service.servers(protocol)
        if not server.of_domain
    }


def _suffixes(host: str) -> Iterator[str]:
    labels = host.split(".")
    return (".".join(labels[place:]) for place in range(len(labels)))
