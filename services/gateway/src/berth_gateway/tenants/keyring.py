"""Recognises keys."""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_gateway.accounts.mailboxes import Tenant
from berth_gateway.tenants.secrets import digest, prefix_of

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Pool

__all__ = ["Caller", "Holder", "Keyring"]

#: How exact `last_used_at` is; each key is written at most this often.
_USE_EVERY: Final = timedelta(minutes=1)
#: The digest of nothing, against which a key is held that no row belongs to.
_NONE: Final = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request, for which project."""

    key_id: UUID
    tenant: Tenant
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whose key it is and what it may do.

    Attributes:
        platform: it is the organization's, for all of its projects.
        project_id: the project that the request is for; None when none was named, or the key has no such project.
        rate_limit: its own limit, `6000/minute`, or None.
    """

    key_id: UUID
    organization_id: UUID
    platform: bool
    project_id: UUID | None
    scopes: frozenset[str]
    rate_limit: str | None


class Keyring:
    """Recognises the keys of projects and platforms.

    Args:
        pool: the gateway's database.
        clock: time.
    """

    def __init__(self, pool: "Pool", clock: "Clock") -> None:
        self._pool, self._clock = pool, clock

    async def recognise(self, secret: str, project_id: UUID | None = None) -> Holder | None:
        """Who has this key; None when it is unknown, expired or revoked.

        A wrong key costs the same query and comparisons as a right one.

        Args:
            secret: the whole key, as it was presented.
            project_id: the project that the request names. A project's key finds its own without.
        """
        row = await self._pool.fetchrow(
            """SELECT k.key_id, k.organization_id, k.project_id IS NULL AS platform, p.project_id, k.scopes, k.rate_limit,
                      k.secret_hash, k.retiring_hash, k.retiring_until, k.expires_at, k.last_used_at
                 FROM api_key k
                 LEFT JOIN project p ON p.project_id = coalesce($2, k.project_id)
                                    AND p.project_id = coalesce(k.project_id, $2)
                                    AND p.organization_id = k.organization_id AND p.removed_at IS NULL
                WHERE k.prefix = $1 AND k.revoked_at IS NULL""",
            prefix_of(secret),
            project_id,
        )
        now, hashed = self._clock.now(), digest(secret)
        present = hmac.compare_digest(row["secret_hash"] if row else _NONE, hashed)
        retiring = hmac.compare_digest((row and row["retiring_hash"]) or _NONE, hashed)
        if row is None or not (present or (retiring and now < row["retiring_until"])):
            return None
        if row["expires_at"] is not None and row["expires_at"] <= now:
            return None
        if row["last_used_at"] is None or row["last_used_at"] < now - _USE_EVERY:
            await self._pool.execute("UPDATE api_key SET last_used_at = $2 WHERE key_id = $1", row["key_id"], now)
        return Holder(
            key_id=row["key_id"],
            organization_id=row["organization_id"],
            platform=row["platform"],
            project_id=row["project_id"],
            scopes=frozenset(row["scopes"]),
            rate_limit=row["rate_limit"],
        )
