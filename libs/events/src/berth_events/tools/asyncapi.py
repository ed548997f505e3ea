"""The AsyncAPI 3.0 document: topics as channels, event types as messages, what each service sends."""

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from berth_events.contracts import Event, event_types
from berth_events.contracts.cloudevents import schema_urn
from berth_events.contracts.schema import JsonSchema, SchemaGenerator
from berth_events.contracts.topics import CATALOGUE, PARTITIONS, TOPICS
from berth_events.tools.samples import Samples

__all__ = ["asyncapi_document"]

_KAFKA_BINDING: Final = "0.5.0"
_UUID: Final = {"type": "string", "format": "uuid"}
_HEADERS: Final[JsonSchema] = {
    "type": "object",
    "description": "CloudEvents 1.0, Kafka protocol binding, binary mode. Header values are UTF-8.",
    "required": [
        *("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_partitionkey", "ce_sequence"),
        *("ce_dataschema", "content-type"),
    ],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": _UUID | {"description": "id of the event; the same when it is delivered again"},
        "ce_source": {"type": "string", "format": "uri-reference", "description": "the service that committed it"},
        "ce_type": {"type": "string", "description": "the event type"},
        "ce_time": {"type": "string", "format": "date-time", "description": "when it was committed"},
        "ce_subject": _UUID | {"description": "id of the aggregate"},
        "ce_partitionkey": _UUID | {"description": "id of the aggregate, which is the key of the record"},
        "ce_sequence": {
            "type": "string",
            "pattern": "^[0-9]{20}$",
            "description": "version of the aggregate's stream after this event, from 1 and without gaps",
        },
        "ce_dataschema": {"type": "string", "format": "uri", "description": "urn:berth:event:TYPE:VERSION"},
        "ce_correlationid": _UUID | {"description": "the request that it all began with"},
        "ce_causationid": _UUID | {"description": "the event that led to this one"},
        "ce_traceparent": {"type": "string", "description": "W3C Trace Context"},
        "traceparent": {"type": "string", "description": "the same, where tracing libraries look for it"},
        "content-type": {"type": "string", "const": "application/json"},
    },
}


def asyncapi_document(samples: Samples) -> dict[str, Any]:
    """The document as JSON values; `samples` become the examples of the messages."""
    events = list(event_types().values())
    modes = [(event, "validation") for event in events]
    references, definitions = models_json_schema(
        modes,  # type: ignore[arg-type]  # the literal type is lost in the list
        schema_generator=SchemaGenerator,
        ref_template="#/components/schemas/{model}",
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Berth events",
            "version": "1.0.0",
            "description": "Facts about mailboxes at scale. The guarantees are in docs/events.md.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_short(topic): _channel(topic, events) for topic in TOPICS},
        "operations": {f"send-{_short(topic)}": _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {
                _message_id(event): _message(
                    event,
                    references[event, "validation"],
                    samples.get((event.__name__, event.version), {}),
                )
                for event in events
            },
            "schemas": {"CloudEventHeaders": _HEADERS} | definitions["$defs"],
        },
    }


def _short(topic: str) -> str:
    return topic.split(".")[1]


def _message_id(event: type[Event]) -> str:
    return f"{event.__name__}.v{event.version}"


def _channel(topic: str, events: list[type[Event]]) -> dict[str, Any]:
    about = CATALOGUE[topic]
    return {
        "address": topic,
        "summary": about.summary,
        "description": f"Key: id of the {about.aggregate}. The events of one key are in order.",
        "messages": {
            _message_id(event): {"$ref": f"#/components/messages/{_message_id(event)}"}
            for event in events
            if event.topic == topic
        },
        "bindings": {"kafka": {"topic": topic, "partitions": PARTITIONS, "bindingVersion": _KAFKA_BINDING}},
    }


def _operation(topic: str) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{_short(topic)}"},
        "summary": f"Sent by {CATALOGUE[topic].source}.",
    }


def _message(event: type[Event], payload: JsonSchema, samples: Any) -> dict[str, Any]:
    return {
        "name": event.__name__,
        "title": event.__name__,
        "summary": (event.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
        "headers": {
            "allOf": [
                {"$ref": "#/components/schemas/CloudEventHeaders"},
                {
                    "type": "object",
                    "properties": {
                        "ce_type": {"type": "string", "const": event.__name__},
                        "ce_dataschema": {"type": "string", "const": schema_urn(event)},
                    },
                },
            ]
        },
        "payload": payload,
        "bindings": {"kafka": {"key": _UUID, "bindingVersion": _KAFKA_BINDING}},
        "examples": [{"name": label, "payload": data} for label, data in samples.items()],
    }
