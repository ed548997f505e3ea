"""An event with what is known about it: the attributes that travel beside its data."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from berth_events.contracts.base import Event

__all__ = ["Envelope", "UnknownEvent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One committed event.

    Attributes:
        event_id: unique; a retried command makes the same one.
        source: the service that committed it, for example `/berth/gateway`.
        sequence: version of the aggregate's stream after this event; 1 is the first.
        time: when it was committed.
        data: the fact.
        correlation_id: the request that it all began with.
        causation_id: the event that led to this one, or None.
        traceparent: W3C Trace Context, or None.
    """

    event_id: UUID
    source: str
    sequence: int
    time: datetime
    data: Event
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    traceparent: str | None = None

    @property
    def type(self) -> str:
        """The event type's name, for example AccountRequested."""
        return type(self.data).__name__

    @property
    def topic(self) -> str:
        """The topic that the event belongs to."""
        return self.data.topic

    @property
    def key(self) -> bytes:
        """The Kafka key: the aggregate's id."""
        return str(self.data.aggregate_id).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent:
    """An event whose type or version is newer than this code: counted and skipped, never an error."""

    type: str
    version: int
    stream_id: UUID
    sequence: int
