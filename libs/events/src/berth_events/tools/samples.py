"""The golden samples, samples/TYPE/VERSION/NAME.json: data as producers put it on the wire. What is stored never changes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker

from berth_events.contracts import event_schema, event_types
from berth_events.contracts.schema import JsonSchema
from berth_events.contracts.upcasting import UPCASTERS, read_event

__all__ = ["Samples", "load_samples", "sample_problems"]

#: (type, version) -> name -> data
Samples = Mapping[tuple[str, int], Mapping[str, Any]]

_FEWEST: Final = 2


def load_samples(directory: Path) -> Samples:
    """Read samples/TYPE/VERSION/NAME.json."""
    samples: dict[tuple[str, int], dict[str, Any]] = {}
    for file in sorted(directory.glob("*/*/*.json")):
        kind = (file.parent.parent.name, int(file.parent.name))
        samples.setdefault(kind, {})[file.stem] = json.loads(file.read_text(encoding="utf-8"))
    return samples


def sample_problems(samples: Samples, published: Mapping[tuple[str, int], JsonSchema]) -> Iterator[str]:
    """What is wrong with the samples or with the models that have to read them.

    Args:
        samples: all that are stored.
        published: the schemas as committed, which may lag behind the models.
    """
    known = event_types()
    for name, version in sorted(known.keys() | UPCASTERS.keys()):
        if len(samples.get((name, version), {})) < _FEWEST:
            yield f"{name}/{version}: fewer than {_FEWEST} samples; store a full and a minimal one"
    for (name, version), each in samples.items():
        for label, data in each.items():
            for problem in _one(name, version, data, published):
                yield f"{name}/{version}/{label}: {problem}"
    for kind, event in sorted(known.items()):
        for path in sorted(_paths(event_schema(event)) - set().union(*map(_filled, samples.get(kind, {}).values()))):
            yield f"{kind[0]}/{kind[1]}: no sample has a value for {path}"


def _one(name: str, version: int, data: Any, published: Mapping[tuple[str, int], JsonSchema]) -> Iterator[str]:
    """Today's model reads it, and what today's model writes is read by whoever has the published schema."""
    if (name, version) in published:
        yield from _violations(data, published[name, version], "it violates the published schema")
    try:
        event = read_event(name, version, json.dumps(data).encode())
    except ValueError as error:
        yield f"today's model refuses it: {error}"
        return
    if event is None:
        yield "no model and no upcaster reads it; keep one"
        return
    written = event.model_dump(mode="json")
    if event.version == version and not _holds(written, data):
        yield "today's model reads it and writes something else"
    if (name, event.version) in published:
        yield from _violations(
            written, published[name, event.version], "older readers refuse what is written of it today"
        )


def _violations(data: Any, schema: JsonSchema, what: str) -> Iterator[str]:
    for error in Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(data):
        yield f"{what}: {error.json_path} {error.message}"


def _holds(written: Any, stored: Any) -> bool:
    """Whether everything stored is in what was written; fields that were added since may come on top."""
    if isinstance(stored, dict) and isinstance(written, dict):
        return all(name in written and _holds(written[name], value) for name, value in stored.items())
    if isinstance(stored, list) and isinstance(written, list) and len(stored) == len(written):
        return all(map(_holds, written, stored))
    return bool(written == stored)


def _paths(schema: JsonSchema) -> set[str]:
    """Every field of the schema, as a path without indices."""

    def walk(node: JsonSchema, path: str) -> Iterator[str]:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        for alternative in node.get("anyOf", ()):
            yield from walk(alternative, path)
        if "items" in node:
            yield from walk(node["items"], path)
        for name, field in node.get("properties", {}).items():
            yield f"{path}.{name}".lstrip(".")
            yield from walk(field, f"{path}.{name}".lstrip("."))

    return set(walk(schema, ""))


def _filled(data: Any, path: str = "") -> set[str]:
    """The paths in the data that have a value: not null, not an empty list."""
    found = set[str]()
    if isinstance(data, list):
        for item in data:
            found |= _filled(item, path)
    elif isinstance(data, dict):
        for name, value in data.items():
            if value not in (None, []):
                found |= {f"{path}.{name}".lstrip(".")} | _filled(value, f"{path}.{name}".lstrip("."))
    return found
