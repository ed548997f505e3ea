"""Google's token endpoint for service accounts (RFC 7523), with what Google checks and how it words its refusals."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from berth_local.sandbox.tokens import Refusal, TokenBook

__all__ = ["GOOGLE_AUDIENCE", "MAIL_SCOPE", "Google", "ServiceAccount", "new_private_key"]

#: What assertions are addressed to, wherever they are sent.
GOOGLE_AUDIENCE: Final = "https://oauth2.googleapis.com/token"
MAIL_SCOPE: Final = "https://mail.google.com/"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME_S: Final = 3599
_LONGEST_S: Final = 3600
#: How far the clocks may differ.
_SKEW_S: Final = 300
_KEY_BITS: Final = 2048

_UNAUTHORIZED: Final = (
    "Client is unauthorized to retrieve access tokens using this method, "
    "or client not authorized for any of the scopes requested."
)
_NOT_SHORT_LIVED: Final = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


@dataclass(slots=True)
class ServiceAccount:
    """A service account and the public halves of its keys, by their ids."""

    email: str
    client_id: str
    keys: dict[str, RSAPublicKey] = field(default_factory=dict)

    def new_key(self, private: RSAPrivateKey | None = None) -> str:
        """A key file as Google gives it for download.

        Args:
            private: the key; default: a new one, which takes a while to make.
        """
        private = private or new_private_key()
        key_id = secrets.token_hex(20)
        self.keys[key_id] = private.public_key()
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return json.dumps(
            {
                "type": "service_account",
                "project_id": self.email.partition("@")[2].partition(".")[0],
                "private_key_id": key_id,
                "private_key": pem,
                "client_email": self.email,
                "client_id": self.client_id,
                "auth_uri": "https://accounts.google.com/o/oauth2/auth",
                "token_uri": GOOGLE_AUDIENCE,
                "universe_domain": "googleapis.com",
            },
            indent=2,
        )

    def accept_key(self, document: str) -> None:
        """Know a key that was downloaded before."""
        fields = json.loads(document)
        private = load_pem_private_key(fields["private_key"].encode(), None)
        if not isinstance(private, RSAPrivateKey):
            raise TypeError("the keys of service accounts are RSA keys")
        self.keys[fields["private_key_id"]] = private.public_key()


def new_private_key() -> RSAPrivateKey:
    """Make a key."""
    return generate_private_key(public_exponent=65537, key_size=_KEY_BITS)


class Google:
    """Google Workspace: domains with their users, service accounts, and what is delegated to them.

    Attributes:
        accounts: the service accounts by address.
        users: the mailboxes.
        delegated: the scopes that the administrator of a domain has entered, by domain and client id.
    """

    def __init__(self, tokens: TokenBook, now: Callable[[], float]) -> None:
        self._tokens, self._now = tokens, now
        self.accounts: dict[str, ServiceAccount] = {}
        self.users: set[str] = set()
        self.delegated: dict[tuple[str, str], set[str]] = {}

    def new_account(self, name: str, client_id: str | None = None) -> ServiceAccount:
        """Make a service account, without a key and without delegation."""
        email = f"{name}@berth-sandbox.iam.gserviceaccount.com"
        account = self.accounts[email] = ServiceAccount(email, client_id or str(uuid4().int)[:21])
        return account

    def delegate(self, domain: str, account: ServiceAccount, *scopes: str) -> None:
        """What the administrator enters under domain-wide delegation; without scopes the entry is gone."""
        self.delegated[domain, account.client_id] = set(scopes)

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer a request for a token.

        Raises:
            Refusal: as Google words it.
        """
        if form.get("grant_type") != _GRANT:
            raise Refusal("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        claims = self._checked(form.get("assertion", ""))
        account = self.accounts[claims["iss"]]
        scopes = set(str(claims.get("scope", "")).split())
        if not scopes:
            raise Refusal("invalid_scope", "Empty or missing scope not allowed.")
        subject = claims.get("sub")
        if subject is None or subject == account.email:
            token = self._tokens.issue(secrets.token_urlsafe(120), [], self._now() + _LIFETIME_S)
        else:
            self._check_delegation(str(subject), account, scopes)
            opened = [str(subject)] if MAIL_SCOPE in scopes else []
            token = self._tokens.issue(f"ya29.{secrets.token_urlsafe(120)}", opened, self._now() + _LIFETIME_S)
        return {"access_token": token, "expires_in": _LIFETIME_S, "token_type": "Bearer"}

    def _checked(self, assertion: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(assertion)
            issuer = jwt.decode(assertion, options={"verify_signature": False}).get("iss")
        except jwt.PyJWTError:
            raise Refusal("invalid_grant", "Bad Request") from None
        account = self.accounts.get(str(issuer))
        if account is None:
            raise Refusal("invalid_grant", "Invalid grant: account not found")
        keys = [account.keys[header["kid"]]] if header.get("kid") in account.keys else list(account.keys.values())
        for key in keys:
            try:
                claims = jwt.decode(
                    assertion,
                    key,
                    algorithms=["RS256"],
                    options={"verify_exp": False, "verify_iat": False, "verify_aud": False, "verify_nbf": False},
                )
                break
            except jwt.PyJWTError:
                continue
        else:
            raise Refusal("invalid_grant", "Invalid JWT Signature.")
        if claims.get("aud") != GOOGLE_AUDIENCE:
            raise Refusal("invalid_grant", "Invalid JWT: Failed audience check.")
        issued, expires, now = claims.get("iat"), claims.get("exp"), self._now()
        if not isinstance(issued, int) or not isinstance(expires, int) or not 0 < expires - issued <= _LONGEST_S:
            raise Refusal("invalid_grant", _NOT_SHORT_LIVED)
        if not (issued - _SKEW_S <= now <= expires + _SKEW_S):
            raise Refusal("invalid_grant", _NOT_SHORT_LIVED)
        return dict(claims)

    def _check_delegation(self, subject: str, account: ServiceAccount, scopes: set[str]) -> None:
        name, at, domain = subject.rpartition("@")
        if not name or not at:
            raise Refusal("invalid_grant", "Not a valid email.")
        if not scopes <= self.delegated.get((domain.lower(), account.client_id), set()):
            raise Refusal("unauthorized_client", _UNAUTHORIZED, status=401)
        if f"{name.partition('+')[0]}@{domain}".lower() not in self.users:
            raise Refusal("invalid_grant", "Invalid email or User ID")
