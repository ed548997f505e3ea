"""The command that accepts an import, inside the caller's transaction: all that is accepted, or nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from berth_events.contracts import CredentialRef
from berth_gateway import feed
from berth_gateway.accounts.addresses import MailAddress
from berth_gateway.accounts.bulk import BulkAccounts, NewAccount, Terms, chunks
from berth_gateway.accounts.mailboxes import Tenant, binding
from berth_gateway.errors import ImportRefused
from berth_gateway.imports.plan import Candidate, Plan, Rejection, Row, decide
from berth_gateway.imports.schemas import Options
from berth_gateway.imports.translation import PasswordMailbox
from berth_gateway.workspaces.accounts import WorkspaceAccounts
from berth_gateway.workspaces.mailboxes import ImportedMailbox

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.store import Context
    from berth_gateway.seats import SeatLedger
    from berth_gateway.workspaces.commands import Workspaces
    from berth_vault import Sealed, VaultWriter

__all__ = ["Imports", "Planned", "Prepared"]

_ROWS: Final = 1000
#: Rows that a refusal names; a dry run tells all of them.
_NAMED: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a dry run found: nothing was stored."""

    plan: Plan[Any]
    free: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """Mailboxes with their credentials sealed, by the number of their row."""

    rows: Sequence[Row[PasswordMailbox]]
    sealed: Mapping[int, "Sealed"]


