"""Email workspaces for tests of the gateway: credentials that pass its checks, and what the connector says of them."""

import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from berth_events.contracts import (
    EmailWorkspaceCreated,
    EmailWorkspaceCredentialsReplaced,
    EmailWorkspaceRejected,
    EmailWorkspaceVerified,
)
from berth_testing.gateway_results import DIAGNOSIS

__all__ = ["SECRET", "google_body", "microsoft_body", "service_account_key", "workspace_result"]

#: A client secret; looked for in everything that is shown.
SECRET = "Xy7~s3cret-of-the-tests_value"


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def service_account_key(**changes: Any) -> dict[str, Any]:
    """A key file as Google makes them; None removes a field."""
    document = {
        "type": "service_account",
        "project_id": "acme-mail",
        "private_key_id": "6f2c1d0b9a8e7f65",
        "private_key": _private_key(),
        "client_email": "berth@acme-mail.iam.gserviceaccount.com",
        "client_id": "104242424242424242424",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
        **changes,
    }
    return {name: value for name, value in document.items() if value is not None}


def google_body(**changes: Any) -> dict[str, Any]:
    """A body for POST /v1/email-workspaces."""
    return {
        "name": "Acme on Google",
        "provider": "google",
        "service_account_key": json.dumps(service_account_key()),
        **changes,
    }


def microsoft_body(**changes: Any) -> dict[str, Any]:
    """A body for POST /v1/email-workspaces."""
    body = {
        "name": "Acme on Microsoft",
        "provider": "microsoft",
        "tenant_id": "b1f0c3d2-6a55-4f0e-8c1b-3d2e1f0a9b87",
        "client_id": "5c2a7b90-1d3e-4f6a-9b8c-7e6d5c4b3a29",
        "client_secret": SECRET,
        "secret_expires_at": "2099-01-29",
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def workspace_result(
    event: EmailWorkspaceCreated | EmailWorkspaceCredentialsReplaced, *, works: bool
) -> EmailWorkspaceVerified | EmailWorkspaceRejected:
    """What the connector says of a credential."""
    ids = {
        "workspace_id": event.workspace_id,
        "organization_id": event.organization_id,
        "project_id": event.project_id,
        "credential_ref": event.credential_ref,
    }
    if works:
        return EmailWorkspaceVerified(**ids)
    return EmailWorkspaceRejected(**ids, diagnosis=DIAGNOSIS)
