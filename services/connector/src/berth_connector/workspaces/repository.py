"""The connector's table of email workspaces."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from berth_connector.oauth import WorkspaceKey
from berth_events.contracts import (
    CredentialRef,
    Diagnosis,
    EmailWorkspaceCreated,
    EmailWorkspaceCredentialsReplaced,
)

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.database import Connection

__all__ = [
    "Workspace",
    "awaits_proof",
    "count_failure",
    "find",
    "forget",
    "hold",
    "lock",
    "reject",
    "remove",
    "replace_key",
    "resumable",
    "save",
    "set_expiry",
    "subjects",
    "used_by_all",
    "verify",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """An email workspace as the connector sees it.

    Attributes:
        newest: the credential that it has.
        proven: the credential that was proven last, which may be an older version.
        state: what is known of the newest one.
        diagnosis: why that one was rejected.
        failures: how many times in a row its verification failed.
        verified_at: when it was proven last.
        secret_expires_at: when it ends, if that is known.
    """

    workspace_id: UUID
    organization_id: UUID
    project_id: UUID
    newest: WorkspaceKey
    proven: WorkspaceKey | None
    state: Literal["unknown", "verified", "rejected"]
    diagnosis: Diagnosis | None
    failures: int
    verified_at: datetime | None
    secret_expires_at: datetime | None

    @property
    def usable(self) -> WorkspaceKey:
        """What accounts sign in with: during a rotation the old secret, until the new one is proven."""
        return self.proven or self.newest

    @property
    def paused(self) -> Diagnosis | None:
        """Why no account of it is verified, or None."""
        return self.diagnosis if self.state == "rejected" and self.proven is None else None


async def save(connection: "Connection", event: EmailWorkspaceCreated) -> None:
    """Insert a workspace."""
    await connection.execute(
        """INSERT INTO email_workspace (workspace_id, organization_id, project_id, provider, credential_id, version, tenant_id,
                                        client_id, secret_expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        event.workspace_id,
        event.organization_id,
        event.project_id,
        event.provider,
        event.credential_ref.credential_id,
        event.credential_ref.version,
        event.tenant_id,
        event.client_id,
        event.secret_expires_at,
    )


async def replace_key(connection: "Connection", event: EmailWorkspaceCredentialsReplaced) -> None:
    """The workspace has a newer credential, of which nothing is known; ids that are not told stay."""
    await connection.execute(
        """UPDATE email_workspace
              SET credential_id = $2, version = $3, tenant_id = coalesce($4, tenant_id), client_id = coalesce($5, client_id),
                  secret_expires_at = $6, state = 'unknown', diagnosis = NULL, failures = 0
            WHERE workspace_id = $1""",
        event.workspace_id,
        event.credential_ref.credential_id,
        event.credential_ref.version,
        event.tenant_id,
        event.client_id,
        event.secret_expires_at,
    )


async def set_expiry(connection: "Connection", workspace_id: UUID, expires_at: datetime) -> bool:
    """When the secret ends; whether that is news."""
    changed = await connection.fetchval(
        """UPDATE email_workspace SET secret_expires_at = $2
            WHERE workspace_id = $1 AND secret_expires_at IS DISTINCT FROM $2 RETURNING true""",
        workspace_id,
        expires_at,
    )
    return changed is not None


async def remove(connection: "Connection", workspace_id: UUID) -> None:
    """Forget a workspace."""
    await connection.execute("DELETE FROM email_workspace WHERE workspace_id = $1", workspace_id)


async def find(connection: "Connection", workspace_id: UUID) -> Workspace | None:
    """The workspace, or None when it was removed, or has not arrived yet."""
    return _workspace(await connection.fetchrow("SELECT * FROM email_workspace WHERE workspace_id = $1", workspace_id))


async def lock(connection: "Connection", workspace_id: UUID) -> Workspace | None:
    """The workspace, which nobody else changes before the transaction ends. It is locked before its accounts."""
    return _workspace(
        await connection.fetchrow("SELECT * FROM email_workspace WHERE workspace_id = $1 FOR UPDATE", workspace_id)
    )


async def hold(connection: "Connection", workspace_id: UUID) -> Workspace | None:
    """The workspace, as it stays until the transaction ends: whoever proves it meanwhile sees what was decided by it."""
    return _workspace(
        await connection.fetchrow("SELECT * FROM email_workspace WHERE workspace_id = $1 FOR SHARE", workspace_id)
    )


async def awaits_proof(connection: "Connection", workspace_id: UUID) -> bool:
    """Whether it is about to be asked for the first time, or for the mailboxes of an import, if it gives tokens."""
    found: bool = await connection.fetchval(
        """SELECT EXISTS (SELECT FROM work JOIN email_workspace w ON w.workspace_id = work.key
                           WHERE work.key = $1 AND work.state IN ('ready', 'leased')
                             AND (work.payload->'subjects' <> '[]' OR w.state = 'unknown' AND w.failures = 0))""",
        workspace_id,
    )
    return found


