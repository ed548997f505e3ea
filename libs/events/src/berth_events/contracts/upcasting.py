"""Reading old versions of an event: pure functions from version N to N + 1, applied in a chain. Stored events never change."""

import json
from collections.abc import Callable
from typing import Any, Final

from berth_events.contracts.base import Event, event_types

__all__ = ["UPCASTERS", "Upcaster", "read_event"]

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

#: (type, version) -> the function that makes version + 1 of it. Every entry has golden samples of both versions.
UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {}


def read_event(
    type_name: str,
    version: int,
    value: bytes,
    upcasters: dict[tuple[str, int], Upcaster] = UPCASTERS,
) -> Event | None:
    """Validate an event's JSON, upcast to the newest version known.

    Returns:
        The event, or None when its type or version is newer than this code.

    Raises:
        ValueError: the JSON violates the model of its version.
    """
    known = event_types()
    if (type_name, version) in known and (type_name, version) not in upcasters:
        return known[type_name, version].model_validate_json(value)
    if (type_name, version) not in upcasters:
        return None
    data = json.loads(value)
    while (type_name, version) in upcasters:
        data, version = upcasters[type_name, version](data), version + 1
    return known[type_name, version].model_validate_json(json.dumps(data))
