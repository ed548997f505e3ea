"""Organizations, their projects, and the projects' API keys."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID, uuid4

from berth_gateway.accounts.commands import Tenant
from berth_gateway.errors import NotFound

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool

__all__ = ["ApiKey", "Caller", "NewKey", "OperatorKey", "Organization", "Project", "Scope", "Tenants"]

Scope = Literal["accounts:read", "accounts:write", "events:read"]

_PREFIX_BYTES: Final = 5
_SECRET_BYTES: Final = 32
#: How exact `last_used_at` is; each key is written at most this often.
_USE_EVERY: Final = timedelta(minutes=1)


class OperatorKey:
    """The operator's key, which makes organizations, projects and keys, and nothing else.

    Args:
        secret: from the environment.
    """

    def __init__(self, secret: str) -> None:
        self._digest = digest(secret)

    def matches(self, presented: str) -> bool:
        """Whether it is the one, in constant time."""
        return hmac.compare_digest(self._digest, digest(presented))


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A tenant."""

    organization_id: UUID
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A name space of accounts inside an organization."""

    project_id: UUID
    organization_id: UUID
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A project's key as it may be shown."""

    key_id: UUID
    project_id: UUID
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made just now. `secret` is the whole key; it is not stored and not shown again."""

    key: ApiKey
    secret: str

    def __repr__(self) -> str:
        return f"NewKey({self.key!r}, '***')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request with a project's key."""

    key_id: UUID
    tenant: Tenant
    scopes: frozenset[str]


class Tenants:
    """Creates tenants and keys, and recognises keys.

    Args:
        pool: the gateway's database.
        clock: time.
    """

    def __init__(self, pool: "Pool", clock: "Clock") -> None:
        self._pool, self._clock = pool, clock

    async def create_organization(self, connection: "Connection", name: str) -> Organization:
        """Create an organization. It needs a subscription, at billing, before it can connect accounts."""
        made = Organization(organization_id=uuid4(), name=name, created_at=self._clock.now())
        await connection.execute(
            "INSERT INTO organization (organization_id, name, created_at) VALUES ($1, $2, $3)",
            made.organization_id,
            made.name,
            made.created_at,
        )
        return made

    async def create_project(self, connection: "Connection", organization_id: UUID, name: str) -> Project:
        """Create a project.

        Raises:
            NotFound: there is no such organization.
        """
        made = Project(project_id=uuid4(), organization_id=organization_id, name=name, created_at=self._clock.now())
        inserted = await connection.fetchval(
            """INSERT INTO project (project_id, organization_id, name, created_at)
               SELECT $1, organization_id, $3, $4 FROM organization WHERE organization_id = $2 RETURNING true""",
            made.project_id,
            made.organization_id,
            made.name,
            made.created_at,
        )
        if not inserted:
            raise NotFound
        return made

    async def create_key(self, project_id: UUID, name: str, scopes: tuple[Scope, ...]) -> NewKey:
        """Make a key of 256 random bits.

        Raises:
            NotFound: there is no such project.
        """
        prefix = base64.b32encode(secrets.token_bytes(_PREFIX_BYTES)).decode().lower()
        secret = f"berth_{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        made = ApiKey(
            key_id=uuid4(),
            project_id=project_id,
            name=name,
            prefix=prefix,
            scopes=scopes,
            created_at=self._clock.now(),
        )
        inserted = await self._pool.fetchval(
            """INSERT INTO api_key (key_id, project_id, name, prefix, secret_hash, scopes, created_at)
               SELECT $1, project_id, $3, $4, $5, $6, $7 FROM project WHERE project_id = $2 RETURNING true""",
            made.key_id,
            made.project_id,
            made.name,
            made.prefix,
            digest(secret),
            made.scopes,
            made.created_at,
        )
        if not inserted:
            raise NotFound
        return NewKey(made, secret)

    async def revoke_key(self, project_id: UUID, key_id: UUID) -> None:
        """Refuse the key from now on.

        Raises:
            NotFound: the project has no such key, or it was revoked before.
        """
        revoked = await self._pool.fetchval(
            """UPDATE api_key SET revoked_at = $3 WHERE key_id = $1 AND project_id = $2 AND revoked_at IS NULL
               RETURNING true""",
            key_id,
            project_id,
            self._clock.now(),
        )
        if not revoked:
            raise NotFound

    async def recognise(self, secret: str) -> Caller | None:
        """Who has this key; None when it is unknown or revoked."""
        parts = secret.split("_", 2)
        if len(parts) != 3 or parts[0] != "berth" or not parts[1].isascii():  # noqa: PLR2004 - berth, prefix, random part
            return None
        row = await self._pool.fetchrow(
            """SELECT k.key_id, k.secret_hash, k.scopes, k.last_used_at, p.project_id, p.organization_id
                 FROM api_key k JOIN project p ON p.project_id = k.project_id
                WHERE k.prefix = $1 AND k.revoked_at IS NULL""",
            parts[1],
        )
        if row is None or not hmac.compare_digest(row["secret_hash"], digest(secret)):
            return None
        now = self._clock.now()
        if row["last_used_at"] is None or row["last_used_at"] < now - _USE_EVERY:
            await self._pool.execute("UPDATE api_key SET last_used_at = $2 WHERE key_id = $1", row["key_id"], now)
        tenant = Tenant(organization_id=row["organization_id"], project_id=row["project_id"])
        return Caller(key_id=row["key_id"], tenant=tenant, scopes=frozenset(row["scopes"]))


def digest(secret: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
