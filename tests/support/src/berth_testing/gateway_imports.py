"""What tests of imports ask the gateway for over HTTP."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from berth_events.contracts import AccountRequested
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.gateway_workspaces import google_body

__all__ = ["imported", "nothing_is_stored", "requests", "rows", "shown", "workspace"]


async def workspace(project: Project, body: dict[str, Any] | None = None) -> UUID:
    answer = await project.http.post("/v1/email-workspaces", json=body or google_body())
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["id"])


async def imported(project: Project, workspace_id: UUID, accounts: Sequence[Any], **options: Any) -> dict[str, Any]:
    body = {"accounts": list(accounts), **options}
    answer = await project.http.post(f"/v1/email-workspaces/{workspace_id}/imports", json=body)
    assert answer.status_code == (200 if options.get("dry_run") else 202), answer.text
    found: dict[str, Any] = answer.json()
    return found


async def shown(project: Project, made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await project.http.get(f"/v1/imports/{made['id']}")).json()
    return found


async def rows(project: Project, made: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    answer = await project.http.get(f"/v1/imports/{made['id']}/accounts{query}")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def requests(harness: GatewayHarness) -> list[AccountRequested]:
    return [event for event in await harness.published() if isinstance(event, AccountRequested)]


async def nothing_is_stored(harness: GatewayHarness, project: Project) -> None:
    assert await requests(harness) == []
    assert (await project.http.get("/v1/imports")).json()["items"] == []
    assert (await project.http.get("/v1/accounts")).json()["items"] == []
    assert (await harness.seats(project.organization_id))["monitoring"] == 0
