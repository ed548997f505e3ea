"""Accounts that sign in through an email workspace: one, or thousands of them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from berth_events.contracts import ImportedAccount, OnFailure, SeatKind, WorkspaceImportRequested
from berth_gateway import feed
from berth_gateway.accounts.bulk import BulkAccounts, NewAccount, Terms, chunks
from berth_gateway.accounts.mailboxes import Tenant
from berth_gateway.accounts.probes import Probes, Through
from berth_gateway.errors import AddressTaken
from berth_gateway.workspaces.hosts import PROVIDERS, MailHosts, WorkspaceProvider
from berth_gateway.workspaces.mailboxes import ImportedMailbox

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection
    from berth_events.runtime.store import Context
    from berth_gateway.accounts.views import AccountView
    from berth_gateway.workspaces.commands import Workspace, Workspaces

__all__ = ["WorkspaceAccounts"]

#: Accounts in one WorkspaceImportRequested.
_PART: Final = 1000


class WorkspaceAccounts:
    """Accepts accounts of workspaces inside the caller's transaction.

    Args:
        workspaces: locks them, and takes their events.
        bulk: accepts accounts.
        probes: try out what an account is to have.
        hosts: where the mailboxes of each provider are.
    """

    def __init__(
        self,
        workspaces: "Workspaces",
        bulk: BulkAccounts,
        probes: Probes,
        hosts: Mapping[WorkspaceProvider, MailHosts],
    ) -> None:
        self._workspaces, self._bulk, self._probes, self._hosts = workspaces, bulk, probes, hosts

    async def connect_through(
        self,
        connection: "Connection",
        tenant: Tenant,
        workspace_id: UUID,
        mailboxes: Sequence[ImportedMailbox],
        context: "Context",
        import_id: UUID | None = None,
        *,
        seat_kind: SeatKind = "monitoring",
        on_failure: OnFailure = "keep",
    ) -> list[UUID]:
        """Accept all of the mailboxes as accounts: seats, events, write model, feed.

        Args:
            connection: in the caller's transaction.
            tenant: whose.
            workspace_id: a workspace of the tenant's project.
            mailboxes: each address once.
            context: of the events.
            import_id: what they belong to; then WorkspaceImportRequested is appended too.
            seat_kind: what billing counts them as.
            on_failure: whether an account is kept that does not work.

        Returns:
            The ids of the accounts, in the order of the mailboxes.

        Raises:
            NotFound: the project has no such workspace.
            AddressTaken: the project has one of the addresses.
            SubscriptionRequired, SeatLimitReached: there are not enough seats.
        """
        workspace = await self._workspaces.lock(connection, tenant, workspace_id)
        await self._bulk.know(connection, (mailbox.address.domain for mailbox in mailboxes))
        keys = [mailbox.address.key for mailbox in mailboxes]
        admission = await self._bulk.admit(connection, tenant, seat_kind, keys)
        for key in keys:
            if key in admission.existing:
                raise AddressTaken(account_id=str(admission.existing[key].account_id))
        terms = Terms(seat_kind=seat_kind, on_failure=on_failure, workspace_id=workspace_id, import_id=import_id)
        account_ids = [uuid4() for _ in mailboxes]
        entries = await self.accept(
            connection, workspace, dict(zip(account_ids, mailboxes, strict=True)), terms, context
        )
        await feed.publish(connection, entries)
        return account_ids

    async def relink(
        self, connection: "Connection", tenant: Tenant, workspace_id: UUID, view: "AccountView", context: "Context"
    ) -> UUID:
        """Have an account that exists sign in through a workspace, once that is proven.

        Returns:
            The id that the result will carry.

        Raises:
            NotFound: the project has no such workspace.
        """
        workspace = await self._workspaces.lock(connection, tenant, workspace_id)
        imap, smtp = self._hosts[workspace.provider].servers(view.address)
        through = Through(
            workspace_id=workspace_id,
            provider=PROVIDERS[workspace.provider],
            imap=imap,
            smtp=smtp,
            credential_ref=workspace.credential_ref,
        )
        return await self._probes.relink(connection, tenant, view, through, context)

    async def accept(
        self,
        connection: "Connection",
        workspace: "Workspace",
        mailboxes: Mapping[UUID, ImportedMailbox],
        terms: Terms,
        context: "Context",
    ) -> list[feed.Entry]:
        """Accept mailboxes that were admitted, each under the id that is given.

        Returns:
            The events, which the caller publishes to the feed.

        Raises:
            SeatLimitReached: more than the free seats.
        """
        accounts: list[NewAccount] = []
        for some in chunks(list(mailboxes.items())):
            accounts += [self._account(workspace, account_id, mailbox) for account_id, mailbox in some]
            await asyncio.sleep(0)  # others have their turn
        entries = await self._bulk.connect(connection, workspace.tenant, accounts, terms, context)
        if terms.import_id is not None and accounts:
            parts = list(chunks(accounts, _PART))
            events = [
                WorkspaceImportRequested(
                    **workspace.ids,
                    import_id=terms.import_id,
                    part=number,
                    parts=len(parts),
                    accounts=tuple(
                        ImportedAccount(
                            account_id=account.account_id, address=account.address.text, seat_kind=terms.seat_kind
                        )
                        for account in part
                    ),
                )
                for number, part in enumerate(parts, 1)
            ]
            entries = await self._workspaces.append(connection, workspace, events, context) + entries
        return entries

    def _account(self, workspace: "Workspace", account_id: UUID, mailbox: ImportedMailbox) -> NewAccount:
        imap, smtp = self._hosts[workspace.provider].servers(mailbox.address.text)
        return NewAccount(
            account_id=account_id,
            address=mailbox.address,
            provider=PROVIDERS[workspace.provider],
            first_name=mailbox.first_name,
            last_name=mailbox.last_name,
            imap=imap,
            smtp=smtp,
            credential_ref=workspace.credential_ref,
        )
