"""Where scenes are played: the real probe, and everything around it that it meets on the Internet, on loopback."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final, Literal
from uuid import uuid4

import trustme
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from berth_connector.bootstrap import make_tokens
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.oauth import TokenSource, WorkspaceKey
from berth_connector.probe import Dialler, Limits, Login, Prober, TokenGrant, client_context
from berth_connector.probe.exchange import plan, signed_in
from berth_connector.probe.smtp import SmtpSession
from berth_connector.probe.steplog import StepLog, Stopped
from berth_connector.redaction import Redactor
from berth_connector.settings import ConnectorSettings
from berth_events.contracts import CredentialRef, Diagnosis, MailServer, Verification
from berth_local.sandbox.providers.rows import spoken, token_error
from berth_net import Address, HostGuard, HostNotFound, LookupFailed, Policy
from berth_testing.clocks import SteppingClock
from berth_testing.corpus.scenes import PASSWORD, USERNAME, Scene, refusing
from berth_testing.peers import Peer, Script
from berth_testing.providers import PROVIDERS, UNKNOWN_SERVER
from berth_testing.token_service import TokenService, token_service
from berth_vault import Credential, generate_key

__all__ = ["MAILBOX", "PATIENT", "SECRET", "Stage", "open_stage"]

#: Enough for a busy machine; no scene waits for it.
PATIENT: Final = Limits(resolve=5, connect=5, tls=10, reply=10, authenticate=10, look=5, total=30)
MAILBOX: Final = "ada@acme.example"
SECRET: Final = "s3cr~t.Value-of-the-App"
_TOKEN: Final = "ya29.a0-of-nobody"
_LOCAL: Final = "verify.test.example"
#: Names whose addresses are not this machine's: what the conditions need.
_ADDRESSES: Final = {
    "metadata.test.example": "169.254.169.254",
    "unreachable.test.example": "127.255.255.255",  # the broadcast address: the kernel has no route for TCP
}


class _Resolver:
    """Every name is this machine, but for some."""

    async def addresses(self, host: str) -> tuple[Address, ...]:
        if host == "missing.test.example":
            raise HostNotFound(f"The host {host} does not exist.")
        if host == "lame.test.example":
            raise LookupFailed(f"The lookup of {host} failed.")
        return (ip_address(_ADDRESSES.get(host, "127.0.0.1")),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What scenes are played with.

    Attributes:
        authority: issues the servers' certificates; the probe trusts it.
        tls: of a server with a good certificate for the names of all speakers.
        service: the token endpoints of Google and Microsoft.
        tokens: asks them, as the settings say.
        table: gives the diagnoses.
    """

    authority: trustme.CA
    tls: ssl.SSLContext
    client_tls: ssl.SSLContext
    service: TokenService
    settings: ConnectorSettings
    tokens: TokenSource
    table: DiagnosisTable
    clock: SteppingClock

    async def play(self, scene: Scene) -> Diagnosis | None:
        """Play one scene, and say what the probe makes of it; None when it finds nothing wrong."""
        if scene.step in {"mail_from", "rcpt_to", "data"}:
            return await self._send(refusing(scene, spoken(scene.protocol, scene.reply)), scene.speaker.smtp_host)
        return (await self.verification(scene)).diagnosis

    async def verification(self, scene: Scene) -> Verification:
        """Play one scene in a verification, which sends no mail."""
        if scene.protocol == "oauth":
            return await self._refuse_token(scene)
        script = refusing(scene, spoken(scene.protocol, scene.reply))
        host = scene.speaker.imap_host if scene.protocol == "imap" else scene.speaker.smtp_host
        mechanism = "xoauth2" if scene.step == "auth_oauth" else "auto"
        security: Literal["tls", "starttls"] = "starttls" if scene.step == "starttls" else "tls"
        return await self.verify(scene.protocol, script, host=host, mechanism=mechanism, security=security)

    async def verify(
        self,
        protocol: str,
        script: Script,
        *,
        tls: ssl.SSLContext | None = None,
        plain: bool = False,
        security: Literal["tls", "starttls"] = "tls",
        limits: Limits = PATIENT,
        **login: Any,
    ) -> Verification:
        """Verify against a server that follows a script.

        Args:
            protocol: `imap` or `smtp`.
            script: what it says.
            tls: the server's context; default: the good one.
            plain: the server does not speak TLS.
            security: how the probe begins TLS.
            limits: the probe's.
            login: see `dial`.
        """
        context = tls or self.tls
        implicit = None if plain or security == "starttls" else context
        async with Peer.run(script, implicit=implicit, starttls=context) as peer:
            return await self.dial(protocol, peer.port, security=security, limits=limits, **login)

    async def dial(
        self,
        protocol: str,
        port: int,
        *,
        host: str = "mail.test.example",
        mechanism: str = "auto",
        security: str = "tls",
        password: str = PASSWORD,
        limits: Limits = PATIENT,
        ports: Sequence[int] | None = None,
    ) -> Verification:
        """Verify against a port of this machine."""
        login = self.login(port, host=host, mechanism=mechanism, security=security, password=password)
        prober = self.prober(ports or [port], limits)
        imap, smtp = (login, None) if protocol == "imap" else (None, login)
        return (await prober.verify(uuid4(), imap, smtp)).verification

    async def token_diagnosis(self, key: WorkspaceKey, secret: Credential, **named: Any) -> Diagnosis | None:
        """Why there is no access token, or None."""
        return (await self._token_step(key, secret, **named)).diagnosis

    async def _token_step(
        self,
        key: WorkspaceKey,
        secret: Credential,
        *,
        mailbox: str = MAILBOX,
        limits: Limits = PATIENT,
        tokens: TokenSource | None = None,
        **named: Any,
    ) -> Verification:
        source = tokens or self.tokens
        grant = TokenGrant(service=key.provider, fetch=lambda: source.token(key, mailbox, secret, **named))
        return (await self.prober([], limits).verify(uuid4(), None, None, grant)).verification

    def google(self, **named: Any) -> tuple[WorkspaceKey, Credential]:
        """A new Google workspace."""
        document = self.service.google_workspace(MAILBOX, **named)[1]
        return self.google_key(), Credential({"service_account_key": document})

    @staticmethod
    def google_key() -> WorkspaceKey:
        """Names a Google workspace's credential."""
        return WorkspaceKey(provider="google", credential_ref=CredentialRef(credential_id=uuid4(), version=1))

    def microsoft(self, *, secret: str = SECRET, **changes: Any) -> tuple[WorkspaceKey, Credential]:
        """A new Microsoft workspace."""
        tenant, application = self.service.microsoft_workspace(MAILBOX, secret=SECRET)
        for name in changes.keys() & {"roles"}:
            setattr(application, name, changes.pop(name))
        fields = {
            "provider": "microsoft",
            "credential_ref": CredentialRef(credential_id=uuid4(), version=1),
            "tenant_id": tenant.tenant_id,
            "client_id": application.client_id,
            **changes,
        }
        return WorkspaceKey(**fields), Credential({"client_secret": secret})

    async def _refuse_token(self, scene: Scene) -> Verification:
        body = token_error(scene.rule, scene.reply)

        async def refuse(request: Request) -> Response | None:
            return JSONResponse(body, 400) if request.method == "POST" else None

        key, secret = self.google() if scene.provider == "google" else self.microsoft()
        self.service.identity.fault = refuse
        try:
            return await self._token_step(key, secret)
        finally:
            self.service.identity.fault = None

    async def _send(self, script: Script, host: str) -> Diagnosis | None:
        """Sign in and send a message, as a checkup does."""
        log = StepLog(
            "smtp",
            plan("tls", "ehlo", "noop"),
            self.table,
            Redactor([PASSWORD]),
            self.clock,
            asyncio.get_running_loop().time() + PATIENT.total,
        )
        async with Peer.run(script, implicit=self.tls) as peer:
            dialler = Dialler(_guard([peer.port]), self.client_tls, PATIENT)
            login = self.login(peer.port, host=host)
            try:
                async with (
                    signed_in(dialler, PATIENT, log, login, partial(SmtpSession, local_hostname=_LOCAL)) as session,
                    log.step("noop", PATIENT.reply),
                ):
                    await session.send(USERNAME, USERNAME, b"Subject: Berth\r\n\r\nHello.\r\n")
            except Stopped:
                pass
        return log.finding.diagnosis if log.finding else None

    def prober(self, ports: Sequence[int], limits: Limits = PATIENT) -> Prober:
        """A prober that may dial these ports of this machine."""
        return Prober(_guard(ports), self.client_tls, self.table, self.clock, local_hostname=_LOCAL, limits=limits)

    @staticmethod
    def login(
        port: int,
        *,
        host: str = "mail.test.example",
        mechanism: str = "auto",
        security: str = "tls",
        password: str = PASSWORD,
    ) -> Login:
        """What signs in to a server of this machine."""
        server = MailServer.model_validate(
            {"host": host, "port": port, "security": security, "username": USERNAME, "mechanism": mechanism}
        )
        return Login(server, _TOKEN if mechanism == "xoauth2" else password)


