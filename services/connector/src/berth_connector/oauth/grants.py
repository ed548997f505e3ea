"""What is asked of an identity provider, and what it gives. No secret is ever printed."""

import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeGuard

from berth_connector.diagnosis import parse_reply
from berth_connector.oauth.session import EndpointFailed
from berth_connector.probe.faults import Fault
from berth_connector.redaction import MARK
from berth_events.contracts import CredentialRef

__all__ = ["AccessToken", "KeyId", "WorkspaceKey", "endpoint_fault", "is_token", "refused"]

#: Names a version of a credential: what caches go by.
KeyId = tuple[object, int]
_MAX_QUOTE: Final = 1000
#: An assertion that an endpoint repeats is good for an hour: it is as secret as a token.
_ASSERTION: Final = re.compile(r"[A-Za-z0-9+/=._~%-]{120,}")
#: RFC 6749, appendix A.12, but for the blank: what separates a token from what is behind it in a SASL response is not in it.
_TOKEN: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceKey:
    """One version of a workspace's credential; the secret itself is in the vault.

    Attributes:
        provider: whose it is.
        credential_ref: its place in the vault.
        tenant_id: Microsoft's directory.
        client_id: of the app registration; of a Google service account it stands in the key.
    """

    provider: Literal["google", "microsoft"]
    credential_ref: CredentialRef
    tenant_id: str | None = None
    client_id: str | None = None

    @property
    def id(self) -> KeyId:
        """Names the version."""
        return self.credential_ref.credential_id, self.credential_ref.version


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An access token.

    Attributes:
        value: the token.
        issued_at: when we got it.
        expires_at: when it ends.
        roles: the application's permissions that it carries; None when it does not tell.
    """

    value: str = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    roles: AbstractSet[str] | None = None


def is_token(value: object) -> TypeGuard[str]:
    """Whether an endpoint gave what can be sent to a mail server."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def refused(body: Mapping[str, Any], message: str) -> Fault:
    """The provider said no.

    Args:
        body: its answer: `error` and `error_description`, and of Microsoft `error_codes`.
        message: our own words.
    """
    kept = {name: body[name] for name in ("error", "error_description", "error_codes") if name in body}
    if not isinstance(kept.get("error"), str):
        return endpoint_fault(EndpointFailed("MALFORMED", "The token endpoint's answer is not one of OAuth."))
    codes = kept.get("error_codes")
    if not isinstance(codes, list) or not all(isinstance(code, int) for code in codes):
        kept.pop("error_codes", None)
    quote = _ASSERTION.sub(MARK, f"{kept['error']}: {kept.get('error_description') or ''}")
    return Fault(message, (parse_reply("oauth", json.dumps(kept)),), quote[:_MAX_QUOTE])


def endpoint_fault(error: EndpointFailed) -> Fault:
    """The endpoint failed: nothing is said about the credential."""
    fault = Fault.found(f"TOKEN_ENDPOINT:{error.kind}", str(error))
    fault.wait = error.wait
    return fault
