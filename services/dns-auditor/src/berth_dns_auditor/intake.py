"""From accounts to audits: one audit of a domain, however many accounts share it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from berth_dns_auditor import repository
from berth_dns_auditor.requests import INTERVAL, audit_of, next_audit
from berth_events.contracts import (
    AccountCheckedUp,
    AccountDomainAuditRequested,
    AccountRemoved,
    AccountRequested,
    AccountVerificationRequested,
    Envelope,
    domain_id,
)
from berth_events.contracts.topics import ACCOUNTS, VERIFICATIONS

if TYPE_CHECKING:
    from uuid import UUID

    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.work import WorkItem, WorkQueue

__all__ = ["Intake"]

#: A domain that was audited within this time is not audited again for a new account.
FRESH: Final = timedelta(hours=1)


@dataclass(slots=True)
class _Wanted:
    """The audits of one batch, one for a domain: of those that anything fresh will do for, and of those it will not."""

    some: dict["UUID", "WorkItem"] = field(default_factory=dict)
    new: dict["UUID", "WorkItem"] = field(default_factory=dict)

    def any_fresh(self, item: "WorkItem") -> None:
        self.some.setdefault(item.key, item)

    def now(self, item: "WorkItem") -> None:
        self.new[item.key] = item


class Intake:
    """Turns accounts, dry runs, requests and checkups into work, and keeps count of who needs a domain."""

    name: Final = "dns-auditor-intake"
    topics: Final = (ACCOUNTS, VERIFICATIONS)

    def __init__(self, queue: "WorkQueue", clock: "Clock") -> None:
        self._queue, self._clock = queue, clock

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Apply events of one partition, in order."""
        wanted = _Wanted()
        for envelope in envelopes:
            match envelope.data:
                case AccountRequested(account_id=account_id, domain=domain, organization_id=organization_id):
                    # What the other organization alone showed of the domain does not count any more.
                    if await repository.add_account(connection, account_id, domain, organization_id):
                        wanted.now(audit_of(domain, envelope))
                    else:
                        wanted.any_fresh(audit_of(domain, envelope))
                case AccountVerificationRequested(domain=str(domain)):
                    # a dry run shows the domain too, and keeps nothing
                    wanted.any_fresh(audit_of(domain, envelope))
                case AccountDomainAuditRequested(domain=domain):
                    wanted.now(audit_of(domain, envelope, asked_for=True))
                case AccountCheckedUp() as event:
                    await self._learn(connection, envelope, event, wanted)
                case AccountRemoved(account_id=account_id):
                    await repository.remove_account(connection, account_id)
                case _:
                    pass
        await self._queue_all(connection, wanted)

    async def _learn(
        self, connection: "Connection", envelope: Envelope, event: AccountCheckedUp, wanted: _Wanted
    ) -> None:
        """Keep what a message showed. Only what nobody knew of the domain is worth an audit of a fresh domain."""
        domain = await repository.domain_of(connection, event.account_id)
        if domain is None:
            return  # the account went away meanwhile
        news = await repository.save_mail(
            connection, event.account_id, event.organization_id, domain_id(domain), event.checkup
        )
        if news:
            wanted.now(audit_of(domain, envelope, asked_for=True))
        else:
            wanted.any_fresh(audit_of(domain, envelope))

    async def _queue_all(self, connection: "Connection", wanted: _Wanted) -> None:
        now = self._clock.now()
        some = [item for key, item in wanted.some.items() if key not in wanted.new]
        settled = await repository.settled(connection, [item.key for item in some], since=now - FRESH, now=now)
        due = [*wanted.new.values(), *(item for item in some if item.key not in settled)]
        # in one order everywhere, so that nobody waits in a circle
        await self._queue.request(connection, sorted(due, key=lambda item: item.key))
        # The last account of a settled domain may have gone, and with it the next audit.
        later = [
            next_audit(item.payload["domain"], item.event_id, run_at=now + INTERVAL)
            for item in some
            if item.key in settled
        ]
        await self._queue.schedule(connection, sorted(later, key=lambda item: item.key))
