"""What is published of the contracts is what the models say, and the check notices whatever may not be published."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import jsonschema
import pytest
from hypothesis import given
from pydantic import AfterValidator, Field, PlainSerializer

from berth_events.contracts import Envelope, Event, to_binary, upcasting
from berth_events.contracts import base as contracts_base
from berth_events.contracts.base import Identifier
from berth_events.contracts.topics import TOPICS
from berth_events.tools.__main__ import main
from berth_events.tools.schemas import Places, differences, problems
from berth_testing.events import envelopes

REPOSITORY = Path(__file__).parents[4]
PUBLISHED = Places.below(REPOSITORY)


def test_what_is_committed_is_up_to_date() -> None:
    """In a process of its own, where no test has made up further types."""
    done = subprocess.run(
        [sys.executable, "-m", "berth_events.tools", "--check", "--repository", str(REPOSITORY)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


THING = UUID(int=9)
FULL = {"thing_id": str(THING), "colour": "red", "note": "twice"}
MINIMAL = {"thing_id": str(THING), "colour": "blue"}


def painted(version: int = 1, **fields: tuple[object, object]) -> type[Event]:
    """ThingPainted with further fields, or with others instead of its own."""
    own = {
        "thing_id": (Identifier, Field(description="the thing")),
        "colour": (Literal["red", "blue"], Field(description="its colour")),
        "note": (str | None, Field(default=None, description="a remark")),
    }
    every = {name: kind for name, kind in (own | fields).items() if kind}
    body = {
        "__doc__": "A synthetic type.",
        "__annotations__": {name: kind for name, (kind, _) in every.items()},
        "topic": TOPICS[0],
        "key_field": "thing_id",
        "version": version,
        **{name: field for name, (_, field) in every.items()},
    }
    body["__annotations__"] |= {"topic": ClassVar[str], "key_field": ClassVar[str], "version": ClassVar[int]}
    return type(Event)("ThingPainted", (Event,), body, abstract=True)


class Bench:
    """A repository with one published type, whose model the test replaces."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.places, self._monkeypatch = root, Places.below(root), monkeypatch
        for name, data in {"full": FULL, "minimal": MINIMAL}.items():
            self.sample(name, data)
        self.places.catalogue.parent.mkdir(parents=True)
        self.use(painted())
        assert self.write() == 0

    def use(self, *models: type[Event]) -> None:
        registry = {(model.__name__, model.version): model for model in models}
        self._monkeypatch.setattr(contracts_base, "_REGISTRY", registry)

    def sample(self, name: str, data: object, version: int = 1) -> None:
        file = self.places.samples / "ThingPainted" / str(version) / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(data))

    def write(self) -> int:
        return main(["--repository", str(self.root)])

    def check(self) -> int:
        return main(["--check", "--repository", str(self.root)])

    @property
    def schema(self) -> Path:
        return self.places.schemas / "ThingPainted" / "1.json"

    def problems(self) -> list[str]:
        return list(problems(self.places))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_what_was_written_passes_the_check(bench: Bench) -> None:
    assert bench.check() == 0
    assert json.loads(bench.schema.read_text())["$id"] == "urn:berth:event:ThingPainted:1"


@pytest.mark.parametrize("name", ["schema", "asyncapi", "catalogue"])
def test_a_file_that_was_changed_or_lost_fails_the_check(
    bench: Bench, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = {"schema": bench.schema, "asyncapi": bench.places.asyncapi, "catalogue": bench.places.catalogue}[name]
    text = file.read_text()
    file.write_text(text + "\n")
    assert bench.check() == 1
    assert "is out of date; run `make schemas`" in capsys.readouterr().err
    file.unlink()
    assert bench.check() == 1
    assert bench.write() == 0
    assert file.read_text() == text


def test_an_addition_is_a_difference_until_it_is_written(bench: Bench) -> None:
    bench.use(painted(gloss=(str, Field(default="matt", description="how it shines"))))
    bench.sample("glossy", FULL | {"gloss": "high"})
    assert bench.problems() == []
    assert "ThingPainted/1.json is out of date" in list(differences(bench.places))
    assert (bench.check(), bench.write(), bench.check()) == (1, 0, 0)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"note": None}, "data.note: removed field"),
        ({"gloss": (str, Field(description="how it shines"))}, "data.gloss: new required field"),
        ({"colour": (int, Field(description="its colour"))}, "data.colour: changed type"),
        ({"colour": (Literal["red"], Field(description="its colour"))}, "data.colour: narrowed enumeration"),
        ({"colour": (Literal["red", "blue", "x"], Field(description="its colour"))}, "data.colour: widened enumeration"),
        ({"note": (str | None, Field(default=None, max_length=9, description="a remark"))}, "data.note: narrowed limit"),
    ],
)  # fmt: skip
def test_an_incompatible_change_is_refused_and_not_written(
    bench: Bench, capsys: pytest.CaptureFixture[str], fields: dict[str, tuple[object, object]], sentence: str
) -> None:
    before = bench.schema.read_text()
    bench.use(painted(**fields))
    assert (bench.check(), bench.write()) == (1, 1)
    assert f"ThingPainted/1: {sentence}" in capsys.readouterr().err
    assert bench.schema.read_text() == before


