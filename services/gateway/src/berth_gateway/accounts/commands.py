"""Commands on accounts, each inside the caller's transaction: what is accepted is accepted whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal
from uuid import UUID, uuid4

from berth_events.contracts import (
    AccountRemoved,
    AccountRequested,
    CredentialRef,
    OnFailure,
    Provider,
    SeatKind,
)
from berth_events.runtime.store import Context, Decided
from berth_gateway import feed
from berth_gateway.accounts.addresses import MailAddress
from berth_gateway.accounts.bulk import chunks
from berth_gateway.accounts.mailboxes import Change, Mailbox, Tenant, binding
from berth_gateway.errors import AddressTaken, NotFound
from berth_gateway.imports import outcomes
from berth_vault import VaultWriter

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.store import EventStore
    from berth_gateway.accounts.changes import Changes
    from berth_gateway.seats import SeatLedger

__all__ = ["Accounts", "ConnectAccount", "Removal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectAccount:
    """A mailbox is to become an account.

    Attributes:
        suspended: whether it is to be left alone; None: a new one is not, another one stays as it is.
    """

    mailbox: Mailbox
    provider: Provider
    first_name: str
    last_name: str
    seat_kind: SeatKind
    on_failure: OnFailure
    change: Change = field(default_factory=Change)
    suspended: bool | None = None

    @property
    def full_change(self) -> Change:
        """What is to be different about an account that exists already."""
        return replace(self.change, first_name=self.first_name, last_name=self.last_name)


@dataclass(frozen=True, slots=True)
class Removal:
    """Why an account is removed."""

    reason: Literal["requested", "verification_failed", "workspace_removed"]
    context: Context


class Accounts:
    """Accepts and removes accounts.

    Args:
        store: the event store.
        vault: takes the sealed credentials.
        seats: the ledger.
        changes: what an account is given besides servers and credential.
        clock: time.
    """

    def __init__(
        self, store: "EventStore", vault: VaultWriter, seats: "SeatLedger", changes: "Changes", clock: "Clock"
    ) -> None:
        self._store, self._vault, self._seats, self._changes, self._clock = store, vault, seats, changes, clock

    async def connect(
        self, connection: "Connection", tenant: Tenant, command: ConnectAccount, context: Context
    ) -> tuple[UUID, CredentialRef]:
        """Accept an account: seat, write model, sealed credential, events and outbox rows.

        Returns:
            The id of the account, which the connector now verifies, and where its credential lies.

        Raises:
            AddressTaken: the project has the address.
            SubscriptionRequired, SeatLimitReached: there is no seat for it.
            NotFound: the project was removed meanwhile.
        """
        mailbox = command.mailbox
        account_id, reference = uuid4(), CredentialRef(credential_id=uuid4(), version=1)
        await self._refuse_taken(connection, tenant, mailbox.address)
        await self._vault.insert(connection, binding(tenant, account_id, reference), mailbox.credential)
        event = AccountRequested(
            account_id=account_id,
            organization_id=tenant.organization_id,
            project_id=tenant.project_id,
            imap=mailbox.tried_imap,
            smtp=mailbox.smtp,
            credential_ref=reference,
            address=mailbox.address.text,
            domain=mailbox.address.domain,
            provider=command.provider,
            seat_kind=command.seat_kind,
            first_name=command.first_name,
            last_name=command.last_name,
            on_failure=command.on_failure,
        )
        envelopes = await self._store.append(connection, account_id, 0, [event], context)
        # the rows that others queue for come last, so that they are locked as briefly as can be
        await self._seats.take(connection, tenant.organization_id, command.seat_kind)
        await self._insert(connection, command, event)
        entries = [(tenant.project_id, envelope) for envelope in envelopes]
        entries += await self._changes.update(connection, tenant, account_id, command.change, context)
        if command.suspended:
            entries += await self._changes.suspend(connection, tenant, account_id, "", context)
        await feed.publish(connection, entries)
        return account_id, reference

    async def remove(
        self, connection: "Connection", tenant: Tenant, account_id: UUID, context: Context
    ) -> list[feed.Entry]:
        """Remove an account because its owner asked; the caller publishes the entries of the feed.

        Raises:
            NotFound: the project has no such account.
        """
        found = await connection.fetchval(
            "SELECT true FROM account WHERE account_id = $1 AND project_id = $2", account_id, tenant.project_id
        )
        removed = await self.remove_all(connection, {account_id: Removal("requested", context)} if found else {})
        if not removed:
            raise NotFound
        return removed

    async def remove_all(self, connection: "Connection", removals: Mapping[UUID, Removal]) -> list[feed.Entry]:
        """Remove those of the accounts that are still there: event, credential erased, seat released.

        Returns:
            The AccountRemoved events, which the caller publishes to the feeds.
        """
        rows = await connection.fetch(
            """SELECT account_id, organization_id, project_id, address, seat_kind, credential_id, workspace_id, version
                 FROM account
                WHERE account_id = ANY($1::uuid[]) AND removed_at IS NULL ORDER BY account_id FOR UPDATE""",
            list(removals),
        )
        decided: dict[Context, list[Decided]] = {}
        for row in rows:
            removal = removals[row["account_id"]]
            event = AccountRemoved(
                account_id=row["account_id"],
                organization_id=row["organization_id"],
                project_id=row["project_id"],
                address=row["address"],
                seat_kind=row["seat_kind"],
                reason=removal.reason,
            )
            decided.setdefault(removal.context, []).append(Decided(event.account_id, row["version"], [event]))
        envelopes = [
            envelope
            for context, streams in decided.items()
            for some in chunks(streams)
            for envelope in await self._store.append_all(connection, some, context)
        ]
        projects = {row["account_id"]: row["project_id"] for row in rows}
        entries = [(projects[envelope.data.aggregate_id], envelope) for envelope in envelopes]
        # that of an account of a workspace is the workspace's
        await self._vault.delete(connection, *(row["credential_id"] for row in rows if row["workspace_id"] is None))
        await outcomes.abandon(connection, [row["account_id"] for row in rows], self._clock.now())
        await connection.execute(
            """UPDATE account SET removed_at = $3, updated_at = $3, version = version + 1, removed_reason = removed.reason
                 FROM unnest($1::uuid[], $2::text[]) AS removed (account_id, reason)
                WHERE account.account_id = removed.account_id""",
            [row["account_id"] for row in rows],
            [removals[row["account_id"]].reason for row in rows],
            self._clock.now(),
        )
        await self._seats.release(connection, [(row["organization_id"], row["seat_kind"]) for row in rows])
        return entries

    async def _refuse_taken(self, connection: "Connection", tenant: Tenant, address: MailAddress) -> None:
        """Refuse an address that the project has; else know its domain from now on."""
        # asked for first: a conflict would use up a number of the domains' identity each time
        taken = await connection.fetchval(
            """WITH known AS (
                   INSERT INTO domain (domain, created_at)
                   SELECT $3, $4 WHERE NOT EXISTS (SELECT FROM domain WHERE domain = $3)
                   ON CONFLICT (domain) DO NOTHING)
               SELECT account_id FROM account WHERE project_id = $1 AND address_key = $2 AND removed_at IS NULL""",
            tenant.project_id,
            address.key,
            address.domain,
            self._clock.now(),
        )
        if taken is not None:
            raise AddressTaken(account_id=str(taken))

    async def _insert(self, connection: "Connection", command: ConnectAccount, event: AccountRequested) -> None:
        mailbox = command.mailbox
        inserted = await connection.fetchval(
            """WITH numbered AS (
                       UPDATE project SET next_number = next_number + 1 WHERE project_id = $3 AND removed_at IS NULL
                       RETURNING next_number - 1 AS number)
                   INSERT INTO account (account_id, organization_id, project_id, number, address, address_key, domain, provider,
                                        first_name, last_name, imap, smtp, imap_issue, seat_kind, on_failure,
                                        credential_id, credential_version, version, created_at, updated_at, imap_guessed)
                   SELECT $1, $2, $3, number, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1, $17, $17, $18
                     FROM numbered
                   ON CONFLICT (project_id, address_key) WHERE removed_at IS NULL DO NOTHING
                   RETURNING true""",
            event.account_id,
            event.organization_id,
            event.project_id,
            mailbox.address.text,
            mailbox.address.key,
            mailbox.address.domain,
            command.provider,
            command.first_name,
            command.last_name,
            mailbox.imap and mailbox.imap.model_dump(mode="json"),
            mailbox.smtp and mailbox.smtp.model_dump(mode="json"),
            mailbox.imap_issue,
            command.seat_kind,
            command.on_failure,
            event.credential_ref.credential_id,
            event.credential_ref.version,
            self._clock.now(),
            mailbox.imap_guessed,
        )
        if not inserted:  # another request was quicker since we looked
            tenant = Tenant(organization_id=event.organization_id, project_id=event.project_id)
            await self._refuse_taken(connection, tenant, mailbox.address)
            there = "SELECT removed_at IS NULL FROM project WHERE project_id = $1"
            raise AddressTaken if await connection.fetchval(there, tenant.project_id) else NotFound
