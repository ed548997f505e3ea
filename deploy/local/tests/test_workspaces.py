"""The sandbox's identity providers and mail hosts, as libraries of Google, Microsoft and Python see them."""

import asyncio
import imaplib
import json
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import msal
import pytest
import requests
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from berth_local.sandbox.description import Host, Identity, Sandbox
from berth_local.sandbox.server import sandbox

T = TypeVar("T")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="module")
async def running(directory: Path) -> AsyncIterator[Sandbox]:
    async with sandbox(directory) as description:
        yield description


@pytest.fixture
def identity(running: Sandbox) -> Identity:
    assert running.identity
    return running.identity


@pytest.fixture
def by_name(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host names resolve, as the services' resolver does it; certificates are checked against them."""
    real, addresses = socket.getaddrinfo, {host.name: host.address for host in running.hosts}
    addresses |= {name: one.address for one in running.providers for name in (*one.imap_hosts, *one.smtp_hosts)}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest: real(addresses.get(host, host), *rest))


def google_token(running: Sandbox, subject: str) -> str:
    assert running.identity
    document = json.loads(Path(running.identity.google_key_file).read_text())
    document["token_uri"] = running.identity.google_token_url
    credentials = service_account.Credentials.from_service_account_info(
        document, scopes=["https://mail.google.com/"], subject=subject
    )
    with requests.Session() as session:
        session.trust_env = False
        session.verify = running.authority_file
        credentials.refresh(Request(session))
    return str(credentials.token)


def microsoft_answer(running: Sandbox, secret: str | None = None) -> dict[str, object]:
    assert running.identity
    given = running.identity.microsoft
    with requests.Session() as session:
        session.trust_env = False
        session.verify = running.authority_file
        application = msal.ConfidentialClientApplication(
            given.client_id,
            client_credential=secret or given.client_secret,
            authority=f"{running.identity.microsoft_authority}/{given.tenant_id}",
            instance_discovery=False,
            http_client=session,
        )
        answer: dict[str, object] = application.acquire_token_for_client(["https://outlook.office365.com/.default"])
    return answer


async def in_thread(call: Callable[[], T]) -> T:
    return await asyncio.to_thread(call)


def sign_in(running: Sandbox, address: str, token: str) -> tuple[str, int]:
    """By IMAP and SMTP; what they say."""
    host: Host = running.mailbox(address)[1]
    trust = ssl.create_default_context(cafile=running.authority_file)
    response = f"user={address}\1auth=Bearer {token}\1\1"
    refused: list[bytes] = []
    with imaplib.IMAP4_SSL(host.name, host.imaps, ssl_context=trust, timeout=10) as imap:

        def answer(challenge: bytes) -> bytes:
            refused.append(challenge)
            return response.encode() if len(refused) == 1 else b""

        try:
            imap.authenticate("XOAUTH2", answer)
            said = imap.select("INBOX")[0]
        except imaplib.IMAP4.error as error:
            said = f"{error} {refused[-1].decode()}"
    with smtplib.SMTP_SSL(host.name, host.submissions, context=trust, timeout=10) as smtp:
        smtp.ehlo()
        try:
            code, _ = smtp.auth(
                "XOAUTH2", lambda challenge=None: "" if challenge else response, initial_response_ok=False
            )
        except smtplib.SMTPAuthenticationError as error:
            code = error.smtp_code
    return said, code


def sign_in_at(running: Sandbox, provider: str, mechanism: str, address: str, token: str) -> str:
    """At a played provider's servers: what IMAP says, and SMTP's code."""
    at = next(one for one in running.providers if one.name == provider)
    trust = ssl.create_default_context(cafile=running.authority_file)
    response = {
        "XOAUTH2": f"user={address}\1auth=Bearer {token}\1\1",
        "OAUTHBEARER": f"n,a={address},\1host={at.imap_hosts[0]}\1port=993\1auth=Bearer {token}\1\1",
    }[mechanism]
    with imaplib.IMAP4_SSL(at.imap_hosts[0], at.imaps, ssl_context=trust, timeout=10) as imap:
        try:
            imap.authenticate(mechanism, lambda _: response.encode())
            said = imap.select("INBOX")[0]
        except imaplib.IMAP4.error as error:
            said = str(error)
    with smtplib.SMTP(at.smtp_hosts[0], at.submission, timeout=10) as smtp:
        smtp.starttls(context=trust)
        smtp.ehlo()
        try:
            code, _ = smtp.auth(
                mechanism, lambda challenge=None: "" if challenge else response, initial_response_ok=False
            )
        except smtplib.SMTPAuthenticationError as error:
            code = error.smtp_code
    return f"{said} {code}"


