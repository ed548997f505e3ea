"""Which changes of a schema are refused within a version, each with its reason; and which are allowed."""

from enum import Enum
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field, StringConstraints

from berth_events.contracts import Event, Value, event_schema
from berth_events.contracts.base import Identifier
from berth_events.tools.compatibility import incompatible_changes


class Server(Value):
    """A part of the event."""

    host: str
    port: int = Field(ge=1, le=65535)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


FIELDS: dict[str, Any] = {
    "thing_id": (Identifier, ...),
    "name": (Annotated[str, StringConstraints(min_length=1, max_length=100)], ...),
    "kind": (Literal["a", "b"], ...),
    "only": (Literal["x"], ...),
    "colour": (Colour, Colour.RED),
    "count": (int, 0),
    "note": (str | None, None),
    "server": (Server, ...),
    "maybe": (Server | None, None),
    "servers": (tuple[Server, ...], ()),
    "tags": (tuple[str, ...], Field(default=(), max_length=5)),
    "pair": (tuple[int, str], ...),
    "labels": (dict[str, int], ...),
}


CLASS_FIELDS: dict[str, Any] = {"topic": ClassVar[str], "key_field": ClassVar[str]}


def event(topic: str = "berth.things.v1", **changes: Any) -> type[Event]:
    """A type with FIELDS, some of them changed, added, or (None) left out."""
    fields = {name: kind for name, kind in (FIELDS | changes).items() if kind is not None}
    body = {
        "__doc__": "A synthetic type.",
        "__annotations__": {name: kind for name, (kind, _) in fields.items()}
        | {"topic": ClassVar[str], "key_field": ClassVar[str]},
        "topic": topic,
        "key_field": "thing_id",
        **{name: default for name, (_, default) in fields.items() if default is not ...},
    }
    return type(Event)("Thing", (Event,), body, abstract=True)


def named(default: Any = ..., **limits: Any) -> type[Event]:
    """The type with other limits of its name."""
    return event(name=(Annotated[str, StringConstraints(**limits)], default))


def changes(after: type[Event], before: type[Event] | None = None) -> list[str]:
    return incompatible_changes(event_schema(before or event()), event_schema(after))


class OtherPort(Server):
    """The same part with a narrower port."""

    port: int = Field(ge=1, le=1023)


class NoPort(Value):
    """The same part without its port."""

    host: str


class MorePort(Server):
    """The same part with a new field."""

    scheme: str = "imaps"


class NeedyPort(Server):
    """The same part with a new required field."""

    scheme: str


@pytest.mark.parametrize(
    "after",
    [
        event(),
        event(extra=(str, "")),
        event(extra=(Server | None, None)),
        event(extra=(tuple[str, ...], ())),
        event(server=(MorePort, ...)),
        event(servers=(tuple[MorePort, ...], ())),
        event(
            name=(Annotated[str, StringConstraints(min_length=1, max_length=100)], Field(description="described now"))
        ),
    ],
    ids=[
        "same",
        "field with default",
        "nullable object",
        "list",
        "field in an object",
        "in a list of objects",
        "description",
    ],
)
def test_allowed(after: type[Event]) -> None:
    assert changes(after) == []


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (event(note=None), ["data.note: removed field"]),
        (event(name=None), ["data.name: removed field"]),
        (event(extra=(str, ...)), ["data.extra: new required field; older records lack it, give it a default"]),
        (event(server=(NeedyPort, ...)), ["data.server.scheme: new required field; older records lack it, give it a default"]),
        (event(server=(NoPort, ...)), ["data.server.port: removed field"]),
        (event(count=(int, ...)), ["data.count: is required now", "data.count: changed default"]),
        (named("x", min_length=1, max_length=100), ["data.name: is not required any more", "data.name: changed default"]),
        (event(count=(float, 0)), ["data.count: changed type, integer became number"]),
        (event(count=(str, "0")), ["data.count: changed type, integer became string"]),
        (event(server=(Server | None, ...)), ["data.server: changed type, object became anyOf of 2"]),
        (event(note=(str, "")), ["data.note: changed type, anyOf of 2 became string"]),
        (event(kind=(str, ...)), ["data.kind: changed type, the values are enumerated only on one side"]),
        (event(kind=(Literal["a"], ...)), ["data.kind: narrowed enumeration, older records may hold 'b'"]),
        (event(kind=(Literal["a", "b", "c"], ...)), ["data.kind: widened enumeration, older readers refuse 'c'"]),
        (event(only=(Literal["x", "y"], ...)), ["data.only: widened enumeration, older readers refuse 'y'"]),
        (event(only=(Literal["y"], ...)), ["data.only: narrowed enumeration", "data.only: widened enumeration"]),
        (event(colour=(Literal["red"], "red")), ["data.colour: narrowed enumeration, older records may hold 'blue'"]),
        (named(min_length=2, max_length=100), ["data.name: narrowed limit, minLength was 1 and is 2"]),
        (named(max_length=100), ["data.name: widened limit, minLength was 1 and is None"]),
        (named(min_length=1, max_length=99), ["data.name: narrowed limit, maxLength was 100 and is 99"]),
        (named(min_length=1, max_length=101), ["data.name: widened limit, maxLength was 100 and is 101"]),
        (named(min_length=1, max_length=100, pattern="a"), ["data.name: changed pattern, None became a"]),
        (event(thing_id=(str, ...)), ["data.thing_id: changed format, uuid became None"]),
        (event(count=(int, 1)), ["data.count: changed default"]),
        (event(count=(Annotated[int, Field(ge=0)], 0)), ["data.count: narrowed limit, minimum was None and is 0"]),
        (event(server=(OtherPort, ...)), ["data.server.port: narrowed limit, maximum was 65535 and is 1023"]),
        (event(maybe=(OtherPort | None, None)), ["data.maybe.port: narrowed limit"]),
        (event(servers=(tuple[OtherPort, ...], ())), ["data.servers[].port: narrowed limit"]),
        (event(tags=(tuple[str, ...], Field(default=(), max_length=6))), ["data.tags: widened limit, maxItems was 5 and is 6"]),
        (event(tags=(tuple[int, ...], Field(default=(), max_length=5))), ["data.tags[]: changed type, string became integer"]),
        (event(pair=(tuple[int, int], ...)), ["data.pair: changed type, string became integer"]),
        (event(labels=(dict[str, str], ...)), ["data.labels.*: changed type, integer became string"]),
        (event(topic="berth.others.v1"), ["data: changed x-topic, berth.things.v1 became berth.others.v1"]),
    ],
)  # fmt: skip
def test_refused(after: type[Event], expected: list[str]) -> None:
    found = changes(after)
    assert len(found) == len(expected), found
    for sentence in expected:
        assert any(each.startswith(sentence) for each in found), found


def test_another_key_is_refused() -> None:
    other = event(other_id=(Identifier, ...))
    moved = event(other_id=(Identifier, ...))
    moved.key_field = "other_id"
    assert changes(moved, other) == ["data: changed x-key, thing_id became other_id"]


def test_what_is_added_may_not_be_removed_again() -> None:
    assert changes(event(), event(extra=(str, ""))) == ["data.extra: removed field"]
