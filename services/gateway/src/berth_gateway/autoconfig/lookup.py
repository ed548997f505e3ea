"""Finds the servers of a domain's mailboxes: two tables of services, then what the DNS says (MX; SRV: RFC 6186, RFC 8314).

Nothing is fetched by HTTP from the domain: what it could say there, it can say in the DNS, and a host that strangers name
is one more thing to be careful of.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, cast, get_args
from typing import Protocol as Interface

from berth_gateway.autoconfig.findings import Confidence, Findings, Lookup, Outcome, Place, Source
from berth_gateway.autoconfig.known import Exchange, KnownServices
from berth_gateway.autoconfig.records import KINDS, Offer, in_time, offered
from berth_gateway.autoconfig.services import MailService, Protocol, Server, Table
from berth_net import HostGuard, HostRefused, MailRecords, PortRefused

__all__ = ["Autoconfig", "FindsServers"]

_PROTOCOLS: Final = cast("tuple[Protocol, ...]", get_args(Protocol))
_TABLES: Final = cast("tuple[Table, ...]", get_args(Table))
#: Of the exchanges that a stranger publishes, so many are looked at.
_EXCHANGES: Final = 10
_DOMAINS: Final = 2000
_REMEMBERED_S: Final = 300.0
#: Domains at once: an import may name ten thousand.
_AT_ONCE: Final = 50


class FindsServers(Interface):
    """Finds servers (`Autoconfig`)."""

    async def find(self, domain: str) -> Findings:
        """What is known of a domain, in A-label form; within a few seconds, and without raising."""
        ...


class Autoconfig:
    """Asks about each domain once at a time, and remembers complete answers for five minutes.

    Args:
        services: the tables.
        records: what domains publish.
        guard: refuses hosts and ports that records name.
        deadline: seconds for a domain, all questions together.
        monotonic: the clock, in seconds.
    """

    def __init__(
        self,
        services: KnownServices,
        records: MailRecords,
        guard: HostGuard,
        *,
        deadline: float = 3.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.services = services
        self._records, self._guard, self._deadline, self._monotonic = records, guard, deadline, monotonic
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._known: dict[str, tuple[asyncio.Task[Findings], float]] = {}

    async def find(self, domain: str) -> Findings:
        """See `FindsServers.find`."""
        service = self.services.of_domain(domain)
        if service is not None:
            imap, smtp = (
                tuple(self._places(service.servers(protocol), service.table, domain)) for protocol in _PROTOCOLS
            )
            if service.table == "service_table" or (imap and smtp):
                return Findings(service=service, imap=imap, smtp=smtp, looked_up=tuple(_in_tables(domain, service)))
        try:
            self._guard.check_name(domain)
        except HostRefused:  # what a private network's DNS knows is nobody's business
            return Findings(service=service, looked_up=(*_in_tables(domain, service), *_in_dns(domain, "refused")))
        now = self._monotonic()
        task, until = self._known.get(domain, (None, now))
        if task is None or until <= now:
            self._known.pop(domain, None)
            if len(self._known) >= _DOMAINS:
                del self._known[next(iter(self._known))]  # the oldest
            task = asyncio.create_task(self._look_up(domain, service))
            self._known[domain] = (task, now + _REMEMBERED_S)
            task.add_done_callback(lambda done: self._forget_incomplete(domain, done))
        return await asyncio.shield(task)  # a caller that gives up does not take the answer from the others

    def forget(self) -> None:
        """Remember nothing any more."""
        self._known.clear()

    def _forget_incomplete(self, domain: str, task: asyncio.Task[Findings]) -> None:
        useless = task.cancelled() or task.exception() is not None or not task.result().complete
        if useless and self._known.get(domain, (None, 0.0))[0] is task:
            del self._known[domain]

    async def _look_up(self, domain: str, service: MailService | None) -> Findings:
        until = asyncio.get_running_loop().time() + self._deadline
        try:
            async with asyncio.timeout_at(until):  # the wait for a place counts
                await self._at_once.acquire()
        except TimeoutError:
            looked_up = (*_in_tables(domain, service), *_in_dns(domain, "unanswered"))
            return Findings(service=service, looked_up=looked_up, complete=False)
        try:
            return await self._ask_all(domain, service, until)
        finally:
            self._at_once.release()

    async def _ask_all(self, domain: str, service: MailService | None, until: float) -> Findings:
        """Ask the DNS, for what the table's line of the domain, if there is one, does not say."""
        exchanges, offers = await asyncio.gather(
            in_time(self._records.exchanges(domain), until),
            asyncio.gather(*(offered(kind, domain, self._records, self._guard, until=until) for kind in KINDS)),
        )
        exchange = self._exchange(exchanges or ())
        imap, smtp = (
            _each_once(
                self._all_places(
                    protocol, domain, service, exchange, [offer for offer in offers if offer.kind.protocol == protocol]
                )
            )
            for protocol in _PROTOCOLS
        )
        return Findings(
            service=service or (exchange and exchange.service) or self._service_of(imap + smtp),
            imap=imap,
            smtp=smtp,
            looked_up=(
                *_in_tables(domain, service),
                *_in_dns(domain, _outcome(exchanges, exchange), *(offer.outcome for offer in offers)),
            ),
            complete=exchanges is not None and all(offer.complete for offer in offers),
        )

    def _exchange(self, hosts: tuple[str, ...]) -> Exchange | None:
        """Whoever takes the mail; of several the first that is certain, else the first."""
        known = [found for host in hosts[:_EXCHANGES] if (found := self.services.of_exchange(host))]
        return next((found for found in known if found.certain), known[0] if known else None)

    def _all_places(
        self,
        protocol: Protocol,
        domain: str,
        service: MailService | None,
        exchange: Exchange | None,
        offers: Sequence[Offer],
    ) -> Iterator[Place]:
        """What was found of one protocol, best first."""
        if service is not None:
            yield from self._places(service.servers(protocol), service.table, domain)
        if exchange is not None:
            # what the domain says that it does not offer, it has nowhere
            without = {offer.kind.security for offer in offers if offer.outcome == "not_offered"}
            servers = (server for server in exchange.service.servers(protocol) if server.security not in without)
            yield from self._places(servers, "mail_exchanger", domain, "high" if exchange.certain else "medium")
        for offer in offers:
            yield from self._offered_places(offer, domain)

    def _places(
        self, servers: Iterable[Server], source: Source, domain: str, confidence: Confidence = "high"
    ) -> Iterator[Place]:
        """Servers of a service, at ports that may be dialled. A host with the domain in it is there for its own domains alone."""
        for server in servers:
            if server.of_domain and source == "mail_exchanger":
                continue
            try:
                self._guard.check_port(server.port)
            except PortRefused:
                continue
            yield Place(
                host=server.host.replace("{domain}", domain),
                port=server.port,
                security=server.security,
                username_form=server.username,
                authentication=server.authentication,
                source=source,
                confidence=confidence,
            )

    def _offered_places(self, offer: Offer, domain: str) -> Iterator[Place]:
        for record in offer.records:
            service = self.services.of_host(record.host)
            known = {server.host: server for server in service.servers(offer.kind.protocol)} if service else {}
            yield Place(
                host=record.host,
                port=record.port,
                security=offer.kind.security,
                username_form="address",  # the first to be tried (RFC 6186, section 4)
                authentication=known[record.host].authentication if record.host in known else (),
                source="service_record",
                confidence="high" if service or f".{record.host}".endswith(f".{domain}") else "medium",
            )

    def _service_of(self, places: Iterable[Place]) -> MailService | None:
        """The service whose server the records name."""
        return next((service for place in places if (service := self.services.of_host(place.host))), None)


