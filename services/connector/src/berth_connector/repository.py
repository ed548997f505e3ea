"""The connector's table of accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from berth_connector.lifecycle import Standing
from berth_connector.requests import RECHECK, VerificationRequest
from berth_events.contracts import CredentialRef, MailServer

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.database import Connection

__all__ = [
    "Account",
    "drop_recheck",
    "find",
    "find_all",
    "hold_recheck",
    "lock",
    "remove",
    "save_settings",
    "save_standing",
    "set_imap_issue",
    "set_suspended",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as the connector sees it.

    Attributes:
        request: a re-check of it, with the settings that it has now.
        standing: what came out last.
        imap_issue: IMAP is known not to work and is left out.
        suspended: it is left alone.
    """

    request: VerificationRequest
    standing: Standing
    imap_issue: bool
    suspended: bool


async def save_settings(
    connection: "Connection", requests: Sequence[VerificationRequest], *, new_credential: bool
) -> None:
    """Insert accounts, or replace their settings.

    Args:
        connection: in the caller's transaction.
        requests: the settings.
        new_credential: what was never proven is unknown again, not failed.
    """
    await connection.executemany(
        """INSERT INTO account (account_id, organization_id, project_id, address, imap, smtp, credential_id, credential_version,
                                workspace_id)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10)
           ON CONFLICT (account_id) DO UPDATE
              SET address = excluded.address, imap = excluded.imap, smtp = excluded.smtp,
                  credential_id = excluded.credential_id, credential_version = excluded.credential_version,
                  workspace_id = excluded.workspace_id,
                  state = CASE WHEN $9 AND account.state = 'failed' THEN 'unknown' ELSE account.state END""",
        [
            (
                request.account_id,
                request.organization_id,
                request.project_id,
                request.address,
                request.imap and request.imap.model_dump(mode="json"),
                request.smtp and request.smtp.model_dump(mode="json"),
                request.credential_ref.credential_id,
                request.credential_ref.version,
                new_credential,
                request.workspace_id,
            )
            for request in requests
        ],
    )


async def remove(connection: "Connection", account_ids: Sequence[UUID]) -> None:
    """Forget accounts."""
    await connection.execute("DELETE FROM account WHERE account_id = ANY($1::uuid[])", account_ids)


async def set_suspended(connection: "Connection", account_ids: Sequence[UUID], *, suspended: bool) -> None:
    """Leave accounts alone, or look after them again."""
    await connection.execute(
        "UPDATE account SET suspended = $2 WHERE account_id = ANY($1::uuid[])", account_ids, suspended
    )


async def set_imap_issue(connection: "Connection", account_id: UUID, *, imap_issue: bool) -> None:
    """Leave IMAP out of an account's re-checks, or not."""
    await connection.execute("UPDATE account SET imap_issue = $2 WHERE account_id = $1", account_id, imap_issue)


async def find(connection: "Connection", account_id: UUID) -> Account | None:
    """The account, or None when it was removed."""
    return _account(await connection.fetchrow("SELECT * FROM account WHERE account_id = $1", account_id))


async def find_all(connection: "Connection", account_ids: Sequence[UUID]) -> list[Account]:
    """Those of the accounts that were not removed."""
    rows = await connection.fetch("SELECT * FROM account WHERE account_id = ANY($1::uuid[])", account_ids)
    return [account for account in map(_account, rows) if account]


async def lock(connection: "Connection", account_id: UUID) -> Account | None:
    """The account, which nobody else changes before the transaction ends; None when it was removed."""
    return _account(await connection.fetchrow("SELECT * FROM account WHERE account_id = $1 FOR UPDATE", account_id))


async def save_standing(connection: "Connection", account_id: UUID, standing: Standing) -> None:
    """Where the account stands now."""
    await connection.execute(
        "UPDATE account SET state = $2, retry_policy = $3, failures = $4 WHERE account_id = $1",
        account_id,
        standing.state,
        standing.retry_policy,
        standing.failures,
    )


async def drop_recheck(connection: "Connection", account_id: UUID) -> None:
    """Forget the next look of our own; what somebody asked for stays."""
    await connection.execute("DELETE FROM work WHERE key = $1 AND kind = $2 AND state = 'ready'", account_id, RECHECK)


async def hold_recheck(connection: "Connection", account_id: UUID) -> None:
    """Nobody begins or replaces what waits for the account before the transaction ends."""
    await connection.execute("SELECT 1 FROM work WHERE key = $1 AND state = 'ready' FOR UPDATE", account_id)


def _account(row: "asyncpg.Record | None") -> Account | None:
    if row is None:
        return None
    return Account(
        request=VerificationRequest(
            account_id=row["account_id"],
            organization_id=row["organization_id"],
            project_id=row["project_id"],
            address=row["address"],
            imap=row["imap"] and MailServer.model_validate(row["imap"]),
            smtp=row["smtp"] and MailServer.model_validate(row["smtp"]),
            credential_ref=CredentialRef(credential_id=row["credential_id"], version=row["credential_version"]),
            workspace_id=row["workspace_id"],
            reason="recheck",
        ),
        standing=Standing(state=row["state"], retry_policy=row["retry_policy"], failures=row["failures"]),
        imap_issue=row["imap_issue"],
        suspended=row["suspended"],
    )
