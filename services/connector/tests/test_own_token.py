"""An account whose credential is an access token that its platform got itself: no workspace, so no fresh token either."""

from collections.abc import Iterator
from ipaddress import ip_address
from uuid import uuid4

import pytest

from berth_connector.bootstrap import make_tokens
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.oauth import TokenSource, WorkspaceKey
from berth_connector.probe import Login, Prober, client_context
from berth_connector.settings import ConnectorSettings
from berth_events.contracts import CredentialRef, MailServer, Verification
from berth_events.runtime.clock import SystemClock
from berth_net import Address, HostGuard, Policy
from berth_testing.oauth_bed import OAuthBed
from berth_vault import Credential, generate_key

pytestmark = pytest.mark.mail

ADA = "ada@acme.example"


class BedResolver:
    """Knows the hosts of the bed."""

    def __init__(self, hosts: dict[str, str]) -> None:
        self._hosts = hosts

    async def addresses(self, host: str) -> tuple[Address, ...]:
        return (ip_address(self._hosts[host]),)


@pytest.fixture
def tokens(oauth_bed: OAuthBed) -> Iterator[TokenSource]:
    settings = ConnectorSettings.model_validate(
        {
            "database_url": "postgresql://nobody@127.0.0.1/x",
            "vault_database_url": "postgresql://nobody@127.0.0.1/x",
            "berth_vault_private_keys": generate_key().private_text,
            "berth_extra_ca_file": oauth_bed.service.ca_file,
            "berth_google_token_url": oauth_bed.service.google_url,
        }
    )
    with make_tokens(settings, SystemClock()) as source:
        yield source


async def verify(bed: OAuthBed, token: str) -> Verification:
    mail = bed.mail
    policy = Policy.parse("127.0.0.0/8", ",".join(map(str, mail.ports.values())))
    guard = HostGuard(BedResolver(mail.hosts), policy)
    context = client_context(mail.ca_file)
    prober = Prober(guard, context, DiagnosisTable.load(), SystemClock(), local_hostname="verify.test.example")

    def login(port: str) -> Login:
        server = MailServer(
            host=mail.hostname, port=mail.ports[port], security="tls", username=ADA, mechanism="xoauth2"
        )
        return Login(server, token)

    return (await prober.verify(uuid4(), login("imaps"), login("smtps"))).verification


async def test_a_token_that_is_good(oauth_bed: OAuthBed, tokens: TokenSource) -> None:
    _, key_file = oauth_bed.service.google_workspace(ADA)
    key = WorkspaceKey(provider="google", credential_ref=CredentialRef(credential_id=uuid4(), version=1))
    credential = Credential({"service_account_key": key_file})
    found = await verify(oauth_bed, await tokens.token(key, ADA, credential))
    assert (found.outcome, found.imap, found.smtp) == ("connected", True, True), found.diagnosis
    signed_in = {step.protocol: step.message for step in found.steps if step.name == "authenticate"}
    assert signed_in == dict.fromkeys(("imap", "smtp"), "Signed in with XOAUTH2.")


async def test_a_token_that_is_not(oauth_bed: OAuthBed) -> None:
    found = await verify(oauth_bed, "ya29.expired")
    assert (found.outcome, found.imap, found.smtp) == ("failed", False, False)
    assert found.diagnosis is not None
    assert found.diagnosis.code == "OAUTH_TOKEN_REJECTED"
    assert "ya29.expired" not in found.model_dump_json()
