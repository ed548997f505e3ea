"""Google: a service account that acts for the mailboxes of a domain (domain-wide delegation, RFC 7523)."""

import json
import logging
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from google.auth.exceptions import GoogleAuthError, MalformedError, RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from berth_connector.oauth.grants import AccessToken, KeyId, endpoint_fault, is_token, refused
from berth_connector.oauth.session import EndpointFailed, Sessions
from berth_connector.probe.faults import Fault

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock

__all__ = ["MAIL_SCOPE", "PROBED_SCOPES", "GoogleGrants"]

#: What IMAP and SMTP take (https://developers.google.com/workspace/gmail/imap/xoauth2-protocol).
MAIL_SCOPE: Final = "https://mail.google.com/"
#: When it is refused: which of the scopes that are mistaken for it are authorised.
PROBED_SCOPES: Final = (
    MAIL_SCOPE,
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.readonly",
    "https://www.googleapis.com/auth/gmail.send",
)
#: Delegation is a matter of Google Workspace.
_CONSUMER_DOMAINS: Final = frozenset({"gmail.com", "googlemail.com"})
_KEPT: Final = ("client_email", "private_key", "private_key_id")
_LARGEST_KEY: Final = 16_384
#: Parsed keys; parsing one takes 34 ms.
_MAX_KEYS: Final = 64

#: How Google says that an administrator has not entered the client or the scope.
_UNDELEGATED: Final = frozenset({"unauthorized_client", "access_denied"})

logging.getLogger("google").setLevel(logging.CRITICAL)  # its debug log has assertions in it, its errors quote answers


class GoogleGrants:
    """Access tokens for the mailboxes of Google workspaces. Blocks: it is used in threads.

    Args:
        token_url: where the assertions go. The `token_uri` of a key file is never used: whoever uploads it would have us
            post to any address, and read him the answer.
        sessions: HTTP.
        clock: time.
    """

    service: Final = "google"

    def __init__(self, token_url: str, sessions: Sessions, clock: "Clock") -> None:
        self._token_url, self._sessions, self._clock = token_url, sessions, clock
        self._keys: OrderedDict[KeyId, service_account.Credentials] = OrderedDict()
        self._lock = Lock()

    def fetch(self, key_id: KeyId, document: str, subject: str | None) -> AccessToken:
        """A token for a mailbox; without a subject one of the service account itself, which proves the key and opens nothing.

        Args:
            key_id: under which the parsed key is kept.
            document: the key file.
            subject: the mailbox's address.

        Raises:
            Fault: there is none.
        """
        if subject and subject.rpartition("@")[2].lower() in _CONSUMER_DOMAINS:
            raise Fault.found("CONSUMER_SUBJECT", f"{subject} is a consumer's mailbox, which no service account opens.")
        key = self._key(key_id, document)
        try:
            return self._grant(key, subject, [MAIL_SCOPE])
        except Fault as fault:
            if subject and _is_undelegated(fault):
                raise self._explained(fault, key, subject) from fault
            raise

    def _grant(self, key: service_account.Credentials, subject: str | None, scopes: Sequence[str]) -> AccessToken:
        credentials = key.with_scopes(scopes)
        if subject:
            credentials = credentials.with_subject(subject)
        try:
            with self._sessions.lend() as session:
                credentials.refresh(Request(session))
        except EndpointFailed as error:
            raise endpoint_fault(error) from error
        except RefreshError as error:
            body = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
            raise refused(body, "Google gives no access token.") from None  # its text may be anything
        except (GoogleAuthError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            raise endpoint_fault(
                EndpointFailed("MALFORMED", "The token endpoint's answer is not one of OAuth.")
            ) from error
        now = self._clock.now()
        if not is_token(credentials.token):
            raise endpoint_fault(EndpointFailed("MALFORMED", "The token endpoint's answer holds no access token."))
        expires_at = credentials.expiry.replace(tzinfo=UTC) if credentials.expiry else now + timedelta(hours=1)
        return AccessToken(value=credentials.token, issued_at=now, expires_at=expires_at)

    def _explained(self, fault: Fault, key: service_account.Credentials, subject: str) -> Fault:
        """The refusal with what is authorised: one scope is asked for at a time, because Google does not say which it minds."""
        granted, denied = [], []
        for scope in PROBED_SCOPES:
            try:
                self._grant(key, subject, [scope])
            except Fault as other:
                if not _is_undelegated(other):
                    return fault  # something else is the matter now: nothing is known of this scope
                denied.append(scope)
            else:
                granted.append(scope)
        if not granted:
            fault.message = f"Google authorises none of these scopes for this client: {', '.join(denied)}."
            return fault
        if MAIL_SCOPE in granted:  # it has just propagated: the next attempt works
            return fault
        found = Fault.found(
            "MISSING:SCOPE", f"Google authorises {', '.join(granted)} for this client, but not {', '.join(denied)}."
        )
        found.quote = fault.quote
        return found

    def _key(self, key_id: KeyId, document: str) -> service_account.Credentials:
        with self._lock:
            if key_id in self._keys:
                self._keys.move_to_end(key_id)
                return self._keys[key_id]
            key = self._keys[key_id] = self._parse(document)
            if len(self._keys) > _MAX_KEYS:
                self._keys.popitem(last=False)
            return key

    def _parse(self, document: str) -> service_account.Credentials:
        try:
            fields: Any = json.loads(document) if len(document) <= _LARGEST_KEY else None
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict) or fields.get("type") != "service_account":
            raise Fault.found("KEY_UNUSABLE", "What was uploaded is not the JSON key of a Google service account.")
        if fields.get("universe_domain", "googleapis.com") != "googleapis.com":
            raise Fault.found("KEY_UNUSABLE", "The key is of another universe than googleapis.com.")
        kept = {name: fields[name] for name in _KEPT if isinstance(fields.get(name), str)}
        try:
            key: service_account.Credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                {**kept, "token_uri": self._token_url}, scopes=[MAIL_SCOPE]
            )
            key.sign_bytes(b"")  # raises TypeError unless it is an RSA key
        except (MalformedError, ValueError, TypeError, UnsupportedAlgorithm):
            # not `from error`: it may quote the key
            raise Fault.found("KEY_UNUSABLE", "The key file holds no usable private key, or lacks a field.") from None
        return key


def _is_undelegated(fault: Fault) -> bool:
    return any(reply.tokens & _UNDELEGATED for reply in fault.replies)
