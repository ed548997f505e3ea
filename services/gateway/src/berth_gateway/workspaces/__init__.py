"""Email workspaces: a key of Google or Microsoft that many mailboxes sign in with."""
