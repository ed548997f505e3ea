"""The work that email workspaces give: to prove the credential, and to warn before it expires."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from berth_events.runtime.work import WorkItem

__all__ = ["EXPIRY", "VERIFY", "WARNED_DAYS", "expiry_key", "expiry_of", "first_warning", "verification_of"]

#: What the workers' metrics call the two kinds of work.
VERIFY: Final = "verify_workspace"
EXPIRY: Final = "secret_expiry"
#: How many days before its end a secret is warned of.
WARNED_DAYS: Final = (30, 14, 7, 1)


def verification_of(
    workspace_id: UUID,
    provider: str,
    event_id: UUID,
    *,
    subjects: Sequence[str] = (),
    run_at: datetime | None = None,
    traceparent: str | None = None,
) -> WorkItem:
    """Prove the workspace's newest credential.

    Args:
        workspace_id: whose.
        provider: the identity provider.
        event_id: what asked for it.
        subjects: mailboxes that are not known as accounts yet.
        run_at: not before.
        traceparent: of the event.
    """
    return WorkItem(
        key=workspace_id,
        kind=VERIFY,
        destination=f"oauth:{provider}",
        payload={"subjects": list(subjects)},
        event_id=event_id,
        run_at=run_at,
        traceparent=traceparent,
    )


def expiry_of(
    workspace_id: UUID, expires_at: datetime, days: int, event_id: UUID, traceparent: str | None = None
) -> WorkItem:
    """Warn so many days before the secret ends. It has a key of its own, beside that of the verifications."""
    return WorkItem(
        key=expiry_key(workspace_id),
        kind=EXPIRY,
        destination="expiry",
        payload={"workspace_id": str(workspace_id), "days": days},
        event_id=event_id,
        run_at=expires_at - timedelta(days=days),
        traceparent=traceparent,
    )


def first_warning(expires_at: datetime, now: datetime) -> int:
    """With which of WARNED_DAYS to begin: of those that have passed the last one, which is made up for."""
    passed = [days for days in WARNED_DAYS if expires_at - timedelta(days=days) <= now]
    return min(passed, default=WARNED_DAYS[0])


def expiry_key(workspace_id: UUID) -> UUID:
    """The key of the workspace's warnings."""
    return uuid5(workspace_id, "secret expiry")
