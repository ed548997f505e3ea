"""The JSON Schema (2020-12) of an event type's data, generated from its model."""

from typing import Any, TypeAlias

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from berth_events.contracts.base import Event
from berth_events.contracts.cloudevents import schema_urn

__all__ = ["JsonSchema", "SchemaGenerator", "event_schema"]

JsonSchema: TypeAlias = dict[str, Any]


class SchemaGenerator(GenerateJsonSchema):
    """Leaves out the titles that are made of the fields' names: they say nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the signature of pydantic
        """Never."""
        return False

    def generate(self, schema: CoreSchema, mode: Any = "validation") -> JsonSchema:
        """Add the dialect."""
        return {"$schema": self.schema_dialect, **super().generate(schema, mode)}


def event_schema(event: type[Event]) -> JsonSchema:
    """The schema of the data of one event type in one version.

    It describes what a reader accepts: fields with a default may be missing, because an older record lacks them, and
    unknown fields are allowed. `x-topic` and `x-key` name the topic and the field whose value is the record's key.
    """
    generated = event.model_json_schema(schema_generator=SchemaGenerator)
    definitions = generated.pop("$defs", {})
    head = {"$schema": generated.pop("$schema"), "$id": schema_urn(event), "title": generated.pop("title")}
    about = {"description": generated.pop("description"), "x-topic": event.topic, "x-key": event.key_field}
    return head | about | generated | ({"$defs": definitions} if definitions else {})
