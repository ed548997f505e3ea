"""Key rotation: every credential that an older key sealed is sealed anew with the newest.

1. Generate a pair. Append its private text to BERTH_VAULT_PRIVATE_KEYS and restart the connectors.
2. Give its public text to the gateways as BERTH_VAULT_PUBLIC_KEY and restart them.
3. Run the rotation until it reports nothing left; then the old private key can be destroyed.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from berth_vault.table import Connection, RowKey, VaultReader

__all__ = ["Rotation", "rotate"]

_BATCH: Final = 200
_START: Final[RowKey] = (UUID(int=0), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What a rotation did.

    Attributes:
        resealed: rows that the newest key sealed anew.
        remaining: rows still sealed with another key afterwards: the unreadable, those that somebody held locked, and
            those that a gateway wrote meanwhile with the old key.
        unreadable: credential id and version of rows that do not open.
    """

    resealed: int
    remaining: int
    unreadable: tuple[RowKey, ...]


async def rotate(connection: Connection, reader: VaultReader, *, batch: int = _BATCH) -> Rotation:
    """Go once through all rows, in transactions of `batch` rows. Safe beside the running services and beside itself."""
    resealed, unreadable = 0, list[RowKey]()
    last: RowKey | None = _START
    while last is not None:
        part = await reader.reseal(connection, after=last, limit=batch)
        resealed, last = resealed + part.count, part.last
        unreadable += part.unreadable
    return Rotation(resealed=resealed, remaining=await reader.count_old(connection), unreadable=tuple(unreadable))
