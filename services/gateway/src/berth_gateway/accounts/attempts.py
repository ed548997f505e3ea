"""What was tried just now, so that a repeated request neither logs in again nor is refused twice by the mail provider.

The clients of every dialect repeat what was answered with a 5xx or not at all, four or five times; MailReach even answers bad
credentials with 500. Without this, one wrong password would be four failed logins, and a locked mailbox.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection

__all__ = ["Attempt", "Attempts"]

#: How long a result answers for further requests.
_REPEATED_WITHIN: Final = timedelta(seconds=60)
#: A verification without a result for so long has been lost; the next request begins another.
_LOST_AFTER: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A verification that was started.

    Attributes:
        subject: the account or probe whose result counts.
        account_id: the account that it is for; None: a dry run.
        credential_id: what that account has when the verification succeeds.
    """

    subject: UUID
    account_id: UUID | None = None
    credential_id: UUID | None = None

    @property
    def dry_run(self) -> bool:
        """Whether nothing is kept of it."""
        return self.account_id is None


class Attempts:
    """The table `attempt`, by fingerprint of the request.

    Args:
        clock: time.
    """

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock

    async def lock(self, connection: "Connection", project_id: UUID, fingerprint: bytes) -> None:
        """Let equal requests pass one after the other, until the transaction ends."""
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", f"{project_id}:{fingerprint.hex()}"
        )

    async def refused(self, connection: "Connection", project_id: UUID, fingerprint: bytes) -> UUID | None:
        """The subject that failed with the same credentials just now, in a dry run or not."""
        found: UUID | None = await connection.fetchval(
            """SELECT t.subject FROM attempt t
                 JOIN verification v ON v.account_id = t.subject
                 LEFT JOIN account a ON a.account_id = t.account_id AND a.credential_id = t.credential_id
                WHERE t.project_id = $1 AND t.fingerprint = $2 AND v.status = 'failed' AND v.verified_at > $3
                  AND (t.subject IS DISTINCT FROM t.account_id OR v.credential_id = a.credential_id)
                ORDER BY v.verified_at DESC LIMIT 1""",
            project_id,
            fingerprint,
            self._clock.now() - _REPEATED_WITHIN,
        )
        return found

    async def repeated(
        self, connection: "Connection", project_id: UUID, fingerprint: bytes, account_id: UUID | None
    ) -> UUID | None:
        """The subject of an equal request that is at work, or has just succeeded and still holds.

        Args:
            connection: in the transaction that holds the lock.
            project_id: whose.
            fingerprint: of the request.
            account_id: the account that the request is for; None for a dry run.
        """
        found: UUID | None = await connection.fetchval(
            """SELECT t.subject FROM attempt t
                 LEFT JOIN verification v
                        ON v.account_id = t.subject
                       AND (t.subject IS DISTINCT FROM t.account_id OR v.credential_id = t.credential_id)
                 LEFT JOIN probe p ON p.probe_id = t.subject
                 LEFT JOIN account a ON a.account_id = t.account_id AND a.removed_at IS NULL
                WHERE t.project_id = $1 AND t.fingerprint = $2 AND t.dry_run = ($3::uuid IS NULL)
                  AND t.account_id IS NOT DISTINCT FROM $3 AND (t.dry_run OR a.account_id IS NOT NULL)
                  AND CASE WHEN v.account_id IS NULL OR (p.probe_id IS NOT NULL AND p.settled_at IS NULL)
                           THEN t.started_at > $4
                                AND (t.subject IS DISTINCT FROM t.account_id OR a.credential_id = t.credential_id)
                           ELSE v.status = 'connected' AND v.verified_at > $5
                                AND (t.dry_run OR a.credential_id = t.credential_id)
                      END""",
            project_id,
            fingerprint,
            account_id,
            self._clock.now() - _LOST_AFTER,
            self._clock.now() - _REPEATED_WITHIN,
        )
        return found

    async def made(self, connection: "Connection", project_id: UUID, fingerprint: bytes, account_id: UUID) -> bool:
        """Whether an equal request gave the account what it has, and it is not known to work."""
        found = await connection.fetchval(
            """SELECT true FROM attempt t JOIN account a ON a.account_id = t.account_id AND a.credential_id = t.credential_id
                 LEFT JOIN verification v ON v.account_id = a.account_id AND v.credential_id = a.credential_id
                WHERE t.project_id = $1 AND t.fingerprint = $2 AND t.account_id = $3
                  AND coalesce(v.status, 'pending') <> 'connected'""",
            project_id,
            fingerprint,
            account_id,
        )
        return bool(found)

    async def record(self, connection: "Connection", project_id: UUID, fingerprint: bytes, attempt: Attempt) -> None:
        """Remember the verification that was started for a request."""
        await connection.execute(
            """INSERT INTO attempt (project_id, fingerprint, dry_run, subject, account_id, credential_id, started_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (project_id, fingerprint, dry_run) DO UPDATE
                  SET subject = excluded.subject, account_id = excluded.account_id,
                      credential_id = excluded.credential_id, started_at = excluded.started_at""",
            project_id,
            fingerprint,
            attempt.dry_run,
            attempt.subject,
            attempt.account_id,
            attempt.credential_id,
            self._clock.now(),
        )
