"""Token endpoints that misbehave: whatever they say, and however slowly, every request ends, and nothing of it is printed."""

import asyncio
import gzip
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from urllib.parse import parse_qsl, unquote_plus

import pytest
from prometheus_client import REGISTRY
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from berth_connector.oauth.tokens import THREADS, THREADS_PER_KEY
from berth_connector.probe import Fault
from berth_testing.asker import ADA, Asker
from berth_testing.canaries import Canaries
from berth_testing.token_service import Fault as Answer
from berth_testing.token_service import TokenService, answers, busy, silent
from berth_testing.waiting import until

TOKEN = {"access_token": "tok.tok.tok", "token_type": "Bearer", "expires_in": 3599}
PROVIDERS = ("google", "microsoft")


def workspace(asker: Asker, provider: str) -> None:
    if provider == "google":
        asker.google(ADA)
    else:
        asker.microsoft()


def at_token_endpoints(answer: Answer) -> Answer:
    """Microsoft's discovery answers as it should."""

    async def fault(request: Request) -> Response | None:
        return None if request.method == "GET" else await answer(request)

    return fault


def json_of(body: object, status: int = 200) -> Answer:
    return at_token_endpoints(answers(JSONResponse(body, status)))


def raw(body: bytes, **headers: str) -> Answer:
    return at_token_endpoints(answers(Response(body, headers=headers)))


def dripping(piece: bytes) -> Answer:
    """Never silent for long, and never done."""

    async def fault(_request: Request) -> Response:
        async def drip() -> AsyncIterator[bytes]:
            while True:
                yield piece
                await asyncio.sleep(0.05)

        return StreamingResponse(drip())

    return at_token_endpoints(fault)


