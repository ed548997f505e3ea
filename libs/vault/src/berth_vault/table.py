"""The table `vault.credential`: what the gateway writes (`VaultWriter`) and the connector reads (`VaultReader`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

from berth_vault.credential import Credential
from berth_vault.sealing import Binding, CannotOpen, Opener, Sealer

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

__all__ = ["Connection", "CredentialErased", "Resealed", "Sealed", "VaultReader", "VaultWriter"]

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
#: (credential id, version): the primary key.
RowKey: TypeAlias = tuple[UUID, int]

_TIMEOUT_S: Final = 30.0

_INSERT: Final = """
INSERT INTO vault.credential (credential_id, version, organization_id, owner_id, key_id, sealed)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::uuid[], $5::text[], $6::bytea[])
"""
_DELETE: Final = "DELETE FROM vault.credential WHERE credential_id = ANY($1::uuid[])"
_DELETE_OLDER: Final = "DELETE FROM vault.credential WHERE credential_id = $1 AND version < $2"
_READ: Final = "SELECT sealed FROM vault.credential WHERE credential_id = $1 AND version = $2"
# SKIP LOCKED: a row that is being deleted, or sealed anew by another, is not waited for, so there is no deadlock
_OLD: Final = """
SELECT credential_id, version, organization_id, owner_id, sealed
FROM vault.credential
WHERE key_id <> $1 AND (credential_id, version) > ($2, $3)
ORDER BY credential_id, version
LIMIT $4
FOR NO KEY UPDATE SKIP LOCKED
"""
_RESEAL: Final = "UPDATE vault.credential SET sealed = $3, key_id = $4 WHERE credential_id = $1 AND version = $2"
_COUNT_OLD: Final = "SELECT count(*) FROM vault.credential WHERE key_id <> $1"


class CredentialErased(LookupError):
    """The vault holds no such version of the credential: it was erased. Drop the work that asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A sealed credential and the row that it belongs to."""

    binding: Binding
    key_id: str
    sealed: bytes = field(repr=False)


class VaultWriter:
    """Stores and erases credentials inside the caller's transaction.

    Args:
        sealer: seals to the connector's public key.
    """

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, binding: Binding, credential: Credential) -> Sealed:
        """Seal a credential for the row that `binding` names: about 0.1 ms of CPU, so many of them go to a thread.

        Raises:
            CredentialTooLarge: the secrets exceed 65,535 bytes.
        """
        return Sealed(binding=binding, key_id=self._sealer.key_id, sealed=self._sealer.seal(credential, binding))

    async def insert(self, connection: Connection, binding: Binding, credential: Credential) -> None:
        """Seal the credential and store it as the row that `binding` names.

        Raises:
            CredentialTooLarge: the secrets exceed 65,535 bytes.
            asyncpg.UniqueViolationError: this version exists; a version is never replaced.
        """
        await self.insert_all(connection, [self.seal(binding, credential)])

    async def insert_all(self, connection: Connection, rows: Sequence[Sealed]) -> None:
        """Store credentials that are sealed already.

        Raises:
            asyncpg.UniqueViolationError: one of the versions exists; a version is never replaced.
        """
        await connection.execute(
            _INSERT,
            [row.binding.credential_id for row in rows],
            [row.binding.version for row in rows],
            [row.binding.organization_id for row in rows],
            [row.binding.owner_id for row in rows],
            [row.key_id for row in rows],
            [row.sealed for row in rows],
            timeout=_TIMEOUT_S,
        )

    async def delete(self, connection: Connection, *credential_ids: UUID) -> int:
        """Erase all versions of credentials. Returns how many there were; 0 is no error."""
        status = await connection.execute(_DELETE, credential_ids, timeout=_TIMEOUT_S)
        return int(status.rpartition(" ")[2])

    async def delete_older(self, connection: Connection, credential_id: UUID, version: int) -> int:
        """Erase the versions of a credential before this one. Returns how many there were; 0 is no error."""
        status = await connection.execute(_DELETE_OLDER, credential_id, version, timeout=_TIMEOUT_S)
        return int(status.rpartition(" ")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """One batch of a rotation: how many rows were sealed anew, which do not open, and the last row looked at."""

    count: int
    unreadable: tuple[RowKey, ...]
    last: RowKey | None


class VaultReader:
    """Reads credentials, and seals them anew with the newest key.

    Args:
        opener: holds the private keys.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._newest = opener.newest_sealer()

    async def read(self, connection: Connection, binding: Binding) -> Credential:
        """Read and open a credential.

        Args:
            connection: to the gateway's database, as berth_connector.
            binding: from the event that refers to the credential, not from the row, so that a moved row does not open.

        Raises:
            CredentialErased: there is no such row.
            CannotOpen: it belongs to another row, was altered, or its key is not ours.
        """
        sealed = await connection.fetchval(_READ, binding.credential_id, binding.version, timeout=_TIMEOUT_S)
        if sealed is None:
            raise CredentialErased(f"credential {binding.credential_id} version {binding.version} was erased")
        return self._opener.open(sealed, binding)

    async def reseal(self, connection: Connection, *, after: RowKey, limit: int) -> Resealed:
        """In one transaction, seal up to `limit` rows behind `after` anew that another key than the newest sealed."""
        changed: list[tuple[UUID, int, bytes, str]] = []
        unreadable: list[RowKey] = []
        last: RowKey | None = None
        async with connection.transaction():
            for row in await connection.fetch(_OLD, self._newest.key_id, *after, limit, timeout=_TIMEOUT_S):
                binding = Binding(
                    organization_id=row["organization_id"],
                    owner_id=row["owner_id"],
                    credential_id=row["credential_id"],
                    version=row["version"],
                )
                last = (binding.credential_id, binding.version)
                try:
                    credential = self._opener.open(row["sealed"], binding)
                except CannotOpen:
                    unreadable.append(last)
                else:
                    changed.append((*last, self._newest.seal(credential, binding), self._newest.key_id))
            await connection.executemany(_RESEAL, changed, timeout=_TIMEOUT_S)
        return Resealed(count=len(changed), unreadable=tuple(unreadable), last=last)

    async def count_old(self, connection: Connection) -> int:
        """How many rows another key than the newest sealed."""
        count: int = await connection.fetchval(_COUNT_OLD, self._newest.key_id, timeout=_TIMEOUT_S)
        return count
