"""What commands on accounts are given: whose account, which mailbox, which changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from berth_events.contracts import AccountSettings, CredentialRef, MailServer
from berth_gateway.accounts.addresses import MailAddress
from berth_gateway.autoconfig.findings import Source
from berth_vault import Binding, Credential

__all__ = ["Alias", "Change", "Mailbox", "Tenant", "binding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Whose accounts."""

    organization_id: UUID
    project_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """An address, the vetted servers behind it, and the secrets for them.

    Attributes:
        imap: None when the account only sends.
        smtp: None when the account only receives.
        imap_issue: IMAP is known not to work, so it is not tried; `imap` is kept for later.
        imap_guessed: nobody named `imap`. When nothing answers there, the account only sends.
        filled_in: the servers that the request left out, and where they were found.
    """

    address: MailAddress
    imap: MailServer | None
    smtp: MailServer | None
    credential: Credential
    imap_issue: bool = False
    imap_guessed: bool = False
    filled_in: Mapping[Literal["imap", "smtp"], Source] = field(default_factory=dict)

    @property
    def tried_imap(self) -> MailServer | None:
        """The IMAP server that is to be verified, if any."""
        return None if self.imap_issue else self.imap


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """An address that an account may send from besides its own."""

    address: MailAddress
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be different about an account; None leaves it as it is.

    Attributes:
        settings: only those that are to change; an empty text clears.
        tags: all its tags by name; a name that the project lacks becomes a tag.
        aliases: all its aliases.
    """

    first_name: str | None = None
    last_name: str | None = None
    imap_issue: bool | None = None
    signature: str | None = None
    time_zone: str | None = None
    settings: AccountSettings = field(default_factory=AccountSettings)
    tags: Sequence[str] | None = None
    aliases: Sequence[Alias] | None = None


def binding(tenant: Tenant, owner_id: UUID, reference: CredentialRef) -> Binding:
    """The vault's row of a credential."""
    return Binding(
        organization_id=tenant.organization_id,
        owner_id=owner_id,
        credential_id=reference.credential_id,
        version=reference.version,
    )
