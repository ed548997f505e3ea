"""The seats projection: who takes a seat, how many are taken, and the peak of each day. Rebuildable."""

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_events.contracts import AccountRemoved, AccountRequested, Envelope, SeatKind
from berth_events.contracts.topics import ACCOUNTS

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["SeatsProjection"]


class SeatsProjection:
    """Folds AccountRequested and AccountRemoved into seats."""

    name: Final = "seats"
    topics: Final = (ACCOUNTS,)

    @property
    def tables(self) -> str:
        """The DDL of its tables."""
        return (files(__package__) / "seats.sql").read_text(encoding="utf-8")

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Apply events of one partition, in order."""
        for envelope in envelopes:
            match envelope.data:
                case AccountRequested() as event:
                    await connection.execute(
                        "INSERT INTO seat (account_id, organization_id, seat_kind) VALUES ($1, $2, $3)",
                        event.account_id,
                        event.organization_id,
                        event.seat_kind,
                    )
                    await self._count(connection, envelope, event.organization_id, event.seat_kind, 1)
                case AccountRemoved() as event:
                    await connection.execute("DELETE FROM seat WHERE account_id = $1", event.account_id)
                    await self._count(connection, envelope, event.organization_id, event.seat_kind, -1)
                case _:
                    pass

    async def _count(
        self, connection: "Connection", envelope: Envelope, organization_id: UUID, seat_kind: SeatKind, change: int
    ) -> None:
        used: int = await connection.fetchval(
            """INSERT INTO seat_count AS c (organization_id, seat_kind, used) VALUES ($1, $2, $3)
               ON CONFLICT (organization_id, seat_kind) DO UPDATE SET used = c.used + $3
               RETURNING used""",
            organization_id,
            seat_kind,
            change,
        )
        # a day begins with what the day before left, which may be its peak
        await connection.execute(
            """INSERT INTO seat_day AS d (organization_id, seat_kind, day, peak, closing)
               VALUES ($1, $2, $3, greatest($4::int, $4::int - $5::int), $4)
               ON CONFLICT (organization_id, seat_kind, day)
               DO UPDATE SET peak = greatest(d.peak, $4), closing = $4""",
            organization_id,
            seat_kind,
            envelope.time.date(),
            used,
            change,
        )
