"""Deliveries to a real receiver: what arrives, how it is signed, and what is done when it does not arrive."""

import asyncio
import base64
import ssl
from datetime import timedelta
from uuid import UUID

import pytest
import trustme
from prometheus_client import REGISTRY
from pydantic import SecretStr
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from berth_events.contracts import AccountRequested
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_results import audited, verified
from berth_testing.waiting import until
from berth_testing.webhook_bed import HOST, Received, WebhookBed, webhook_bed

ACCOUNT = UUID(int=1)


def verify(secret: str, received: Received) -> None:
    Verifier(secret).verify(received.body, dict(received.headers))


async def test_what_happens_to_accounts_arrives_signed(
    harness: GatewayHarness, project: Project, bed: WebhookBed
) -> None:
    made = await bed.create()
    answer = await project.http.post("/v1/accounts", json=account_body("alice@acme.test"))
    (event,) = await harness.published()
    assert isinstance(event, AccountRequested)
    await harness.deliver(verified(event, works=True), audited("acme.test"))
    await project.http.delete(f"/v1/accounts/{answer.json()['id']}")
    async with bed.delivering():
        await bed.until(delivered=4)
    feed = (await project.http.get("/v1/events")).json()["items"]
    received = {each.headers["webhook-id"]: each for each in bed.receiver.requests}
    assert received.keys() == {item["id"] for item in feed}
    for item in feed:
        request = received[item["id"]]
        assert request.path == "/hook"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["host"] == f"{HOST}:{bed.receiver.port}"
        verify(made["secret"], request)
        del item["cursor"]
        assert request.event == {**item, "timestamp": item["time"]}
        with pytest.raises(WebhookVerificationError):
            verify("whsec_" + "A" * 32, request)
    accounts = [each.event["type"] for each in bed.receiver.requests if each.event["subject"] == str(event.account_id)]
    assert accounts == ["AccountRequested", "AccountConnected", "AccountRemoved"]


async def test_only_what_is_wanted_is_sent(harness: GatewayHarness, bed: WebhookBed) -> None:
    stranger = await harness.project(await harness.organization())
    await bed.create(types=["AccountConnected"])
    await bed.create(enabled=False)
    wanted = await bed.create(types=["AccountConnected", "AccountRemoved"])
    await bed.publish(ACCOUNT)
    await bed.publish(ACCOUNT, project_id=stranger.project_id)
    assert await bed.states() == {"pending": 1}
    async with bed.delivering():
        await bed.until(delivered=1)
    (delivery,) = await bed.deliveries(wanted)
    assert (delivery["type"], delivery["subject"], delivery["state"]) == ("AccountRemoved", str(ACCOUNT), "delivered")
    (attempt,) = delivery["attempts"]
    assert (attempt["status"], attempt["error"], attempt["detail"]) == (204, None, None)


async def test_an_event_that_is_repeated_is_sent_once(
    harness: GatewayHarness, project: Project, bed: WebhookBed
) -> None:
    await bed.create(types=["AccountConnected"])
    await project.http.post("/v1/accounts", json=account_body())
    (event,) = await harness.published()
    assert isinstance(event, AccountRequested)
    envelopes = await harness.deliver(verified(event, works=True))
    await harness.apply(envelopes)
    assert await bed.states() == {"pending": 1}


async def test_a_rotated_secret_and_the_new_one_sign_for_a_day(bed: WebhookBed) -> None:
    made = await bed.create()
    answer = await bed.http.post(f"/v1/webhooks/{made['id']}/rotate")
    assert answer.status_code == 200
    rotated = answer.json()["secret"]
    assert rotated != made["secret"]
    async with bed.delivering():
        await bed.publish(ACCOUNT)
        await bed.until(delivered=1)
        (both,) = bed.receiver.requests
        assert len(both.headers["webhook-signature"].split(" ")) == 2
        verify(made["secret"], both)
        verify(rotated, both)
        bed.harness.clock.shift = timedelta(hours=24, seconds=1)
        await bed.publish(ACCOUNT)
        await bed.until(delivered=2)
    timestamp = bed.harness.clock.now() - timedelta(seconds=5)
    last = bed.receiver.requests[-1]
    assert abs(int(last.headers["webhook-timestamp"]) - timestamp.timestamp()) < 10
    (signature,) = last.headers["webhook-signature"].split(" ")
    moment = timestamp.fromtimestamp(int(last.headers["webhook-timestamp"]), tz=timestamp.tzinfo)
    assert signature == Verifier(rotated).sign(last.headers["webhook-id"], moment, last.body)
    await bed.harness.gateway.housekeeping.tidy()
    assert await bed.harness.owner.fetchval("SELECT count(*) FROM webhook_secret") == 1


