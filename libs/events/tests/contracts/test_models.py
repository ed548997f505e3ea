"""The models themselves: what they accept, and what is registered."""

import json
import math
import subprocess
import sys
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from berth_events import contracts
from berth_events.contracts import AccountSuspended, Event, domain_id, event_schema, event_types
from berth_events.contracts.topics import CATALOGUE, TOPICS
from berth_testing.events import event_data

EVENTS = [event for event in event_types().values() if event.__module__.startswith("berth_events.")]
IDS = {"account_id": UUID(int=1), "organization_id": UUID(int=2), "project_id": UUID(int=3)}


def by_name(event: type[Event]) -> str:
    return f"{event.__name__}-{event.version}"


@given(data=st.data())
def test_whatever_the_schema_allows_is_read_and_written_again(data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(EVENTS))
    value = data.draw(event_data(event))
    read = event.model_validate_json(json.dumps(value))
    written = json.loads(read.model_dump_json())
    assert event.model_validate(written) == read
    jsonschema.validate(written, event_schema(event))
    assert set(value) <= set(written)


@pytest.mark.parametrize("event", EVENTS, ids=by_name)
def test_every_field_is_described_for_a_stranger(event: type[Event]) -> None:
    schema = event_schema(event)
    for part in (schema, *schema.get("$defs", {}).values()):
        assert part["description"]
        for name, field in part["properties"].items():
            assert field.get("description"), f"{part['title']}.{name} has no description"


@pytest.mark.parametrize("event", EVENTS, ids=by_name)
def test_every_type_belongs_to_a_topic_and_is_exported(event: type[Event]) -> None:
    assert event.topic in TOPICS
    assert event_schema(event)["properties"][event.key_field]["format"] == "uuid"
    assert getattr(contracts, event.__name__) is event
    assert event.__name__ in contracts.__all__


def test_the_catalogue_knows_every_topic() -> None:
    assert tuple(CATALOGUE) == TOPICS
    assert {event.topic for event in EVENTS} == set(TOPICS)


def test_events_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AccountSuspended(**IDS).reason = "x"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("a\0b", "a\ufffdb"),
        ("\ud800", "\ufffd"),
        ("x\udfffy", "x\ufffdy"),
        ("\ud83d\udd11", "🔑"),
        ("grüß 🔑", "grüß 🔑"),
    ],
)
def test_what_postgres_and_utf8_cannot_hold_does_not_keep_a_fact_from_being_recorded(text: str, stored: str) -> None:
    event = AccountSuspended(**IDS, reason=text)
    assert event.reason == stored
    assert AccountSuspended.model_validate_json(event.model_dump_json()) == event
    assert b"\\u0000" not in event.model_dump_json().encode()


@pytest.mark.parametrize("duration", [math.nan, math.inf, -1.0])
def test_durations_are_finite(duration: float) -> None:
    step: dict[str, Any] = {
        "protocol": "imap",
        "name": "resolve",
        "outcome": "ok",
        "started_at": "2026-01-01T00:00:00Z",
    }
    with pytest.raises(ValidationError):
        contracts.Step(**step, duration_ms=duration)


def test_a_domain_has_the_same_id_however_it_is_written() -> None:
    assert domain_id("Example.COM.") == domain_id("example.com") == UUID("cfbff0d1-9375-5685-968c-48ce8b15ae17")


BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

ALLOWED = sys.stdlib_module_names | {"berth_events", "pydantic", "pydantic_core", "annotated_types", "typing_extensions",
                                     "typing_inspection"}
sys.meta_path.insert(0, Blocker())
import berth_events.contracts
from berth_events.contracts import AccountSuspended, event_schema, from_binary, to_binary
event_schema(AccountSuspended)
loaded = {name.partition(".")[0] for name in sys.modules} & {"asyncpg", "aiokafka", "fastapi", "structlog", "jsonschema"}
assert not loaded, loaded
assert "berth_events.runtime" not in sys.modules
"""


def test_the_contracts_need_nothing_but_pydantic() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKER], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
