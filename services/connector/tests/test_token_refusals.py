"""What a refusal of the identity provider is about: the credential, the domain, or one mailbox."""

import base64
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from starlette.requests import Request
from starlette.responses import JSONResponse

from berth_testing.asker import ADA, Asker
from berth_testing.token_service import answers

BOB, EVE = "bob@acme.example", "eve@acme.example"


def pem(key: Any, encryption: KeySerializationEncryption | None = None) -> str:
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    text: str = written.decode()
    return text


UNUSABLE: dict[str, dict[str, Any]] = {
    "key of a curve": {"private_key": pem(ec.generate_private_key(ec.SECP256R1()))},
    "key of another curve": {"private_key": pem(ed25519.Ed25519PrivateKey.generate())},
    "key with a passphrase": {
        "private_key": pem(rsa.generate_private_key(65537, 2048), BestAvailableEncryption(b"passphrase"))
    },
    "no key": {"private_key": None},
    "key that is no text": {"private_key": ["-----BEGIN PRIVATE KEY-----"]},
    "no address": {"client_email": None},
    "address that is no text": {"client_email": 7},
    "other universe": {"universe_domain": "googleapis.example"},
    "universe that is no text": {"universe_domain": 7},
    "no type": {"type": None},
}


@pytest.mark.parametrize("name", UNUSABLE)
async def test_a_key_that_cannot_be_right_is_sent_nowhere(name: str, asker: Asker) -> None:
    asker.google(ADA)
    changed = {**asker.document, **UNUSABLE[name]}
    asker.upload({field: value for field, value in changed.items() if value is not None})
    assert (await asker.diagnosis()).rule_id == "own.google.key_unusable"
    asker.upload("[" * 10_000)
    assert (await asker.diagnosis()).rule_id == "own.google.key_unusable"
    assert asker.asked == 0


async def test_what_is_missing_beside_the_key_does_not_matter(asker: Asker) -> None:
    asker.google(ADA)
    for name in ("project_id", "private_key_id", "client_id", "auth_uri", "token_uri", "universe_domain"):
        asker.upload({field: value for field, value in asker.document.items() if field != name})
        assert await asker.token()
    asker.upload({**asker.document, "private_key_id": 7})
    assert await asker.token()


def refuses(error: str, text: str, *, alone: bool) -> Any:
    """Google refuses tokens for Eve in these words; `alone`: for her only, and not for the service account itself or others."""

    async def fault(request: Request) -> JSONResponse | None:
        body = (await request.body()).decode()
        claims = body.rpartition("assertion=")[2].split(".")[1]
        told = base64.urlsafe_b64decode(claims + "==").decode()
        if alone and EVE not in told:
            return None
        return JSONResponse({"error": error, "error_description": text}, 400)

    return fault


@pytest.mark.parametrize("text", ["Reauthentication is needed", "Bad Request", ""])
async def test_words_that_nobody_knows_stop_one_mailbox_and_no_workspace(text: str, asker: Asker) -> None:
    """What Google says of suspended users is not documented: the key is tried alone before the workspace is blamed."""
    asker.google(ADA, BOB, EVE)
    asker.service.identity.fault = refuses("invalid_grant", text, alone=True)
    found = await asker.diagnosis(EVE)
    assert (found.code, found.retry_policy, found.rule_id) == (
        "DWD_SUBJECT_INVALID",
        "never",
        "own.google.subject_refused",
    )
    assert found.reply == f"invalid_grant: {text}".strip()
    assert await asker.token(ADA)
    assert await asker.token(BOB)


async def test_the_same_words_about_the_key_are_those_of_the_workspace(asker: Asker) -> None:
    asker.google(ADA, BOB)
    asker.service.identity.fault = refuses("invalid_grant", "Reauthentication is needed", alone=False)
    found = await asker.diagnosis(ADA)
    assert (found.retry_policy, found.rule_id) == ("never_pause_workspace", "fallback.oauth.invalid_grant")
    asked = asker.asked
    assert await asker.diagnosis(BOB) == found
    assert asker.asked == asked  # it is remembered


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("access_denied", "Requested client not authorized."),
        ("unauthorized_client", "Unauthorized client or scope in request."),
    ],
)
async def test_older_words_for_missing_delegation_are_looked_into_as_well(error: str, text: str, asker: Asker) -> None:
    asker.google(ADA)
    asker.service.identity.fault = answers(JSONResponse({"error": error, "error_description": text}, 400))
    found = await asker.diagnosis()
    assert (found.code, found.retry_policy) == ("DWD_NOT_AUTHORISED", "backoff_24h")
    assert asker.asked == 5  # once, and once for each scope that could be meant


