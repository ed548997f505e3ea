"""Mailboxes of email workspaces."""

from dataclasses import dataclass

from berth_gateway.accounts.addresses import MailAddress

__all__ = ["ImportedMailbox"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedMailbox:
    """A mailbox of a workspace."""

    address: MailAddress
    first_name: str = ""
    last_name: str = ""
