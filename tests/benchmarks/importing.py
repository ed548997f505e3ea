"""How long imports of 10,000 mailboxes take, and the end of a workspace with its accounts: from first byte to answer."""

import time
from typing import Any

import httpx

from benchmarks.figures import Figure
from berth_testing.gateway_workspaces import microsoft_body
from berth_testing.mail_bed import MailBed
from berth_testing.platform import Platform

__all__ = ["measure_importing"]

_ROWS = 10_000
_DOMAINS = 500


async def measure_importing(platform: Platform, bed: MailBed) -> list[Figure]:
    """One request each, over HTTP. What is accepted is in the outbox with its seats by then; relay and billing work meanwhile."""
    tenant = await platform.tenant(monitoring=2 * _ROWS)
    addresses = [f"user{number}@d{number % _DOMAINS}.example" for number in range(_ROWS)]
    with_passwords = [
        {"email": f"other-{address}", "password": "benchmark-of-the-import", **bed.servers()} for address in addresses
    ]
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with httpx.AsyncClient(base_url=platform.url("gateway"), headers=headers, timeout=120) as client:
        _, made = await _timed(client, "POST", "/v1/email-workspaces", microsoft_body())
        workspace = f"/v1/email-workspaces/{made['id']}"
        through, accepted = await _timed(client, "POST", f"{workspace}/imports", {"accounts": addresses})
        passwords, others = await _timed(client, "POST", "/v1/imports", {"accounts": with_passwords})
        if (accepted["progress"]["accepted"], others["progress"]["accepted"]) != (_ROWS, _ROWS):
            raise RuntimeError(f"{accepted['rejections']} {others['rejections']}")
        removal, _ = await _timed(client, "DELETE", workspace)
    return [
        Figure(f"import of {_ROWS} mailboxes of a workspace", through, "s"),
        Figure(f"    of {_ROWS} with passwords", passwords, "s"),
        Figure(f"    removal of the workspace with its {_ROWS} accounts", removal, "s"),
    ]


async def _timed(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = await client.request(method, path, json=body)
    seconds = time.perf_counter() - began
    answer.raise_for_status()
    return seconds, answer.json() if answer.content else None
