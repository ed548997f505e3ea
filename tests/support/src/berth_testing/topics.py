"""What a consumer of another team sees: whole topics, read with plain aiokafka and with kcat, and checked against the schemas.

Nothing of berth_events is used here: what these readers cannot read, nobody outside can.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer
from jsonschema import Draft202012Validator, FormatChecker

__all__ = ["CloudEvent", "EventSchemas", "end_offsets", "read_with_aiokafka", "read_with_kcat"]

_TIMEOUT_S: Final = 30
#: CloudEvents Kafka binding 1.0, binary content mode, and the extensions that the project promises.
_HEADERS: Final = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_partitionkey",
    "ce_sequence",
    "ce_dataschema",
    "content-type",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One record as it lies in the topic."""

    topic: str
    partition: int
    offset: int
    key: str
    headers: Mapping[str, str]
    value: str

    @property
    def type(self) -> str:
        """The event type."""
        return self.headers["ce_type"]

    @property
    def sequence(self) -> int:
        """The version of the aggregate's stream."""
        return int(self.headers["ce_sequence"])

    @property
    def data(self) -> dict[str, Any]:
        """The fact."""
        data: dict[str, Any] = json.loads(self.value)
        return data


async def read_with_aiokafka(bootstrap: str, topics: Sequence[str]) -> list[CloudEvent]:
    """Everything that is in the topics now, in order per partition."""
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    found: list[CloudEvent] = []
    async with asyncio.timeout(_TIMEOUT_S):
        await consumer.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                    found += [
                        CloudEvent(
                            topic=partition.topic,
                            partition=partition.partition,
                            offset=record.offset,
                            key=record.key.decode(),
                            headers={name: value.decode() for name, value in record.headers},
                            value=record.value.decode(),
                        )
                        for record in records
                    ]
        finally:
            await consumer.stop()
    return found


async def end_offsets(bootstrap: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """The offset that the next record of each partition will have."""
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, group_id=None)
    async with asyncio.timeout(_TIMEOUT_S):
        await consumer.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
        finally:
            await consumer.stop()
    return {(partition.topic, partition.partition): end for partition, end in ends.items()}


async def read_with_kcat(bootstrap: str, topics: Sequence[str]) -> list[CloudEvent]:
    """The same with kcat, a client that shares no code with ours (librdkafka)."""
    return [event for topic in topics for event in await _kcat(bootstrap, topic)]


async def _kcat(bootstrap: str, topic: str) -> list[CloudEvent]:
    process = await asyncio.create_subprocess_exec(
        *("kcat", "-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-J"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"kcat ended with {process.returncode}: {err.decode()}")
    return [_from_kcat(json.loads(line)) for line in out.splitlines()]


def _from_kcat(record: Mapping[str, Any]) -> CloudEvent:
    flat = record["headers"]  # [name, value, name, value, ...]
    return CloudEvent(
        topic=record["topic"],
        partition=record["partition"],
        offset=record["offset"],
        key=record["key"],
        headers=dict(zip(flat[::2], flat[1::2], strict=True)),
        value=record["payload"],
    )


class EventSchemas:
    """The committed JSON Schemas.

    Args:
        directory: libs/events/schemas.
    """

    def __init__(self, directory: Path) -> None:
        schemas = [json.loads(file.read_text()) for file in directory.glob("*/*.json")]
        self._topics = {schema["$id"]: schema["x-topic"] for schema in schemas}
        self._validators = {
            schema["$id"]: Draft202012Validator(schema, format_checker=FormatChecker()) for schema in schemas
        }

    def faults(self, event: CloudEvent) -> list[str]:
        """What is wrong with a record's key, headers or data; empty when it is as promised."""
        faults = [f"the header {name} is missing" for name in _HEADERS if name not in event.headers]
        if faults:
            return faults
        headers = event.headers
        if headers["ce_specversion"] != "1.0" or headers["content-type"] != "application/json":
            faults.append(f"not CloudEvents 1.0 with JSON: {headers}")
        if not event.key == headers["ce_subject"] == headers["ce_partitionkey"]:
            faults.append(
                f"key {event.key}, subject {headers['ce_subject']}, partition key {headers['ce_partitionkey']}"
            )
        UUID(headers["ce_id"])
        if datetime.fromisoformat(headers["ce_time"]).tzinfo is None:
            faults.append("ce_time has no time zone")
        validator = self._validators.get(headers["ce_dataschema"])
        if validator is None:
            return [*faults, f"no schema {headers['ce_dataschema']}"]
        if self._topics[headers["ce_dataschema"]] != event.topic:
            faults.append(f"in the topic {event.topic}")
        return faults + [error.message for error in validator.iter_errors(event.data)]
