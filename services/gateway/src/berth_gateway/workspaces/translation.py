"""From a request to a credential that can be right: what is plainly wrong is refused before anything is stored."""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel

from berth_gateway.accounts.addresses import InvalidAddress, MailAddress
from berth_gateway.errors import FieldFault, InvalidFields
from berth_gateway.workspaces.hosts import WorkspaceProvider
from berth_gateway.workspaces.schemas import CredentialInput
from berth_net import HostRefused, canonical_name
from berth_vault import Credential

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Identity", "NewCredential", "credential_of", "is_guid", "midnight"]

_GOOGLE: Final = ("service_account_key",)
_MICROSOFT: Final = ("tenant_id", "client_id", "client_secret", "secret_id")
#: Of the key file. Its addresses of token endpoints are not among them: an upload must not say where keys are shown.
_KEPT: Final = ("type", "project_id", "private_key_id", "private_key", "client_email", "client_id", "universe_domain")
_UNIVERSE: Final = "googleapis.com"
_MAX_ID: Final = 200
_KEY_FILE_REMEDY: Final = "Send the JSON key file that Google made for the service account, unchanged."


class Identity(BaseModel):
    """What may be shown of a credential."""

    service_account: str | None = None
    key_id: str | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    secret_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredential:
    """A credential that was checked as far as that is possible here."""

    credential: Credential
    identity: Identity
    secret_expires_at: datetime | None


async def credential_of(provider: WorkspaceProvider, body: CredentialInput, now: datetime) -> NewCredential:
    """Check the credential of a workspace.

    Raises:
        InvalidFields: all faults that were found.
    """
    faults = _foreign(provider, body)
    expires_at = midnight(body.secret_expires_at, now, faults)
    if provider == "google":
        # the key is parsed: tens of milliseconds of CPU
        credential, identity = await asyncio.to_thread(_google, body, faults)
    else:
        credential, identity = _microsoft(body, faults)
    if faults:
        raise InvalidFields(faults)
    return NewCredential(credential=credential, identity=identity, secret_expires_at=expires_at)


def midnight(day: date | None, now: datetime, faults: list[FieldFault]) -> datetime | None:
    """When a secret expires that is good until this day (UTC); a day that has passed is a fault."""
    if day is None:
        return None
    instant = datetime.combine(day, time(), UTC)
    if instant <= now:
        remedy = "Make a new secret, and send its value and its day."
        faults.append(FieldFault("secret_expires_at", "The secret has expired.", remedy))
    return instant


def _foreign(provider: WorkspaceProvider, body: CredentialInput) -> list[FieldFault]:
    """The fields that the provider does not have."""
    other, names = ("microsoft", _MICROSOFT) if provider == "google" else ("google", _GOOGLE)
    return [
        FieldFault(name, f"The field belongs to workspaces of {other}.", f"Remove it, or send provider {other}.")
        for name in names
        if getattr(body, name) is not None
    ]


def _google(body: CredentialInput, faults: list[FieldFault]) -> tuple[Credential, Identity]:
    found = len(faults)
    if body.service_account_key is None:
        faults.append(FieldFault("service_account_key", "The field is missing.", _KEY_FILE_REMEDY))
        return Credential({}), Identity()
    document = _document(body.service_account_key.get_secret_value())
    if document is None:
        faults.append(FieldFault("service_account_key", "The text is not a JSON object.", _KEY_FILE_REMEDY))
        return Credential({}), Identity()
    for detail in _key_faults(document):
        faults.append(FieldFault("service_account_key", detail, _KEY_FILE_REMEDY))  # noqa: PERF401 - a caller's list
    if len(faults) > found:
        return Credential({}), Identity()
    kept = {name: document[name] for name in _KEPT if document.get(name) is not None}
    identity = Identity(
        service_account=kept["client_email"], key_id=kept.get("private_key_id"), client_id=kept.get("client_id")
    )
    return Credential({"service_account_key": json.dumps(kept)}), identity


