"""Commands on email workspaces, each inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from berth_events.contracts import (
    CredentialRef,
    EmailWorkspaceCreated,
    EmailWorkspaceCredentialsReplaced,
    EmailWorkspaceRejected,
    EmailWorkspaceRemoved,
    EmailWorkspaceUpdated,
    EmailWorkspaceVerified,
    Event,
)
from berth_gateway import feed
from berth_gateway.accounts.bulk import chunks
from berth_gateway.accounts.commands import Accounts, Removal
from berth_gateway.accounts.mailboxes import Tenant, binding
from berth_gateway.errors import NotFound

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.store import Context, EventStore
    from berth_gateway.workspaces.hosts import WorkspaceProvider
    from berth_gateway.workspaces.translation import NewCredential
    from berth_vault import VaultWriter

__all__ = ["Workspace", "Workspaces"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace whose row is locked until the transaction ends."""

    workspace_id: UUID
    tenant: Tenant
    provider: "WorkspaceProvider"
    name: str
    secret_expires_at: datetime | None
    credential_ref: CredentialRef
    version: int

    @property
    def ids(self) -> dict[str, UUID]:
        """What every event of it says."""
        return {
            "workspace_id": self.workspace_id,
            "organization_id": self.tenant.organization_id,
            "project_id": self.tenant.project_id,
        }