def test_a_stored_sample_that_todays_model_refuses(bench: Bench) -> None:
    bench.use(painted(gloss=(str, Field(description="how it shines"))))
    assert any(found.startswith("ThingPainted/1/full: today's model refuses it") for found in bench.problems())


def test_a_stored_sample_that_todays_model_reads_as_something_else(bench: Bench) -> None:
    def shout(text: str | None) -> str | None:
        return text and text.upper()

    loud = (Annotated[str | None, AfterValidator(shout)], Field(default=None, description="a remark"))
    bench.use(painted(note=loud))
    assert bench.problems() == ["ThingPainted/1/full: today's model reads it and writes something else"]


def test_what_todays_model_writes_must_be_read_by_older_readers(bench: Bench) -> None:
    """Which the structure does not show: the schema of what is read is the same."""
    serialised = PlainSerializer(lambda colour: f"light {colour}", return_type=str)
    bench.use(painted(colour=(Annotated[Literal["red", "blue"], serialised], Field(description="its colour"))))
    assert any("older readers refuse what is written of it today" in found for found in bench.problems())


def test_a_sample_that_violates_what_was_published(bench: Bench) -> None:
    bench.sample("third", MINIMAL | {"colour": "green"})
    found = bench.problems()
    assert any(each.startswith("ThingPainted/1/third: it violates the published schema: $.colour") for each in found)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("full", None, "ThingPainted/1: fewer than 2 samples; store a full and a minimal one"),
        ("full", MINIMAL, "ThingPainted/1: no sample has a value for note"),
    ],
)
def test_samples_must_be_enough_and_have_every_field(bench: Bench, name: str, data: object, problem: str) -> None:
    if data is None:
        (bench.places.samples / "ThingPainted" / "1" / f"{name}.json").unlink()
    else:
        bench.sample(name, data)
    assert problem in bench.problems()


def test_a_published_version_needs_a_reader_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.use(painted(version=2, note=None, notes=(tuple[str, ...], Field(description="remarks"))))
    for name, notes in {"full": ["twice"], "minimal": []}.items():
        bench.sample(name, {"thing_id": str(THING), "colour": "red", "notes": notes}, version=2)
    found = bench.problems()
    assert "ThingPainted/1: was published, and nothing reads it any more; keep the model or add an upcaster" in found
    assert "ThingPainted/1/full: no model and no upcaster reads it; keep one" in found

    def upcast(data: dict[str, object]) -> dict[str, object]:
        return {
            **{name: data[name] for name in ("thing_id", "colour")},
            "notes": [data["note"]] if data.get("note") else [],
        }

    monkeypatch.setitem(upcasting.UPCASTERS, ("ThingPainted", 1), upcast)
    before = bench.schema.read_text()
    assert bench.problems() == []
    assert (bench.write(), bench.check()) == (0, 0)
    assert bench.schema.read_text() == before


def test_an_upcaster_must_read_every_stored_sample(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.use(painted(version=2))
    for name, data in {"full": FULL, "minimal": MINIMAL}.items():
        bench.sample(name, data, version=2)
    monkeypatch.setitem(upcasting.UPCASTERS, ("ThingPainted", 1), lambda data: {"thing_id": data["thing_id"]})
    assert [each for each in bench.problems() if each.startswith("ThingPainted/1/full: today's model refuses it")]


def test_another_folder_than_a_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--repository", str(tmp_path)])
    assert "is no checkout of the repository" in capsys.readouterr().err


DOCUMENT = json.loads(PUBLISHED.asyncapi.read_text())


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    def references(node: object) -> list[str]:
        if isinstance(node, list):
            return [each for item in node for each in references(item)]
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [each for item in node.values() for each in references(item)]
        return []

    found = references({name: part for name, part in DOCUMENT.items() if name != "examples"})
    assert len(found) > 50
    for reference in found:
        node = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_example_of_the_asyncapi_document_is_valid() -> None:
    for name, message in DOCUMENT["components"]["messages"].items():
        assert len(message["examples"]) >= 2, name
        for example in message["examples"]:
            jsonschema.validate(example["payload"], {**message["payload"], "components": DOCUMENT["components"]})


@given(envelope=envelopes())
def test_the_headers_are_as_the_asyncapi_document_says(envelope: Envelope) -> None:
    headers = {name: raw.decode() for name, raw in to_binary(envelope)[0]}
    message = DOCUMENT["components"]["messages"][f"{envelope.type}.v{envelope.data.version}"]
    schema = {**message["headers"], "components": DOCUMENT["components"]}
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    validator.validate(headers)
    assert headers.keys() <= DOCUMENT["components"]["schemas"]["CloudEventHeaders"]["properties"].keys()


def test_every_topic_is_a_channel() -> None:
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == set(TOPICS)
    listed = [name for channel in DOCUMENT["channels"].values() for name in channel["messages"]]
    assert sorted(listed) == sorted(DOCUMENT["components"]["messages"])
    for channel in DOCUMENT["channels"].values():
        for name in channel["messages"]:
            assert f"`{channel['address']}`" in PUBLISHED.catalogue.read_text()
            assert f"### {name.partition('.')[0]}\n" in PUBLISHED.catalogue.read_text()
