"""Many accounts in one transaction: a few statements for hundreds of them, instead of a few for each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

from berth_events.contracts import AccountRequested, CredentialRef, MailServer, OnFailure, Provider, SeatKind
from berth_events.runtime.store import Decided
from berth_gateway.accounts.addresses import MailAddress
from berth_gateway.accounts.mailboxes import Tenant

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.store import Context, EventStore
    from berth_gateway import feed
    from berth_gateway.seats import SeatLedger
    from berth_vault import Sealed, VaultWriter

__all__ = ["Admission", "BulkAccounts", "Existing", "NewAccount", "Terms", "chunks"]

#: Rows in one statement: what is made of them fits into a few megabytes, and keeps the loop busy for milliseconds.
_CHUNK: Final = 250

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """One of the accounts. Its id is drawn before, so that its credential can be sealed for it."""

    account_id: UUID
    address: MailAddress
    provider: Provider
    first_name: str
    last_name: str
    imap: MailServer | None
    smtp: MailServer | None
    credential_ref: CredentialRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What all of the accounts have in common."""

    seat_kind: SeatKind
    on_failure: OnFailure
    workspace_id: UUID | None = None
    import_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Existing:
    """An account that has the address already."""

    account_id: UUID
    workspace_id: UUID | None


@dataclass(frozen=True, slots=True)
class Admission:
    """What stands in the way of new accounts: how many seats are free, and which addresses (by key) are taken."""

    free: int
    existing: Mapping[str, Existing]


