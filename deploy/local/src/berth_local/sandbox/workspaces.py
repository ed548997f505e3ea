"""What a user of the sandbox makes email workspaces of: a service account, and an app registration."""

import json
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from uuid import uuid4

from berth_local.files import write_private
from berth_local.sandbox.description import Identity, MicrosoftWorkspace
from berth_local.sandbox.google import MAIL_SCOPE
from berth_local.sandbox.hosts import GOOGLE_DOMAIN, MICROSOFT_DOMAIN
from berth_local.sandbox.identity import IdentityService

__all__ = ["offer_workspaces"]

_KEY_FILE: Final = "google-service-account.json"
_APPLICATION_FILE: Final = "microsoft-application.json"
_ACCOUNT: Final = "berth"


def offer_workspaces(service: IdentityService, directory: Path, origin: str, addresses: Iterable[str]) -> Identity:
    """Let one service account open the mailboxes of GOOGLE_DOMAIN, and one application those of MICROSOFT_DOMAIN.

    Args:
        service: learns of them.
        directory: keeps key and secret, so that workspaces work on after a restart.
        origin: of the service.
        addresses: all mailboxes of the sandbox.
    """
    addresses = list(addresses)
    key_file = _google(service, directory, [a for a in addresses if a.endswith(f"@{GOOGLE_DOMAIN}")])
    application = _microsoft(service, directory, [a for a in addresses if a.endswith(f"@{MICROSOFT_DOMAIN}")])
    return Identity(
        google_token_url=f"{origin}/token",
        microsoft_authority=origin,
        google_key_file=str(key_file.resolve()),
        google_domain=GOOGLE_DOMAIN,
        microsoft=application,
        microsoft_domain=MICROSOFT_DOMAIN,
    )


def _google(service: IdentityService, directory: Path, mailboxes: list[str]) -> Path:
    file = directory / _KEY_FILE
    google = service.google
    if file.exists():
        document = file.read_text()
        account = google.new_account(_ACCOUNT, json.loads(document)["client_id"])
        account.accept_key(document)
    else:
        account = google.new_account(_ACCOUNT)
        write_private(file, account.new_key())
    google.users.update(mailboxes)
    google.delegate(GOOGLE_DOMAIN, account, MAIL_SCOPE)
    return file


def _microsoft(service: IdentityService, directory: Path, mailboxes: list[str]) -> MicrosoftWorkspace:
    file = directory / _APPLICATION_FILE
    if file.exists():
        given = MicrosoftWorkspace.model_validate_json(file.read_text())
    else:
        given = MicrosoftWorkspace(
            tenant_id=str(uuid4()),
            client_id=str(uuid4()),
            client_secret=f"{secrets.token_urlsafe(30)}~s",
            secret_id=str(uuid4()),
        )
        write_private(file, given.model_dump_json(indent=2))
    tenant = service.microsoft.new_tenant(MICROSOFT_DOMAIN, tenant_id=given.tenant_id)
    application = tenant.register(given.client_id)
    application.secrets[given.client_secret] = float("inf")
    application.mailboxes.update(mailboxes)
    return given