def _document(text: str) -> dict[str, Any] | None:
    """The key file. What editors and environment variables do to it is undone: byte order marks, line ends escaped twice."""
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    if isinstance(pem := document.get("private_key"), str):
        document["private_key"] = pem.replace("\\r", "").replace("\\n", "\n")
    return document


def _key_faults(document: dict[str, Any]) -> list[str]:
    """What is wrong with a key file; nothing of it is repeated."""
    if document.get("type") != "service_account":
        return ["This is not the key of a service account: its `type` is missing, or another one."]
    faults = []
    if document.get("universe_domain", _UNIVERSE) != _UNIVERSE:
        faults.append("The key belongs to another universe than googleapis.com, which has no mailboxes.")
    checks: tuple[tuple[str, Callable[[str], bool], bool], ...] = (
        ("client_email", _is_address, True),
        ("private_key", _is_rsa_key, True),
        ("private_key_id", _is_identifier, False),
        ("client_id", _is_identifier, False),
        ("project_id", _is_identifier, False),
    )
    for name, right, required in checks:
        value = document.get(name)
        if value is None:
            if required:
                faults.append(f"The key file has no `{name}`.")
        elif not isinstance(value, str) or not right(value):
            faults.append(f"The `{name}` of the key file is not valid.")
    return faults


def _is_address(text: str) -> bool:
    try:
        return MailAddress.parse(text).text == text
    except InvalidAddress:
        return False


def _is_rsa_key(pem: str) -> bool:
    try:
        return isinstance(load_pem_private_key(pem.encode(), password=None), RSAPrivateKey)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _is_identifier(text: str) -> bool:
    return 0 < len(text) <= _MAX_ID and text.isascii() and text.isprintable()


def _microsoft(body: CredentialInput, faults: list[FieldFault]) -> tuple[Credential, Identity]:
    for name, what in (
        ("tenant_id", "Send the Directory (tenant) ID of the app registration."),
        ("client_id", "Send the Application (client) ID of the app registration."),
        ("client_secret", "Send the Value of a client secret, which the portal shows once."),
    ):
        if getattr(body, name) is None:
            faults.append(FieldFault(name, "The field is missing.", what))
    if body.tenant_id is not None and not (is_guid(body.tenant_id) or _is_domain(body.tenant_id)):
        remedy = "Send the Directory (tenant) ID, or a domain name of the directory."
        faults.append(FieldFault("tenant_id", "This is neither a GUID nor a domain name.", remedy))
    for name, called in (("client_id", "Application (client) ID"), ("secret_id", "Secret ID")):
        if (value := getattr(body, name)) is not None and not is_guid(value):
            faults.append(FieldFault(name, "This is not a GUID.", f"Send the {called} as the portal shows it."))
    secret = body.client_secret.get_secret_value().strip() if body.client_secret else ""
    if is_guid(secret):
        faults.append(
            FieldFault(
                "client_secret",
                "This is a GUID, so it is the ID of a secret and not its value.",
                "Send the column Value of the portal; the column Secret ID goes to secret_id. "
                "If the value is not shown any more, make a new secret.",
            )
        )
    elif body.client_secret is not None and not (secret and secret.isascii() and secret.isprintable()):
        faults.append(
            FieldFault("client_secret", "The secret has characters that secrets do not have.", "Copy it again.")
        )
    identity = Identity(
        tenant_id=body.tenant_id and body.tenant_id.strip().lower(),
        client_id=body.client_id and body.client_id.strip().lower(),
        secret_id=body.secret_id and body.secret_id.strip().lower(),
    )
    return Credential({"client_secret": secret}), identity


def is_guid(text: str) -> bool:
    """Whether it is a GUID as portals write it."""
    try:
        return str(UUID(text.strip())) == text.strip().lower()
    except ValueError:
        return False


def _is_domain(text: str) -> bool:
    try:
        return "." in canonical_name(text.strip())
    except HostRefused:
        return False
