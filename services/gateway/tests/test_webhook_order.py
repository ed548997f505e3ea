"""The promise of webhooks: nothing is lost, and the events of an account arrive in order, whatever fails meanwhile."""

import asyncio
from collections import defaultdict
from datetime import timedelta
from uuid import UUID

import pytest

from berth_gateway.webhooks import delivery
from berth_testing.gateway_harness import ShiftedClock
from berth_testing.waiting import eventually, until
from berth_testing.webhook_bed import Received, WebhookBed

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)
Answer = tuple[int, dict[str, str], str]


def accepted(bed: WebhookBed) -> list[Received]:
    """What the receiver got, without repetitions: as a receiver that drops the ids that it has seen."""
    return list({each.headers["webhook-id"]: each for each in bed.receiver.requests}.values())


async def publish_in_turn(bed: WebhookBed, rounds: int, *subjects: UUID) -> dict[str, list[str]]:
    """Publish events of all subjects, round after round; the ids of each subject in order."""
    published: dict[str, list[str]] = defaultdict(list)
    for _ in range(rounds):
        for subject, event_id in zip(subjects, await bed.publish(*subjects), strict=True):
            published[str(subject)].append(str(event_id))
    return published


async def test_a_receiver_that_is_down_for_an_hour_loses_nothing_and_keeps_the_order(bed: WebhookBed) -> None:
    made = await bed.create()
    clock, delivered = bed.harness.clock, []
    down = True

    async def answer(received: Received) -> Answer:
        if down:
            return 503, {}, "down"
        delivered.append(received)
        return 200, {}, ""

    bed.receiver.answer = answer
    async with bed.delivering():
        published: dict[str, list[str]] = defaultdict(list)
        for minute in range(0, 60, 5):
            clock.shift = timedelta(minutes=minute)
            for subject, ids in (await publish_in_turn(bed, 1, A, B, C)).items():
                published[subject] += ids
            await bed.attempted(3)
            await asyncio.sleep(0.05)
        assert delivered == []
        assert (await bed.http.get(f"/v1/webhooks/{made['id']}")).json()["failing_since"]
        clock.shift, down = timedelta(minutes=60), False
        await arrive(bed, clock, 36)
    by_subject: dict[str, list[str]] = defaultdict(list)
    for received in delivered:
        by_subject[received.event["subject"]].append(received.headers["webhook-id"])
    assert by_subject == published
    assert clock.shift < timedelta(hours=5), "the pauses are not longer than the outage was by much"
    shown = (await bed.http.get(f"/v1/webhooks/{made['id']}")).json()
    assert (shown["enabled"], shown["failing_since"]) == (True, None)


async def arrive(bed: WebhookBed, clock: ShiftedClock, count: int) -> None:
    """Let time go on until everything is delivered."""

    async def later() -> dict[str, int]:
        clock.shift += timedelta(minutes=10)
        await asyncio.sleep(0.3)
        return await bed.states()

    await eventually(later, lambda states: states == {"delivered": count}, within=30, pause=0.01)


async def test_one_account_waits_for_its_event_and_the_others_do_not(bed: WebhookBed) -> None:
    await bed.create()
    first_of_a = ""

    async def answer(received: Received) -> Answer:
        return (500 if received.headers["webhook-id"] == first_of_a else 200), {}, ""

    bed.receiver.answer = answer
    published = await publish_in_turn(bed, 3, A, B)
    first_of_a = published[str(A)][0]
    async with bed.delivering():
        await bed.until(delivered=3, pending=3)
        await asyncio.sleep(0.2)
        assert [each.event["subject"] for each in accepted(bed) if each.headers["webhook-id"] != first_of_a] == [
            str(B)
        ] * 3
        first_of_a = ""
        bed.harness.clock.shift = timedelta(minutes=1)
        await bed.until(delivered=6)
    of_a = [each.headers["webhook-id"] for each in accepted(bed) if each.event["subject"] == str(A)]
    assert of_a == published[str(A)]


