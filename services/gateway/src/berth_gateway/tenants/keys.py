"""API keys of projects and of whole organizations: made, listed, changed, rotated, revoked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from berth_gateway.errors import FieldFault, InvalidFields, MissingScope, NotFound
from berth_gateway.tenants.rates import per_second
from berth_gateway.tenants.scopes import PLATFORM_ONLY, Scope
from berth_gateway.tenants.secrets import digest, new_prefix, new_secret

if TYPE_CHECKING:
    import asyncpg

    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection

__all__ = ["ApiKey", "KeyTerms", "Keys", "Manager", "NewKey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """Who manages tenants: the operator, or a platform with a key of its organization.

    Attributes:
        organization_id: the only one that there is for this manager; None for the operator, who has all.
        rate_limit: the highest that it may give to a key; None: any.
    """

    key_id: UUID
    organization_id: UUID | None
    scopes: frozenset[str]
    rate_limit: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerms:
    """What a key is called, what it may do, how long and how often.

    Attributes:
        expires_at: refused from then on; None: never.
        rate_limit: `6000/minute`; None: the default.
    """

    name: str
    scopes: tuple[Scope, ...]
    expires_at: datetime | None = None
    rate_limit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it may be shown.

    Attributes:
        project_id: None for a platform key.
        retiring_until: so long the secret before the last rotation is accepted, too.
    """

    key_id: UUID
    organization_id: UUID
    project_id: UUID | None
    prefix: str
    terms: KeyTerms
    created_at: datetime
    last_used_at: datetime | None
    retiring_until: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with the secret that was made just now, which is the whole key; it is not stored and not shown again."""

    key: ApiKey
    secret: str

    def __repr__(self) -> str:
        return f"NewKey({self.key!r}, '***')"


class Keys:
    """Manages keys; each call sees those of the manager's organization alone.

    Args:
        clock: time.
    """

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock

    async def create_for_project(
        self, connection: "Connection", manager: Manager, project_id: UUID, terms: KeyTerms
    ) -> NewKey:
        """Make a key of one project.

        Raises:
            NotFound: there is no such project.
            InvalidFields: a scope is not for projects, or the terms are as below.
            MissingScope: the manager lacks a scope itself.
        """
        _refuse_platform_scopes(terms)
        owner = await connection.fetchrow(
            """SELECT organization_id, project_id FROM project
                WHERE project_id = $1 AND removed_at IS NULL AND ($2::uuid IS NULL OR organization_id = $2)""",
            project_id,
            manager.organization_id,
        )
        return await self._create(connection, manager, owner, terms)

    async def create_for_organization(
        self, connection: "Connection", manager: Manager, organization_id: UUID, terms: KeyTerms
    ) -> NewKey:
        """Make a platform key.

        Raises:
            NotFound: there is no such organization.
            InvalidFields: it would have expired already, or its limit is higher than the manager's.
            MissingScope: the manager lacks a scope itself.
        """
        owner = await connection.fetchrow(
            """SELECT organization_id, NULL::uuid AS project_id FROM organization
                WHERE organization_id = $1 AND ($2::uuid IS NULL OR organization_id = $2)""",
            organization_id,
            manager.organization_id,
        )
        return await self._create(connection, manager, owner, terms)

    async def _create(
        self, connection: "Connection", manager: Manager, owner: "asyncpg.Record | None", terms: KeyTerms
    ) -> NewKey:
        if owner is None:
            raise NotFound
        self._permit(manager, terms)
        prefix = new_prefix()
        secret = new_secret(prefix)
        row = await connection.fetchrow(
            """INSERT INTO api_key (key_id, organization_id, project_id, name, prefix, secret_hash, scopes, created_at,
                                    expires_at, rate_limit)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *""",
            uuid4(),
            owner["organization_id"],
            owner["project_id"],
            terms.name,
            prefix,
            digest(secret),
            terms.scopes,
            self._clock.now(),
            terms.expires_at,
            terms.rate_limit,
        )
        return NewKey(_key(row), secret)

    async def page(
        self,
        connection: "Connection",
        organization_id: UUID,
        project_id: UUID | None,
        *,
        after: tuple[datetime, UUID],
        limit: int,
    ) -> list[ApiKey]:
        """The next keys of a project, or the next platform keys, in the order they were made.

        Args:
            connection: the caller's.
            organization_id: whose; the manager has it.
            project_id: None for platform keys.
            after: when the last one of the page before was made, and its id.
            limit: at most so many.
        """
        rows = await connection.fetch(
            """SELECT * FROM api_key
                WHERE organization_id = $1 AND (project_id = $2 OR ($2::uuid IS NULL AND project_id IS NULL))
                  AND (created_at, key_id) > ($3, $4)
                ORDER BY created_at, key_id LIMIT $5""",
            organization_id,
            project_id,
            *after,
            limit,
        )
        return [_key(row) for row in rows]

    async def find(self, connection: "Connection", manager: Manager, key_id: UUID) -> ApiKey:
        """One key, revoked or not.

        Raises:
            NotFound: the manager has no such key.
        """
        row = await connection.fetchrow(
            "SELECT * FROM api_key WHERE key_id = $1 AND ($2::uuid IS NULL OR organization_id = $2)",
            key_id,
            manager.organization_id,
        )
        return _key(row)

    async def locked(self, connection: "Connection", manager: Manager, key_id: UUID) -> ApiKey:
        """One key that is not revoked, which nobody else changes until the transaction ends.

        Raises:
            NotFound: the manager has no such key, or it was revoked.
        """
        row = await connection.fetchrow(
            """SELECT * FROM api_key
                WHERE key_id = $1 AND revoked_at IS NULL AND ($2::uuid IS NULL OR organization_id = $2) FOR UPDATE""",
            key_id,
            manager.organization_id,
        )
        return _key(row)

    async def change(self, connection: "Connection", manager: Manager, key: ApiKey, terms: KeyTerms) -> ApiKey:
        """Give a locked key other terms.

        Raises:
            InvalidFields, MissingScope: as when it is made.
        """
        if key.project_id is not None:
            _refuse_platform_scopes(terms)
        self._permit(manager, terms, before=key.terms)
        row = await connection.fetchrow(
            "UPDATE api_key SET name = $2, scopes = $3, expires_at = $4, rate_limit = $5 WHERE key_id = $1 RETURNING *",
            key.key_id,
            terms.name,
            terms.scopes,
            terms.expires_at,
            terms.rate_limit,
        )
        return _key(row)

    async def rotate(self, connection: "Connection", manager: Manager, key: ApiKey, grace: timedelta) -> NewKey:
        """Give a locked key a new secret. The one before is accepted for the grace period, any older one no more.

        Raises:
            MissingScope: the manager lacks a scope of the key.
        """
        _require(manager, key.terms.scopes)
        secret = new_secret(key.prefix)
        row = await connection.fetchrow(
            """UPDATE api_key SET secret_hash = $2, retiring_hash = secret_hash, retiring_until = $3 WHERE key_id = $1
               RETURNING *""",
            key.key_id,
            digest(secret),
            self._clock.now() + grace,
        )
        return NewKey(_key(row), secret)

    async def revoke(self, connection: "Connection", key: ApiKey) -> None:
        """Refuse a locked key from now on."""
        await connection.execute("UPDATE api_key SET revoked_at = $2 WHERE key_id = $1", key.key_id, self._clock.now())

    def _permit(self, manager: Manager, terms: KeyTerms, before: KeyTerms | None = None) -> None:
        """Nobody gives what they do not have; what stays as it was is not given."""
        if before is None or terms.scopes != before.scopes:
            _require(manager, terms.scopes)
        faults = []
        expires_at = None if before and terms.expires_at == before.expires_at else terms.expires_at
        rate_limit = None if before and terms.rate_limit == before.rate_limit else terms.rate_limit
        if expires_at and expires_at <= self._clock.now():
            remedy = "Send a time in the future, or revoke the key."
            faults.append(FieldFault("expires_at", "The time has passed.", remedy))
        if rate_limit and manager.rate_limit and per_second(rate_limit) > per_second(manager.rate_limit):
            remedy = f"Send at most {manager.rate_limit}."
            faults.append(FieldFault("rate_limit", "The limit is higher than yours.", remedy))
        if faults:
            raise InvalidFields(faults)


def _refuse_platform_scopes(terms: KeyTerms) -> None:
    detail, remedy = "A project's key cannot have the scope.", "Make a platform key for it."
    faults = [
        FieldFault(f"scopes.{index}", detail, remedy)
        for index, scope in enumerate(terms.scopes)
        if scope in PLATFORM_ONLY
    ]
    if faults:
        raise InvalidFields(faults)


def _require(manager: Manager, scopes: Sequence[str]) -> None:
    for scope in scopes:
        if scope not in manager.scopes:
            raise MissingScope(f"Your API key lacks the scope {scope}, so it cannot give it.", scope=scope)


def _key(row: "asyncpg.Record | None") -> ApiKey:
    if row is None:
        raise NotFound
    terms = KeyTerms(
        name=row["name"], scopes=tuple(row["scopes"]), expires_at=row["expires_at"], rate_limit=row["rate_limit"]
    )
    shown = (
        "key_id",
        "organization_id",
        "project_id",
        "prefix",
        "created_at",
        "last_used_at",
        "retiring_until",
        "revoked_at",
    )
    return ApiKey(**{name: row[name] for name in shown}, terms=terms)
