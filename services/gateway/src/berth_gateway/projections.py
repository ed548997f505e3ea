"""The read models, rebuildable: what connector and auditor last said, and what happened over time."""

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from berth_events.contracts import (
    AccountCheckedUp,
    AccountConnected,
    AccountConnectionFailed,
    AccountDisconnected,
    AccountReconnected,
    DomainAudited,
    Envelope,
    Event,
    SubscriptionActivated,
    SubscriptionChanged,
    SubscriptionEnded,
    VerificationEvent,
)
from berth_events.contracts.topics import BILLING, DOMAINS, VERIFICATIONS

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["History", "Views"]

#: AccountChecked is not here: it changes nothing.
_STATUS: Final[dict[type[Event], str]] = {
    AccountConnected: "connected",
    AccountReconnected: "connected",
    AccountConnectionFailed: "failed",
    AccountDisconnected: "disconnected",
}


class Views:
    """Fills the tables `verification` and `domain_record`."""

    name: Final = "gateway_views"
    topics: Final = (VERIFICATIONS, DOMAINS)

    @property
    def tables(self) -> str:
        """The DDL of its tables."""
        return (files(__package__) / "views.sql").read_text(encoding="utf-8")

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Keep the last of each."""
        await connection.executemany(
            """INSERT INTO verification (account_id, status, credential_id, credential_version, verification, verified_at)
               VALUES ($1, coalesce($2::text, CASE $3::text WHEN 'connected' THEN 'connected' ELSE 'failed' END), $4, $5, $6, $7)
               ON CONFLICT (account_id) DO UPDATE
                  SET status = coalesce($2, verification.status), credential_id = excluded.credential_id,
                      credential_version = excluded.credential_version, verification = excluded.verification,
                      verified_at = excluded.verified_at""",
            [
                (
                    event.account_id,
                    _STATUS.get(type(event)),
                    event.verification.outcome,
                    event.credential_ref.credential_id,
                    event.credential_ref.version,
                    event.verification.model_dump(mode="json"),
                    envelope.time,
                )
                for envelope in envelopes
                if isinstance(event := envelope.data, VerificationEvent)
            ],
        )
        await connection.executemany(
            """INSERT INTO domain_record (domain, audited_at, record, definite) VALUES ($1, $2, $3, $4)
               ON CONFLICT (domain) DO UPDATE
                  SET audited_at = excluded.audited_at, record = excluded.record, definite = excluded.definite""",
            [
                (
                    event.domain,
                    event.audited_at,
                    event.record.model_dump(mode="json"),
                    event.definite.model_dump(mode="json"),
                )
                for envelope in envelopes
                if isinstance(event := envelope.data, DomainAudited)
            ],
        )


class History:
    """Fills the tables `check_day`, `checkup` and `subscription`."""

    name: Final = "gateway_history"
    topics: Final = (VERIFICATIONS, BILLING)

    @property
    def tables(self) -> str:
        """The DDL of its tables."""
        return (files(__package__) / "history.sql").read_text(encoding="utf-8")

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Count verifications by day, and keep the last checkups and all limits."""
        await connection.executemany(
            """INSERT INTO check_day (account_id, day, checks, failures, duration_ms)
               VALUES ($1, ($2::timestamptz AT TIME ZONE 'UTC')::date, 1, $3, $4)
               ON CONFLICT (account_id, day) DO UPDATE
                  SET checks = check_day.checks + 1, failures = check_day.failures + excluded.failures,
                      duration_ms = check_day.duration_ms + excluded.duration_ms""",
            [
                (event.account_id, envelope.time, int(found.outcome == "failed"), found.duration_ms)
                for envelope in envelopes
                if isinstance(event := envelope.data, VerificationEvent) and (found := event.verification)
            ],
        )
        await connection.executemany(
            """INSERT INTO checkup (account_id, checkup_id, checkup, finished_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (account_id) DO UPDATE
                  SET checkup_id = excluded.checkup_id, checkup = excluded.checkup, finished_at = excluded.finished_at""",
            [
                (event.account_id, event.checkup_id, event.checkup.model_dump(mode="json"), envelope.time)
                for envelope in envelopes
                if isinstance(event := envelope.data, AccountCheckedUp)
            ],
        )
        await connection.executemany(
            """INSERT INTO subscription (organization_id, sequence, effective_at, monitoring, spam_check, subscribed)
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING""",
            [row for envelope in envelopes if (row := _subscription(envelope))],
        )


def _subscription(envelope: Envelope) -> tuple[object, ...] | None:
    match envelope.data:
        case SubscriptionActivated() | SubscriptionChanged() as event:
            limits = (event.limits.monitoring, event.limits.spam_check)
            return (event.organization_id, envelope.sequence, envelope.time, *limits, True)
        case SubscriptionEnded() as event:
            return (event.organization_id, envelope.sequence, envelope.time, 0, 0, False)
        case _:
            return None