def _in_tables(domain: str, service: MailService | None) -> Iterator[Lookup]:
    """Where was looked without asking anybody."""
    for table in _TABLES:
        found = service is not None and service.table == table
        yield Lookup(table, domain, "found" if found else "nothing")
        if found:
            return


def _in_dns(domain: str, exchanges: Outcome, *records: Outcome) -> Iterator[Lookup]:
    """The questions to the DNS, in the order of `KINDS`; of the records likewise when nothing is said of them."""
    yield Lookup("mail_exchanger", f"{domain} MX", exchanges)
    for kind, outcome in zip(KINDS, records or (exchanges,) * len(KINDS), strict=True):
        yield Lookup("service_record", f"{kind.label}.{domain} SRV", outcome)


def _outcome(exchanges: tuple[str, ...] | None, exchange: Exchange | None) -> Outcome:
    if exchanges is None:
        return "unanswered"
    if exchange is not None:
        return "found"
    return "unknown" if exchanges else "nothing"


def _each_once(places: Iterable[Place]) -> tuple[Place, ...]:
    """Without what was found before; but of what was suggested first and confirmed then, the second is told."""
    found: dict[tuple[str, int], Place] = {}
    for place in places:
        known = found.setdefault((place.host, place.port), place)
        if known.confidence != "high" and place.confidence == "high":
            found[place.host, place.port] = replace(known, source=place.source, confidence="high")
    return tuple(found.values())
