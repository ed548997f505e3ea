"""Microsoft: an app registration that acts for the mailboxes of a tenant (client credentials, RFC 6749 section 4.4)."""

import base64
import binascii
import json
import logging
import re
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msal

from berth_connector.oauth.grants import AccessToken, WorkspaceKey, endpoint_fault, is_token, refused
from berth_connector.oauth.session import EndpointFailed, Sessions
from berth_connector.probe.faults import Fault

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock

__all__ = ["IMAP_ROLE", "SMTP_ROLE", "MicrosoftGrants"]

IMAP_ROLE: Final = "IMAP.AccessAsApp"
SMTP_ROLE: Final = "SMTP.SendAsApp"
_SCOPE: Final = "https://outlook.office365.com/.default"
_GUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
#: A directory is named by its id or by one of its domains; nothing else gets into a URL.
_TENANT: Final = re.compile(
    rf"{_GUID.pattern}|(?=.{{4,253}}\Z)(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.)+[a-z]{{2,63}}", re.IGNORECASE
)
#: Microsoft's longest tokens are good for 28 hours.
_LONGEST_S: Final = 100_800
_AADSTS: Final = re.compile(r"AADSTS\d+:[^\"\r\n]{0,500}")

logging.getLogger("msal").setLevel(logging.CRITICAL)  # its errors quote answers


class MicrosoftGrants:
    """Access tokens for the mailboxes of Microsoft workspaces; one serves all of a tenant. Blocks: it is used in threads.

    Args:
        authority: `https://login.microsoftonline.com`, or that of a national cloud.
        sessions: HTTP.
        clock: time.
    """

    service: Final = "microsoft"

    def __init__(self, authority: str, sessions: Sessions, clock: "Clock") -> None:
        self._authority, self._sessions, self._clock = authority.rstrip("/"), sessions, clock

    def fetch(self, key: WorkspaceKey, secret: str) -> AccessToken:
        """A token of the application.

        Raises:
            Fault: there is none, or it gives access to no mailbox.
        """
        tenant, client = (key.tenant_id or "").strip(), (key.client_id or "").strip()
        if not _TENANT.fullmatch(tenant):
            raise Fault.found("TENANT_UNUSABLE", "The tenant is neither a directory's id nor one of its domains.")
        if not _GUID.fullmatch(client):
            raise Fault.found("CLIENT_UNUSABLE", "The client id is not the id of an application.")
        if _GUID.fullmatch(secret.strip()):
            raise Fault.found("SECRET_ID", "The client secret looks like the secret's id. Its value is needed.")
        answer = self._ask(tenant, client, secret)
        token, now = answer.get("access_token"), self._clock.now()
        if not is_token(token):
            raise refused(answer, "Microsoft gives no access token.")
        seconds = answer.get("expires_in")
        lifetime = timedelta(seconds=max(0, min(seconds, _LONGEST_S)) if isinstance(seconds, int) else 3600)
        roles = _roles(token)
        if roles is not None and not roles & {IMAP_ROLE, SMTP_ROLE}:
            raise Fault.found("MISSING:ROLES", f"The token has neither the role {IMAP_ROLE} nor {SMTP_ROLE}.")
        return AccessToken(value=token, issued_at=now, expires_at=now + lifetime, roles=roles)

    def _ask(self, tenant: str, client: str, secret: str) -> dict[str, Any]:
        """One application for one grant: it keeps nothing, because tokens are kept elsewhere."""
        try:
            with self._sessions.lend() as session:
                application = msal.ConfidentialClientApplication(
                    client,
                    client_credential=secret,
                    authority=f"{self._authority}/{tenant}",
                    instance_discovery=False,
                    http_client=session,
                )
                answer = application.acquire_token_for_client(scopes=[_SCOPE])
        except EndpointFailed as error:
            raise endpoint_fault(error) from error
        except ValueError as error:  # the discovery's answer is in the text of what it was raised for
            found = _AADSTS.search(f"{error} {error.__context__}")
            if found is None:
                raise endpoint_fault(
                    EndpointFailed("MALFORMED", "The identity provider's answer is not one of OAuth.")
                ) from None
            raise refused(
                {"error": "invalid_tenant", "error_description": found[0]}, "Microsoft does not know the tenant."
            ) from None
        except (RuntimeError, KeyError, TypeError, AttributeError, ArithmeticError):
            raise endpoint_fault(
                EndpointFailed("MALFORMED", "The identity provider's answer is not one of OAuth.")
            ) from None
        return answer if isinstance(answer, dict) else {}


def _roles(token: str) -> AbstractSet[str] | None:
    """The claim `roles` of a JWT, taken as a hint: whoever gets the token checks the signature. None: it is not a JWT."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    roles = claims.get("roles", []) if isinstance(claims, dict) else []
    return frozenset(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else frozenset()
