"""Tenants that have one of everything, to see whether one can learn anything of another."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
from fastapi import FastAPI

from berth_gateway.api.app import make_app
from berth_gateway.api.services import StreamTiming
from berth_gateway.tenants.scopes import SCOPES
from berth_testing.gateway_harness import OPERATOR_KEY, GatewayHarness, Project, account_body
from berth_testing.gateway_workspaces import microsoft_body
from berth_testing.waiting import eventually

__all__ = ["Neighbour", "application", "neighbour"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A tenant.

    Attributes:
        project: its project; the client uses a key with all scopes of a project.
        platform: a client with a key of the organization, for the project.
        ids: of one thing of each kind, by kind.
        marks: texts that stand in everything it has, and in nothing that anybody else has.
    """

    project: Project
    platform: httpx.AsyncClient
    ids: Mapping[str, str]
    marks: frozenset[str]


def application(harness: GatewayHarness) -> FastAPI:
    """The harness' application, whose streams end soon."""
    services = replace(harness.gateway.services, timing=StreamTiming(heartbeat=0.02, cap=0.05))
    return make_app(services)


@asynccontextmanager
async def neighbour(harness: GatewayHarness, app: FastAPI, name: str, first: int) -> AsyncIterator[Neighbour]:
    """A new tenant; `name` stands in every name, address and URL of it.

    Args:
        harness: the gateway that it is a tenant of.
        app: answers.
        name: lower case letters that stand in no other text.
        first: its accounts, tags, workspaces and imports are numbered from here on, so that no two tenants share a number.
    """
    organization_id = await harness.organization()
    operator = httpx.AsyncClient(transport=_transport(app), base_url="http://gateway", headers=_bearer(OPERATOR_KEY))
    made = await harness.project(organization_id)
    await made.http.aclose()
    await harness.owner.execute(
        """UPDATE project SET next_number = $2, next_tag_number = $2, next_workspace_number = $2, next_import_number = $2
            WHERE project_id = $1""",
        made.project_id,
        first,
    )
    async with (
        operator,
        httpx.AsyncClient(transport=_transport(app), base_url="http://gateway", headers=_bearer(made.key)) as http,
    ):
        project = replace(made, http=http)
        for path in (f"/v1/organizations/{organization_id}", f"/v1/projects/{project.project_id}"):
            await _call(operator, "PATCH", path, {"name": name})
        key = await _call(
            operator, "POST", f"/v1/organizations/{organization_id}/keys", {"name": name, "scopes": list(SCOPES)}
        )
        headers = {**_bearer(key["key"]), "X-Project-Id": str(project.project_id)}
        async with httpx.AsyncClient(transport=_transport(app), base_url="http://gateway", headers=headers) as platform:
            ids = {
                "organization": str(organization_id),
                "project": str(project.project_id),
                "key": key["id"],
                **await _populate(harness, project, platform, name),
            }
            told = [value for value in ids.values() if len(value) > 16]  # numbers stand in other texts, too
            yield Neighbour(project=project, platform=platform, ids=ids, marks=frozenset({name, key["prefix"], *told}))


async def _populate(
    harness: GatewayHarness, project: Project, platform: httpx.AsyncClient, name: str
) -> dict[str, str]:
    http = project.http
    harness.resolver.known[f"{name}.test"] = "93.184.216.34"
    key = await _call(
        platform, "POST", f"/v1/projects/{project.project_id}/keys", {"name": name, "scopes": ["accounts:read"]}
    )
    tag = await _call(http, "POST", "/v1/tags", {"name": name, "color": "#112233"})
    webhook = await _call(http, "POST", "/v1/webhooks", {"url": f"https://{name}.test/", "description": name})
    async with harness.connector():
        account = await _call(http, "POST", "/v1/accounts", account_body(f"{name}@{name}.test", first_name=name))
        probe = await _call(http, "POST", "/v1/probes", account_body(f"{name}@{name}.example"))
        await eventually(
            lambda: _call(http, "GET", f"/v1/accounts/{account['id']}"),
            lambda shown: shown["status"] == "connected" and shown["domain"]["last_check_at"] is not None,
            within=10,
        )
    workspace = await _call(http, "POST", "/v1/email-workspaces", microsoft_body(name=name))
    row = {"email": f"import@{name}.test", "password": name, "provider": "gmail"}
    imported = await _call(http, "POST", "/v1/imports", {"accounts": [row]})
    await _call(http, "PATCH", f"/v1/accounts/{account['id']}", {"tags": [name], "signature": name})
    await harness.owner.execute(
        "INSERT INTO campaign_account (account_id, project_id, campaign, updated_at) VALUES ($1, $2, $3, now())",
        account["id"],
        project.project_id,
        account["number"] + 1,
    )
    alert = await harness.owner.fetchval("SELECT number FROM webhook WHERE webhook_id = $1", webhook["id"])
    deliveries = await _call(http, "GET", f"/v1/webhooks/{webhook['id']}/deliveries")
    return {
        "account": account["id"],
        "address": account["email"],
        "sendkit_account": account["id"].replace("-", "")[:24],
        "sendkit_project": project.project_id.hex[:24],
        "campaign": str(account["number"] + 1),
        "account_number": str(account["number"]),
        "project_key": key["id"],
        "probe": probe["id"],
        "tag": str(tag["id"]),
        "domain": f"{name}.test",
        "webhook": webhook["id"],
        "alert": str(alert),
        "delivery": deliveries["items"][0]["id"],
        "workspace": workspace["id"],
        "workspace_number": str(workspace["number"]),
        "import": imported["id"],
        "import_number": str(imported["number"]),
    }


def _transport(app: FastAPI) -> httpx.ASGITransport:
    return httpx.ASGITransport(app, raise_app_exceptions=False)


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def _call(http: httpx.AsyncClient, method: str, path: str, body: Any = None) -> dict[str, Any]:
    answer = await http.request(method, path, json=body)
    if not answer.is_success:
        raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
    found: dict[str, Any] = answer.json()
    return found
