"""From what is known of an email workspace to what the canonical API shows."""

from datetime import datetime

from berth_gateway.workspaces.repository import WorkspaceView
from berth_gateway.workspaces.schemas import EmailWorkspace

__all__ = ["workspace_resource"]

_REPLACED = "The new credential is being verified; the accounts go on with the one before until it is."
_REJECTED = "The accounts of the workspace are paused until its credential is replaced by one that works."
_REJECTED_NEW = (
    "The new credential is rejected. The accounts go on with the one before for as long as that works: "
    "send another one that works."
)


def workspace_resource(view: WorkspaceView, now: datetime) -> EmailWorkspace:
    """The workspace as a resource."""
    return EmailWorkspace(
        id=view.workspace_id,
        number=view.number,
        name=view.name,
        provider=view.provider,
        status=view.status,
        note=_note(view),
        diagnosis=view.diagnosis,
        **view.identity.model_dump(),
        credential_version=view.credential_version,
        secret_expires_at=view.secret_expires_at,
        secret_days_left=max(0, (view.secret_expires_at - now).days) if view.secret_expires_at else None,
        accounts=view.accounts,
        verified_at=view.settled_at,
        created_at=view.created_at,
        updated_at=view.updated_at,
    )


def _note(view: WorkspaceView) -> str | None:
    match view.status:
        case "pending":
            return _REPLACED if view.credential_version > 1 else None
        case "rejected":
            return _REJECTED_NEW if view.proven_version else _REJECTED
        case "verified":
            return None