MALFORMED: dict[str, Answer] = {
    "page": answers(PlainTextResponse("<html>db_password=hunter2</html>", 401)),
    "list": json_of([1]),
    "text": json_of("hunter2"),
    "null": json_of(None),
    "nothing": raw(b""),
    "error that is no text": json_of({"error": 7}, 400),
    "error of an API": json_of({"error": {"code": 403, "message": "hunter2"}}, 403),
    "another kind of token": json_of({**TOKEN, "token_type": "mac"}),
    "token that is no text": json_of({**TOKEN, "access_token": 7}),
    "empty token": json_of({**TOKEN, "access_token": ""}),
    "token of two lines": json_of({**TOKEN, "access_token": "a\r\nRCPT TO:<x>"}),
    "token with a separator": json_of({**TOKEN, "access_token": "a\1auth=Bearer b"}),
    "lifetime that is no number": json_of({**TOKEN, "expires_in": [3599]}),
    "long answer": raw(b" " * 1_000_000),
    "compressed answer": raw(gzip.compress(b" " * 1_000_000), **{"content-encoding": "gzip"}),
    "brackets": raw(b"[" * 100_000),
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_answer_of_oauth_says_nothing_of_the_credential(
    provider: str, name: str, asker: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    workspace(asker, provider)
    asker.service.identity.fault = MALFORMED[name]
    with caplog.at_level(logging.DEBUG):
        found = await asker.diagnosis()
    assert (found.code, found.retry_policy) == ("TOKEN_ENDPOINT_INVALID", "bounded")
    assert "hunter2" not in caplog.text + found.model_dump_json()
    asker.service.identity.fault = None
    assert await asker.token()  # it is not remembered


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("seconds", [10**12, 10**30, 1e308, float("inf"), -(10**30)], ids=str)
async def test_no_lifetime_is_too_long_to_be_counted(provider: str, seconds: float, asker: Asker) -> None:
    workspace(asker, provider)
    text = JSONResponse(TOKEN).body.replace(b"3599", str(seconds).replace("inf", "Infinity").encode())
    asker.service.identity.fault = raw(bytes(text))
    with suppress(Fault):
        assert await asker.token() == TOKEN["access_token"]
        return
    assert (await asker.diagnosis()).code == "TOKEN_ENDPOINT_INVALID"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_token_of_a_short_life_is_used_for_half_of_it(provider: str, asker: Asker) -> None:
    workspace(asker, provider)
    asker.service.identity.fault = json_of({**TOKEN, "expires_in": 40})
    asked = Counter(asker.service.identity.asked)
    for _ in range(5):
        await asker.token()
    assert (asker.service.identity.asked - asked)[provider] == 1
    asker.clock.step(25)
    await asker.token()
    assert (asker.service.identity.asked - asked)[provider] == 2


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_endpoint_that_drips_ends_too(provider: str, asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads cannot be cancelled: if one waited for ever, soon all would."""
    monkeypatch.setattr("berth_connector.oauth.tokens._PATIENCE_S", 0.6)
    workspace(asker, provider)
    asker.service.identity.fault = dripping(b" ")
    began = time.monotonic()
    found = await asker.diagnosis()
    assert found.rule_id == "net.token.silent"
    assert time.monotonic() - began < 5
    asker.service.identity.fault = None
    assert await asker.token()


async def test_a_tenant_whose_grants_hang_holds_up_nobody_else(asker: Asker, service: TokenService) -> None:
    """200 requests hang; other tenants of either provider have their tokens at once."""
    mailboxes = [f"m{number}@slow.example" for number in range(201)]
    asker.google(*mailboxes)
    await asker.token(mailboxes[0])  # proven: the others are asked for side by side
    others = [Asker(service, asker.tokens) for _ in PROVIDERS]
    for other, provider in zip(others, PROVIDERS, strict=True):
        workspace(other, provider)
    running, most = 0, 0

    async def slow(_request: Request) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(6)
        running -= 1

    service.identity.fault = slow
    hanging = [asyncio.create_task(asker.token(mailbox)) for mailbox in mailboxes[1:]]
    await until(lambda: running == THREADS_PER_KEY, within=5)
    service.identity.fault = None
    async with asyncio.timeout(5):
        await asyncio.gather(*(other.token() for other in others))
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert most == THREADS_PER_KEY < THREADS


async def test_whoever_waits_for_a_hanging_endpoint_waits_no_longer_than_the_limit(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("berth_connector.oauth.tokens._LIMIT_S", 0.4)
    monkeypatch.setattr("berth_connector.oauth.tokens._PATIENCE_S", 0.4)
    mailboxes = [f"m{number}@slow.example" for number in range(201)]
    asker.google(*mailboxes)
    await asker.token(mailboxes[0])
    asker.service.identity.fault = silent(5)
    began = time.monotonic()
    found = await asyncio.gather(*map(asker.diagnosis, mailboxes[1:]))
    assert {one.code for one in found} == {"PROVIDER_TEMPORARY"}
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_an_endpoint_repeats_of_a_request_is_not_shown(
    provider: str, asker: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    """Assertions can be used again for an hour, secrets for years."""
    workspace(asker, provider)
    canaries = Canaries()
    requests: list[bytes] = []

    async def repeat(request: Request) -> Response:
        requests.append(await request.body())
        text = requests[-1].decode()
        return JSONResponse({"error": "invalid_grant", "error_description": f"{text} {unquote_plus(text)}"}, 400)

    asker.service.identity.fault = at_token_endpoints(repeat)
    with caplog.at_level(logging.DEBUG):
        found = await asker.diagnosis()
    form = dict(parse_qsl(requests[0].decode()))
    assertion = form.get("assertion", "")
    if provider == "google":
        canaries.add("signature", assertion.rpartition(".")[2])
        canaries.add("key", asker.document["private_key"])
    else:
        canaries.add("secret", form["client_secret"])
    canaries.in_text("diagnosis", found.model_dump_json())
    canaries.in_text("log", caplog.text)
    assert canaries.leaks == []
    assert "invalid_grant: " in found.reply


def counted(provider: str) -> dict[str, float]:
    """The metric, by outcome."""
    found = {
        outcome: REGISTRY.get_sample_value("berth_token_requests_total", {"provider": provider, "outcome": outcome})
        for outcome in ("granted", "refused", "failed", "unusable")
    }
    return {outcome: value or 0 for outcome, value in found.items()}


def deleted_key(asker: Asker) -> None:
    asker.google(ADA).keys.clear()


async def test_requests_are_counted_by_what_came_out(asker: Asker) -> None:
    async def outcome(prepare: Callable[[], object]) -> dict[str, float]:
        prepare()
        assert asker.key
        before = counted(asker.key.provider)
        with suppress(Fault):
            await asker.token()
        after = counted(asker.key.provider)
        return {name: after[name] - before[name] for name in after if after[name] != before[name]}

    assert await outcome(lambda: asker.google(ADA)) == {"granted": 1}
    assert await outcome(lambda: None) == {}  # kept
    assert await outcome(lambda: deleted_key(asker)) == {"refused": 1}
    assert await outcome(lambda: asker.upload("{}")) == {"unusable": 1}
    assert await outcome(lambda: asker.microsoft("wrong")) == {"refused": 1}
    asker.service.identity.fault = busy()
    assert await outcome(asker.microsoft) == {"failed": 1}
