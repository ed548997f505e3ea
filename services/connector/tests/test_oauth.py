"""Access tokens: every way in which there is none leads to its diagnosis, and what is kept is asked for once."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import pytest

from berth_connector.bootstrap import make_tokens
from berth_connector.oauth import IMAP_ROLE, SMTP_ROLE, WorkspaceKey
from berth_connector.oauth.tokens import THREADS
from berth_connector.probe import Fault, TokenGrant
from berth_events.contracts import CredentialRef
from berth_testing.asker import ADA, SECRET, Asker, settings_for
from berth_testing.clocks import SteppingClock
from berth_testing.token_service import (
    MAIL_SCOPE,
    TokenService,
    busy,
    garbage,
    redirect,
    silent,
    throttled,
)
from berth_vault import Credential

OTHER_SCOPE = "https://www.googleapis.com/auth/gmail.readonly"


# -- Google


def deleted_key(asker: Asker) -> None:
    asker.google(ADA).keys.clear()


def another_key(asker: Asker) -> None:
    asker.google(ADA)
    document = asker.document
    asker.google(ADA)
    asker.upload({**document, "private_key": asker.document["private_key"]})


def deleted_account(asker: Asker) -> None:
    del asker.service.google.accounts[asker.google(ADA).email]


def not_delegated(asker: Asker) -> None:
    asker.google(ADA, scopes=())


def delegated_for_reading(asker: Asker) -> None:
    asker.google(ADA, scopes=(OTHER_SCOPE,))


def fast_clock(asker: Asker) -> None:
    asker.google(ADA)
    asker.service.clock.ahead = -7200


def slow_clock(asker: Asker) -> None:
    asker.google(ADA)
    asker.service.clock.ahead = 7200


GOOGLE: list[tuple[Callable[[Asker], None], str, str, str]] = [
    (deleted_key, ADA, "OAUTH_KEY_INVALID", "never_pause_workspace"),
    (another_key, ADA, "OAUTH_KEY_INVALID", "never_pause_workspace"),
    (deleted_account, ADA, "OAUTH_KEY_INVALID", "never_pause_workspace"),
    (not_delegated, ADA, "DWD_NOT_AUTHORISED", "backoff_24h"),
    (delegated_for_reading, ADA, "DWD_NOT_AUTHORISED", "backoff_24h"),
    (lambda asker: asker.google(ADA), "nobody@acme.example", "DWD_SUBJECT_INVALID", "never"),
    (lambda asker: asker.google(ADA), "ada@gmail.com", "DWD_SUBJECT_INVALID", "never"),
    (lambda asker: asker.google(ADA), "ada@elsewhere.example", "DWD_NOT_AUTHORISED", "backoff_24h"),
    (fast_clock, ADA, "CLOCK_WRONG", "exponential"),
    (slow_clock, ADA, "CLOCK_WRONG", "exponential"),
]


@pytest.mark.parametrize(("fault", "subject", "code", "policy"), GOOGLE)
async def test_why_google_gives_no_token(
    fault: Callable[[Asker], None], subject: str, code: str, policy: str, asker: Asker
) -> None:
    fault(asker)
    found = await asker.diagnosis(subject)
    assert (found.code, found.retry_policy) == (code, policy), found


async def test_the_scope_that_is_missing_is_named(asker: Asker) -> None:
    asker.google(ADA, scopes=(OTHER_SCOPE,))
    with pytest.raises(Fault) as caught:
        await asker.token()
    assert f"authorises {OTHER_SCOPE} for this client, but not {MAIL_SCOPE}" in str(caught.value.message)
    found = await asker.diagnosis(ask_anyway=True)
    assert found.rule_id == "own.google.scope_missing"
    asker.google(ADA, scopes=())
    with pytest.raises(Fault) as caught:
        await asker.token()
    assert f"authorises none of these scopes for this client: {MAIL_SCOPE}, " in str(caught.value.message)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "authorized_user"},
        {"private_key": "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"},
        {"client_email": None},
        {"universe_domain": "example.com"},
        {"padding": "x" * 20_000},
    ],
)
async def test_an_unusable_key_file_is_not_sent_anywhere(change: dict[str, Any], asker: Asker) -> None:
    asker.google(ADA)
    changed = {name: value for name, value in {**asker.document, **change}.items() if value is not None}
    asker.upload(changed)
    assert (await asker.diagnosis()).code == "OAUTH_KEY_INVALID"
    asker.upload("not JSON")
    assert (await asker.diagnosis()).code == "OAUTH_KEY_INVALID"
    assert asker.asked == 0


async def test_the_key_alone_is_proven_without_a_mailbox(asker: Asker) -> None:
    asker.google(scopes=())
    assert await asker.token(None)


async def test_the_token_uri_of_an_uploaded_key_is_ignored(asker: Asker) -> None:
    """Whoever names it would have us post to any address, and read him what comes back."""
    posted = []

    class Internal(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.path)

    with HTTPServer(("127.0.0.1", 0), Internal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        asker.google(ADA)
        asker.upload({**asker.document, "token_uri": f"http://127.0.0.1:{server.server_port}/latest/meta-data"})
        assert await asker.token()
        server.shutdown()
        thread.join()
    assert posted == []


# -- Microsoft


def expired(asker: Asker) -> None:
    asker.microsoft().secrets[SECRET] = 0


def no_principal(asker: Asker) -> None:
    asker.microsoft().principal = False


def no_roles(asker: Asker) -> None:
    asker.microsoft().roles = ()


def other_roles(asker: Asker) -> None:
    asker.microsoft().roles = ("POP.AccessAsApp",)


MICROSOFT: list[tuple[Callable[[Asker], None], str]] = [
    (lambda asker: asker.microsoft("wrong"), "OAUTH_SECRET_INVALID"),
    (lambda asker: asker.microsoft(str(uuid4())), "OAUTH_SECRET_INVALID"),
    (expired, "OAUTH_SECRET_EXPIRED"),
    (lambda asker: asker.microsoft(client_id=str(uuid4())), "OAUTH_APP_NOT_FOUND"),
    (lambda asker: asker.microsoft(client_id="Berth"), "OAUTH_APP_NOT_FOUND"),
    (lambda asker: asker.microsoft(tenant_id=str(uuid4())), "OAUTH_TENANT_NOT_FOUND"),
    (lambda asker: asker.microsoft(tenant_id="nobody.onmicrosoft.com"), "OAUTH_TENANT_NOT_FOUND"),
    (lambda asker: asker.microsoft(tenant_id="a/../b?x=#"), "OAUTH_TENANT_NOT_FOUND"),
    (lambda asker: asker.microsoft(tenant_id=None), "OAUTH_TENANT_NOT_FOUND"),
    (no_principal, "OAUTH_CONSENT_MISSING"),
    (no_roles, "OAUTH_CONSENT_MISSING"),
    (other_roles, "OAUTH_CONSENT_MISSING"),
]


@pytest.mark.parametrize(("fault", "code"), MICROSOFT)
async def test_why_microsoft_gives_no_token(fault: Callable[[Asker], None], code: str, asker: Asker) -> None:
    fault(asker)
    found = await asker.diagnosis()
    assert (found.code, found.retry_policy) == (code, "never_pause_workspace"), found
    assert SECRET not in found.model_dump_json()


@pytest.mark.parametrize("role", [IMAP_ROLE, SMTP_ROLE])
async def test_a_role_that_is_missing_is_found_before_anything_is_dialled(role: str, asker: Asker) -> None:
    application = asker.microsoft()
    application.roles = tuple({IMAP_ROLE, SMTP_ROLE} - {role})
    found = await asker.diagnosis(roles={IMAP_ROLE, SMTP_ROLE})
    assert (found.code, found.retry_policy) == ("OAUTH_ROLE_MISSING", "recheck_growing")
    assert role in found.meaning
    assert await asker.token(roles={IMAP_ROLE, SMTP_ROLE} - {role})
    application.roles = (IMAP_ROLE, SMTP_ROLE)
    asker.clock.step(120)  # a token that lacks a role is not used for an hour
    assert await asker.token(roles={role})


async def test_a_secret_s_id_is_not_sent_anywhere(asker: Asker) -> None:
    asker.microsoft(f" {uuid4()} ".upper())
    assert (await asker.diagnosis()).rule_id == "own.microsoft.secret_id"
    asker.microsoft(tenant_id="a/../b?x=#")
    assert (await asker.diagnosis()).rule_id == "own.microsoft.tenant_unusable"
    assert asker.asked == 0


# -- the endpoint


@pytest.mark.parametrize("provider", ["google", "microsoft"])
@pytest.mark.parametrize(
    ("fault", "code", "policy"),
    [
        (busy(), "PROVIDER_TEMPORARY", "exponential"),
        (throttled(7200), "RATE_LIMITED", "honour_hint"),
        (garbage(), "TOKEN_ENDPOINT_INVALID", "bounded"),
        (redirect("http://169.254.169.254/latest"), "TOKEN_ENDPOINT_INVALID", "bounded"),
    ],
)
async def test_an_endpoint_that_fails(provider: str, fault: Any, code: str, policy: str, asker: Asker) -> None:
    getattr(asker, provider)()
    asker.service.identity.fault = fault
    found = await asker.diagnosis()
    assert (found.code, found.retry_policy) == (code, policy), found
    assert "hunter2" not in found.model_dump_json()
    assert asker.asked <= 2
    asker.service.identity.fault = None
    assert await asker.token(None)  # it is not remembered


async def test_the_wait_that_an_endpoint_asks_for_is_kept(asker: Asker) -> None:
    asker.microsoft()
    asker.service.identity.fault = throttled(7200)
    finding = await asker.prober.diagnose(TokenGrant(service="microsoft", fetch=asker.token))
    assert finding
    assert finding.wait
    assert finding.wait.total_seconds() == 7200


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_a_silent_endpoint(provider: str, asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berth_connector.oauth.session._TIMEOUT_S", (0.3, 0.3))
    getattr(asker, provider)(*([ADA] if provider == "google" else []))
    asker.service.identity.fault = silent(2)
    found = await asker.diagnosis()
    assert (found.code, found.rule_id) == ("PROVIDER_TEMPORARY", "net.token.silent")


async def test_an_endpoint_that_is_not_there_or_is_not_the_provider_s(service: TokenService) -> None:
    service.reset()
    for changes in (
        {"berth_google_token_url": "https://localhost:1/token"},
        {"berth_extra_ca_file": None},  # an authority that nobody knows
    ):
        with make_tokens(settings_for(service, **changes), SteppingClock(datetime.now(UTC))) as tokens:
            asker = Asker(service, tokens)
            asker.google(ADA)
            assert (await asker.diagnosis()).rule_id == "net.token.unreachable"
    assert service.identity.asked.total() == 0


async def test_proxies_of_the_environment_are_not_used(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    asker.google(ADA)
    assert await asker.token()
    asker.microsoft()
    assert await asker.token()


# -- what is kept


async def test_a_token_is_kept_until_a_minute_before_it_ends(asker: Asker) -> None:
    asker.google(ADA)
    first = await asker.token()
    asker.clock.step(3500)
    assert await asker.token() == first
    assert asker.asked == 1
    asker.clock.step(60)
    assert await asker.token() != first


async def test_one_token_serves_all_of_a_tenant_and_is_asked_for_once(asker: Asker) -> None:
    asker.microsoft()
    found = await asyncio.gather(*(asker.token(f"m{number}@acme.example") for number in range(200)))
    assert len(set(found)) == 1
    assert asker.service.identity.asked == {"discovery": 1, "microsoft": 1}


async def test_mailboxes_have_tokens_of_their_own(asker: Asker) -> None:
    mailboxes = [f"m{number}@acme.example" for number in range(50)]
    asker.google(*mailboxes)
    found = await asyncio.gather(*(asker.token(mailbox) for mailbox in mailboxes for _ in range(3)))
    assert len(set(found)) == len(mailboxes) == asker.asked


async def test_tokens_are_asked_for_side_by_side_but_not_all_at_once(asker: Asker) -> None:
    running, most = 0, 0

    async def slow(_request: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1

    mailboxes = [f"m{number}@acme.example" for number in range(40)]
    asker.google(*mailboxes)
    asker.service.identity.fault = slow
    await asyncio.gather(*map(asker.token, mailboxes))
    assert 2 <= most <= THREADS
    assert asker.asked == len(mailboxes)


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_a_refusal_is_found_once_for_everybody(provider: str, asker: Asker) -> None:
    if provider == "google":
        asker.google(ADA).keys.clear()
    else:
        asker.microsoft("wrong")
    found = await asyncio.gather(*(asker.diagnosis(f"m{number}@acme.example") for number in range(200)))
    assert len({one.code for one in found}) == 1
    assert asker.service.identity.asked[provider] == 1


async def test_a_key_that_is_deleted_later_is_found_by_few(asker: Asker) -> None:
    mailboxes = [f"m{number}@acme.example" for number in range(200)]
    account = asker.google(*mailboxes)
    assert await asker.token(mailboxes[0])
    account.keys.clear()
    found = await asyncio.gather(*map(asker.diagnosis, mailboxes[1:]))
    assert {one.code for one in found} == {"OAUTH_KEY_INVALID"}
    assert asker.asked <= 1 + THREADS


async def test_what_another_replica_has_proven_ends_a_refusal(asker: Asker) -> None:
    application = asker.microsoft()
    application.roles = ()
    assert (await asker.diagnosis()).code == "OAUTH_CONSENT_MISSING"
    application.roles = (IMAP_ROLE, SMTP_ROLE)
    assert (await asker.diagnosis()).code == "OAUTH_CONSENT_MISSING"  # remembered
    asker.clock.step(1)
    assert await asker.token(since=asker.clock.now())


async def test_missing_delegation_is_found_once_for_a_domain(asker: Asker) -> None:
    asker.google("m0@good.example")
    mailboxes = [f"m{number}@bad.example" for number in range(100)]
    found = await asyncio.gather(*map(asker.diagnosis, mailboxes))
    assert {one.code for one in found} == {"DWD_NOT_AUTHORISED"}
    assert asker.asked == 5  # once, and once for each scope that could be meant
    assert await asker.token("m0@good.example")


async def test_a_fresh_token_is_asked_for_after_a_refusal_by_a_mail_server(asker: Asker) -> None:
    asker.google(ADA)
    first = await asker.token()
    assert await asker.token(fresh=True) != first
    assert asker.asked == 2


async def test_a_token_for_many_mailboxes_is_not_asked_for_anew_by_each_that_is_refused(asker: Asker) -> None:
    asker.microsoft()
    first = await asker.token()
    found = await asyncio.gather(*(asker.token(f"m{number}@acme.example", fresh=True) for number in range(50)))
    assert set(found) == {first}  # it cannot be much fresher
    asker.clock.step(120)
    found = await asyncio.gather(*(asker.token(f"m{number}@acme.example", fresh=True) for number in range(50)))
    assert first not in found
    assert asker.service.identity.asked["microsoft"] == 2


async def test_another_version_of_the_credential_is_another_key(asker: Asker) -> None:
    asker.microsoft()
    assert asker.key
    first = await asker.token()
    reference = asker.key.credential_ref
    newer = CredentialRef(credential_id=reference.credential_id, version=2)
    asker.key = WorkspaceKey(
        provider="microsoft", tenant_id=asker.key.tenant_id, client_id=asker.key.client_id, credential_ref=newer
    )
    asker.secret = Credential({"client_secret": "wrong"})
    assert (await asker.diagnosis()).code == "OAUTH_SECRET_INVALID"
    asker.key = WorkspaceKey(
        provider="microsoft", tenant_id=asker.key.tenant_id, client_id=asker.key.client_id, credential_ref=reference
    )
    assert await asker.token() == first


async def test_whoever_waits_may_go_away(asker: Asker) -> None:
    asker.google(ADA)
    asker.service.identity.fault = silent(0.3)
    waiting = [asyncio.create_task(asker.token()) for _ in range(5)]
    await asyncio.sleep(0.1)
    waiting[0].cancel()
    others = await asyncio.gather(*waiting[1:])
    assert len(set(others)) == 1
    assert waiting[0].cancelled()


def test_endpoints_are_https(service: TokenService) -> None:
    for name in ("berth_google_token_url", "berth_microsoft_authority"):
        with pytest.raises(ValueError, match="https"):
            settings_for(service, **{name: "http://localhost/token"})


async def test_nothing_secret_is_printed(asker: Asker) -> None:
    asker.microsoft()
    token = await asker.token()
    assert token not in repr(list(asker.tokens._tokens.values()))
    assert SECRET not in repr((asker.key, asker.secret))