class Imports:
    """Accepts imports.

    Args:
        workspaces: locks the workspace of an import.
        through: accepts accounts of workspaces.
        bulk: accepts accounts with passwords.
        vault: seals.
        seats: the ledger.
        clock: time.
    """

    def __init__(
        self,
        *,
        workspaces: "Workspaces",
        through: WorkspaceAccounts,
        bulk: BulkAccounts,
        vault: "VaultWriter",
        seats: "SeatLedger",
        clock: "Clock",
    ) -> None:
        self._workspaces, self._through, self._bulk = workspaces, through, bulk
        self._vault, self._seats, self._clock = vault, seats, clock

    async def dry_run(
        self,
        connection: "Connection",
        tenant: Tenant,
        rows: Sequence[Row[Any]],
        options: Options,
        workspace_id: UUID | None = None,
    ) -> Planned:
        """What would become of the rows. Nothing is stored, and nobody waits for it.

        Raises:
            NotFound: the project has no such workspace.
            SubscriptionRequired: the organization has no subscription.
        """
        if workspace_id is not None:
            await self._workspaces.check(connection, tenant, workspace_id)
        admission = await self._bulk.look(
            connection, tenant, options.seat_kind, [each.key for each in _addresses(rows)]
        )
        plan = await asyncio.to_thread(decide, rows, admission, workspace_id)  # some 0.1 s of CPU
        return Planned(plan=plan, free=admission.free)

    async def import_through(
        self,
        connection: "Connection",
        tenant: Tenant,
        workspace_id: UUID,
        rows: Sequence[Row[ImportedMailbox]],
        options: Options,
        context: "Context",
    ) -> UUID:
        """Import mailboxes of a workspace.

        Returns:
            The id of the import.

        Raises:
            NotFound: the project has no such workspace.
            SubscriptionRequired: the organization has no subscription.
            ImportRefused, SeatLimitReached: all or nothing was asked for, and not everything can be accepted.
        """
        workspace = await self._workspaces.lock(connection, tenant, workspace_id)
        plan = await self._plan(connection, tenant, rows, options, workspace_id)
        import_id = uuid4()
        terms = _terms(options, workspace_id, import_id)
        accepted = {uuid4(): (row, candidate.mailbox) for row, candidate in plan.accepted}
        mailboxes = {account_id: mailbox for account_id, (_, mailbox) in accepted.items()}
        entries = await self._through.accept(connection, workspace, mailboxes, terms, context)
        ids = {row.number: account_id for account_id, (row, _) in accepted.items()}
        await self._keep(connection, tenant, terms, options, plan, ids)
        await _publish(connection, entries)
        return import_id

    async def prepare(self, tenant: Tenant, rows: Sequence[Row[PasswordMailbox]]) -> Prepared:
        """Seal the credentials of what may be accepted: about 0.1 ms of CPU each, in a thread, before the transaction."""
        return Prepared(rows, await asyncio.to_thread(self._seal, tenant, rows))

    async def import_accounts(
        self, connection: "Connection", tenant: Tenant, prepared: Prepared, options: Options, context: "Context"
    ) -> UUID:
        """Import mailboxes with passwords of their own.

        Returns:
            The id of the import.

        Raises:
            SubscriptionRequired: the organization has no subscription.
            ImportRefused, SeatLimitReached: all or nothing was asked for, and not everything can be accepted.
        """
        plan = await self._plan(connection, tenant, prepared.rows, options, None)
        import_id = uuid4()
        terms = _terms(options, None, import_id)
        sealed = [prepared.sealed[row.number] for row, _ in plan.accepted]
        accounts = [
            _account(candidate.mailbox, secret) for (_, candidate), secret in zip(plan.accepted, sealed, strict=True)
        ]
        entries = await self._bulk.connect(connection, tenant, accounts, terms, context, sealed)
        ids = {row.number: account.account_id for (row, _), account in zip(plan.accepted, accounts, strict=True)}
        await self._keep(connection, tenant, terms, options, plan, ids)
        await _publish(connection, entries)
        return import_id

    async def _plan(
        self,
        connection: "Connection",
        tenant: Tenant,
        rows: Sequence[Row[Any]],
        options: Options,
        workspace_id: UUID | None,
    ) -> Plan[Any]:
        addresses = _addresses(rows)
        await self._bulk.know(connection, (address.domain for address in addresses))
        admission = await self._bulk.admit(
            connection, tenant, options.seat_kind, [address.key for address in addresses]
        )
        plan = await asyncio.to_thread(decide, rows, admission, workspace_id)  # some 0.1 s of CPU
        if options.mode == "all_or_nothing" and plan.rejected:
            wrong = [(row, reason) for row, reason in plan.rejected if reason.code != "seat_limit_reached"]
            if not wrong:  # says how many there are, and how many are wanted
                await self._seats.take(connection, tenant.organization_id, options.seat_kind, plan.seats_needed)
            raise ImportRefused(rejected=len(wrong), rows=[_named(row, reason) for row, reason in wrong[:_NAMED]])
        return plan

    def _seal(self, tenant: Tenant, rows: Sequence[Row[PasswordMailbox]]) -> dict[int, "Sealed"]:
        return {
            row.number: self._vault.seal(
                binding(tenant, uuid4(), CredentialRef(credential_id=uuid4(), version=1)),
                row.content.mailbox.mailbox.credential,
            )
            for row in rows
            if isinstance(row.content, Candidate)
        }

    async def _keep(
        self,
        connection: "Connection",
        tenant: Tenant,
        terms: Terms,
        options: Options,
        plan: Plan[Any],
        account_ids: Mapping[int, UUID],
    ) -> None:
        """Write the import and its rows."""
        now = self._clock.now()
        await connection.execute(
            """WITH numbered AS (
                       UPDATE project SET next_import_number = next_import_number + 1 WHERE project_id = $3
                       RETURNING next_import_number - 1 AS number)
                   INSERT INTO import (import_id, organization_id, project_id, number, workspace_id, mode, seat_kind, on_failure,
                                       created_at)
                   SELECT $1, $2, $3, number, $4, $5, $6, $7, $8 FROM numbered""",
            terms.import_id,
            tenant.organization_id,
            tenant.project_id,
            terms.workspace_id,
            options.mode,
            options.seat_kind,
            options.on_failure,
            now,
        )
        for accepted in chunks(plan.accepted, _ROWS):
            await connection.execute(
                """INSERT INTO import_row (import_id, row, email, state, account_id)
                   SELECT $1, r.row, r.email, 'pending', r.account_id
                     FROM unnest($2::int[], $3::text[], $4::uuid[]) AS r (row, email, account_id)""",
                terms.import_id,
                [row.number for row, _ in accepted],
                [row.email for row, _ in accepted],
                [account_ids[row.number] for row, _ in accepted],
            )
        for rejected in chunks(plan.rejected, _ROWS):
            await connection.execute(
                """INSERT INTO import_row (import_id, row, email, state, existing_account_id, code, detail, remedy, settled_at)
                   SELECT $1, r.row, r.email, 'rejected', r.account_id, r.code, r.detail, r.remedy, $8
                     FROM unnest($2::int[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[])
                          AS r (row, email, account_id, code, detail, remedy)""",
                terms.import_id,
                [row.number for row, _ in rejected],
                [row.email for row, _ in rejected],
                [reason.account_id for _, reason in rejected],
                [reason.code for _, reason in rejected],
                [reason.detail for _, reason in rejected],
                [reason.remedy for _, reason in rejected],
                now,
            )


def _addresses(rows: Sequence[Row[Any]]) -> list[MailAddress]:
    return [row.content.address for row in rows if isinstance(row.content, Candidate)]


async def _publish(connection: "Connection", entries: Sequence[feed.Entry]) -> None:
    for some in chunks(entries):
        await feed.publish(connection, some)


def _terms(options: Options, workspace_id: UUID | None, import_id: UUID) -> Terms:
    return Terms(
        seat_kind=options.seat_kind, on_failure=options.on_failure, workspace_id=workspace_id, import_id=import_id
    )


def _account(asked: PasswordMailbox, sealed: "Sealed") -> NewAccount:
    mailbox = asked.mailbox
    return NewAccount(
        account_id=sealed.binding.owner_id,
        address=mailbox.address,
        provider=asked.account.provider or "custom",
        first_name=asked.account.first_name,
        last_name=asked.account.last_name,
        imap=mailbox.imap,
        smtp=mailbox.smtp,
        credential_ref=CredentialRef(credential_id=sealed.binding.credential_id, version=sealed.binding.version),
    )


def _named(row: Row[Any], reason: Rejection) -> dict[str, Any]:
    return {
        "row": row.number,
        "email": row.email,
        "code": reason.code,
        "detail": reason.detail,
        "remedy": reason.remedy,
    }