class BulkAccounts:
    """Accepts many accounts inside the caller's transaction.

    Args:
        store: the event store.
        vault: takes the sealed credentials.
        seats: the ledger.
        clock: time.
    """

    def __init__(self, store: "EventStore", vault: "VaultWriter", seats: "SeatLedger", clock: "Clock") -> None:
        self._store, self._vault, self._seats, self._clock = store, vault, seats, clock

    async def know(self, connection: "Connection", domains: Iterable[str]) -> None:
        """Have the domains in the table of domains. First of all: whoever connects one account does it in this order too."""
        # sorted, so that two bulks do not wait for each other; asked for first, because a conflict uses up a number
        await connection.execute(
            """INSERT INTO domain (domain, created_at)
               SELECT name, $2 FROM unnest($1::text[]) AS name
                WHERE NOT EXISTS (SELECT FROM domain d WHERE d.domain = name) ORDER BY name
               ON CONFLICT (domain) DO NOTHING""",
            sorted(set(domains)),
            self._clock.now(),
        )

    async def admit(self, connection: "Connection", tenant: Tenant, kind: SeatKind, keys: Sequence[str]) -> Admission:
        """What is free and what is taken, which nobody else changes before the transaction ends.

        Args:
            connection: in the caller's transaction.
            tenant: whose.
            kind: of the seats.
            keys: of the addresses (`MailAddress.key`).

        Raises:
            SubscriptionRequired: the organization has no subscription.
        """
        free = await self._seats.hold(connection, tenant.organization_id, kind)
        # every new account takes a number from this row
        await connection.execute("SELECT FROM project WHERE project_id = $1 FOR NO KEY UPDATE", tenant.project_id)
        return Admission(free, await self._existing(connection, tenant, keys))

    async def look(self, connection: "Connection", tenant: Tenant, kind: SeatKind, keys: Sequence[str]) -> Admission:
        """What is free and what is taken just now; see `admit`. Waits for nobody, and nobody waits for it."""
        free = await self._seats.free(connection, tenant.organization_id, kind)
        return Admission(free, await self._existing(connection, tenant, keys))

    async def _existing(self, connection: "Connection", tenant: Tenant, keys: Sequence[str]) -> dict[str, Existing]:
        rows = await connection.fetch(
            """SELECT address_key, account_id, workspace_id FROM account
                WHERE project_id = $1 AND address_key = ANY($2::text[]) AND removed_at IS NULL""",
            tenant.project_id,
            keys,
        )
        return {row["address_key"]: Existing(row["account_id"], row["workspace_id"]) for row in rows}

    async def connect(
        self,
        connection: "Connection",
        tenant: Tenant,
        accounts: Sequence[NewAccount],
        terms: Terms,
        context: "Context",
        sealed: "Sequence[Sealed]" = (),
    ) -> "list[feed.Entry]":
        """Accept accounts that were admitted: seats, sealed credentials, events and outbox rows, write model.

        Returns:
            The AccountRequested events, which the caller publishes to the feed.

        Raises:
            SeatLimitReached: more than the free seats.
        """
        if not accounts:
            return []
        await self._seats.take(connection, tenant.organization_id, terms.seat_kind, len(accounts))
        for some in chunks(sealed):
            await self._vault.insert_all(connection, some)
        number: int = await connection.fetchval(
            """UPDATE project SET next_number = next_number + $2 WHERE project_id = $1
               RETURNING next_number - $2""",
            tenant.project_id,
            len(accounts),
        )
        entries: list[feed.Entry] = []
        for group in chunks(accounts):
            events = [_event(tenant, account, terms) for account in group]
            envelopes = await self._store.append_all(
                connection, [Decided(event.account_id, 0, [event]) for event in events], context
            )
            await self._insert(connection, tenant, group, terms, number + len(entries))
            entries += [(tenant.project_id, envelope) for envelope in envelopes]
        return entries

    async def _insert(
        self, connection: "Connection", tenant: Tenant, accounts: Sequence[NewAccount], terms: Terms, number: int
    ) -> None:
        """Write the rows of accounts, numbered from `number` on."""
        await connection.execute(
            """INSERT INTO account (account_id, organization_id, project_id, number, address, address_key, domain, provider,
                                    first_name, last_name, imap, smtp, imap_issue, seat_kind, on_failure, workspace_id, import_id,
                                    credential_id, credential_version, version, created_at, updated_at)
               SELECT a.account_id, $1, $2, $3 + a.place - 1, a.address, a.address_key, a.domain, a.provider,
                      a.first_name, a.last_name, a.imap, a.smtp, false, $4, $5, $6, $7,
                      a.credential_id, a.credential_version, 1, $8, $8
                 FROM unnest($9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
                             $16::jsonb[], $17::jsonb[], $18::uuid[], $19::int[]) WITH ORDINALITY
                      AS a (account_id, address, address_key, domain, provider, first_name, last_name, imap, smtp,
                            credential_id, credential_version, place)""",
            tenant.organization_id,
            tenant.project_id,
            number,
            terms.seat_kind,
            terms.on_failure,
            terms.workspace_id,
            terms.import_id,
            self._clock.now(),
            [account.account_id for account in accounts],
            [account.address.text for account in accounts],
            [account.address.key for account in accounts],
            [account.address.domain for account in accounts],
            [account.provider for account in accounts],
            [account.first_name for account in accounts],
            [account.last_name for account in accounts],
            [account.imap and account.imap.model_dump(mode="json") for account in accounts],
            [account.smtp and account.smtp.model_dump(mode="json") for account in accounts],
            [account.credential_ref.credential_id for account in accounts],
            [account.credential_ref.version for account in accounts],
        )


def chunks(rows: Sequence[T], size: int = _CHUNK) -> Iterator[Sequence[T]]:
    """The rows, some hundreds at a time."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _event(tenant: Tenant, account: NewAccount, terms: Terms) -> AccountRequested:
    return AccountRequested(
        account_id=account.account_id,
        organization_id=tenant.organization_id,
        project_id=tenant.project_id,
        imap=account.imap,
        smtp=account.smtp,
        credential_ref=account.credential_ref,
        workspace_id=terms.workspace_id,
        address=account.address.text,
        domain=account.address.domain,
        provider=account.provider,
        seat_kind=terms.seat_kind,
        first_name=account.first_name,
        last_name=account.last_name,
        import_id=terms.import_id,
        on_failure=terms.on_failure,
    )