@pytest.mark.usefixtures("by_name")
async def test_google_tokens_open_the_mailbox_they_are_for(running: Sandbox, identity: Identity) -> None:
    mailbox, other = f"barbara@{identity.google_domain}", f"donald@{identity.google_domain}"
    token = await in_thread(lambda: google_token(running, mailbox))
    assert await in_thread(lambda: sign_in(running, mailbox, token)) == ("OK", 235)
    said, code = await in_thread(lambda: sign_in(running, other, token))
    assert '"status":"400"' in said
    assert "AUTHENTICATIONFAILED" in said
    assert code == 535


@pytest.mark.usefixtures("by_name")
async def test_a_microsoft_token_opens_all_of_the_domain(running: Sandbox, identity: Identity) -> None:
    answer = await in_thread(lambda: microsoft_answer(running))
    for name in ("barbara", "donald"):
        address = f"{name}@{identity.microsoft_domain}"
        assert await in_thread(lambda: sign_in(running, address, str(answer["access_token"]))) == ("OK", 235)  # noqa: B023
    elsewhere = f"barbara@{identity.google_domain}"
    assert (await in_thread(lambda: sign_in(running, elsewhere, str(answer["access_token"]))))[1] == 535


@pytest.mark.usefixtures("by_name")
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
async def test_tokens_at_the_played_gmail(running: Sandbox, identity: Identity, mechanism: str) -> None:
    domain = identity.google_domain

    def signed_in(address: str, token: str) -> str:
        return sign_in_at(running, "google", mechanism, address, token)

    for name in ("barbara", "works", "works+17"):
        token = await in_thread(lambda: google_token(running, f"{name}@{domain}"))  # noqa: B023
        assert await in_thread(lambda: signed_in(f"{name}@{domain}", token)) == "OK 235"  # noqa: B023
    disabled = await in_thread(lambda: google_token(running, f"imap-disabled@{domain}"))
    assert "not enabled for IMAP use" in await in_thread(lambda: signed_in(f"imap-disabled@{domain}", disabled))
    another = await in_thread(lambda: signed_in(f"donald@{domain}", token))
    assert "Invalid credentials" in another
    assert another.endswith("550")  # behind the challenge, which was acknowledged


@pytest.mark.usefixtures("by_name")
async def test_tokens_at_the_played_microsoft_365(running: Sandbox, identity: Identity) -> None:
    token = str((await in_thread(lambda: microsoft_answer(running)))["access_token"])
    said = [
        await in_thread(lambda: sign_in_at(running, "microsoft", "XOAUTH2", address, token))  # noqa: B023
        for address in (f"works@{identity.microsoft_domain}", f"smtp-auth-disabled-tenant@{identity.microsoft_domain}")
    ]
    assert said == ["OK 235", "OK 535"]
    assert "AUTHENTICATE failed" in await in_thread(
        lambda: sign_in_at(running, "microsoft", "XOAUTH2", f"works@{identity.google_domain}", token)
    )


async def test_refusals(running: Sandbox, identity: Identity) -> None:
    for subject, said in (
        (f"nobody@{identity.google_domain}", "Invalid email or User ID"),
        ("ada@acme.test", "Client is unauthorized"),
    ):
        with pytest.raises(RefreshError, match=said):
            await in_thread(lambda: google_token(running, subject))  # noqa: B023
    answer = await in_thread(lambda: microsoft_answer(running, identity.microsoft.secret_id))
    assert answer["error_codes"] == [7000215]


async def test_keys_and_secrets_stay_the_same(identity: Identity, directory: Path) -> None:
    async with sandbox(directory) as again:
        assert again.identity
        assert again.identity.microsoft == identity.microsoft
        assert again.identity.google_key_file == identity.google_key_file
        token = await in_thread(lambda: google_token(again, f"barbara@{identity.google_domain}"))
        assert token.startswith("ya29.")
    for name in ("google-service-account.json", "microsoft-application.json"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600


async def test_the_gateway_is_told_where_the_mailboxes_are(
    running: Sandbox, identity: Identity, tmp_path: Path
) -> None:
    by_name = {provider.name: provider for provider in running.providers}
    google, microsoft = by_name["google"], by_name["microsoft"]
    assert running.mail_hosts(identity.google_domain) == (
        f"imap.gmail.com:{google.imaps}:tls,smtp.gmail.com:{google.submission}:starttls"
    )
    assert running.mail_hosts(identity.microsoft_domain) == (
        f"outlook.office365.com:{microsoft.imaps}:tls,smtp.office365.com:{microsoft.submission}:starttls"
    )
    async with sandbox(tmp_path, providers=False) as alone:
        host = next(host for host in alone.hosts if host.domain == identity.google_domain)
        imap, smtp = alone.mail_hosts(identity.google_domain).split(",")
        assert imap == f"imap.{identity.google_domain}:{host.imaps}:tls"
        assert smtp == f"smtp.{identity.google_domain}:{host.submission}:starttls"