async def test_a_test_says_in_the_log_what_came_of_it(bed: WebhookBed) -> None:
    made = await bed.create(types=["AccountConnected"])
    bed.receiver.says(500, body="\0out of order " * 100)
    async with bed.delivering():
        answer = await bed.http.post(f"/v1/webhooks/{made['id']}/test")
        assert (answer.status_code, answer.json()["state"]) == (202, "pending")
        await bed.until(failed=1)
        bed.receiver.says(200, body="thanks")
        await bed.http.post(f"/v1/webhooks/{made['id']}/test")
        await bed.until(failed=1, delivered=1)
    worked, failed = await bed.deliveries(made)
    assert failed["id"] == answer.json()["id"]
    assert (failed["attempts"][0]["status"], failed["attempts"][0]["error"]) == (500, "status")
    assert failed["attempts"][0]["excerpt"].startswith("\ufffdout of order")
    assert len(failed["attempts"][0]["excerpt"]) <= 500
    assert worked["attempts"][0]["excerpt"] == "thanks"
    message = bed.receiver.requests[-1].event
    assert (message["type"], message["data"]) == ("webhook.test", {"webhook_id": made["id"]})
    verify(made["secret"], bed.receiver.requests[-1])
    shown = (await bed.http.get(f"/v1/webhooks/{made['id']}")).json()
    assert shown["failing_since"] is None


async def test_https_with_a_certificate_of_the_name(harness: GatewayHarness, project: Project) -> None:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert(HOST).configure_cert(server)
    authority.configure_trust(client)
    async with webhook_bed(harness, project, server=server, client=client) as bed:
        made = await bed.create()
        async with bed.delivering():
            await bed.publish(ACCOUNT)
            await bed.until(delivered=1)
        verify(made["secret"], bed.receiver.requests[0])
        distrusting = bed.another()
        async with bed.delivering_by(distrusting):
            await bed.publish(ACCOUNT)
            await bed.attempted(2)
        latest, _ = await bed.deliveries(made)
    assert latest["attempts"][0]["error"] == "tls"


async def test_a_host_that_is_rebound_is_refused_at_the_delivery(bed: WebhookBed) -> None:
    made = await bed.create()
    bed.harness.resolver.known[HOST] = "127.0.0.9"
    async with bed.delivering():
        await bed.publish(ACCOUNT)
        await bed.attempted(1)
    (delivery,) = await bed.deliveries(made)
    assert (delivery["state"], delivery["attempts"][0]["error"]) == ("pending", "host_refused")
    assert "127.0.0.9" not in str(delivery)
    assert bed.receiver.requests == []


async def test_a_redirect_is_a_failure_and_not_followed(bed: WebhookBed) -> None:
    made = await bed.create()
    bed.receiver.says(307, {"Location": f"{bed.scheme}://{HOST}:{bed.receiver.port}/inside"})
    async with bed.delivering():
        await bed.publish(ACCOUNT)
        await bed.attempted(1)
    (delivery,) = await bed.deliveries(made)
    assert (delivery["attempts"][0]["status"], delivery["attempts"][0]["error"]) == (307, "status")
    assert [each.path for each in bed.receiver.requests] == ["/hook"]


async def test_retry_after_is_heeded(bed: WebhookBed) -> None:
    made = await bed.create()
    bed.receiver.says(429, {"Retry-After": "3600"})
    async with bed.delivering():
        await bed.publish(ACCOUNT)
        await bed.attempted(1)
        await bed.publish(UUID(int=2))  # the whole endpoint is left alone
        bed.harness.clock.shift = timedelta(minutes=59)
        await asyncio.sleep(0.7)
        assert len(bed.receiver.requests) == 1
        bed.receiver.says(200)
        bed.harness.clock.shift = timedelta(minutes=61)
        await bed.until(delivered=2)
    assert (await bed.http.get(f"/v1/webhooks/{made['id']}")).json()["failing_since"] is None


