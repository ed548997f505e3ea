"""Ids and cursors in paths and queries."""

import base64
import binascii
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path

from berth_gateway.errors import InvalidCursor, NotFound

__all__ = ["AccountId", "KeyId", "OrganizationId", "ProjectId", "decode_cursor", "encode_cursor"]

_MAX_POSITION: Final = 2**63 - 1


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


AccountId = Annotated[UUID, Depends(_account)]
OrganizationId = Annotated[UUID, Depends(_organization)]
ProjectId = Annotated[UUID, Depends(_project)]
KeyId = Annotated[UUID, Depends(_key)]


def encode_cursor(kind: str, position: int) -> str:
    """An opaque cursor. The kind keeps the cursors of different lists apart."""
    return base64.urlsafe_b64encode(f"{kind}{position}".encode()).decode().rstrip("=")


def decode_cursor(kind: str, cursor: str | None) -> int:
    """The position that a cursor stands for; None stands for the beginning.

    Raises:
        InvalidCursor: it is not one of this kind.
    """
    if cursor is None:
        return 0
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        raise InvalidCursor from None
    digits = text.removeprefix(kind)
    if digits == text or not digits.isdecimal() or len(digits) > 19 or int(digits) > _MAX_POSITION:  # noqa: PLR2004 - 2^63 has 19
        raise InvalidCursor
    return int(digits)
