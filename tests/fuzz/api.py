"""`make fuzz-api`: schemathesis over the whole OpenAPI document, against the gateway on a real Postgres.

Looked for: a 5xx, a status or content type that is not documented, an answer that its schema does not allow. The connector is
played: every mailbox works, so that MailReach's documented 500 is none of its answers.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence

import uvicorn

from berth_gateway.tenants.scopes import PLATFORM_ONLY, SCOPES
from berth_local.ports import free_port
from berth_testing.gateway_harness import OPERATOR_KEY, GatewayHarness, account_body, run_gateway
from berth_testing.postgres import PostgresServer, embedded
from berth_testing.waiting import eventually

_CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance"
)
#: What the operator alone may do; the rest is done with a project's key.
_OPERATORS = ("keys", "organizations and projects")


@contextlib.asynccontextmanager
async def _served(harness: GatewayHarness) -> AsyncIterator[str]:
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(harness.app, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    task = asyncio.create_task(server.serve())
    await eventually(lambda: asyncio.sleep(0, server.started), bool, within=10, pause=0.05)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


async def _project_key(harness: GatewayHarness) -> str:
    """A key that may do everything in a project with some accounts, as often as it likes."""
    project = await harness.project(await harness.organization(subscribed=False))
    await harness.subscribe(project.organization_id, monitoring=100_000, spam_check=100_000)
    scopes = [scope for scope in SCOPES if scope not in PLATFORM_ONLY]
    body = {"name": "fuzz", "scopes": scopes, "rate_limit": "100000/second"}
    made = await harness.platform(f"/v1/projects/{project.project_id}/keys", body)
    async with project.http:
        for number in range(5):
            await project.http.post("/v1/accounts", json=account_body(f"user{number}@acme.test"))
    key: str = made["key"]
    return key


async def _schemathesis(url: str, key: str, options: argparse.Namespace, *chosen: str, seconds: int) -> int:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "-H", f"Authorization: Bearer {key}"),
        *("--checks", _CHECKS, "--max-time", str(seconds), "--seed", str(options.seed), "--request-timeout", "60"),
        *("--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off", *chosen, *options.rest),
    ]
    process = await asyncio.create_subprocess_exec(*command)
    return await process.wait()


async def _fuzz(options: argparse.Namespace) -> int:
    with embedded() as dsn:
        async with run_gateway(PostgresServer(dsn)) as harness, _served(harness) as url, harness.connector():
            key = await _project_key(harness)
            operators = max(1, options.seconds // 6)
            projects = await _schemathesis(
                url, key, options, *_each("--exclude-tag"), seconds=options.seconds - operators
            )
            return projects or await _schemathesis(
                url, OPERATOR_KEY, options, *_each("--include-tag"), seconds=operators
            )


def _each(option: str) -> list[str]:
    return [word for tag in _OPERATORS for word in (option, tag)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz; returns the exit status, which is not 0 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.api", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for how long (default: 600)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same requests (default: 1)")
    parser.add_argument("rest", nargs="*", help="further options of schemathesis, behind --")
    return asyncio.run(_fuzz(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