async def test_gone_disables_and_keeps_what_waits(bed: WebhookBed) -> None:
    made = await bed.create()
    path = f"/v1/webhooks/{made['id']}"
    bed.receiver.says(410)
    async with bed.delivering():
        await bed.publish(ACCOUNT)
        await bed.attempted(1)
        shown = (await bed.http.get(path)).json()
        assert (shown["enabled"], shown["disabled_reason"]) == (False, "gone")
        assert shown["failing_since"]
        await bed.publish(ACCOUNT)  # is in the feed only
        bed.harness.clock.shift = timedelta(days=1)
        await asyncio.sleep(0.7)
        assert len(bed.receiver.requests) == 1
        bed.receiver.says(200)
        shown = (await bed.http.patch(path, json={"enabled": True})).json()
        assert (shown["enabled"], shown["disabled_reason"], shown["failing_since"]) == (True, None, None)
        await bed.until(delivered=1)


async def test_an_endpoint_that_fails_for_five_days_is_disabled(bed: WebhookBed) -> None:
    made = await bed.create()
    bed.receiver.says(500)
    async with bed.delivering():
        await bed.publish(ACCOUNT)
        await bed.attempted(1)
        bed.harness.clock.shift = timedelta(days=4, hours=23)
        await bed.attempted(2)
        shown = (await bed.http.get(f"/v1/webhooks/{made['id']}")).json()
        assert shown["enabled"]
        bed.harness.clock.shift = timedelta(days=5, seconds=10)
        await bed.attempted(3)
    shown = (await bed.http.get(f"/v1/webhooks/{made['id']}")).json()
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "failing")


async def test_after_the_last_attempt_it_failed_and_is_recovered_on_request(bed: WebhookBed) -> None:
    made = await bed.create()
    path = f"/v1/webhooks/{made['id']}"
    bed.receiver.says(500)
    async with bed.delivering():
        (event_id,) = await bed.publish(ACCOUNT)
        await bed.attempted(1)
        for tries in range(2, 11):
            # not so far that the endpoint would be disabled
            await bed.harness.owner.execute("UPDATE webhook_delivery SET run_at = now() - interval '1 s'")
            await bed.harness.owner.execute("UPDATE webhook SET held_until = NULL")
            await bed.attempted(tries)
        await bed.until(failed=1)
        (delivery,) = await bed.deliveries(made, state="failed")
        assert delivery["next_attempt_at"] is None
        bed.receiver.says(200)
        tomorrow = (bed.harness.clock.now() + timedelta(days=1)).isoformat()
        answer = await bed.http.post(f"{path}/recover", json={"since": tomorrow})
        assert (answer.status_code, answer.json()) == (202, {"redelivered": 0})
        answer = await bed.http.post(f"{path}/recover", json={"since": "2026-01-01T00:00:00Z"})
        assert (answer.status_code, answer.json()) == (202, {"redelivered": 1})
        await bed.until(delivered=1)
    assert {each.headers["webhook-id"] for each in bed.receiver.requests} == {str(event_id)}
    (delivery,) = await bed.deliveries(made)
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500] * 10 + [200]


async def test_a_delivery_is_sent_again_on_request(bed: WebhookBed) -> None:
    made = await bed.create()
    async with bed.delivering():
        await bed.publish(ACCOUNT)
        await bed.until(delivered=1)
        (delivery,) = await bed.deliveries(made)
        answer = await bed.http.post(f"/v1/webhooks/{made['id']}/deliveries/{delivery['id']}/redeliver")
        assert (answer.status_code, answer.json()["state"]) == (202, "pending")
        await until(lambda: len(bed.receiver.requests) == 2)
        await bed.until(delivered=1)
    first, second = bed.receiver.requests
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)


async def test_a_removed_webhook_takes_its_queue_along(bed: WebhookBed) -> None:
    made = await bed.create()
    blocked, going_on = asyncio.Event(), asyncio.Event()

    async def hang(_: Received) -> tuple[int, dict[str, str], str]:
        blocked.set()
        await going_on.wait()
        return 503, {}, ""

    bed.receiver.answer = hang
    async with bed.delivering():
        await bed.publish(ACCOUNT, ACCOUNT, UUID(int=2))
        await blocked.wait()
        assert (await bed.http.delete(f"/v1/webhooks/{made['id']}")).status_code == 204
        going_on.set()
        await asyncio.sleep(0.3)
    assert await bed.states() == {}
    assert await bed.harness.owner.fetchval("SELECT count(*) FROM webhook_secret") == 0
    await bed.publish(ACCOUNT)
    assert await bed.states() == {}


