"""Reading old versions of an event: pure functions from version N to N + 1, applied in a chain. Stored events never change."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic_core import from_json

from berth_events.contracts.base import Event, event_types

__all__ = ["UPCASTERS", "Upcaster", "read_event", "read_event_data"]

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

#: (type, version) -> the function that makes version + 1 of it. Every entry has golden samples of both versions.
UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {}


def read_event(
    type_name: str,
    version: int,
    value: bytes,
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
) -> Event | None:
    """Validate an event's JSON, upcast to the newest version known.

    Returns:
        The event, or None when its type or version is newer than this code.

    Raises:
        ValueError: the JSON violates the model of its version.
    """
    known = event_types()
    if (type_name, version) in upcasters:
        return read_event_data(type_name, version, from_json(value, allow_inf_nan=False), upcasters)
    if (type_name, version) in known:
        return known[type_name, version].model_validate_json(value)
    return None


def read_event_data(
    type_name: str,
    version: int,
    data: dict[str, Any],
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
) -> Event:
    """The same for data that is parsed already, as the event store holds it.

    Raises:
        KeyError: the type or version is not known.
        ValueError: the data violates the model of its version.
    """
    while (type_name, version) in upcasters:
        try:
            data = upcasters[type_name, version](data)
        except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
            raise ValueError(f"the data is not what version {version} of {type_name} holds") from error
        version += 1
    return event_types()[type_name, version].model_validate_json(json.dumps(data))
