"""How long a page of a project's 2,000 accounts takes, with and without filters."""

import time
from urllib.parse import urlencode

import asyncpg
import httpx

from benchmarks.figures import Figure, percentile
from berth_testing.gateway_results import audited, verification
from berth_testing.mail_bed import MailBed
from berth_testing.platform import Platform
from berth_testing.tenant import Tenant

__all__ = ["measure_listing"]

_ACCOUNTS = 2000
_DOMAINS = 200
_PAGES = 300
_FILTERS = (
    {"limit": "100"},
    {"limit": "100", "status": "failed"},
    {"limit": "100", "tag": "sales"},
    {"limit": "100", "search": "user19"},
    {"domain": "d7.example"},
)


async def measure_listing(platform: Platform, bed: MailBed) -> list[Figure]:
    """One request after the other on one connection, the filters in turn."""
    tenant = await platform.tenant(monitoring=_ACCOUNTS)
    await _fill(platform, bed, tenant)
    seconds: list[float] = []
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with httpx.AsyncClient(base_url=platform.url("gateway"), headers=headers, timeout=30) as client:
        for number in range(_PAGES):
            began = time.perf_counter()
            answer = await client.get(f"/v1/accounts?{urlencode(_FILTERS[number % len(_FILTERS)])}")
            answer.raise_for_status()
            seconds.append(time.perf_counter() - began)
    return [
        Figure(f"a page of {_ACCOUNTS} accounts, filtered: p50", percentile(seconds, 0.5) * 1000, "ms"),
        Figure("    p99", percentile(seconds, 0.99) * 1000, "ms"),
    ]


async def _fill(platform: Platform, bed: MailBed, tenant: Tenant) -> None:
    """Connect the accounts over HTTP, and put connector's and auditor's words into the read model."""
    servers = bed.servers()
    async with httpx.AsyncClient(base_url=platform.url("gateway"), timeout=30) as client:
        for number in range(_ACCOUNTS):
            body = {
                "email": f"user{number}@d{number % _DOMAINS}.example",
                "provider": "custom",
                "password": "benchmark",
                "tags": ["sales"] if number % 3 == 0 else [],
                **servers,
            }
            answer = await client.post("/v1/accounts", json=body, headers={"Authorization": f"Bearer {tenant.key}"})
            answer.raise_for_status()
    works, fails = (verification(works=each).model_dump_json() for each in (True, False))
    audit = audited("d.example")
    database = await asyncpg.connect(platform.owner_dsn("gateway"))
    try:
        await database.execute("SET search_path TO gateway_views_v1, public")
        await database.execute(
            """INSERT INTO verification (account_id, status, credential_id, credential_version, verification, verified_at)
               SELECT account_id, CASE WHEN number % 10 = 0 THEN 'failed' ELSE 'connected' END, credential_id,
                      credential_version, CASE WHEN number % 10 = 0 THEN $2::text ELSE $1::text END::jsonb, now()
                 FROM account WHERE project_id = $3
               ON CONFLICT DO NOTHING""",
            works,
            fails,
            tenant.project_id,
        )
        await database.execute(
            """INSERT INTO domain_record (domain, audited_at, record, definite)
               SELECT 'd' || n || '.example', now(), $1::text::jsonb, $2::text::jsonb FROM generate_series(0, $3::int - 1) n
               ON CONFLICT DO NOTHING""",
            audit.record.model_dump_json(),
            audit.definite.model_dump_json(),
            _DOMAINS,
        )
    finally:
        await database.close()