async def test_what_cannot_be_signed_waits_without_a_try(bed: WebhookBed) -> None:
    made = await bed.create()
    await bed.publish(ACCOUNT)
    broken = bed.another(berth_webhook_key=SecretStr(base64.b64encode(bytes(32)).decode()))
    async with bed.delivering_by(broken):
        await asyncio.sleep(0.7)
    (delivery,) = await bed.deliveries(made)
    assert (delivery["state"], delivery["attempts"], bed.receiver.requests) == ("pending", [], [])
    bed.harness.clock.shift = timedelta(minutes=2)
    async with bed.delivering():
        await bed.until(delivered=1)
    assert len(bed.receiver.requests) == 1


async def test_when_the_key_was_lost_a_new_secret_signs_at_once(bed: WebhookBed) -> None:
    made = await bed.create()
    gateway = bed.another(berth_webhook_key=SecretStr(base64.b64encode(bytes(32)).decode()))
    async with bed.harness.pool.acquire() as connection, connection.transaction():
        webhook_id = UUID(made["id"])
        secret_id = await gateway.services.webhooks.rotate(connection, bed.project.project_id, webhook_id)
        secret = await gateway.services.webhooks.reveal(connection, webhook_id, secret_id)
    assert secret
    await bed.publish(ACCOUNT)
    async with bed.delivering_by(gateway):
        await bed.until(delivered=1)
    (request,) = bed.receiver.requests
    assert " " not in request.headers["webhook-signature"]
    verify(secret, request)


async def test_the_log_is_forgotten_in_time(bed: WebhookBed) -> None:
    made = await bed.create()
    await bed.publish(*(UUID(int=n) for n in range(6)))
    await bed.harness.owner.execute(
        """UPDATE webhook_delivery d SET state = s.state, finished_at = now() - s.age::interval
             FROM (VALUES (0, 'delivered', '8 days'), (1, 'delivered', '6 days'), (2, 'failed', '31 days'),
                          (3, 'failed', '29 days')) AS s (subject, state, age)
            WHERE d.subject = lpad(s.subject::text, 32, '0')::uuid"""
    )
    await bed.harness.owner.execute("UPDATE webhook_delivery SET created_at = now() - interval '31 days'")
    await bed.harness.gateway.housekeeping.tidy()
    assert await bed.states() == {"delivered": 1, "failed": 1, "pending": 2}
    await bed.http.patch(f"/v1/webhooks/{made['id']}", json={"enabled": False})
    await bed.harness.gateway.housekeeping.tidy()
    assert await bed.states() == {"delivered": 1, "failed": 1}


async def test_a_receiver_that_fails_shows_in_the_metrics_and_makes_nothing_unready(bed: WebhookBed) -> None:
    def attempts() -> float:
        return REGISTRY.get_sample_value("berth_webhook_attempts_total", {"outcome": "status"}) or 0

    await bed.create()
    bed.receiver.says(500)
    await bed.publish(ACCOUNT, ACCOUNT)
    before = attempts()
    bed.harness.clock.shift = timedelta(minutes=1)
    async with bed.delivering():
        await bed.attempted(1)
        await until(lambda: attempts() == before + 1)
        assert bed.gateway.deliveries.problem is None
    assert REGISTRY.get_sample_value("berth_webhook_pending_rows") == 2
    assert 55 < (REGISTRY.get_sample_value("berth_webhook_oldest_seconds") or 0) < 90


async def test_a_webhook_that_goes_while_an_event_is_published_fails_nobody(bed: WebhookBed) -> None:
    going, staying = await bed.create(), await bed.create()
    async with bed.harness.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await bed.gateway.services.webhooks.remove(connection, bed.project.project_id, UUID(going["id"]))
        publishing = asyncio.create_task(bed.publish(ACCOUNT))
        await asyncio.sleep(0.1)
        assert not publishing.done()
        await transaction.commit()
    await publishing
    assert await bed.states() == {"pending": 1}
    assert len(await bed.deliveries(staying)) == 1
