"""Old versions of an event are read as the newest: a synthetic type with three versions."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

import pytest

from berth_events.contracts import AccountSuspended, Event, InvalidRecord, UnknownEvent, from_binary, upcasting
from berth_events.contracts import base as contracts_base
from berth_events.contracts.upcasting import Upcaster, read_event, read_event_data

THING = UUID(int=9)


class ThingNamed(Event, abstract=True):
    """Version 3 of it; of the older ones nothing is left but their upcasters."""

    topic: ClassVar[str] = "berth.things.v1"
    key_field: ClassVar[str] = "thing_id"
    version: ClassVar[int] = 3

    thing_id: UUID
    names: tuple[str, ...]
    language: str


def split_name(data: dict[str, Any]) -> dict[str, Any]:
    """1 -> 2: `name` becomes `names`."""
    return {"thing_id": data["thing_id"], "names": data["name"].split()}


def add_language(data: dict[str, Any]) -> dict[str, Any]:
    """2 -> 3: `language` is required."""
    return data | {"language": "en"}


CHAIN: Mapping[tuple[str, int], Upcaster] = {("ThingNamed", 1): split_name, ("ThingNamed", 2): add_language}

STORED = {
    1: {"thing_id": str(THING), "name": "Ada Lovelace"},
    2: {"thing_id": str(THING), "names": ["Ada", "Lovelace"]},
    3: {"thing_id": str(THING), "names": ["Ada", "Lovelace"], "language": "en"},
}
NEWEST = ThingNamed(thing_id=THING, names=("Ada", "Lovelace"), language="en")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contracts_base._REGISTRY, ("ThingNamed", 3), ThingNamed)
    for step, upcaster in CHAIN.items():
        monkeypatch.setitem(upcasting.UPCASTERS, step, upcaster)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_is_read_as_the_newest(version: int) -> None:
    assert read_event("ThingNamed", version, json.dumps(STORED[version]).encode()) == NEWEST
    assert read_event_data("ThingNamed", version, STORED[version]) == NEWEST


def record(version: int, value: bytes) -> tuple[dict[str, bytes], bytes]:
    headers = {
        "ce_specversion": b"1.0",
        "ce_id": str(UUID(int=1)).encode(),
        "ce_source": b"/berth/things",
        "ce_type": b"ThingNamed",
        "ce_time": b"2026-11-21T09:30:00Z",
        "ce_subject": str(THING).encode(),
        "ce_sequence": b"1",
        "ce_dataschema": f"urn:berth:event:ThingNamed:{version}".encode(),
    }
    return headers, value


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_record_of_every_version_is_read_as_the_newest(version: int) -> None:
    assert getattr(from_binary(*record(version, json.dumps(STORED[version]).encode())), "data", None) == NEWEST


def test_a_version_newer_than_the_newest_is_unknown() -> None:
    assert read_event("ThingNamed", 4, b"{}") is None
    assert isinstance(from_binary(*record(4, b"{}")), UnknownEvent)


def test_upcasting_leaves_what_is_stored_as_it_is() -> None:
    data = {"thing_id": str(THING), "name": "Ada Lovelace"}
    read_event_data("ThingNamed", 1, data)
    assert data == {"thing_id": str(THING), "name": "Ada Lovelace"}


@pytest.mark.parametrize("value", [b"{}", b"[]", b"7", b"null", b'{"thing_id": "x", "name": 5}', b"{", b'"x"'])
def test_data_that_is_not_of_its_version_is_refused_as_data(value: bytes) -> None:
    """And not as a missing header or as a defect of the upcaster: the record is parked at once."""
    with pytest.raises(InvalidRecord, match=r"^data"):
        from_binary(*record(1, value))


def test_the_result_of_the_chain_is_validated() -> None:
    with pytest.raises(InvalidRecord, match=r"data\.thing_id"):
        from_binary(*record(2, b'{"thing_id": "x", "names": []}'))


def test_a_version_that_was_never_known_cannot_be_stored_data() -> None:
    with pytest.raises(KeyError):
        read_event_data("ThingNamed", 4, {})


def test_types_without_upcasters_are_read_directly() -> None:
    event = AccountSuspended(account_id=THING, organization_id=THING, project_id=THING)
    assert read_event("AccountSuspended", 1, event.model_dump_json().encode()) == event
    assert read_event_data("AccountSuspended", 1, event.model_dump(mode="json")) == event
