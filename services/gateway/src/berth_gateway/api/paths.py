"""Ids and cursors in paths and queries."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path

from berth_gateway.errors import InvalidCursor, NotFound

__all__ = [
    "AccountId",
    "DeliveryId",
    "ImportId",
    "KeyId",
    "OrganizationId",
    "ProbeId",
    "ProjectId",
    "WebhookId",
    "WorkspaceId",
    "decode_cursor",
    "decode_name",
    "decode_place",
    "encode_cursor",
    "encode_name",
    "encode_place",
]

_MAX_POSITION: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None  # what cannot be an id is not found, like any other id that is not ours


async def _account(account_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> UUID:
    return _uuid(account_id)


async def _organization(organization_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> UUID:
    return _uuid(organization_id)


async def _project(project_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> UUID:
    return _uuid(project_id)


async def _key(key_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> UUID:
    return _uuid(key_id)


async def _webhook(webhook_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> UUID:
    return _uuid(webhook_id)


async def _delivery(delivery_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> UUID:
    return _uuid(delivery_id)


async def _probe(probe_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> UUID:
    return _uuid(probe_id)


async def _workspace(workspace_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> UUID:
    return _uuid(workspace_id)


async def _import(import_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]) -> UUID:
    return _uuid(import_id)


AccountId = Annotated[UUID, Depends(_account)]
WorkspaceId = Annotated[UUID, Depends(_workspace)]
ImportId = Annotated[UUID, Depends(_import)]
ProbeId = Annotated[UUID, Depends(_probe)]
OrganizationId = Annotated[UUID, Depends(_organization)]
ProjectId = Annotated[UUID, Depends(_project)]
KeyId = Annotated[UUID, Depends(_key)]
WebhookId = Annotated[UUID, Depends(_webhook)]
DeliveryId = Annotated[UUID, Depends(_delivery)]


def encode_cursor(kind: str, position: int) -> str:
    """An opaque cursor. The kind keeps the cursors of different lists apart."""
    return _opaque(f"{kind}{position}")


def decode_cursor(kind: str, cursor: str | None) -> int:
    """The position that a cursor stands for; None stands for the beginning.

    Raises:
        InvalidCursor: it is not one of this kind.
    """
    if cursor is None:
        return 0
    text = _plain(cursor)
    digits = text.removeprefix(kind)
    if digits == text or not digits.isdecimal() or len(digits) > 19 or int(digits) > _MAX_POSITION:  # noqa: PLR2004 - 2^63 has 19
        raise InvalidCursor
    return int(digits)


def encode_place(kind: str, created_at: datetime, identity: UUID) -> str:
    """The opaque cursor of a list in the order in which things were made: behind this one."""
    return _opaque(f"{kind}{(created_at - _EPOCH) // _MICROSECOND}.{identity.hex}")


def decode_place(kind: str, cursor: str | None) -> tuple[datetime, UUID]:
    """The place that such a cursor stands for; None stands for the beginning.

    Raises:
        InvalidCursor: it is not one of this kind.
    """
    if cursor is None:
        return _EPOCH, UUID(int=0)
    text = _plain(cursor)
    digits, _, identity = text.removeprefix(kind).partition(".")
    if not text.startswith(kind) or not digits.isdecimal() or len(digits) > 16:  # noqa: PLR2004 - until the year 2286
        raise InvalidCursor
    try:
        return _EPOCH + int(digits) * _MICROSECOND, UUID(identity)
    except ValueError:
        raise InvalidCursor from None


def encode_name(kind: str, name: str) -> str:
    """The opaque cursor of a list in the order of names: behind this one."""
    return _opaque(f"{kind}{name}")


def decode_name(kind: str, cursor: str | None) -> str:
    """The name that such a cursor stands for; None stands for the beginning.

    Raises:
        InvalidCursor: it is not one of this kind.
    """
    if cursor is None:
        return ""
    text = _plain(cursor)
    if not text.startswith(kind) or not text.isprintable():
        raise InvalidCursor
    return text.removeprefix(kind)


def _opaque(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _plain(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        raise InvalidCursor from None
