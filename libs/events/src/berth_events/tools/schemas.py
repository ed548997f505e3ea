"""Generates what is published of the contracts, and checks that it may be: JSON Schemas, AsyncAPI document, event catalogue."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from berth_events.contracts import event_schema, event_types
from berth_events.contracts.schema import JsonSchema
from berth_events.contracts.upcasting import UPCASTERS
from berth_events.tools.asyncapi import asyncapi_document
from berth_events.tools.catalogue import catalogue
from berth_events.tools.compatibility import incompatible_changes
from berth_events.tools.samples import load_samples, sample_problems

__all__ = ["Places", "differences", "generate", "problems"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where things are."""

    schemas: Path
    samples: Path
    asyncapi: Path
    catalogue: Path

    @classmethod
    def below(cls, repository: Path) -> Self:
        """In a checkout of the repository."""
        events = repository / "libs" / "events"
        return cls(
            schemas=events / "schemas",
            samples=events / "samples",
            asyncapi=events / "asyncapi.json",
            catalogue=repository / "docs" / "events.md",
        )


def generate(places: Places) -> dict[Path, str]:
    """The text of every generated file."""
    schemas = {
        places.schemas / name / f"{version}.json": _json(event_schema(event))
        for (name, version), event in event_types().items()
    }
    return schemas | {
        places.asyncapi: _json(asyncapi_document(load_samples(places.samples))),
        places.catalogue: catalogue(),
    }


def problems(places: Places) -> Iterator[str]:
    """What forbids publishing: incompatible changes, types that nobody reads any more, samples that are missing or refused."""
    published = _published(places)
    known = event_types()
    for (name, version), schema in sorted(published.items()):
        if (name, version) in known:
            for change in incompatible_changes(schema, event_schema(known[name, version])):
                yield f"{name}/{version}: {change}"
        elif (name, version) not in UPCASTERS:
            yield f"{name}/{version}: was published, and nothing reads it any more; keep the model or add an upcaster"
    yield from sample_problems(load_samples(places.samples), published)


def differences(places: Places) -> Iterator[str]:
    """Generated files that are not what they would be now."""
    for file, text in generate(places).items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            yield f"{file.name if file.parent.parent != places.schemas else file.relative_to(places.schemas)} is out of date"


def _published(places: Places) -> Mapping[tuple[str, int], JsonSchema]:
    return {
        (file.parent.name, int(file.stem)): json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(places.schemas.glob("*/*.json"))
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
