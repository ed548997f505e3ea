"""The demo: an organization with a subscription connects four mailboxes. Over HTTP only, as anybody would."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from berth_local.description import Demo
from berth_local.errors import LocalStackError
from berth_local.sandbox.description import Sandbox
from berth_local.stack import Running

__all__ = ["RESULT_SECONDS", "SCENARIOS", "Account", "DemoRefused", "Scenario", "connect_demo", "watch"]

SUBSCRIPTION_SECONDS: Final = 20
RESULT_SECONDS: Final = 60
POLL_SECONDS: Final = 0.1
#: An account as the gateway shows it.
Account = Mapping[str, Any]


class DemoRefused(LocalStackError):
    """A service refused a call of the demo. The message holds its answer; the services' logs say more."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A mailbox, and what is the matter with it."""

    address: str
    first_name: str
    last_name: str
    matter: str
    wrong_password: bool = False


SCENARIOS: Final = (
    Scenario("ada@acme.test", "Ada", "Lovelace", "everything as it should be"),
    Scenario("grace@acme.test", "Grace", "Hopper", "a wrong password", wrong_password=True),
    Scenario("linus@untrusted.test", "Linus", "Torvalds", "a certificate by an unknown authority"),
    Scenario("edsger@nodmarc.test", "Edsger", "Dijkstra", "a domain without DMARC"),
)


def body_of(sandbox: Sandbox, scenario: Scenario) -> Account:
    """What is posted to connect a mailbox of the sandbox."""
    mailbox, host = sandbox.mailbox(scenario.address)
    return {
        "email": scenario.address,
        "first_name": scenario.first_name,
        "last_name": scenario.last_name,
        "provider": "custom",
        "password": "not-the-password" if scenario.wrong_password else mailbox.password,
        "imap": {"host": f"imap.{host.domain}", "port": host.imaps, "security": "tls"},
        "smtp": {"host": f"smtp.{host.domain}", "port": host.submission, "security": "starttls"},
    }


async def connect_demo(running: Running) -> Demo:
    """Make the organization and connect its mailboxes, as far as that was not done at an earlier start.

    Raises:
        DemoRefused: a service said no.
    """
    kept = f"demo{running.databases.suffix}"
    demo = await _known(running, running.state.get(kept))
    if demo is None:
        demo = await _organization(running)
        running.state.put(kept, demo.model_dump_json())
    subscription = {"plan": "demo", "limits": {"monitoring": 1000, "spam_check": 1000}}
    url = f"{running.services['billing'].url}/internal/subscriptions/{demo.organization_id}"
    await _call(running.client, "PUT", url, running.secrets.internal_token, subscription)
    accounts = {account["email"]: account["id"] for account in await _accounts(running, demo)}
    for scenario in SCENARIOS:
        if scenario.address not in accounts:
            body = body_of(running.sandbox, scenario)
            accounts[scenario.address] = (await _connect(running, demo, body))["id"]
    return demo.model_copy(update={"accounts": {one.address: accounts[one.address] for one in SCENARIOS}})


async def watch(running: Running, demo: Demo, show: Callable[[list[Account]], None]) -> bool:
    """Show the accounts until each has its results; False when that takes longer than a minute."""
    try:
        async with asyncio.timeout(RESULT_SECONDS):
            while True:
                by_address = {account["email"]: account for account in await _accounts(running, demo)}
                accounts = [by_address[scenario.address] for scenario in SCENARIOS]
                show(accounts)
                if all(is_complete(account) for account in accounts):
                    return True
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        return False


def is_complete(account: Account) -> bool:
    """Has it been verified, and its domain audited?"""
    return account["status"] != "pending" and account["domain"]["last_check_at"] is not None


async def _known(running: Running, kept: str | None) -> Demo | None:
    """The demo of an earlier start, when its key is still good."""
    if kept is None:
        return None
    demo = Demo.model_validate_json(kept)
    headers = {"Authorization": f"Bearer {demo.api_key}"}
    answer = await running.client.get(f"{running.url}/v1/accounts", headers=headers)
    return demo if answer.is_success else None


async def _organization(running: Running) -> Demo:
    async def post(path: str, body: Mapping[str, Any]) -> Account:
        return await _call(running.client, "POST", running.url + path, running.secrets.operator_key, body)

    organization = await post("/v1/organizations", {"name": "Acme (demo)"})
    project = await post(f"/v1/organizations/{organization['id']}/projects", {"name": "Outreach"})
    kinds = ("accounts", "workspaces", "domains", "webhooks")
    scopes = [f"{kind}:{right}" for kind in kinds for right in ("read", "write")] + ["usage:read", "events:read"]
    key = await post(f"/v1/projects/{project['id']}/keys", {"name": "demo", "scopes": scopes})
    return Demo(organization_id=organization["id"], project_id=project["id"], api_key=key["key"])


async def _accounts(running: Running, demo: Demo) -> list[Account]:
    page = await _call(running.client, "GET", f"{running.url}/v1/accounts?limit=100", demo.api_key)
    items: list[Account] = page["items"]
    return items


async def _connect(running: Running, demo: Demo, body: Account) -> Account:
    """Post an account; the gateway hears of the subscription a moment after billing has it."""
    try:
        async with asyncio.timeout(SUBSCRIPTION_SECONDS):
            while True:
                try:
                    return await _call(running.client, "POST", f"{running.url}/v1/accounts", demo.api_key, body)
                except DemoRefused as refusal:
                    if "subscription" not in str(refusal):
                        raise
                    await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise DemoRefused(
            f"the gateway has not heard of the subscription within {SUBSCRIPTION_SECONDS} s; see the logs of billing and "
            f"gateway in {running.settings.logs}"
        ) from None


async def _call(
    client: httpx.AsyncClient, method: str, url: str, key: str, body: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    try:
        answer = await client.request(method, url, json=body, headers={"Authorization": f"Bearer {key}"})
    except httpx.TransportError as error:
        raise DemoRefused(f"{method} {url}: {error!r}") from error
    if not answer.is_success:
        raise DemoRefused(f"{method} {url}: {answer.status_code} {answer.text}")
    decoded: Mapping[str, Any] = json.loads(answer.content)
    return decoded
