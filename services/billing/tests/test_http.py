"""The internal API."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from berth_billing.http import make_app
from berth_billing.projections import SeatsProjection
from berth_billing.subscriptions import Subscriptions
from berth_events.runtime.database import Connection, Pool
from berth_testing.seats import Seat

TOKEN = "a-token-of-the-operator"
BODY = {"plan": "team", "limits": {"monitoring": 10, "spam_check": 2}}


@pytest.fixture
async def http(pool: Pool, subscriptions: Subscriptions) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(pool, subscriptions, TOKEN))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://billing", headers=headers) as http:
        yield http


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer tøken"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/internal/subscriptions/{}"),
        ("DELETE", "/internal/subscriptions/{}"),
        ("GET", "/internal/organizations/{}/seats"),
    ],
)
async def test_without_the_token_nothing_is_answered(
    http: httpx.AsyncClient, pool: Pool, method: str, path: str, authorization: str | None
) -> None:
    del http.headers["Authorization"]
    headers = {} if authorization is None else {"Authorization": authorization.encode()}
    response = await http.request(method, path.format(uuid4()), json=BODY, headers=headers)  # type: ignore[arg-type]
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in response.text
    assert await pool.fetchval("SELECT count(*) FROM subscription") == 0


async def test_a_subscription_is_put_and_ended(http: httpx.AsyncClient) -> None:
    organization = uuid4()
    for _ in range(2):
        response = await http.put(f"/internal/subscriptions/{organization}", json=BODY)
        assert response.status_code == 200
        assert response.json() == {"organization_id": str(organization), **BODY}
    assert (await http.delete(f"/internal/subscriptions/{organization}")).status_code == 204
    gone = await http.delete(f"/internal/subscriptions/{organization}")
    assert gone.status_code == 404
    assert gone.json()["detail"] == "the organization has no active subscription"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ["body", "plan"]),
        (BODY | {"plan": ""}, ["body", "plan"]),
        (BODY | {"plan": "x" * 101}, ["body", "plan"]),
        (BODY | {"plan": "nought\0"}, ["body", "plan"]),
        (BODY | {"extra": 1}, ["body", "extra"]),
        (BODY | {"limits": {"monitoring": 1}}, ["body", "limits", "spam_check"]),
        (BODY | {"limits": {"monitoring": -1, "spam_check": 0}}, ["body", "limits", "monitoring"]),
        (BODY | {"limits": {"monitoring": 2**31, "spam_check": 0}}, ["body", "limits", "monitoring"]),
        (BODY | {"limits": {"monitoring": 1.5, "spam_check": 0}}, ["body", "limits", "monitoring"]),
        (BODY | {"limits": {"monitoring": 1, "spam_check": 0, "other": 1}}, ["body", "limits", "other"]),
    ],
)
async def test_bad_input_is_refused_and_the_field_named(
    http: httpx.AsyncClient, body: dict[str, Any], field: list[str]
) -> None:
    response = await http.put(f"/internal/subscriptions/{uuid4()}", json=body)
    assert response.status_code == 422
    assert field in [fault["loc"] for fault in response.json()["detail"]]


async def test_an_organization_is_named_by_its_id(http: httpx.AsyncClient) -> None:
    assert (await http.put("/internal/subscriptions/acme", json=BODY)).status_code == 422
    assert (await http.get("/internal/organizations/acme/seats")).status_code == 422


async def test_seats_are_counted_by_kind_beside_the_limits(http: httpx.AsyncClient, connection: Connection) -> None:
    organization, now = uuid4(), datetime.now(UTC)

    def seat(**more: Any) -> Seat:
        return Seat(account_id=uuid4(), organization_id=organization, taken=now, **more)

    path = f"/internal/organizations/{organization}/seats"
    nothing = {"monitoring": 0, "spam_check": 0}
    assert (await http.get(path)).json() == {"organization_id": str(organization), "used": nothing, "limits": None}

    await http.put(f"/internal/subscriptions/{organization}", json=BODY)
    async with connection.transaction():
        await connection.execute("SET LOCAL search_path = billing_seats_v1, public")
        for each in (seat(), seat(), seat(freed=now), seat(kind="spam_check")):
            await SeatsProjection().apply(connection, each.history())
    answer = (await http.get(path)).json()
    assert answer["used"] == {"monitoring": 2, "spam_check": 1}
    assert answer["limits"] == BODY["limits"]

    await http.delete(f"/internal/subscriptions/{organization}")
    answer = (await http.get(path)).json()
    assert answer["limits"] is None
    assert answer["used"] == {"monitoring": 2, "spam_check": 1}, "what is taken stays taken"
