"""Microsoft's token endpoint for applications (RFC 6749, section 4.4), with what Entra checks and how it words its refusals."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from berth_local.sandbox.tokens import Refusal, TokenBook

__all__ = ["ROLES", "Application", "Microsoft", "Tenant"]

ROLES: Final = ("IMAP.AccessAsApp", "SMTP.SendAsApp")
_RESOURCE: Final = "https://outlook.office365.com"
_LIFETIME_S: Final = 3599
_KEY_BITS: Final = 2048


@dataclass(slots=True)
class Application:
    """An app registration.

    Attributes:
        secrets: by value: when it expires, in seconds since 1970.
        roles: the application permissions that an administrator consented to.
        mailboxes: what its service principal may open in Exchange.
        principal: whether there is an enterprise application in the tenant.
    """

    client_id: str
    secrets: dict[str, float] = field(default_factory=dict)
    roles: tuple[str, ...] = ROLES
    mailboxes: set[str] = field(default_factory=set)
    principal: bool = True


@dataclass(slots=True)
class Tenant:
    """A directory with its domain names and applications."""

    tenant_id: str
    domains: frozenset[str] = frozenset()
    applications: dict[str, Application] = field(default_factory=dict)

    def register(self, client_id: str | None = None) -> Application:
        """A new application, without a secret."""
        application = Application(client_id or str(uuid4()))
        self.applications[application.client_id] = application
        return application


class Microsoft:
    """Entra: its tenants.

    Attributes:
        tenants: by id.
    """

    def __init__(self, tokens: TokenBook, now: Callable[[], float]) -> None:
        self._tokens, self._now = tokens, now
        self._key = generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        self.tenants: dict[str, Tenant] = {}

    def new_tenant(self, *domains: str, tenant_id: str | None = None) -> Tenant:
        """A directory."""
        tenant = Tenant(tenant_id or str(uuid4()), frozenset(domains))
        self.tenants[tenant.tenant_id] = tenant
        return tenant

    def discover(self, name: str, origin: str) -> dict[str, Any]:
        """The OpenID configuration of a tenant, by its id or a domain.

        Raises:
            Refusal: there is no such tenant.
        """
        tenant = self._tenant(name, "invalid_tenant")
        base = f"{origin}/{tenant.tenant_id}"
        return {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "issuer": f"{base}/v2.0",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
        }

    def token(self, name: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer a request for a token.

        Raises:
            Refusal: as Entra words it.
        """
        tenant = self._tenant(name, "invalid_request")
        client_id = form.get("client_id", "")
        application = tenant.applications.get(client_id)
        if application is None:
            text = f"Application with identifier '{client_id}' was not found in the directory '{tenant.tenant_id}'."
            raise self._refusal("unauthorized_client", 700016, text)
        if form.get("grant_type") != "client_credentials":
            raise self._refusal("unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        self._check_secret(application, form.get("client_secret", ""))
        if not application.principal:
            text = (
                f"The client application '{client_id}' is missing service principal in the tenant '{tenant.tenant_id}'."
            )
            raise self._refusal("invalid_client", 7000229, text, status=401)
        scope = form.get("scope", "")
        if not scope.split() or not all(one.endswith("/.default") for one in scope.split()):
            text = (
                f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
                "/.default suffixed to the resource identifier (application ID URI)."
            )
            raise self._refusal("invalid_scope", 1002012, text)
        for_mail = scope == f"{_RESOURCE}/.default"
        token = self._tokens.issue(
            self._signed(tenant, application, scope.removesuffix("/.default")),
            application.mailboxes if for_mail and application.roles else [],
            self._now() + _LIFETIME_S,
        )
        lifetimes = {"expires_in": _LIFETIME_S, "ext_expires_in": _LIFETIME_S}
        return {"token_type": "Bearer", "access_token": token, **lifetimes}

    def _signed(self, tenant: Tenant, application: Application, audience: str) -> str:
        now = int(self._now())
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{tenant.tenant_id}/",
            "iat": now,
            "nbf": now,
            "exp": now + _LIFETIME_S,
            "appid": application.client_id,
            "idtyp": "app",
            "tid": tenant.tenant_id,
            "uti": uuid4().hex,
        }
        if application.roles:  # without a consent there is no claim at all
            claims["roles"] = list(application.roles)
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": "sandbox"})

    def _check_secret(self, application: Application, secret: str) -> None:
        expires_at = application.secrets.get(secret)
        if not secret:
            text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise self._refusal("invalid_client", 7000218, text, status=401)
        if expires_at is None:
            text = (
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
                f"not the client secret ID, for a secret added to app '{application.client_id}'."
            )
            raise self._refusal("invalid_client", 7000215, text, status=401)
        if expires_at <= self._now():
            text = f"The provided client secret keys for app '{application.client_id}' are expired."
            raise self._refusal("invalid_client", 7000222, text, status=401)

    def _tenant(self, name: str, error: str) -> Tenant:
        for tenant in self.tenants.values():
            if name.lower() in {tenant.tenant_id, *tenant.domains}:
                return tenant
        text = f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID."
        raise self._refusal(error, 90002, text)

    def _refusal(self, error: str, code: int, text: str, *, status: int = 400) -> Refusal:
        ids = {"trace_id": str(UUID(int=0)), "correlation_id": str(UUID(int=0))}
        moment = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(self._now()))
        described = f"AADSTS{code}: {text} Trace ID: {UUID(int=0)} Correlation ID: {UUID(int=0)} Timestamp: {moment}"
        uri = f"https://login.microsoftonline.com/error?code={code}"
        return Refusal(
            error,
            described,
            status=status,
            more={"error_codes": [code], "timestamp": moment, **ids, "error_uri": uri},
        )
