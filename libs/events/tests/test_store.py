"""The event store: what is appended, when it is refused, and how it is read back."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings

from berth_events.contracts import Event, from_binary, upcasting
from berth_events.runtime.bus import MAX_MESSAGE_BYTES
from berth_events.runtime.database import Connection, Pool, connect
from berth_events.runtime.store import ConcurrencyConflict, Context, Decided, EventStore, EventTooLarge
from berth_testing.clocks import SteppingClock
from berth_testing.events import events
from berth_testing.streams import resumed, suspended


async def outbox(connection: Connection) -> list[Any]:
    rows = await connection.fetch("SELECT topic, key, headers, value FROM outbox ORDER BY position")
    return [
        (row["topic"], row["key"], from_binary({n: t.encode() for n, t in row["headers"].items()}, row["value"]))
        for row in rows
    ]


async def test_an_append_is_an_event_and_an_outbox_row_in_the_callers_transaction(
    connection: Connection, store: EventStore
) -> None:
    stream = uuid4()
    context = Context(
        correlation_id=uuid4(), causation_id=uuid4(), traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    )
    transaction = connection.transaction()
    await transaction.start()
    await store.append(connection, stream, 0, [resumed(stream)], context)
    await transaction.rollback()
    assert await store.version(connection, stream) == 0
    assert await outbox(connection) == []

    said = await store.append(connection, stream, 0, [suspended(stream, "one"), resumed(stream)], context)
    said += await store.append(connection, stream, 2, [suspended(stream, "three")], Context.caused_by(said[1]))

    assert await store.version(connection, stream) == 3
    assert await store.read(connection, stream) == said
    assert [(e.sequence, e.source, e.correlation_id) for e in said] == [
        (number, "/berth/gateway", context.correlation_id) for number in (1, 2, 3)
    ]
    assert [e.causation_id for e in said] == [context.causation_id, context.causation_id, said[1].event_id]
    assert await outbox(connection) == [("berth.accounts.v1", str(stream).encode(), e) for e in said]


async def test_of_two_who_decided_on_the_same_version_one_has_to_decide_again(
    connection: Connection, dsn: str, store: EventStore
) -> None:
    stream = uuid4()
    await store.append(connection, stream, 0, [resumed(stream)], Context())
    other = await connect(dsn, application_name="other")
    try:
        first, second = connection.transaction(), other.transaction()
        await first.start()
        await second.start()
        await store.append(connection, stream, 1, [suspended(stream, "first")], Context())
        waiting = asyncio.create_task(store.append(other, stream, 1, [suspended(stream, "second")], Context()))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await first.commit()
        with pytest.raises(ConcurrencyConflict, match=str(stream)):
            await waiting
        await second.rollback()
        assert await store.version(other, stream) == 2
        assert len(await outbox(other)) == 2
    finally:
        await other.close()


async def test_many_streams_are_appended_to_at_once_or_none_of_them(connection: Connection, store: EventStore) -> None:
    new, old, behind = uuid4(), uuid4(), uuid4()
    await store.append(connection, old, 0, [resumed(old)], Context())
    for stream in (behind, old):  # one of them is not where it was: nothing of all is appended
        version = 2 if stream == behind else 0
        transaction = connection.transaction()
        await transaction.start()
        with pytest.raises(ConcurrencyConflict):
            await store.append_all(
                connection, [Decided(new, 0, [resumed(new)]), Decided(stream, version, [resumed(stream)])], Context()
            )
        await transaction.rollback()
        assert await store.version(connection, new) == 0

    said = await store.append_all(
        connection,
        [Decided(new, 0, [suspended(new, "a"), resumed(new)]), Decided(old, 1, [suspended(old, "b")])],
        Context(),
    )
    assert [(e.data.aggregate_id, e.sequence) for e in said] == [(new, 1), (new, 2), (old, 2)]
    assert await store.read(connection, new) == said[:2]
    assert (await store.read(connection, old))[1:] == said[2:]
    assert [e for _, _, e in (await outbox(connection))[1:]] == said


async def test_the_second_succeeds_when_the_first_rolls_back(
    connection: Connection, dsn: str, store: EventStore
) -> None:
    stream = uuid4()
    other = await connect(dsn, application_name="other")
    try:
        transaction = connection.transaction()
        await transaction.start()
        await store.append(connection, stream, 0, [suspended(stream, "first")], Context())
        waiting = asyncio.create_task(store.append(other, stream, 0, [suspended(stream, "second")], Context()))
        await asyncio.sleep(0.05)
        await transaction.rollback()
        [said] = await waiting
        assert await store.read(connection, stream) == [said]
    finally:
        await other.close()


@pytest.mark.parametrize("expected", [1, 5])
async def test_nothing_is_appended_behind_a_version_that_does_not_exist(
    connection: Connection, store: EventStore, expected: int
) -> None:
    """It would be a gap, at which every consumer stops for good."""
    stream = uuid4()
    with pytest.raises(ConcurrencyConflict, match=f"no version {expected}"):
        await store.append(connection, stream, expected, [resumed(stream)], Context())
    assert await store.version(connection, stream) == 0
    assert await outbox(connection) == []


async def test_a_command_that_is_tried_twice_makes_the_same_event_ids(connection: Connection) -> None:
    stream = uuid4()
    ids: list[list[UUID]] = []
    for clock in (SteppingClock(), SteppingClock()):
        clock.step(len(ids))
        transaction = connection.transaction()
        await transaction.start()
        store = EventStore("/berth/gateway", clock)
        said = await store.append(connection, stream, 0, [resumed(stream), resumed(stream)], Context())
        await transaction.rollback()
        ids.append([e.event_id for e in said])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2
    elsewhere = await EventStore("/berth/billing", SteppingClock()).append(
        connection, stream, 0, [resumed(stream)], Context()
    )
    assert elsewhere[0].event_id not in ids[0]


async def test_what_is_too_large_for_the_bus_writes_nothing(connection: Connection, store: EventStore) -> None:
    stream = uuid4()
    with pytest.raises(EventTooLarge, match="AccountSuspended"):
        await store.append(
            connection, stream, 0, [resumed(stream), suspended(stream, "x" * MAX_MESSAGE_BYTES)], Context()
        )
    assert await store.version(connection, stream) == 0
    assert await outbox(connection) == []
    await store.append(connection, stream, 0, [suspended(stream, "x" * (MAX_MESSAGE_BYTES - 2000))], Context())


async def test_old_versions_are_read_as_the_newest(
    connection: Connection, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = uuid4()
    [said] = await store.append(connection, stream, 0, [suspended(stream, "now")], Context())
    await connection.execute("UPDATE event SET schema_version = 0, data = data - 'reason' || '{\"cause\": \"then\"}'")
    monkeypatch.setitem(
        upcasting.UPCASTERS, ("AccountSuspended", 0), lambda old: old | {"reason": old["cause"] + ", upcast"}
    )
    [read] = await store.read(connection, stream)
    assert read.data == suspended(stream, "then, upcast")
    assert read.event_id == said.event_id


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=events())
async def test_every_event_is_read_back_as_it_was_said(pool: Pool, event: Event) -> None:
    store = EventStore("/berth/any", SteppingClock())
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        said = await store.append(connection, event.aggregate_id, 0, [event], Context())
        assert await store.read(connection, event.aggregate_id) == said
        assert [row[2] for row in await outbox(connection)] == said
        await transaction.rollback()


async def test_a_burst_of_events_keeps_its_order_in_the_outbox(connection: Connection, store: EventStore) -> None:
    stream = uuid4()
    await store.append(connection, stream, 0, [resumed(stream)] * 300, Context())
    assert [e.sequence for _, _, e in await outbox(connection)] == list(range(1, 301))
