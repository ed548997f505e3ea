"""Finds the servers of a domain's mailboxes: the table of services, then what the DNS says (MX; SRV: RFC 6186, RFC 8314).

Nothing is fetched by HTTP from the domain: what it could say there, it can say in the DNS, and a host that strangers name
is one more thing to be careful of.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar
from typing import Protocol as Interface

from berth_gateway.accounts.servers import default_security
from berth_gateway.autoconfig.services import KnownServices, MailService, Protocol, Security, UsernameForm
from berth_net import HostGuard, HostNotFound, HostRefused, LookupFailed, MailRecords, PortRefused, ServiceRecord

__all__ = ["Autoconfig", "Confidence", "Findings", "FindsServers", "Place", "Source"]

Source = Literal["service_table", "mail_exchanger", "service_record"]
Confidence = Literal["high", "medium"]
T = TypeVar("T")

#: Which records tell of which protocol, and how TLS begins there; implicit TLS is preferred (RFC 8314, section 3).
_RECORDS: Final[tuple[tuple[str, Protocol, Security], ...]] = (
    ("_imaps._tcp", "imap", "tls"),
    ("_imap._tcp", "imap", "starttls"),
    ("_submissions._tcp", "smtp", "tls"),
    ("_submission._tcp", "smtp", "starttls"),
)
#: Of what a stranger publishes, so much is looked at.
_PER_RECORD: Final = 3
_EXCHANGES: Final = 10
_DOMAINS: Final = 2000
_REMEMBERED_S: Final = 300.0
#: Domains at once: an import may name ten thousand.
_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server that was found.

    Attributes:
        confidence: `high` is a server of a known service, or one in the domain itself. `medium` is a host elsewhere that a
            record names: DNS can be forged, so somebody has to agree before a password goes there (RFC 6186, section 6).
    """

    host: str
    port: int
    security: Security
    username_form: UsernameForm
    source: Source
    confidence: Confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is known of a domain's mailboxes.

    Attributes:
        service: that has them, when it is a known one.
        imap: best first.
        smtp: best first.
        complete: False when a question was not answered in time, so that there may be more.
    """

    service: MailService | None = None
    imap: tuple[Place, ...] = ()
    smtp: tuple[Place, ...] = ()
    complete: bool = True

    def best(self, protocol: Protocol) -> Place | None:
        """The server that a password may go to without asking anybody; None when there is none."""
        places = self.imap if protocol == "imap" else self.smtp
        return next((place for place in places if place.confidence == "high"), None)


class FindsServers(Interface):
    """Finds servers (`Autoconfig`)."""

    async def find(self, domain: str) -> Findings:
        """What is known of a domain, in A-label form; within a few seconds, and without raising."""
        ...


class Autoconfig:
    """Asks about each domain once at a time, and remembers complete answers for five minutes.

    Args:
        services: the table.
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
            return Findings(
                service=service,
                imap=_places(service, "imap", "service_table"),
                smtp=_places(service, "smtp", "service_table"),
            )
        now = self._monotonic()
        task, until = self._known.get(domain, (None, now))
        if task is None or until <= now:
            self._known.pop(domain, None)
            if len(self._known) >= _DOMAINS:
                del self._known[next(iter(self._known))]  # the oldest
            task = asyncio.create_task(self._look_up(domain))
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

    async def _look_up(self, domain: str) -> Findings:
        until = asyncio.get_running_loop().time() + self._deadline
        try:
            async with asyncio.timeout_at(until):  # the wait for a place counts
                await self._at_once.acquire()
        except TimeoutError:
            return Findings(complete=False)
        try:
            return await self._ask_all(domain, until)
        finally:
            self._at_once.release()

    async def _ask_all(self, domain: str, until: float) -> Findings:
        exchanging = asyncio.create_task(_in_time(self._records.exchanges(domain), until))
        offers = await asyncio.gather(*(_in_time(self._offered(domain, *record), until) for record in _RECORDS))
        exchanges = await exchanging
        services = map(self.services.of_exchange, (exchanges or ())[:_EXCHANGES])
        service = next((found for found in services if found), None)
        places: dict[Protocol, dict[tuple[str, int], Place]] = {"imap": {}, "smtp": {}}
        if service is not None:
            for protocol, by_host in places.items():
                by_host.update(
                    {(place.host, place.port): place for place in _places(service, protocol, "mail_exchanger")}
                )
        for offer in offers:
            for protocol, place in offer.places if offer else ():
                places[protocol].setdefault((place.host, place.port), place)
        return Findings(
            service=service,
            imap=tuple(places["imap"].values()),
            smtp=tuple(places["smtp"].values()),
            complete=exchanges is not None and all(offer is not None and offer.complete for offer in offers),
        )

    async def _offered(self, domain: str, label: str, protocol: Protocol, security: Security) -> "_Offer":
        """The servers of one kind of record that may be dialled."""
        found = (await self._records.services(f"{label}.{domain}"))[:_PER_RECORD]
        vetted = await asyncio.gather(*(self._vet(record) for record in found if record.host))
        return _Offer(
            places=[
                (
                    protocol,
                    Place(
                        host=record.host,
                        port=record.port,
                        security=security,
                        username_form="address",
                        source="service_record",
                        confidence="high" if f".{record.host}".endswith(f".{domain}") else "medium",
                    ),
                )
                for record in vetted
                if isinstance(record, ServiceRecord)
            ],
            complete="unanswered" not in vetted,
        )

    async def _vet(self, record: ServiceRecord) -> ServiceRecord | Literal["refused", "unanswered"]:
        """The record with its host in canonical form. Why it is refused is nobody's business who publishes it."""
        try:
            vetted = await self._guard.vet(record.host, record.port)
        except (PortRefused, HostRefused, HostNotFound):
            return "refused"
        except LookupFailed:
            return "unanswered"
        return ServiceRecord(vetted.host, vetted.port)


@dataclass(frozen=True, slots=True)
class _Offer:
    """What records name and may be dialled; whether every question about it was answered."""

    places: list[tuple[Protocol, Place]]
    complete: bool


async def _in_time(question: Awaitable[T], until: float) -> T | None:
    """The answer, or None when there is none by then."""
    try:
        async with asyncio.timeout_at(until):
            return await question
    except (LookupFailed, TimeoutError):
        return None


def _places(service: MailService, protocol: Protocol, source: Source) -> tuple[Place, ...]:
    return tuple(
        Place(
            host=server.host,
            port=server.port,
            security=default_security(server.port),
            username_form=service.imap_username if protocol == "imap" and source == "service_table" else "address",
            source=source,
            confidence="high",
        )
        for server in service.servers(protocol)
    )
