"""SendKit's ids: 24 hexadecimal digits, the first 24 of our UUIDs.

They are found by a range of the primary key, so that none has to be stored. 90 of their 96 bits are random.
"""

import re
from typing import Final
from uuid import UUID

__all__ = ["bounds", "short"]

_ID: Final = re.compile(r"[0-9a-fA-F]{24}")


def short(identity: UUID) -> str:
    """The id of an account or a project as SendKit's clients know it."""
    return identity.hex[:24]


def bounds(text: str) -> tuple[UUID, UUID] | None:
    """The first and the last UUID that such an id may stand for; None when it cannot be one."""
    if not _ID.fullmatch(text):
        return None
    return UUID(text + "0" * 8), UUID(text + "f" * 8)
