"""docs/events.md: what consumers can rely on, and every topic, event and field."""

import json
from collections.abc import Iterator
from importlib.resources import files

from berth_events.contracts import Event, event_schema, event_types
from berth_events.contracts.schema import JsonSchema
from berth_events.contracts.topics import CATALOGUE, PARTITIONS, TOPICS

__all__ = ["catalogue"]


def catalogue() -> str:
    """The page as Markdown."""
    introduction = files("berth_events.tools").joinpath("events.md").read_text(encoding="utf-8")
    events = list(event_types().values())
    return introduction + "\n".join([*_overview(events), *_topics(events), *_objects(events)]) + "\n"


def _overview(events: list[type[Event]]) -> Iterator[str]:
    yield f"## Topics\n\nEach has {PARTITIONS} partitions.\n\n| topic | source | key | events |\n|---|---|---|---|"
    for topic in TOPICS:
        about = CATALOGUE[topic]
        names = ", ".join(_link(event.__name__) for event in events if event.topic == topic)
        yield f"| `{topic}` | `{about.source}` | {about.aggregate} | {names} |"


def _topics(events: list[type[Event]]) -> Iterator[str]:
    for topic in TOPICS:
        yield f"\n## {topic}\n\n{CATALOGUE[topic].summary}"
        for event in events:
            if event.topic == topic:
                yield from _event(event)


def _event(event: type[Event]) -> Iterator[str]:
    schema = event_schema(event)
    place = f"{event.__name__}/{event.version}"
    yield f"\n### {event.__name__}\n\n{schema['description']}\n"
    yield (
        f"Version {event.version} · key `{event.key_field}` · [schema](../libs/events/schemas/{place}.json) · "
        f"[samples](../libs/events/samples/{place})\n"
    )
    yield from _fields(schema)


def _objects(events: list[type[Event]]) -> Iterator[str]:
    definitions: dict[str, JsonSchema] = {}
    for event in events:
        definitions |= event_schema(event).get("$defs", {})
    yield "\n## Objects"
    for name, schema in sorted(definitions.items()):
        yield f"\n### {name}\n\n{schema['description']}\n"
        yield from _fields(schema)


def _fields(schema: JsonSchema) -> Iterator[str]:
    yield "| field | type | default | meaning |\n|---|---|---|---|"
    for name, field in schema["properties"].items():
        default = "" if name in schema.get("required", ()) else f"`{json.dumps(field.get('default'))}`"
        yield f"| `{name}` | {_type(field)} | {default} | {field['description']} |"


def _type(field: JsonSchema) -> str:
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if "$ref" in field:
        return _link(field["$ref"].rpartition("/")[2])
    if "enum" in field or "const" in field:
        return " · ".join(f"`{value}`" for value in field.get("enum") or [field["const"]])
    if "items" in field:
        return f"list of {_type(field['items'])}{_limits(field, 'Items')}"
    kind: str = field["type"]
    kind = {"uuid": "UUID", "date-time": "time (RFC 3339)", "date": "date"}.get(field.get("format", ""), kind)
    return kind + (_limits(field, "Length") or _limits(field, "imum"))


def _limits(field: JsonSchema, suffix: str) -> str:
    low, high = field.get(f"min{suffix}"), field.get(f"max{suffix}")
    unit = {"Length": " characters", "Items": " items", "imum": ""}[suffix]
    if low is not None and high is not None:
        return f", {low} to {high}{unit}"
    if low is not None:
        return f", at least {low}{unit}"
    return "" if high is None else f", at most {high}{unit}"


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"
