"""What a projection is, how a record is read for it, and why its consumer may have to stop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from berth_events.contracts import Envelope, InvalidRecord, UnknownEvent, from_binary
from berth_events.runtime.bus import Record

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection

__all__ = ["Projection", "Read", "SequenceGap", "Superseded", "TooManyParked", "position_of", "read_record"]


class Projection(Protocol):
    """What becomes of the events. It writes tables, work rows or further events, and never touches the network."""

    @property
    def name(self) -> str:
        """The consumer group and the owner of offsets; never changed once it ran."""
        ...

    @property
    def topics(self) -> Sequence[str]:
        """What it reads."""
        ...

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Apply events of one partition in order, inside the projector's transaction. Unknown types are left alone."""
        ...


class SequenceGap(Exception):
    """An event of the stream is missing, which cannot be without loss. The consumer stops; compare store and topic."""


class TooManyParked(Exception):
    """Too many events in a row could not be applied. The consumer stops; mend the code, then replay what is parked."""


class Superseded(Exception):
    """A rebuild made another version of the projection active. This consumer ends, the one of that version goes on."""


def position_of(content: Envelope | UnknownEvent) -> tuple[UUID, int]:
    """The stream of an event, and its place in it."""
    if isinstance(content, Envelope):
        return content.data.aggregate_id, content.sequence
    return content.stream_id, content.sequence


@dataclass(frozen=True, slots=True)
class Read:
    """A record and what it says; `content` is the error when it cannot be read."""

    record: Record
    content: Envelope | UnknownEvent | InvalidRecord

    @property
    def stream(self) -> tuple[UUID, int] | None:
        """Stream id and sequence, when they could be read."""
        return None if isinstance(self.content, InvalidRecord) else position_of(self.content)


def read_record(record: Record) -> Read:
    """Read a record; what cannot be read is kept with its error."""
    try:
        return Read(record, from_binary(record.headers, record.value))
    except InvalidRecord as error:
        return Read(record, error)