def _guard(ports: Sequence[int]) -> HostGuard:
    return HostGuard(_Resolver(), Policy(allow_networks=(ip_network("127.0.0.0/8"),), allow_ports=frozenset(ports)))


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Make the certificates and start the token service."""
    hosts = {name for one in (UNKNOWN_SERVER, *PROVIDERS.values()) for name in (one.imap_host, one.smtp_host)}
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*sorted(hosts), key_type=trustme.KeyType.ECDSA).configure_cert(server_tls)
    clock = SteppingClock(datetime.now(UTC))
    with tempfile.TemporaryDirectory() as directory:
        authority_file = Path(directory) / "ca.pem"
        authority.cert_pem.write_to_path(authority_file)
        with token_service(Path(directory), authority=authority) as service:
            settings = ConnectorSettings.model_validate(
                {
                    "database_url": "postgresql://nobody@127.0.0.1/x",
                    "vault_database_url": "postgresql://nobody@127.0.0.1/x",
                    "berth_vault_private_keys": generate_key().private_text,
                    "berth_extra_ca_file": authority_file,
                    "berth_google_token_url": service.google_url,
                    "berth_microsoft_authority": service.authority,
                }
            )
            with make_tokens(settings, clock) as tokens:
                yield Stage(
                    authority=authority,
                    tls=server_tls,
                    client_tls=client_context(authority_file),
                    service=service,
                    settings=settings,
                    tokens=tokens,
                    table=DiagnosisTable.load(),
                    clock=clock,
                )