async def test_an_event_that_failed_for_good_lets_the_next_one_go(bed: WebhookBed) -> None:
    await bed.create()
    first, second = await bed.publish(A, A)
    await bed.harness.owner.execute("UPDATE webhook_delivery SET tries = 9 WHERE event_id = $1", first)

    async def answer(received: Received) -> Answer:
        return (500 if received.headers["webhook-id"] == str(first) else 200), {}, ""

    bed.receiver.answer = answer
    async with bed.delivering():
        await bed.until(failed=1, delivered=1)
    assert [each.headers["webhook-id"] for each in bed.receiver.requests] == [str(first), str(second)]


async def test_two_replicas_send_each_event_once_in_order_and_not_too_many_at_once(bed: WebhookBed) -> None:
    await bed.create()
    subjects = [UUID(int=n) for n in range(1, 21)]
    running: set[str] = set()

    async def answer(received: Received) -> Answer:
        subject = received.event["subject"]
        assert subject not in running, "two events of one account at once"
        running.add(subject)
        await asyncio.sleep(0.01)
        running.discard(subject)
        return 200, {}, ""

    bed.receiver.answer = answer
    published = await publish_in_turn(bed, 6, *subjects)
    async with bed.delivering(bed.another()):
        await bed.until(delivered=120)
    by_subject: dict[str, list[str]] = defaultdict(list)
    for received in bed.receiver.requests:
        by_subject[received.event["subject"]].append(received.headers["webhook-id"])
    assert by_subject == published
    assert 1 < bed.receiver.at_once <= 8


