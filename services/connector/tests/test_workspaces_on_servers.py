"""Mailboxes of email workspaces on real servers: tokens from the token service, Dovecot and Postfix that check them."""

import asyncio
import json
import os
from collections.abc import Iterator
from ipaddress import ip_address
from uuid import uuid4

import pytest

from berth_connector.bootstrap import make_tokens
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.oauth import IMAP_ROLE, SMTP_ROLE, TokenSource, WorkspaceKey
from berth_connector.probe import Login, Prober, TokenGrant, client_context
from berth_events.contracts import CredentialRef, MailServer, Verification
from berth_events.runtime.clock import SystemClock
from berth_net import Address, HostGuard, Policy
from berth_testing.asker import settings_for
from berth_testing.canaries import Canaries
from berth_testing.oauth_bed import OAuthBed
from berth_vault import Credential

pytestmark = pytest.mark.mail

ADA, BOB = "ada@acme.example", "bob@acme.example"
SECRET = "s3cr~t.Value-of-the-App"


class BedResolver:
    """Knows the hosts of the bed."""

    def __init__(self, hosts: dict[str, str]) -> None:
        self._hosts = hosts

    async def addresses(self, host: str) -> tuple[Address, ...]:
        return (ip_address(self._hosts[host]),)


@pytest.fixture
def tokens(oauth_bed: OAuthBed) -> Iterator[TokenSource]:
    with make_tokens(settings_for(oauth_bed.service), SystemClock()) as source:
        yield source


@pytest.fixture(scope="session")
def prober(oauth_servers_of_session: OAuthBed) -> Prober:
    mail = oauth_servers_of_session.mail
    policy = Policy.parse("127.0.0.0/8", ",".join(map(str, mail.ports.values())))
    return Prober(
        HostGuard(BedResolver(mail.hosts), policy),
        client_context(mail.ca_file),
        DiagnosisTable.load(),
        SystemClock(),
        local_hostname="verify.test.example",
    )


class Workspace:
    """A workspace's key, and verifications through it."""

    def __init__(
        self, bed: OAuthBed, prober: Prober, tokens: TokenSource, key: WorkspaceKey, secret: Credential
    ) -> None:
        self.bed, self.prober, self.tokens, self.key, self.secret = bed, prober, tokens, key, secret

    async def verify(self, address: str, *, mechanism: str = "xoauth2", user: str | None = None) -> Verification:
        def login(port: str) -> Login:
            named = {"host": self.bed.mail.hostname, "port": self.bed.mail.ports[port], "security": "tls"}
            return Login(MailServer.model_validate({**named, "username": user or address, "mechanism": mechanism}), "")

        async def fetch() -> str:
            return await self.tokens.token(self.key, address, self.secret, roles={IMAP_ROLE, SMTP_ROLE})

        grant = TokenGrant(service=self.key.provider, fetch=fetch)
        return (await self.prober.verify(uuid4(), login("imaps"), login("smtps"), grant)).verification


def workspace(bed: OAuthBed, prober: Prober, tokens: TokenSource, provider: str, *mailboxes: str) -> Workspace:
    reference = CredentialRef(credential_id=uuid4(), version=1)
    if provider == "google":
        _, key_file = bed.service.google_workspace(*mailboxes)
        key = WorkspaceKey(provider="google", credential_ref=reference)
        return Workspace(bed, prober, tokens, key, Credential({"service_account_key": key_file}))
    tenant, application = bed.service.microsoft_workspace(*mailboxes, secret=SECRET)
    key = WorkspaceKey(
        provider="microsoft",
        credential_ref=reference,
        tenant_id=tenant.tenant_id,
        client_id=application.client_id,
    )
    return Workspace(bed, prober, tokens, key, Credential({"client_secret": SECRET}))


@pytest.mark.parametrize("provider", ["google", "microsoft"])
@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
async def test_a_mailbox_is_proven_with_a_token(
    provider: str, mechanism: str, oauth_bed: OAuthBed, prober: Prober, tokens: TokenSource
) -> None:
    through = workspace(oauth_bed, prober, tokens, provider, ADA)
    found = await through.verify(ADA, mechanism=mechanism)
    assert (found.outcome, found.imap, found.smtp) == ("connected", True, True), found.diagnosis
    assert (found.steps[0].protocol, found.steps[0].name) == ("oauth", "token")
    assert [step.outcome for step in found.steps] == ["ok"] * len(found.steps)
    signed_in = {step.protocol: step.message for step in found.steps if step.name == "authenticate"}
    assert signed_in == dict.fromkeys(("imap", "smtp"), f"Signed in with {mechanism.upper()}.")


@pytest.mark.parametrize("provider", ["google", "microsoft"])
@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
async def test_a_token_opens_no_other_mailbox(
    provider: str, mechanism: str, oauth_bed: OAuthBed, prober: Prober, tokens: TokenSource
) -> None:
    through = workspace(oauth_bed, prober, tokens, provider, ADA)
    found = await through.verify(ADA, user=BOB, mechanism=mechanism)
    assert (found.outcome, found.imap, found.smtp) == ("failed", False, False)
    for step in found.steps:
        if step.name == "authenticate":
            assert step.diagnosis
            assert (step.diagnosis.code, step.diagnosis.retry_policy) == ("OAUTH_TOKEN_REJECTED", "once_fresh_token")
            assert '{"status":"' in step.diagnosis.reply  # the server's challenge, decoded


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_no_secret_is_in_the_result(
    provider: str, oauth_bed: OAuthBed, prober: Prober, tokens: TokenSource
) -> None:
    through = workspace(oauth_bed, prober, tokens, provider, ADA)
    canaries = Canaries()
    if provider == "google":
        canaries.add("key", json.loads(through.secret.reveal("service_account_key"))["private_key"])
    else:
        canaries.add("secret", SECRET)
    canaries.add("token", await tokens.token(through.key, ADA, through.secret))
    for user in (ADA, BOB):
        for mechanism in ("xoauth2", "oauthbearer"):
            found = await through.verify(ADA, user=user, mechanism=mechanism)
            canaries.in_text("verification", found.model_dump_json())
    assert canaries.leaks == []


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_many_mailboxes(provider: str, oauth_bed: OAuthBed, prober: Prober, tokens: TokenSource) -> None:
    """XOAUTH2 at Dovecot by IMAP and at Postfix by SMTP, 200 mailboxes each; the environment variable MAILBOXES asks for more."""
    mailboxes = [f"m{number}@acme.example" for number in range(int(os.environ.get("MAILBOXES", "200")))]
    through = workspace(oauth_bed, prober, tokens, provider, *mailboxes)
    gate = asyncio.Semaphore(20)

    async def verify(address: str) -> Verification:
        async with gate:
            return await through.verify(address)

    found = await asyncio.gather(*map(verify, mailboxes))
    assert {one.outcome for one in found} == {"connected"}, next(one.diagnosis for one in found if one.diagnosis)
    for one in found:
        said = {(step.protocol, step.name): (step.message, *step.transcript) for step in one.steps}
        for protocol, server in (("imap", "Dovecot"), ("smtp", "Postfix")):
            assert server in "".join(said[protocol, "greet"])
            assert said[protocol, "authenticate"][0] == "Signed in with XOAUTH2."
    assert oauth_bed.service.identity.asked[provider] == (len(mailboxes) if provider == "google" else 1)