class Workspaces:
    """Creates, changes and removes email workspaces.

    Args:
        store: the event store.
        vault: takes the sealed credentials.
        accounts: removes those of a workspace.
        clock: time.
    """

    def __init__(self, store: "EventStore", vault: "VaultWriter", accounts: Accounts, clock: "Clock") -> None:
        self._store, self._vault, self._accounts, self._clock = store, vault, accounts, clock

    async def create(
        self,
        connection: "Connection",
        tenant: Tenant,
        name: str,
        provider: "WorkspaceProvider",
        new: "NewCredential",
        context: "Context",
    ) -> UUID:
        """Keep a new workspace, whose credential the connector now verifies. Returns its id."""
        workspace_id, reference = uuid4(), CredentialRef(credential_id=uuid4(), version=1)
        await self._vault.insert(connection, binding(tenant, workspace_id, reference), new.credential)
        event = EmailWorkspaceCreated(
            workspace_id=workspace_id,
            organization_id=tenant.organization_id,
            project_id=tenant.project_id,
            name=name,
            provider=provider,
            credential_ref=reference,
            **_public(new),
        )
        envelopes = await self._store.append(connection, workspace_id, 0, [event], context)
        await connection.execute(
            """WITH numbered AS (
                       UPDATE project SET next_workspace_number = next_workspace_number + 1 WHERE project_id = $3
                       RETURNING next_workspace_number - 1 AS number)
                   INSERT INTO workspace (workspace_id, organization_id, project_id, number, name, provider, identity,
                                          secret_expires_at, credential_id, credential_version, version, created_at, updated_at)
                   SELECT $1, $2, $3, number, $4, $5, $6, $7, $8, $9, 1, $10, $10 FROM numbered""",
            workspace_id,
            tenant.organization_id,
            tenant.project_id,
            name,
            provider,
            new.identity.model_dump(),
            new.secret_expires_at,
            reference.credential_id,
            reference.version,
            self._clock.now(),
        )
        await feed.publish(connection, [(tenant.project_id, envelope) for envelope in envelopes])
        return workspace_id

    async def update(
        self,
        connection: "Connection",
        workspace: Workspace,
        context: "Context",
        *,
        name: str | None = None,
        secret_expires_at: datetime | None = None,
    ) -> None:
        """Change what is not None and different."""
        changed: dict[str, Any] = {}
        if name not in (None, workspace.name):
            changed["name"] = name
        if secret_expires_at not in (None, workspace.secret_expires_at):
            changed["secret_expires_at"] = secret_expires_at
        if not changed:
            return
        await connection.execute(
            """UPDATE workspace SET name = coalesce($2, name), secret_expires_at = coalesce($3, secret_expires_at)
                WHERE workspace_id = $1""",
            workspace.workspace_id,
            name,
            secret_expires_at,
        )
        entries = await self.append(connection, workspace, [EmailWorkspaceUpdated(**workspace.ids, **changed)], context)
        await feed.publish(connection, entries)

    async def replace_credentials(
        self, connection: "Connection", workspace: Workspace, new: "NewCredential", context: "Context"
    ) -> None:
        """Have the accounts sign in with a new version of the credential; the old one goes once the new one is verified."""
        reference = workspace.credential_ref.model_copy(update={"version": workspace.credential_ref.version + 1})
        await self._vault.insert(
            connection, binding(workspace.tenant, workspace.workspace_id, reference), new.credential
        )
        await connection.execute(
            """UPDATE workspace SET credential_version = $2, identity = $3, secret_expires_at = $4 WHERE workspace_id = $1""",
            workspace.workspace_id,
            reference.version,
            new.identity.model_dump(),
            new.secret_expires_at,
        )
        event = EmailWorkspaceCredentialsReplaced(**workspace.ids, credential_ref=reference, **_public(new))
        await feed.publish(connection, await self.append(connection, workspace, [event], context))

    async def remove(self, connection: "Connection", workspace: Workspace, context: "Context") -> None:
        """Remove a workspace with its accounts: credential erased, seats released."""
        rows = await connection.fetch(
            "SELECT account_id FROM account WHERE workspace_id = $1 AND removed_at IS NULL", workspace.workspace_id
        )
        removed = await self._accounts.remove_all(
            connection, {row["account_id"]: Removal("workspace_removed", context) for row in rows}
        )
        await self._vault.delete(connection, workspace.credential_ref.credential_id)
        entries = await self.append(connection, workspace, [EmailWorkspaceRemoved(**workspace.ids)], context)
        await connection.execute(
            "UPDATE workspace SET removed_at = updated_at WHERE workspace_id = $1", workspace.workspace_id
        )
        for some in chunks(entries + removed):
            await feed.publish(connection, some)

    async def settle(
        self, connection: "Connection", results: Sequence[EmailWorkspaceVerified | EmailWorkspaceRejected]
    ) -> None:
        """Erase the versions of credentials that the accounts never sign in with again.

        Those are the ones before a version that is verified, but not the one before a version that is rejected, as long as it
        works: a secret that was mistyped stops nobody.
        """
        for event in results:
            reference = event.credential_ref
            proven = event.proven_version if isinstance(event, EmailWorkspaceRejected) else None
            known = await connection.fetchval(
                "UPDATE workspace SET proven_version = $3 WHERE workspace_id = $1 AND credential_id = $2 RETURNING true",
                event.workspace_id,
                reference.credential_id,
                proven,
            )
            if known:
                await self._vault.delete_older(connection, reference.credential_id, proven or reference.version)

    async def lock(self, connection: "Connection", tenant: Tenant, workspace_id: UUID) -> Workspace:
        """The workspace as it is, and stays until the transaction ends.

        Raises:
            NotFound: the project has no such workspace.
        """
        row = await connection.fetchrow(
            """SELECT provider, name, secret_expires_at, credential_id, credential_version, version FROM workspace
                WHERE workspace_id = $1 AND project_id = $2 AND removed_at IS NULL FOR NO KEY UPDATE""",
            workspace_id,
            tenant.project_id,
        )
        if row is None:
            raise NotFound
        return _workspace(row, tenant, workspace_id)

    async def check(self, connection: "Connection", tenant: Tenant, workspace_id: UUID) -> None:
        """See that it is there; see `lock`."""
        there = await connection.fetchval(
            "SELECT true FROM workspace WHERE workspace_id = $1 AND project_id = $2 AND removed_at IS NULL",
            workspace_id,
            tenant.project_id,
        )
        if not there:
            raise NotFound

    async def append(
        self, connection: "Connection", workspace: Workspace, events: Sequence[Event], context: "Context"
    ) -> list[feed.Entry]:
        """Append to the stream of a locked workspace; once in a transaction. Returns what the caller publishes to the feed."""
        envelopes = await self._store.append(connection, workspace.workspace_id, workspace.version, events, context)
        await connection.execute(
            "UPDATE workspace SET version = $2, updated_at = $3 WHERE workspace_id = $1",
            workspace.workspace_id,
            envelopes[-1].sequence,
            self._clock.now(),
        )
        return [(workspace.tenant.project_id, envelope) for envelope in envelopes]


def _workspace(row: "asyncpg.Record", tenant: Tenant, workspace_id: UUID) -> Workspace:
    return Workspace(
        workspace_id=workspace_id,
        tenant=tenant,
        provider=row["provider"],
        name=row["name"],
        secret_expires_at=row["secret_expires_at"],
        credential_ref=CredentialRef(credential_id=row["credential_id"], version=row["credential_version"]),
        version=row["version"],
    )


def _public(new: "NewCredential") -> dict[str, Any]:
    """What events say of a credential."""
    return {
        "tenant_id": new.identity.tenant_id,
        "client_id": new.identity.client_id,
        "secret_id": new.identity.secret_id,
        "secret_expires_at": new.secret_expires_at,
    }
