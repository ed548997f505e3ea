"""What the DNS says of a domain's mailboxes: SRV records (RFC 6186, RFC 8314), as far as their hosts may be dialled."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from berth_gateway.autoconfig.findings import Outcome
from berth_gateway.autoconfig.services import Protocol, Security
from berth_net import HostGuard, HostNotFound, HostRefused, LookupFailed, MailRecords, PortRefused, ServiceRecord

__all__ = ["KINDS", "Kind", "Offer", "in_time", "offered"]

T = TypeVar("T")

#: Of what a stranger publishes, so much is looked at.
_PER_KIND: Final = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """A label, the protocol that its records tell of, and how TLS begins there."""

    label: str
    protocol: Protocol
    security: Security


#: Implicit TLS is preferred (RFC 8314, section 3).
KINDS: Final = (
    Kind("_imaps._tcp", "imap", "tls"),
    Kind("_imap._tcp", "imap", "starttls"),
    Kind("_submissions._tcp", "smtp", "tls"),
    Kind("_submission._tcp", "smtp", "starttls"),
)


@dataclass(frozen=True, slots=True)
class Offer:
    """The answer to one question.

    Attributes:
        records: that may be dialled, by priority and weight, each host in its canonical form.
        complete: every question about them was answered.
    """

    kind: Kind
    outcome: Outcome
    records: tuple[ServiceRecord, ...] = ()
    complete: bool = True


async def offered(kind: Kind, domain: str, records: MailRecords, guard: HostGuard, *, until: float) -> Offer:
    """Ask for one kind of record, and vet what it names.

    Args:
        kind: of which.
        domain: in A-label form.
        records: is asked.
        guard: refuses hosts and ports.
        until: when there has to be an answer, by the loop's clock.
    """
    found = await in_time(records.services(f"{kind.label}.{domain}"), until)
    if found is None:
        return Offer(kind, "unanswered", complete=False)
    named = [record for record in found if record.host][:_PER_KIND]
    if not named:
        return Offer(kind, "not_offered" if found else "nothing")
    vetted = await asyncio.gather(*(in_time(_vet(record, guard), until) for record in named))
    usable = tuple(record for record in vetted if isinstance(record, ServiceRecord))
    complete = None not in vetted
    return Offer(kind, "found" if usable else "refused" if complete else "unanswered", usable, complete)


async def _vet(record: ServiceRecord, guard: HostGuard) -> ServiceRecord | Literal["refused"]:
    """The record with its host in canonical form. Why it is refused is nobody's business who publishes it."""
    try:
        vetted = await guard.vet(record.host, record.port)
    except (PortRefused, HostRefused, HostNotFound):
        return "refused"
    return ServiceRecord(vetted.host, vetted.port)


async def in_time(question: Awaitable[T], until: float) -> T | None:
    """The answer, or None when there is none by then."""
    try:
        async with asyncio.timeout_at(until):
            return await question
    except (LookupFailed, TimeoutError):
        return None
