"""The seat ledger: taken seats under the limit that billing's events set, counted in the transaction that takes them."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, get_args
from uuid import UUID

from berth_events.contracts import SeatCount, SeatKind
from berth_gateway.errors import SeatLimitReached, SubscriptionRequired

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["SeatLedger"]


class SeatLedger:
    """Reads and writes `seat_ledger` inside the caller's transaction. The row lock makes simultaneous takers queue."""

    async def take(self, connection: "Connection", organization_id: UUID, kind: SeatKind, count: int = 1) -> None:
        """Take seats, all or none.

        Raises:
            SubscriptionRequired: the organization has no subscription.
            SeatLimitReached: fewer than `count` seats are free.
        """
        taken = await connection.fetchval(
            """UPDATE seat_ledger SET used = used + $3
                WHERE organization_id = $1 AND seat_kind = $2 AND subscribed AND used + $3 <= seat_limit
               RETURNING used""",
            organization_id,
            kind,
            count,
        )
        if taken is not None:
            return
        row = await connection.fetchrow(
            "SELECT used, seat_limit, subscribed FROM seat_ledger WHERE organization_id = $1 AND seat_kind = $2",
            organization_id,
            kind,
        )
        if row is None or not row["subscribed"]:
            raise SubscriptionRequired
        raise SeatLimitReached(
            f"The organization's {kind} seats are all taken ({row['used']} of {row['seat_limit']}). "
            "Remove an account or raise the limit of the subscription.",
            seat_kind=kind,
            limit=row["seat_limit"],
            used=row["used"],
            requested=count,
        )

    async def free(self, connection: "Connection", organization_id: UUID, kind: SeatKind) -> int:
        """How many seats are free just now.

        Raises:
            SubscriptionRequired: the organization has no subscription.
        """
        free: int | None = await connection.fetchval(
            """SELECT greatest(seat_limit - used, 0) FROM seat_ledger
                WHERE organization_id = $1 AND seat_kind = $2 AND subscribed""",
            organization_id,
            kind,
        )
        if free is None:
            raise SubscriptionRequired
        return free

    async def hold(self, connection: "Connection", organization_id: UUID, kind: SeatKind) -> int:
        """How many seats are free, and will be until the transaction ends but for what it takes itself.

        Raises:
            SubscriptionRequired: the organization has no subscription.
        """
        free: int | None = await connection.fetchval(
            """SELECT greatest(seat_limit - used, 0) FROM seat_ledger
                WHERE organization_id = $1 AND seat_kind = $2 AND subscribed FOR UPDATE""",
            organization_id,
            kind,
        )
        if free is None:
            raise SubscriptionRequired
        return free

    async def release(self, connection: "Connection", seats: Iterable[tuple[UUID, SeatKind]]) -> None:
        """Give seats back. The rows are locked in one order, so that two releases never wait for each other."""
        await connection.executemany(
            "UPDATE seat_ledger SET used = used - $3 WHERE organization_id = $1 AND seat_kind = $2",
            sorted((*seat, count) for seat, count in Counter(seats).items()),
        )

    async def set_limits(
        self,
        connection: "Connection",
        organization_id: UUID,
        limits: SeatCount,
        *,
        subscribed: bool,
        sequence: int,
    ) -> None:
        """Take over billing's limits, unless newer ones are here. Seats beyond a lowered limit stay taken.

        Args:
            connection: in the caller's transaction.
            organization_id: whose.
            limits: seats of each kind.
            subscribed: False when the subscription ended.
            sequence: of billing's event.
        """
        await connection.executemany(
            """INSERT INTO seat_ledger (organization_id, seat_kind, seat_limit, subscribed, sequence)
               VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (organization_id, seat_kind) DO UPDATE
                  SET seat_limit = excluded.seat_limit, subscribed = excluded.subscribed, sequence = excluded.sequence
                WHERE seat_ledger.sequence < excluded.sequence""",
            [
                (organization_id, kind, getattr(limits, kind), subscribed, sequence)
                for kind in sorted(get_args(SeatKind))
            ],
        )
