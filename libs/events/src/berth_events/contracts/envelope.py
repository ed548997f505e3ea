"""An event with what is known about it, and its form on the wire: CloudEvents 1.0, Kafka binding, binary mode."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from berth_events.contracts.base import Event
from berth_events.contracts.upcasting import read_event

__all__ = ["Envelope", "Headers", "InvalidRecord", "UnknownEvent", "from_binary", "sequence_text", "to_binary"]

Headers = tuple[tuple[str, bytes], ...]
_SEQUENCE_DIGITS: Final = 20
_CONTENT_TYPE: Final = "application/json"
SCHEMA_URN: Final = "urn:berth:event"


class InvalidRecord(ValueError):
    """The record is not a CloudEvent of a Berth topic. Publish it with the headers of docs/events.md."""


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


def sequence_text(sequence: int) -> str:
    """CloudEvents `sequence`: compared lexicographically, hence padded with zeros."""
    return f"{sequence:0{_SEQUENCE_DIGITS}d}"


def to_binary(envelope: Envelope) -> tuple[Headers, bytes]:
    """Headers and value of the record (CloudEvents Kafka protocol binding 1.0, binary content mode)."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": str(envelope.event_id),
        "ce_source": envelope.source,
        "ce_type": envelope.type,
        "ce_time": envelope.time.isoformat(),
        "ce_subject": str(envelope.data.aggregate_id),
        "ce_partitionkey": str(envelope.data.aggregate_id),
        "ce_sequence": sequence_text(envelope.sequence),
        "ce_dataschema": f"{SCHEMA_URN}:{envelope.type}:{envelope.data.version}",
        "content-type": _CONTENT_TYPE,
    }
    if envelope.correlation_id:
        attributes["ce_correlationid"] = str(envelope.correlation_id)
    if envelope.causation_id:
        attributes["ce_causationid"] = str(envelope.causation_id)
    if envelope.traceparent:
        attributes["ce_traceparent"] = attributes["traceparent"] = envelope.traceparent
    headers = tuple((name, value.encode()) for name, value in attributes.items())
    return headers, envelope.data.model_dump_json().encode()


def from_binary(headers: Iterable[tuple[str, bytes]] | Mapping[str, bytes], value: bytes) -> Envelope | UnknownEvent:
    """Read a record back.

    Returns:
        The envelope, its data upcast to the newest version; an UnknownEvent when the type or version is newer than this code.

    Raises:
        InvalidRecord: a header is missing or malformed, or the data violates the type's model.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        attributes = {name: raw.decode() for name, raw in pairs}
        schema, _, version = attributes["ce_dataschema"].rpartition(":")
        if not schema.startswith(f"{SCHEMA_URN}:"):
            raise InvalidRecord(f"ce_dataschema is {attributes['ce_dataschema']!r}, not {SCHEMA_URN}:TYPE:VERSION")
        data = read_event(attributes["ce_type"], int(version), value)
        if data is None:
            return UnknownEvent(
                type=attributes["ce_type"],
                version=int(version),
                stream_id=UUID(attributes["ce_subject"]),
                sequence=int(attributes["ce_sequence"]),
            )
        return Envelope(
            event_id=UUID(attributes["ce_id"]),
            source=attributes["ce_source"],
            sequence=int(attributes["ce_sequence"]),
            time=datetime.fromisoformat(attributes["ce_time"]),
            data=data,
            correlation_id=_uuid(attributes.get("ce_correlationid")),
            causation_id=_uuid(attributes.get("ce_causationid")),
            traceparent=attributes.get("traceparent") or attributes.get("ce_traceparent"),
        )
    except KeyError as error:
        raise InvalidRecord(f"the header {error.args[0]} is missing") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidRecord(str(error)) from error


def _uuid(text: str | None) -> UUID | None:
    return UUID(text) if text else None
