"""The read model: the last verification of each account and the last audit of each domain. Rebuildable."""

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from berth_events.contracts import (
    AccountConnected,
    AccountConnectionFailed,
    AccountDisconnected,
    AccountReconnected,
    DomainAudited,
    Envelope,
    Event,
    VerificationEvent,
)
from berth_events.contracts.topics import DOMAINS, VERIFICATIONS

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["Views"]

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
