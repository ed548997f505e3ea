"""Asks a token service for the access tokens of one workspace, as the connector does; says why, when there is none."""

import json
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from berth_connector.diagnosis import DiagnosisTable
from berth_connector.oauth import TokenSource, WorkspaceKey
from berth_connector.probe import Prober, TokenGrant, client_context
from berth_connector.settings import ConnectorSettings
from berth_events.contracts import CredentialRef, Diagnosis
from berth_local.sandbox.google import ServiceAccount
from berth_local.sandbox.microsoft import Application
from berth_net import HostGuard, Policy
from berth_testing.token_service import TokenService
from berth_vault import Credential, generate_key

if TYPE_CHECKING:
    from berth_testing.clocks import SteppingClock

__all__ = ["ADA", "SECRET", "Asker", "settings_for"]

ADA: Final = "ada@acme.example"
SECRET: Final = "s3cr~t.Value-of-the-App"


def settings_for(service: TokenService, **changes: Any) -> ConnectorSettings:
    """Settings of a connector that asks the service."""
    return ConnectorSettings.model_validate(
        {
            "database_url": "postgresql://nobody@127.0.0.1/x",
            "vault_database_url": "postgresql://nobody@127.0.0.1/x",
            "berth_vault_private_keys": generate_key().private_text,
            "berth_extra_ca_file": service.ca_file,
            "berth_google_token_url": service.google_url,
            "berth_microsoft_authority": service.authority,
            **changes,
        }
    )


class Asker:
    """One workspace and its credential.

    Args:
        service: what is asked.
        tokens: asks; its clock is a SteppingClock.
    """

    def __init__(self, service: TokenService, tokens: TokenSource) -> None:
        self.service, self.tokens = service, tokens
        self.clock: SteppingClock = tokens._clock  # type: ignore[assignment]
        guard = HostGuard(None, Policy())  # type: ignore[arg-type] # nothing is dialled
        self.prober = Prober(guard, client_context(), DiagnosisTable.load(), self.clock, local_hostname="x")
        self.secret = Credential({})
        self.key: WorkspaceKey | None = None

    def google(self, *mailboxes: str, **named: Any) -> ServiceAccount:
        """Have a new service account (`TokenService.google_workspace`)."""
        account, key_file = self.service.google_workspace(*mailboxes, **named)
        self.upload(json.loads(key_file))
        return account

    def upload(self, document: Any) -> None:
        """Have another key file: its text, or what is to be JSON."""
        text = document if isinstance(document, str) else json.dumps(document)
        self.secret = Credential({"service_account_key": text})
        reference = CredentialRef(credential_id=uuid4(), version=1)
        self.key = WorkspaceKey(provider="google", credential_ref=reference)

    @property
    def document(self) -> dict[str, Any]:
        """The key file."""
        found: dict[str, Any] = json.loads(self.secret.reveal("service_account_key"))
        return found

    def microsoft(self, secret: str = SECRET, **changes: Any) -> Application:
        """Have a new app registration, whose secret is SECRET."""
        tenant, application = self.service.microsoft_workspace(ADA, secret=SECRET)
        self.secret = Credential({"client_secret": secret})
        self.key = WorkspaceKey(
            **{
                "provider": "microsoft",
                "credential_ref": CredentialRef(credential_id=uuid4(), version=1),
                "tenant_id": tenant.tenant_id,
                "client_id": application.client_id,
                **changes,
            }
        )
        return application

    async def token(self, subject: str | None = ADA, **named: Any) -> str:
        """A token, or a Fault."""
        if self.key is None:
            raise AssertionError("call google() or microsoft() first")
        return await self.tokens.token(self.key, subject, self.secret, **named)

    async def diagnosis(self, subject: str | None = ADA, **named: Any) -> Diagnosis:
        """Why there is no token."""
        if self.key is None:
            raise AssertionError("call google() or microsoft() first")
        grant = TokenGrant(service=self.key.provider, fetch=lambda: self.token(subject, **named))
        finding = await self.prober.diagnose(grant)
        if finding is None:
            raise AssertionError("there is a token")
        return finding.diagnosis

    @property
    def asked(self) -> int:
        """How many requests the service has seen."""
        return self.service.identity.asked.total()