async def test_what_is_stopped_on_its_way_is_sent_again_at_once(
    bed: WebhookBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_STOP_S", 0.1)
    made = await bed.create()
    never = asyncio.Event()

    async def hang(_: Received) -> Answer:
        await never.wait()
        return 200, {}, ""

    bed.receiver.answer = hang
    published = await publish_in_turn(bed, 2, A, B)
    async with bed.delivering():
        await until(lambda: len(bed.receiver.requests) == 2)
    assert await bed.states() == {"pending": 4}
    assert {len(each["attempts"]) for each in await bed.deliveries(made)} == {0}
    bed.receiver.says(200)
    async with bed.delivering():
        await bed.until(delivered=4)
    assert len(bed.receiver.requests) == 6, "two came twice"
    for subject in (A, B):
        ids = [each.headers["webhook-id"] for each in accepted(bed) if each.event["subject"] == str(subject)]
        assert ids == published[str(subject)]


async def test_what_a_killed_replica_had_claimed_is_sent_when_its_lease_is_over(bed: WebhookBed) -> None:
    await bed.create()
    first, second = await bed.publish(A, A)
    queue, feed = bed.gateway.deliveries._queue, bed.gateway.services.feed
    async with bed.harness.pool.acquire() as connection:
        (job,) = await queue.claim(connection, 10, decided=await feed.decided())
    assert job.event_id == first
    async with bed.delivering():
        await asyncio.sleep(0.7)
        assert bed.receiver.requests == [], "the second one waits for the first"
        bed.harness.clock.shift = timedelta(seconds=31)
        await bed.until(delivered=2)
        # the dead one comes back with a result: it does not count any more
        async with bed.harness.pool.acquire() as connection:
            with pytest.raises(delivery.LeaseLost):
                await queue.failed(connection, job, {}, run_at=None)
    assert [each.headers["webhook-id"] for each in bed.receiver.requests] == [str(first), str(second)]
    assert await bed.states() == {"delivered": 2}


async def test_what_is_not_decided_yet_is_not_overtaken(bed: WebhookBed) -> None:
    """A position that is drawn earlier and committed later."""
    made = await bed.create()
    insert = """WITH told AS (
                    INSERT INTO feed (project_id, event_id, source, type, subject, sequence, time, data)
                    VALUES ($1, gen_random_uuid(), '/berth/test', $2, $3, 1, now(), '{}') RETURNING *)
                INSERT INTO webhook_delivery (webhook_id, position, event_id, type, subject, run_at, created_at)
                SELECT $4, position, event_id, type, subject, now(), now() FROM told"""
    values = (bed.project.project_id, "Slow", A, UUID(made["id"]))
    async with bed.harness.pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("SELECT pg_advisory_xact_lock_shared(7205101)")
        await slow.execute(insert, *values)
        async with bed.harness.pool.acquire() as quick, quick.transaction():
            await quick.execute("SELECT pg_advisory_xact_lock_shared(7205101)")
            await quick.execute(insert, values[0], "Quick", *values[2:])
        async with bed.delivering():
            await asyncio.sleep(1)  # longer than a reader waits for a writer
            assert bed.receiver.requests == []
            await transaction.commit()
            await bed.until(delivered=2)
    assert [each.event["type"] for each in bed.receiver.requests] == ["Slow", "Quick"]


async def test_deliveries_that_are_recovered_keep_their_order(bed: WebhookBed) -> None:
    made = await bed.create()
    published = await publish_in_turn(bed, 5, A, B)
    await bed.harness.owner.execute("UPDATE webhook_delivery SET state = 'failed', finished_at = now()")
    async with bed.delivering():
        answer = await bed.http.post(f"/v1/webhooks/{made['id']}/recover", json={"since": "2026-01-01T00:00:00Z"})
        assert answer.json() == {"redelivered": 10}
        await bed.until(delivered=10)
    for subject in (A, B):
        ids = [each.headers["webhook-id"] for each in accepted(bed) if each.event["subject"] == str(subject)]
        assert ids == published[str(subject)]


async def test_an_endpoint_that_fails_is_left_alone_for_a_while(bed: WebhookBed) -> None:
    await bed.create()
    bed.receiver.says(500)
    await bed.publish(*(UUID(int=n) for n in range(1, 101)))
    async with bed.delivering():
        await bed.attempted(8)
        await asyncio.sleep(1)
        assert len(bed.receiver.requests) <= 24, "a hundred accounts are not a hundred attempts"
        bed.receiver.says(200)
        await arrive(bed, bed.harness.clock, 100)


async def test_what_waits_behind_an_event_goes_as_soon_as_that_has_arrived(bed: WebhookBed) -> None:
    made = await bed.create()
    published = await publish_in_turn(bed, 4, A)
    bed.receiver.says(500)
    async with bed.delivering():
        await bed.attempted(1)
        log = await bed.deliveries(made)
        assert len({delivery["next_attempt_at"] for delivery in log}) == 1, "none is due before the first"
        bed.harness.clock.shift = timedelta(seconds=10)
        await bed.attempted(2)  # the next pause is five minutes
        bed.receiver.says(200)
        await bed.http.post(f"/v1/webhooks/{made['id']}/deliveries/{log[-1]['id']}/redeliver")
        await bed.until(delivered=4)
    assert [each.headers["webhook-id"] for each in accepted(bed)] == published[str(A)]


async def test_an_event_that_is_sent_again_does_not_overtake_the_one_on_its_way(bed: WebhookBed) -> None:
    made = await bed.create()
    first, second = await bed.publish(A, A)
    going_on = asyncio.Event()

    async def answer(received: Received) -> Answer:
        if received.headers["webhook-id"] == str(second):
            await going_on.wait()
        return 200, {}, ""

    bed.receiver.answer = answer
    async with bed.delivering():
        await until(lambda: len(bed.receiver.requests) == 2)
        earlier = (await bed.deliveries(made))[1]
        await bed.http.post(f"/v1/webhooks/{made['id']}/deliveries/{earlier['id']}/redeliver")
        await asyncio.sleep(0.7)
        assert len(bed.receiver.requests) == 2
        going_on.set()
        await bed.until(delivered=2)
    assert [each.headers["webhook-id"] for each in bed.receiver.requests] == [str(first), str(second), str(first)]