def entra(number: int, error: str, status: int = 400) -> Any:
    body = {
        "error": error,
        "error_description": f"AADSTS{number}: Text that changes. Trace ID: 0 Correlation ID: 0 Timestamp: 0",
        "error_codes": [number],
        "trace_id": "0",
    }
    return answers(JSONResponse(body, status))


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        (7000215, "invalid_client", "OAUTH_SECRET_INVALID"),
        (7000222, "invalid_client", "OAUTH_SECRET_EXPIRED"),
        (7000218, "invalid_client", "OAUTH_SECRET_INVALID"),
        (70002, "invalid_client", "OAUTH_SECRET_INVALID"),
        (700016, "unauthorized_client", "OAUTH_APP_NOT_FOUND"),
        (7000112, "unauthorized_client", "OAUTH_APP_NOT_FOUND"),
        (7000229, "invalid_client", "OAUTH_CONSENT_MISSING"),
        (501051, "invalid_grant", "OAUTH_CONSENT_MISSING"),
        (65001, "invalid_grant", "OAUTH_CONSENT_MISSING"),
        (90002, "invalid_request", "OAUTH_TENANT_NOT_FOUND"),
        (900023, "invalid_request", "OAUTH_TENANT_NOT_FOUND"),
        (90038, "invalid_request", "OAUTH_TENANT_NOT_FOUND"),
        (70011, "invalid_scope", "OAUTH_SCOPE_INVALID"),
        (1002012, "invalid_scope", "OAUTH_SCOPE_INVALID"),
        (650052, "invalid_client", "OAUTH_SCOPE_INVALID"),
        (53003, "access_denied", "CONDITIONAL_ACCESS"),
        (530003, "invalid_grant", "CONDITIONAL_ACCESS"),
        (50034, "invalid_grant", "AUTH_USER_NOT_FOUND"),
        (50076, "invalid_grant", "MFA_REQUIRED"),
        (99999999, "invalid_client", "OAUTH_SECRET_INVALID"),
        (99999999, "an_error_of_next_year", "UNKNOWN"),
    ],
)
@pytest.mark.parametrize("place", ["token", "discovery"])
async def test_entra_s_refusals_are_found_once_for_all_mailboxes(
    number: int, error: str, code: str, place: str, asker: Asker
) -> None:
    """Its tokens are not for mailboxes: whatever it says, the second one need not ask again."""
    asker.microsoft()
    answer = entra(number, error)

    async def fault(request: Request) -> Any:
        return await answer(request) if (request.method == "GET") == (place == "discovery") else None

    asker.service.identity.fault = fault
    found = await asker.diagnosis(ADA)
    if place == "token" or number != 99999999:  # of the discovery's answer only the number comes through
        assert found.code == code
    asked = asker.asked
    assert await asker.diagnosis(BOB) == found
    assert asker.asked == asked
    asker.service.identity.fault = None
    assert await asker.token(ask_anyway=True)


@pytest.mark.parametrize(("number", "error"), [(90033, "temporarily_unavailable"), (90012, "invalid_request")])
async def test_entra_s_faults_pass(number: int, error: str, asker: Asker) -> None:
    asker.microsoft()
    asker.service.identity.fault = entra(number, error)
    found = await asker.diagnosis()
    assert (found.code, found.retry_policy) == ("PROVIDER_TEMPORARY", "exponential")
    asker.service.identity.fault = None
    assert await asker.token()


@pytest.mark.parametrize(
    "tenant", ["common", "organizations", "contoso", "contoso.com/../x", "a.b?x=#", "{{{0}}}", "{0}/", " "]
)
async def test_no_other_text_than_a_tenant_gets_into_a_url(tenant: str, asker: Asker) -> None:
    asker.microsoft(tenant_id=tenant.format(uuid4()))
    assert (await asker.diagnosis()).rule_id == "own.microsoft.tenant_unusable"
    assert asker.asked == 0


async def test_a_tenant_may_be_named_by_its_domain(asker: Asker) -> None:
    application = asker.microsoft()
    tenant = next(one for one in asker.service.microsoft.tenants.values() if application.client_id in one.applications)
    tenant.domains = frozenset({"contoso.onmicrosoft.com"})
    assert asker.key
    asker.key = type(asker.key)(
        provider="microsoft",
        credential_ref=asker.key.credential_ref,
        tenant_id=" Contoso.OnMicrosoft.com ",
        client_id=asker.key.client_id,
    )
    assert await asker.token()


async def test_scopes_are_probed_one_by_one_and_the_one_that_has_come_is_taken(asker: Asker) -> None:
    """An entry under domain-wide delegation spreads slowly: it may be there for the second question."""
    asker.google(ADA)
    asked = 0

    async def later(_request: Request) -> JSONResponse | None:
        nonlocal asked
        asked += 1
        refusal = {
            "error": "unauthorized_client",
            "error_description": "Client is unauthorized to retrieve access tokens",
        }
        return JSONResponse(refusal, 401) if asked == 1 else None

    asker.service.identity.fault = later
    found = await asker.diagnosis()
    assert found.code == "DWD_NOT_AUTHORISED"
    assert await asker.token(ask_anyway=True)
