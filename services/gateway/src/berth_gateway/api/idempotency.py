"""Idempotency-Key: a request that is sent twice is done once, and answered the same.

The row is written in the transaction of what the request does, so there is no moment at which one exists without the other.
A request that was refused leaves none, and may be sent again with the same key once its cause is mended.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from fastapi import Header
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from berth_gateway.errors import IdempotencyKeyReused, InvalidIdempotencyKey

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.store import EventStore
    from berth_gateway.fingerprints import Fingerprints

__all__ = ["OPERATOR", "Answer", "Idempotency", "IdempotencyKey"]

#: The principal of the operator key, which is no row of `api_key`.
OPERATOR: Final = UUID(int=0)

_MAX_LENGTH: Final = 255

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description=(
            "1 to 255 printable ASCII characters, best a UUID. The same request with the same key is done once and answered "
            "the same for 24 hours; another request with it is refused."
        ),
        examples=["7f9c1f5e-5d0c-4a55-9d0b-0c8f2f5f3a11"],
    ),
]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it is stored and sent. It must not hold a secret."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """As it is sent."""
        return JSONResponse(self.body, status_code=self.status, headers=self.headers)


@dataclass(frozen=True, slots=True)
class Identified:
    """A request that can be recognised."""

    principal: UUID
    key: str
    fingerprint: bytes


class Idempotency:
    """Runs commands, each in one transaction, at most once per key.

    Args:
        pool: the gateway's database.
        store: its relay is woken after a commit.
        fingerprints: compare requests without storing them.
        clock: time.
    """

    def __init__(self, pool: "Pool", store: "EventStore", fingerprints: "Fingerprints", clock: "Clock") -> None:
        self._pool, self._store, self._fingerprints, self._clock = pool, store, fingerprints, clock

    async def identify(self, request: Request, principal: UUID, key: str | None) -> Identified | None:
        """Recognise a request by its key; None when it has none.

        Raises:
            InvalidIdempotencyKey: the key cannot be used.
        """
        if key is None:
            return None
        if not (0 < len(key) <= _MAX_LENGTH and key.isascii() and key.isprintable()):
            raise InvalidIdempotencyKey
        raw = await request.body()
        try:
            body = json.loads(raw or b"null")
        except ValueError:  # a CSV file, for example
            body = raw.decode("latin-1")
        called = [request.method, request.url.path, *filter(None, [request.url.query])]
        return Identified(principal, key, self._fingerprints.of([*called, body]))

    async def answered(self, identified: Identified | None) -> Answer | None:
        """What the request was answered before, if it was.

        Raises:
            IdempotencyKeyReused: another request had this key.
        """
        if identified is None:
            return None
        async with self._pool.acquire() as connection:
            return await self._stored(connection, identified)

    async def run(self, identified: Identified | None, command: Callable[["Connection"], Awaitable[Answer]]) -> Answer:
        """Run the command in a transaction, unless the request was answered before.

        A simultaneous request with the same key waits here for the first one's end.

        Raises:
            IdempotencyKeyReused: another request had this key.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            if identified is not None and not await self._claim(connection, identified):
                stored = await self._stored(connection, identified)
                if stored is not None:
                    return stored
            answer = await command(connection)
            if identified is not None:
                await connection.execute(
                    "UPDATE idempotency SET status = $3, headers = $4, body = $5 WHERE principal = $1 AND key = $2",
                    identified.principal,
                    identified.key,
                    answer.status,
                    answer.headers,
                    json.dumps(answer.body),
                )
        self._store.notify()
        return answer

    async def _claim(self, connection: "Connection", identified: Identified) -> bool:
        claimed = await connection.fetchval(
            """INSERT INTO idempotency (principal, key, fingerprint, created_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT DO NOTHING RETURNING true""",
            identified.principal,
            identified.key,
            identified.fingerprint,
            self._clock.now(),
        )
        return bool(claimed)

    async def _stored(self, connection: "Connection", identified: Identified) -> Answer | None:
        row = await connection.fetchrow(
            "SELECT fingerprint, status, headers, body FROM idempotency WHERE principal = $1 AND key = $2",
            identified.principal,
            identified.key,
        )
        if row is None:
            return None
        if row["fingerprint"] != identified.fingerprint:
            raise IdempotencyKeyReused
        return Answer(row["status"], json.loads(row["body"]), {**row["headers"], "Idempotent-Replayed": "true"})
