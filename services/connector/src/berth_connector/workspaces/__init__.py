"""Email workspaces: one credential that signs in for many accounts."""

from berth_connector.workspaces.expiry import ExpiryHandler
from berth_connector.workspaces.intake import WorkspaceIntake
from berth_connector.workspaces.worker import WorkspaceHandler

__all__ = ["ExpiryHandler", "WorkspaceHandler", "WorkspaceIntake"]
