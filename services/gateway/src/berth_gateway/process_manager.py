"""What the gateway does when others say something: limits, removals, settled probes, and the projects' feeds.

It has a consumer and offsets of its own: rebuilding the read model repeats nothing of this. Each reaction is guarded by the
state that it changes, so applying an event twice does nothing twice.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_events.contracts import (
    AccountCheckedUp,
    AccountConnected,
    AccountConnectionFailed,
    BillingEvent,
    DomainEvent,
    EmailWorkspaceRejected,
    EmailWorkspaceVerified,
    Envelope,
    SeatCount,
    SubscriptionActivated,
    SubscriptionChanged,
    SubscriptionEnded,
    Verification,
    VerificationEvent,
    WorkspaceSecretExpiring,
)
from berth_events.contracts.topics import BILLING, DOMAINS, VERIFICATIONS
from berth_events.runtime.store import Context
from berth_gateway import feed
from berth_gateway.accounts.commands import Accounts, Removal
from berth_gateway.accounts.mailboxes import Tenant
from berth_gateway.imports import outcomes

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_gateway.accounts.changes import Changes
    from berth_gateway.accounts.probes import Probes
    from berth_gateway.seats import SeatLedger
    from berth_gateway.workspaces.commands import Workspaces

__all__ = ["ProcessManager"]

_ABOUT_WORKSPACES: Final = (EmailWorkspaceVerified, EmailWorkspaceRejected, WorkspaceSecretExpiring)
_NO_SEATS: Final = SeatCount(monitoring=0, spam_check=0)


class ProcessManager:
    """Reacts to verifications of accounts and workspaces, audits and subscriptions."""

    name: Final = "gateway-process-manager"
    topics: Final = (VERIFICATIONS, DOMAINS, BILLING)

    def __init__(
        self,
        accounts: Accounts,
        changes: "Changes",
        probes: "Probes",
        seats: "SeatLedger",
        workspaces: "Workspaces",
        clock: "Clock",
    ) -> None:
        self._accounts, self._changes, self._probes, self._seats = accounts, changes, probes, seats
        self._workspaces, self._clock = workspaces, clock

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Apply events of one partition, in order."""
        entries = await self._entries(connection, envelopes)
        workspaces = [e.data for e in envelopes if isinstance(e.data, EmailWorkspaceVerified | EmailWorkspaceRejected)]
        await self._workspaces.settle(connection, workspaces)  # workspaces are locked before their accounts
        consequences = await self._settle_probes(connection, envelopes)
        consequences += await self._settle_accounts(connection, envelopes)
        for envelope in envelopes:
            await self._set_limits(connection, envelope)
        # the feeds last: their lock must not be held while we wait for rows
        await feed.publish(connection, entries + consequences)

    async def _settle_probes(self, connection: "Connection", envelopes: Sequence[Envelope]) -> list[feed.Entry]:
        results = {
            envelope.data.account_id: (envelope.data.verification.outcome == "connected", Context.caused_by(envelope))
            for envelope in envelopes
            if isinstance(envelope.data, VerificationEvent)
        }
        return await self._probes.settle(connection, results) if results else []

    async def _settle_accounts(self, connection: "Connection", envelopes: Sequence[Envelope]) -> list[feed.Entry]:
        """The first result of an account: its import tells it; if it is kept only when it works, it stays for good or goes."""
        first: dict[UUID, Envelope] = {}
        results: dict[UUID, AccountConnected | AccountConnectionFailed] = {}
        for envelope in envelopes:
            if isinstance(event := envelope.data, AccountConnected | AccountConnectionFailed):
                first.setdefault(event.account_id, envelope)
                results.setdefault(event.account_id, event)
        if not first:
            return []
        await outcomes.settle(connection, results, self._clock.now())
        rows = await connection.fetch(
            """SELECT account_id, imap_guessed AND NOT imap_issue AS guessing FROM account
                WHERE account_id = ANY($1::uuid[]) AND on_failure = 'remove' AND removed_at IS NULL ORDER BY account_id""",
            list(first),
        )
        works: list[UUID] = []
        removals: dict[UUID, Removal] = {}
        entries: list[feed.Entry] = []
        for row in rows:
            account_id, envelope = row["account_id"], first[row["account_id"]]
            match envelope.data:
                case AccountConnected():
                    works.append(account_id)
                case VerificationEvent() as event if row["guessing"] and _only_sends(event.verification):
                    tenant = Tenant(organization_id=event.organization_id, project_id=event.project_id)
                    entries += await self._changes.leave_imap(
                        connection, tenant, account_id, Context.caused_by(envelope)
                    )
                case _:
                    removals[account_id] = Removal("verification_failed", Context.caused_by(envelope))
        await connection.execute("UPDATE account SET on_failure = 'keep' WHERE account_id = ANY($1::uuid[])", works)
        return entries + await self._accounts.remove_all(connection, removals)

    async def _set_limits(self, connection: "Connection", envelope: Envelope) -> None:
        match envelope.data:
            case SubscriptionActivated() | SubscriptionChanged() as event:
                limits, subscribed = event.limits, True
            case SubscriptionEnded() as event:
                limits, subscribed = _NO_SEATS, False
            case _:
                return
        await self._seats.set_limits(
            connection, event.organization_id, limits, subscribed=subscribed, sequence=envelope.sequence
        )

    async def _entries(self, connection: "Connection", envelopes: Sequence[Envelope]) -> list[feed.Entry]:
        """Which project's feed gets which event. Probes are in none: they are nobody's accounts."""
        accounts = {e.data.account_id for e in envelopes if isinstance(e.data, VerificationEvent | AccountCheckedUp)}
        domains = {e.data.domain for e in envelopes if isinstance(e.data, DomainEvent)}
        organizations = {e.data.organization_id for e in envelopes if isinstance(e.data, BillingEvent)}
        workspaces = {e.data.workspace_id for e in envelopes if isinstance(e.data, _ABOUT_WORKSPACES)}
        rows = await connection.fetch(
            """SELECT account_id AS subject, project_id FROM account WHERE account_id = ANY($1::uuid[])
                UNION ALL SELECT organization_id, project_id FROM project
                           WHERE organization_id = ANY($2::uuid[]) AND removed_at IS NULL
                UNION ALL SELECT workspace_id, project_id FROM workspace WHERE workspace_id = ANY($3::uuid[])""",
            list(accounts),
            list(organizations),
            list(workspaces),
        )
        readers: dict[UUID | str, list[UUID]] = {}
        for row in rows:
            readers.setdefault(row["subject"], []).append(row["project_id"])
        rows = await connection.fetch(
            """SELECT DISTINCT domain, project_id FROM account
                WHERE domain = ANY($1::text[]) AND removed_at IS NULL""",
            list(domains),
        )
        for row in rows:
            readers.setdefault(row["domain"], []).append(row["project_id"])
        return [(project, e) for e in envelopes for project in readers.get(_subject(e), [])]


def _only_sends(found: Verification) -> bool:
    """Whether SMTP was proven, and nothing answered where IMAP was looked for."""
    greeted = any(step.protocol == "imap" and step.name == "greet" and step.outcome == "ok" for step in found.steps)
    return found.smtp is True and not greeted


def _subject(envelope: Envelope) -> UUID | str:
    return envelope.data.domain if isinstance(envelope.data, DomainEvent) else envelope.data.aggregate_id
