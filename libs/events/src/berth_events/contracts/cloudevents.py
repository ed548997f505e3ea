"""The form on the wire: CloudEvents 1.0, Kafka protocol binding. Written in binary mode, read in structured mode too."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from berth_events.contracts.base import Event
from berth_events.contracts.envelope import Envelope, UnknownEvent
from berth_events.contracts.upcasting import read_event

__all__ = ["SCHEMA_URN", "Headers", "InvalidRecord", "from_binary", "schema_urn", "sequence_text", "to_binary"]

Headers = tuple[tuple[str, bytes], ...]
SCHEMA_URN: Final = "urn:berth:event"

_PREFIX: Final = "ce_"
_SEQUENCE_DIGITS: Final = 20
_JSON: Final = "application/json"
_STRUCTURED: Final = "application/cloudevents+json"
_ANY_CLOUDEVENTS: Final = "application/cloudevents"

T = TypeVar("T")


class InvalidRecord(ValueError):
    """The record is not a CloudEvent of a Berth topic. Publish it with the headers of docs/events.md."""


def schema_urn(event: Event | type[Event]) -> str:
    """The CloudEvents `dataschema` of an event's type and version, which is the `$id` of its JSON Schema."""
    name = event.__name__ if isinstance(event, type) else type(event).__name__
    return f"{SCHEMA_URN}:{name}:{event.version}"


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
        "ce_dataschema": schema_urn(envelope.data),
        "content-type": _JSON,
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
    """Read a record back, also one in structured mode (`content-type: application/cloudevents+json`).

    Returns:
        The envelope, its data upcast to the newest version; an UnknownEvent when the type or version is newer than this code.

    Raises:
        InvalidRecord: a header is missing or malformed, or the data violates the type's model. The message names the header
            or the field, and never shows the data.
    """
    attributes, data = _attributes(headers, value)
    if attributes.required("ce_specversion", str) != "1.0":
        raise InvalidRecord("ce_specversion is not 1.0")
    type_name = attributes.required("ce_type", _not_empty)
    version = attributes.required("ce_dataschema", lambda urn: _version(urn, type_name))
    subject = attributes.required("ce_subject", UUID)
    sequence = attributes.required("ce_sequence", _positive)
    try:
        event = read_event(type_name, version, data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, ("data", *first["loc"])))
        raise InvalidRecord(f"{field}: {first['msg']}") from None
    except ValueError as error:
        raise InvalidRecord(f"data: {error}") from error
    if event is None:
        return UnknownEvent(type=type_name, version=version, stream_id=subject, sequence=sequence)
    if event.aggregate_id != subject:
        raise InvalidRecord(f"ce_subject is {subject}, but data.{event.key_field} is {event.aggregate_id}")
    return Envelope(
        event_id=attributes.required("ce_id", UUID),
        source=attributes.required("ce_source", _not_empty),
        sequence=sequence,
        time=attributes.required("ce_time", _instant),
        data=event,
        correlation_id=attributes.optional("ce_correlationid", UUID),
        causation_id=attributes.optional("ce_causationid", UUID),
        traceparent=attributes.optional("traceparent", str) or attributes.optional("ce_traceparent", str),
    )


class _Attributes:
    """The attributes by the name of their header; an error names the header."""

    def __init__(self, texts: Mapping[str, str | bytes]) -> None:
        self._texts = texts

    def required(self, name: str, parse: Callable[[str], T]) -> T:
        text = self._texts.get(name)
        if text is None:
            raise InvalidRecord(f"the header {name} is missing")
        try:
            return parse(text if isinstance(text, str) else text.decode())
        except ValueError as error:
            raise InvalidRecord(f"the header {name} is malformed: {error}") from error

    def optional(self, name: str, parse: Callable[[str], T]) -> T | None:
        return self.required(name, parse) if self._texts.get(name) else None


def _attributes(headers: Iterable[tuple[str, bytes]] | Mapping[str, bytes], value: bytes) -> tuple[_Attributes, bytes]:
    """The attributes and the JSON of the data, whichever the mode."""
    raw: dict[str, str | bytes] = dict(headers)
    mode = _Attributes(raw).optional("content-type", str) or _JSON
    media_type = mode.partition(";")[0].strip().lower()
    if media_type == _STRUCTURED:
        document = _structured(value)
        data = document.pop("data", None)
        texts = {_PREFIX + name: str(attribute) for name, attribute in document.items() if attribute is not None}
        return _Attributes(raw | texts), to_json(data)
    if media_type.startswith(_ANY_CLOUDEVENTS):
        raise InvalidRecord(
            f"the header content-type is {media_type}; of the structured forms only {_STRUCTURED} is read"
        )
    return _Attributes(raw), value


def _structured(value: bytes) -> dict[str, Any]:
    try:
        document = from_json(value, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRecord(f"the value is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidRecord("the value is not a JSON object")
    return document


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("empty")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("less than 1")
    return number


def _version(urn: str, type_name: str) -> int:
    prefix, _, version = urn.rpartition(":")
    if prefix != f"{SCHEMA_URN}:{type_name}":
        raise ValueError(f"not {SCHEMA_URN}:{type_name}:VERSION")
    return _positive(version)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("without an offset from UTC")
    return instant