async def verify(connection: "Connection", workspace_id: UUID, now: datetime) -> None:
    """The newest credential is proven: accounts sign in with it from now on."""
    await connection.execute(
        """UPDATE email_workspace
              SET state = 'verified', diagnosis = NULL, failures = 0, verified_at = $2,
                  proven_version = version, proven_tenant_id = tenant_id, proven_client_id = client_id
            WHERE workspace_id = $1""",
        workspace_id,
        now,
    )


async def reject(connection: "Connection", workspace_id: UUID, version: int, diagnosis: Diagnosis) -> Workspace | None:
    """A version was refused; the workspace, when that is news: of its newest one, or of the last one that worked.

    An older version that is refused is no longer gone on with.
    """
    left = await forget(connection, workspace_id, version)
    newest = _workspace(
        await connection.fetchrow(
            """UPDATE email_workspace SET state = 'rejected', diagnosis = $3
                WHERE workspace_id = $1 AND version = $2
                  AND (state <> 'rejected' OR diagnosis->>'code' IS DISTINCT FROM $3::jsonb->>'code')
            RETURNING *""",
            workspace_id,
            version,
            diagnosis.model_dump(mode="json"),
        )
    )
    return newest or (left if left and left.paused else None)


async def forget(connection: "Connection", workspace_id: UUID, version: int) -> Workspace | None:
    """Accounts no longer go on with a version that was proven once; the workspace, if they did."""
    return _workspace(
        await connection.fetchrow(
            """UPDATE email_workspace SET proven_version = NULL, proven_tenant_id = NULL, proven_client_id = NULL
                WHERE workspace_id = $1 AND proven_version = $2 RETURNING *""",
            workspace_id,
            version,
        )
    )


async def count_failure(connection: "Connection", workspace_id: UUID) -> int:
    """One more failed verification; how many there were in a row."""
    count: int = await connection.fetchval(
        "UPDATE email_workspace SET failures = failures + 1 WHERE workspace_id = $1 RETURNING failures", workspace_id
    )
    return count


async def subjects(connection: "Connection", workspace_id: UUID, limit: int) -> list[str]:
    """Mailboxes of the workspace, one of each domain, those that work first."""
    rows = await connection.fetch(
        """SELECT name FROM (
               SELECT DISTINCT ON (lower(split_part(name, '@', 2))) name, state = 'connected' AS works
                 FROM (SELECT coalesce(imap, smtp)->>'username' AS name, state FROM account WHERE workspace_id = $1) mailbox
                ORDER BY lower(split_part(name, '@', 2)), (state = 'connected') DESC) domain
            ORDER BY works DESC LIMIT $2""",
        workspace_id,
        limit,
    )
    return [row["name"] for row in rows]


async def used_by_all(connection: "Connection", workspace_id: UUID) -> tuple[bool, bool]:
    """Whether all accounts of the workspace use IMAP, and SMTP; one without accounts is for accounts that use both."""
    row = await connection.fetchrow(
        """SELECT coalesce(bool_and(imap IS NOT NULL AND NOT imap_issue), true) AS imap,
                  coalesce(bool_and(smtp IS NOT NULL), true) AS smtp
             FROM account WHERE workspace_id = $1""",
        workspace_id,
    )
    return (row["imap"], row["smtp"]) if row else (True, True)


async def resumable(connection: "Connection", workspace_id: UUID, now: datetime) -> Sequence[UUID]:
    """Accounts of the workspace to be looked at, now that it works: not connected, and no run is due. Failures are forgotten."""
    rows = await connection.fetch(
        """UPDATE account SET state = CASE state WHEN 'failed' THEN 'unknown' ELSE state END, retry_policy = NULL, failures = 0
            WHERE workspace_id = $1 AND state <> 'connected' AND NOT suspended
              AND NOT EXISTS (SELECT FROM work WHERE work.key = account.account_id
                                 AND (work.state = 'leased' OR work.state = 'ready' AND work.run_at <= $2))
        RETURNING account_id""",
        workspace_id,
        now,
    )
    return [row["account_id"] for row in rows]


def _workspace(row: "asyncpg.Record | None") -> Workspace | None:
    if row is None:
        return None
    return Workspace(
        workspace_id=row["workspace_id"],
        organization_id=row["organization_id"],
        project_id=row["project_id"],
        newest=_key(row, row["version"], row["tenant_id"], row["client_id"]),
        proven=_key(row, row["proven_version"], row["proven_tenant_id"], row["proven_client_id"])
        if row["proven_version"] is not None
        else None,
        state=row["state"],
        diagnosis=row["diagnosis"] and Diagnosis.model_validate(row["diagnosis"]),
        failures=row["failures"],
        verified_at=row["verified_at"],
        secret_expires_at=row["secret_expires_at"],
    )


def _key(row: "asyncpg.Record", version: int, tenant_id: str | None, client_id: str | None) -> WorkspaceKey:
    return WorkspaceKey(
        provider=row["provider"],
        credential_ref=CredentialRef(credential_id=row["credential_id"], version=version),
        tenant_id=tenant_id,
        client_id=client_id,
    )
