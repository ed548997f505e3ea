"""Access tokens for the mailboxes of email workspaces: from Google by a service account, from Microsoft by an application."""

from berth_connector.oauth.google import GoogleGrants
from berth_connector.oauth.grants import WorkspaceKey
from berth_connector.oauth.microsoft import IMAP_ROLE, SMTP_ROLE, MicrosoftGrants
from berth_connector.oauth.session import Sessions, origin_of
from berth_connector.oauth.tokens import TokenSource, concerns_domain, concerns_workspace, lacks_role

__all__ = [
    "IMAP_ROLE",
    "SMTP_ROLE",
    "GoogleGrants",
    "MicrosoftGrants",
    "Sessions",
    "TokenSource",
    "WorkspaceKey",
    "concerns_domain",
    "concerns_workspace",
    "lacks_role",
    "origin_of",
]
