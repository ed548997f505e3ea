"""Events of account streams for tests of the runtime: as models, as envelopes, as records, and a projection that counts them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4, uuid5

from berth_events.contracts import AccountResumed, AccountSuspended, Envelope, Event, to_binary
from berth_events.contracts.topics import ACCOUNTS
from berth_events.runtime.bus import Message, Partition, Record
from berth_events.runtime.database import connect
from berth_events.runtime.migrations import migrate
from berth_testing.clocks import NOON

if TYPE_CHECKING:
    from berth_events.runtime.database import Connection, Pool

__all__ = [
    "ROLE",
    "Counted",
    "counted",
    "envelope",
    "key",
    "message",
    "parked",
    "record",
    "records",
    "resumed",
    "runtime_tables",
    "suspended",
]

#: What the runtime's tables are granted to.
ROLE: Final = "berth_runtime"


async def runtime_tables(dsn: str) -> None:
    """Prepare a database with the tables of the runtime, and the table that `Counted` fills."""
    connection = await connect(dsn, application_name="migrate")
    try:
        await migrate(connection, [], role=ROLE)
        await connection.execute(
            """CREATE TABLE counted (stream_id uuid PRIMARY KEY, events int NOT NULL, sequences int[] NOT NULL)"""
        )
    finally:
        await connection.close()


def resumed(stream_id: UUID) -> AccountResumed:
    """A small event."""
    return AccountResumed(account_id=stream_id, organization_id=stream_id, project_id=stream_id)


def suspended(stream_id: UUID, reason: str) -> AccountSuspended:
    """An event that can say something."""
    return AccountSuspended(account_id=stream_id, organization_id=stream_id, project_id=stream_id, reason=reason)


def envelope(event: Event, sequence: int, time: datetime = NOON) -> Envelope:
    """The event as it was committed."""
    return Envelope(
        event_id=uuid5(event.aggregate_id, str(sequence)),
        source="/berth/gateway",
        sequence=sequence,
        time=time,
        data=event,
        correlation_id=uuid4(),
    )


def message(event: Event, sequence: int, time: datetime = NOON) -> Message:
    """The event as it is published."""
    made = envelope(event, sequence, time)
    headers, value = to_binary(made)
    return Message(topic=made.topic, key=made.key, value=value, headers=headers)


def record(event: Event, sequence: int, offset: int, *, partition: int = 0) -> Record:
    """The event as it is read."""
    sent = message(event, sequence)
    return Record(
        partition=Partition(sent.topic, partition),
        offset=offset,
        key=sent.key,
        value=sent.value,
        headers=sent.headers,
        timestamp=NOON,
    )


def records(*numbered: tuple[UUID, int], first: int = 0) -> list[Record]:
    """Small events of one partition: (stream, sequence) each, at offsets from `first` on."""
    return [
        record(resumed(stream_id), sequence, offset) for offset, (stream_id, sequence) in enumerate(numbered, first)
    ]


class Counted:
    """A projection: how many events each stream has had, and which.

    Attributes:
        raises: streams whose events cannot be applied, and what is raised then.
        calls: the sequences of every call of `apply`.
    """

    topics: Final = (ACCOUNTS,)

    def __init__(self, name: str = "counted") -> None:
        self.name = name
        self.raises: dict[UUID, Exception] = {}
        self.calls: list[list[int]] = []

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Count them."""
        self.calls.append([each.sequence for each in envelopes])
        for each in envelopes:
            await connection.execute(
                """INSERT INTO counted AS c (stream_id, events, sequences) VALUES ($1, 1, ARRAY[$2::int])
                   ON CONFLICT (stream_id) DO UPDATE SET events = c.events + 1, sequences = c.sequences || $2""",
                each.data.aggregate_id,
                each.sequence,
            )
            if error := self.raises.get(each.data.aggregate_id):
                raise error


async def counted(pool: "Pool") -> dict[UUID, list[int]]:
    """The sequences that were applied of each stream."""
    rows = await pool.fetch("SELECT stream_id, events, sequences FROM counted")
    assert all(row["events"] == len(row["sequences"]) for row in rows)
    return {row["stream_id"]: row["sequences"] for row in rows}


async def parked(pool: "Pool") -> dict[bytes, tuple[str, list[int]]]:
    """The parked keys: why, and which offsets wait."""
    rows = await pool.fetch(
        """SELECT key, error, array_agg("offset" ORDER BY "offset") AS offsets
             FROM parked_key JOIN parked_event USING (consumer, topic, key) GROUP BY key, error"""
    )
    return {row["key"]: (row["error"], row["offsets"]) for row in rows}


def key(stream: UUID) -> bytes:
    """The key of a stream's records."""
    return str(stream).encode()
