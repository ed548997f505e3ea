"""Histories of accounts, as billing hears of them, and what follows from them, worked out in the plainest way."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from berth_events.contracts import AccountRemoved, AccountRequested, CredentialRef, Envelope, SeatCount, SeatKind
from berth_testing.streams import envelope

__all__ = ["Seat", "peak_of", "removed", "requested", "used_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """An account's seat: when it was taken, and when it was freed, if it was."""

    account_id: UUID
    organization_id: UUID
    kind: SeatKind = "monitoring"
    taken: datetime
    freed: datetime | None = None

    def history(self) -> list[Envelope]:
        """The account's events."""
        events = [envelope(requested(self), 1, self.taken)]
        return events if self.freed is None else [*events, envelope(removed(self), 2, self.freed)]


def requested(seat: Seat) -> AccountRequested:
    """The seat is taken."""
    return AccountRequested(
        account_id=seat.account_id,
        organization_id=seat.organization_id,
        project_id=seat.organization_id,
        imap=None,
        smtp=None,
        credential_ref=CredentialRef(credential_id=seat.account_id, version=1),
        address=f"{seat.account_id}@example.com",
        domain="example.com",
        provider="custom",
        seat_kind=seat.kind,
    )


def removed(seat: Seat) -> AccountRemoved:
    """The seat is free."""
    return AccountRemoved(
        account_id=seat.account_id,
        organization_id=seat.organization_id,
        project_id=seat.organization_id,
        address=f"{seat.account_id}@example.com",
        seat_kind=seat.kind,
        reason="requested",
    )


def used_of(seats: Iterable[Seat], organization_id: UUID) -> SeatCount:
    """The seats that the organization has taken in the end."""
    used = Counter(seat.kind for seat in seats if seat.organization_id == organization_id and seat.freed is None)
    return SeatCount(monitoring=used["monitoring"], spam_check=used["spam_check"])


def peak_of(seats: Iterable[Seat], organization_id: UUID, day: date) -> SeatCount:
    """The most seats that were taken at once on the day (UTC): counted at its beginning, and in each second of it."""
    begins = datetime.combine(day, time(), UTC)
    ends = begins + timedelta(days=1)

    def most(mine: Sequence[Seat]) -> int:
        left = sum(seat.taken < begins and (seat.freed is None or seat.freed >= begins) for seat in mine)
        seconds = {_second(seat.taken) for seat in mine if begins <= seat.taken < ends}
        return max([left, *(_taken_in(mine, second) for second in seconds)])

    mine = [seat for seat in seats if seat.organization_id == organization_id]
    return SeatCount(
        monitoring=most([seat for seat in mine if seat.kind == "monitoring"]),
        spam_check=most([seat for seat in mine if seat.kind == "spam_check"]),
    )


def _taken_in(seats: Iterable[Seat], second: datetime) -> int:
    return sum(_second(seat.taken) <= second and (seat.freed is None or second < _second(seat.freed)) for seat in seats)


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
