"""How many accounts a second the gateway accepts, and how soon billing has counted the seat."""

import asyncio
import json
import time
from uuid import UUID

import asyncpg

from benchmarks.figures import Figure, percentile
from benchmarks.http_client import Connection, encode_post
from berth_testing.mail_bed import MailBed
from berth_testing.platform import Platform
from berth_testing.tenant import Tenant

__all__ = ["measure_accepting", "measure_seat_latency"]

_ACCOUNTS = 3000
_CONNECTIONS = 16
_TENANTS = 8
_SINGLE = 200
_POLL_S = 0.001


def _request(bed: MailBed, tenant: Tenant, number: int) -> bytes:
    body = {
        "email": f"bench{number}@test.example",
        "first_name": "B",
        "last_name": "E",
        "provider": "custom",
        "password": "benchmark",
        **bed.servers(),
    }
    return encode_post("/v1/accounts", tenant.key, body)


async def measure_accepting(platform: Platform, bed: MailBed) -> list[Figure]:
    """Post accounts over several connections, each at once after the other. Client and server share the machine."""
    tenants = [await platform.tenant(monitoring=_ACCOUNTS) for _ in range(_TENANTS)]
    requests = [_request(bed, tenants[number % _TENANTS], number) for number in range(_ACCOUNTS)]
    seconds: list[float] = []

    async def post_every(offset: int) -> None:
        async with Connection(platform.url("gateway")) as connection:
            for request in requests[offset::_CONNECTIONS]:
                began = time.perf_counter()
                status, body = await connection.send(request)
                seconds.append(time.perf_counter() - began)
                if status != 202:
                    raise RuntimeError(f"{status} {body.decode()}")

    began = time.perf_counter()
    await asyncio.gather(*(post_every(offset) for offset in range(_CONNECTIONS)))
    rate = _ACCOUNTS / (time.perf_counter() - began)
    return [
        Figure(f"accepted accounts ({_CONNECTIONS} connections, {_TENANTS} organizations)", rate, "/s"),
        Figure("    p50", percentile(seconds, 0.5) * 1000, "ms"),
        Figure("    p99", percentile(seconds, 0.99) * 1000, "ms"),
    ]


async def measure_seat_latency(platform: Platform, bed: MailBed) -> list[Figure]:
    """From the request's first byte until billing's projection shows the seat, one account at a time."""
    tenant = await platform.tenant(monitoring=_SINGLE)
    seconds: list[float] = []
    database = await asyncpg.connect(platform.owner_dsn("billing"))
    try:
        async with Connection(platform.url("gateway")) as connection:
            for number in range(_SINGLE):
                began = time.perf_counter()
                status, body = await connection.send(_request(bed, tenant, 1_000_000 + number))
                if status != 202:
                    raise RuntimeError(f"{status} {body.decode()}")
                account_id = UUID(json.loads(body)["id"])
                while not await database.fetchval("SELECT true FROM seat WHERE account_id = $1", account_id):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_S)
                seconds.append(time.perf_counter() - began)
    finally:
        await database.close()
    return [
        Figure("request to seat projection, one at a time: p50", percentile(seconds, 0.5) * 1000, "ms"),
        Figure("    p99", percentile(seconds, 0.99) * 1000, "ms"),
    ]
