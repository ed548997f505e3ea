"""Probes: credentials that are verified before anything is kept.

A probe has an account id of its own in its events, so that the account that it is for, if any, is not touched before the
probe has succeeded. Its credential is erased when it is settled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from pydantic import BaseModel

from berth_events.contracts import (
    AccountCredentialsReplaced,
    AccountUpdated,
    AccountVerificationRequested,
    CredentialRef,
    Event,
    MailServer,
    Provider,
)
from berth_events.runtime.store import Context
from berth_gateway import feed
from berth_gateway.accounts.mailboxes import Mailbox, Tenant, binding
from berth_vault import VaultWriter

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.store import EventStore
    from berth_gateway.accounts.views import AccountView

__all__ = ["Probes", "Replacement", "Through"]


class Replacement(BaseModel):
    """What becomes of an account when the probe of its new settings succeeds."""

    account_id: UUID
    provider: Provider
    first_name: str
    last_name: str
    imap: MailServer | None
    smtp: MailServer | None
    imap_issue: bool
    credential_ref: CredentialRef
    workspace_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """An email workspace that an account is to sign in through, and the servers with its mechanism."""

    workspace_id: UUID
    provider: Provider
    imap: MailServer
    smtp: MailServer
    credential_ref: CredentialRef


class Probes:
    """Starts and settles probes inside the caller's transaction.

    Args:
        store: the event store.
        vault: takes the sealed credentials.
        clock: time.
    """

    def __init__(self, store: "EventStore", vault: VaultWriter, clock: "Clock") -> None:
        self._store, self._vault, self._clock = store, vault, clock

    async def dry_run(self, connection: "Connection", tenant: Tenant, mailbox: Mailbox, context: Context) -> UUID:
        """Have a mailbox verified of which nothing is kept. Returns the id that the result will carry."""
        return await self._start_own(connection, tenant, mailbox, None, context)

    async def replace(
        self,
        connection: "Connection",
        tenant: Tenant,
        account_id: UUID,
        mailbox: Mailbox,
        names: tuple[Provider, str, str],
        context: Context,
    ) -> tuple[UUID, CredentialRef]:
        """Have new settings of an account verified; it gets them when they work, and keeps what it has when they do not.

        Args:
            connection: in the caller's transaction.
            tenant: whose.
            account_id: an account of the tenant.
            mailbox: the new settings.
            names: provider, first and last name.
            context: of the event.

        Returns:
            The id that the result will carry, and the credential that the account will then have.
        """
        reference = CredentialRef(credential_id=uuid4(), version=1)
        # sealed twice, for the probe and for the account: neither copy opens in the other's place
        await self._vault.insert(connection, binding(tenant, account_id, reference), mailbox.credential)
        provider, first_name, last_name = names
        replacement = Replacement(
            account_id=account_id,
            provider=provider,
            first_name=first_name,
            last_name=last_name,
            imap=mailbox.imap,
            smtp=mailbox.smtp,
            imap_issue=mailbox.imap_issue,
            credential_ref=reference,
        )
        return await self._start_own(connection, tenant, mailbox, replacement, context), reference

    async def relink(
        self, connection: "Connection", tenant: Tenant, view: "AccountView", through: Through, context: Context
    ) -> UUID:
        """Have an account verified that is to sign in through an email workspace; it does so from then on when that works.

        Args:
            connection: in the caller's transaction.
            tenant: whose.
            view: an account of the tenant.
            through: the workspace.
            context: of the event.

        Returns:
            The id that the result will carry.
        """
        replacement = Replacement(
            account_id=view.account_id,
            provider=through.provider,
            first_name=view.first_name,
            last_name=view.last_name,
            imap=through.imap,
            smtp=through.smtp,
            imap_issue=False,
            credential_ref=through.credential_ref,
            workspace_id=through.workspace_id,
        )
        probe_id = uuid4()
        await self._keep(connection, tenant, probe_id, None, replacement)
        event = AccountVerificationRequested(
            account_id=probe_id,
            organization_id=tenant.organization_id,
            project_id=tenant.project_id,
            imap=through.imap,
            smtp=through.smtp,
            credential_ref=through.credential_ref,
            workspace_id=through.workspace_id,
            address=view.address,
            reason="dry_run",
            domain=view.domain,
        )
        await self._store.append(connection, probe_id, 0, [event], context)
        return probe_id

    async def settle(self, connection: "Connection", results: Mapping[UUID, tuple[bool, Context]]) -> list[feed.Entry]:
        """Act on results: True, the mailbox works. Ids that are no open probe are left alone.

        Returns:
            The events of the accounts that were changed, which the caller publishes to the feeds.
        """
        rows = await connection.fetch(
            """SELECT probe_id, organization_id, project_id, credential_id, replacement FROM probe
                WHERE probe_id = ANY($1::uuid[]) AND settled_at IS NULL ORDER BY probe_id FOR UPDATE""",
            list(results),
        )
        entries: list[feed.Entry] = []
        for row in rows:
            works, context = results[row["probe_id"]]
            if row["credential_id"] is not None:  # else it is a workspace's
                await self._vault.delete(connection, row["credential_id"])
            if row["replacement"] is not None:
                replacement = Replacement.model_validate(row["replacement"])
                changed = await self._change(connection, replacement, context) if works else []
                if not changed and replacement.workspace_id is None:
                    await self._vault.delete(connection, replacement.credential_ref.credential_id)
                entries += changed
        await connection.execute(
            "UPDATE probe SET settled_at = $2 WHERE probe_id = ANY($1::uuid[])",
            [row["probe_id"] for row in rows],
            self._clock.now(),
        )
        return entries

    async def give_up(self, connection: "Connection", started_before: datetime) -> int:
        """Settle probes that were never answered, as failed. Returns how many."""
        rows = await connection.fetch(
            "SELECT probe_id FROM probe WHERE settled_at IS NULL AND created_at < $1", started_before
        )
        await self.settle(connection, {row["probe_id"]: (False, Context()) for row in rows})
        return len(rows)

    async def _start_own(
        self,
        connection: "Connection",
        tenant: Tenant,
        mailbox: Mailbox,
        replacement: Replacement | None,
        context: Context,
    ) -> UUID:
        """Begin a probe with a credential of its own."""
        probe_id, reference = uuid4(), CredentialRef(credential_id=uuid4(), version=1)
        await self._vault.insert(connection, binding(tenant, probe_id, reference), mailbox.credential)
        await self._keep(connection, tenant, probe_id, reference.credential_id, replacement)
        event = AccountVerificationRequested(
            account_id=probe_id,
            organization_id=tenant.organization_id,
            project_id=tenant.project_id,
            imap=mailbox.tried_imap,
            smtp=mailbox.smtp,
            credential_ref=reference,
            address=mailbox.address.text,
            reason="dry_run",
            domain=mailbox.address.domain,
        )
        await self._store.append(connection, probe_id, 0, [event], context)
        return probe_id

    async def _keep(
        self,
        connection: "Connection",
        tenant: Tenant,
        probe_id: UUID,
        credential_id: UUID | None,
        replacement: Replacement | None,
    ) -> None:
        await connection.execute(
            """INSERT INTO probe (probe_id, organization_id, project_id, credential_id, replacement, created_at)
               VALUES ($1, $2, $3, $4, $5, $6)""",
            probe_id,
            tenant.organization_id,
            tenant.project_id,
            credential_id,
            replacement and replacement.model_dump(mode="json"),
            self._clock.now(),
        )

    async def _change(self, connection: "Connection", new: Replacement, context: Context) -> list[feed.Entry]:
        """Give an account its new settings; nothing when it is gone."""
        row = await connection.fetchrow(
            """SELECT organization_id, project_id, address, first_name, last_name, imap_issue, credential_id, workspace_id,
                      version
                 FROM account WHERE account_id = $1 AND removed_at IS NULL FOR UPDATE""",
            new.account_id,
        )
        if row is None:
            return []
        ids = {
            "account_id": new.account_id,
            "organization_id": row["organization_id"],
            "project_id": row["project_id"],
        }
        events: list[Event] = [
            AccountCredentialsReplaced(
                **ids,
                address=row["address"],
                imap=None if new.imap_issue else new.imap,
                smtp=new.smtp,
                credential_ref=new.credential_ref,
                workspace_id=new.workspace_id,
            )
        ]
        changed = {
            name: getattr(new, name)
            for name in ("first_name", "last_name", "imap_issue")
            if getattr(new, name) != row[name]
        }
        if changed:
            events.append(AccountUpdated(**ids, **changed))
        envelopes = await self._store.append(connection, new.account_id, row["version"], events, context)
        if row["workspace_id"] is None:  # else the old one is the workspace's
            await self._vault.delete(connection, row["credential_id"])
        await connection.execute(
            """UPDATE account SET provider = $2, first_name = $3, last_name = $4, imap = $5, smtp = $6, imap_issue = $7,
                      credential_id = $8, credential_version = $9, version = $10, updated_at = $11, workspace_id = $12
                WHERE account_id = $1""",
            new.account_id,
            new.provider,
            new.first_name,
            new.last_name,
            new.imap and new.imap.model_dump(mode="json"),
            new.smtp and new.smtp.model_dump(mode="json"),
            new.imap_issue,
            new.credential_ref.credential_id,
            new.credential_ref.version,
            envelopes[-1].sequence,
            self._clock.now(),
            new.workspace_id,
        )
        return [(row["project_id"], envelope) for envelope in envelopes]
