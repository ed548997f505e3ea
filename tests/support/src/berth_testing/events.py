"""Hypothesis strategies: whatever the published JSON Schemas allow, and events and envelopes made of it."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from hypothesis import strategies as st

from berth_events.contracts import Envelope, Event, event_schema, event_types

__all__ = ["envelopes", "event_data", "events", "from_schema"]

_TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_TIMES = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_FORMATS: dict[str, st.SearchStrategy[str]] = {
    "uuid": st.uuids().map(str),
    "date-time": _TIMES.map(datetime.isoformat),
    "date": st.dates().map(str),
}


def from_schema(schema: dict[str, Any], root: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """JSON values that the schema allows; only the keywords that the event models make are known.

    Raises:
        KeyError: a type or format is not known here.
    """
    root = root or schema
    if "$ref" in schema:
        return from_schema(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return st.one_of(*(from_schema(each, root) for each in schema["anyOf"]))
    if "properties" in schema:
        return _objects(schema, root)
    if "items" in schema:
        size = {"min_size": schema.get("minItems", 0), "max_size": min(schema.get("maxItems", 3), 3)}
        return st.lists(from_schema(schema["items"], root), **size)
    return _scalars(schema)


def _scalars(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    match schema["type"]:
        case "string" if "format" in schema:
            return _FORMATS[schema["format"]]
        case "string":
            return st.text(_TEXT, min_size=schema.get("minLength", 0), max_size=schema.get("maxLength"))
        case "integer":
            return st.integers(schema.get("minimum", -(2**31)), schema.get("maximum", 2**31 - 1))
        case "number":
            return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case simple:
            return {"boolean": st.booleans(), "null": st.none()}[simple]


def _objects(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: from_schema(each, root) for name, each in schema["properties"].items()}
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: strategy for name, strategy in fields.items() if name in required},
        optional={name: strategy for name, strategy in fields.items() if name not in required},
    )


@cache
def event_data(event: type[Event]) -> st.SearchStrategy[dict[str, Any]]:
    """The data of an event type as JSON values."""
    return from_schema(event_schema(event))


def events() -> st.SearchStrategy[Event]:
    """Events of every published type; types that a test makes up are left out."""
    published = [event for event in event_types().values() if event.__module__.startswith("berth_events.")]
    return st.sampled_from(published).flatmap(lambda event: event_data(event).map(event.model_validate))


def envelopes() -> st.SearchStrategy[Envelope]:
    """Envelopes of every published event type."""
    optional_id = st.none() | st.uuids()
    trace = st.from_regex(r"\A00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]\Z")
    return st.builds(
        Envelope,
        event_id=st.uuids(),
        source=st.sampled_from(["/berth/gateway", "/berth/connector"]),
        sequence=st.integers(1, 2**31 - 1),
        time=_TIMES,
        data=events(),
        correlation_id=optional_id,
        causation_id=optional_id,
        traceparent=st.none() | trace,
    )
