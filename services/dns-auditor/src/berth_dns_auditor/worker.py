"""The work of the service: audit a domain, record what was found and what changed, and come back."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from berth_dns_auditor import repository
from berth_dns_auditor.audit import Audit, Auditor
from berth_dns_auditor.history import changes, known, settle
from berth_dns_auditor.repository import LastAudit
from berth_dns_auditor.requests import INTERVAL, AuditRequest, next_audit
from berth_events.contracts import DomainAudited, DomainHealthChanged, Event, domain_id
from berth_events.runtime.store import Context, EventStore
from berth_events.runtime.work import Job, WorkQueue

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool

__all__ = ["AuditHandler", "Audited"]

#: After an audit that left a question open: the first pause, which doubles each time up to the interval.
RETRY: Final = timedelta(seconds=30)
JITTER: Final = 0.1
#: With these pauses about a quarter of an hour, which is longer than name servers restart.
PATIENCE: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """An audit with when it was made; the duration is in seconds."""

    domain: str
    audit: Audit
    at: datetime
    duration: float


class AuditHandler:
    """Performs audits and records them.

    Args:
        pool: Where it is read what messages showed of a domain.
        auditor: Asks the DNS.
        store: Where the events go.
        queue: Where the next audit waits.
        clock: Time.
        rng: Spreads the next audits, so that a bulk import does not come back in one heap.
        forget: Drops what is remembered of a domain.
    """

    def __init__(
        self,
        pool: "Pool",
        auditor: Auditor,
        store: EventStore,
        queue: WorkQueue,
        clock: "Clock",
        rng: random.Random,
        *,
        forget: Callable[[str], None],
    ) -> None:
        self._auditor, self._store, self._queue, self._clock, self._rng = auditor, store, queue, clock, rng
        self._pool, self._forget = pool, forget

    async def perform(self, job: Job) -> Audited:
        """Audit the domain; bounded by the auditor's deadline."""
        began = self._clock.monotonic()
        request = AuditRequest.of(job)
        if request.asked_for:
            self._forget(request.domain)
        async with self._pool.acquire() as connection:
            known = await repository.known_of(connection, job.key, request.domain)
        audit = await self._auditor.audit(request.domain, known)
        return Audited(
            domain=request.domain, audit=audit, at=self._clock.now(), duration=self._clock.monotonic() - began
        )

    async def record(self, connection: "Connection", job: Job, result: Audited) -> None:
        """Say what was found, and what changed since the last audit; schedule the next while an account needs it."""
        previous = await repository.last_audit(connection, job.key)
        incomplete = (previous.incomplete if previous else 0) + 1 if result.audit.pressing else 0
        definite = settle(result.audit, previous.definite if previous else None, patient=incomplete <= PATIENCE)
        last = LastAudit(
            domain=result.domain,
            audited_at=result.at,
            record=result.audit.record,
            definite=definite,
            incomplete=incomplete,
        )
        version = await self._store.version(connection, job.key)
        context = Context(
            correlation_id=AuditRequest.of(job).correlation_id,
            causation_id=job.causation_id,
            traceparent=job.traceparent,
        )
        envelopes = await self._store.append(connection, job.key, version, _events(result, last, previous), context)
        await repository.save_audit(connection, last)
        if await repository.is_asked_for(connection, job.key):
            return  # since this audit began: it is seen to at once, and the next follows from that
        if await repository.is_needed(connection, job.key):
            run_at = result.at + self._pause(incomplete)
            # In place of whatever waits: it was to be audited, and it has been.
            await self._queue.request(connection, [next_audit(result.domain, envelopes[0].event_id, run_at=run_at)])

    def _pause(self, incomplete: int) -> timedelta:
        # The exponent is bounded only to keep the product small: the interval is reached long before.
        pause = min(RETRY * 2 ** min(incomplete - 1, 20), INTERVAL) if incomplete else INTERVAL
        return pause * self._rng.uniform(1 - JITTER, 1 + JITTER)


def _events(result: Audited, now: LastAudit, previous: LastAudit | None) -> list[Event]:
    identity = {"domain_id": domain_id(now.domain), "domain": now.domain}
    events: list[Event] = [
        DomainAudited(
            **identity,
            audited_at=now.audited_at,
            duration_ms=round(result.duration * 1000, 1),
            record=now.record,
            definite=now.definite,
        )
    ]
    if previous:
        raised, cleared = changes(known(previous.record, previous.definite), known(now.record, now.definite))
        if raised or cleared:
            events.append(DomainHealthChanged(**identity, raised=raised, cleared=cleared))
    return events
