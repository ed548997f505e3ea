"""The seats projection: who took a seat, from when to when. Rebuildable."""

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from berth_events.contracts import AccountRemoved, AccountRequested, Envelope
from berth_events.contracts.topics import ACCOUNTS

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["SeatsProjection"]


class SeatsProjection:
    """Folds AccountRequested and AccountRemoved into seats."""

    name: Final = "billing_seats"
    topics: Final = (ACCOUNTS,)

    @property
    def tables(self) -> str:
        """The DDL of its tables."""
        return (files(__package__) / "seats.sql").read_text(encoding="utf-8")

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Apply events of one partition, in order."""
        taken = [(e.time, e.data) for e in envelopes if isinstance(e.data, AccountRequested)]
        freed = [(e.time, e.data) for e in envelopes if isinstance(e.data, AccountRemoved)]
        await connection.execute(
            """INSERT INTO seat (account_id, organization_id, seat_kind, taken_at)
               SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[])""",
            [event.account_id for _, event in taken],
            [event.organization_id for _, event in taken],
            [event.seat_kind for _, event in taken],
            [time for time, _ in taken],
        )
        # greatest: the clocks of the gateway's replicas differ
        await connection.execute(
            """UPDATE seat SET freed_at = greatest(seat.taken_at, gone.at)
                 FROM unnest($1::uuid[], $2::timestamptz[]) AS gone (account_id, at)
                WHERE seat.account_id = gone.account_id AND seat.freed_at IS NULL""",
            [event.account_id for _, event in freed],
            [time for time, _ in freed],
        )
