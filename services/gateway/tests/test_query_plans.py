"""No query of the API reads a table from end to end: each has an index that serves it."""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from berth_events.contracts import AccountRequested, EmailWorkspaceCredentialsReplaced
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_results import audited, verified
from berth_testing.gateway_workspaces import microsoft_body, workspace_result
from berth_testing.sendkit import create_mailbox


def scans(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan reads from end to end."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for inner in plan.get("Plans", ()):
        yield from scans(inner)


@pytest.fixture
async def queries(harness: GatewayHarness) -> set[str]:
    """Every query of the gateway from now on."""
    seen: set[str] = set()
    connections = [await harness.pool.acquire() for _ in range(harness.pool.get_max_size())]
    for connection in connections:
        connection.add_query_logger(lambda record: seen.add(record.query))
        await harness.pool.release(connection)
    return seen


async def generic_plan(connection: Any, query: str) -> dict[str, Any]:
    """The plan that serves whatever the arguments are."""
    await connection.execute(f"PREPARE asked AS {query}")
    count = max((int(number) for number in re.findall(r"\$(\d+)", query)), default=0)
    arguments = f"({', '.join(['NULL'] * count)})" if count else ""
    [plan] = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked{arguments}"))
    await connection.execute("DEALLOCATE asked")
    found: dict[str, Any] = plan["Plan"]
    return found


async def fill(harness: GatewayHarness, project: Project) -> list[str]:
    await harness.subscribe(project.organization_id, monitoring=100)
    places = []
    for number in range(30):
        body = account_body(f"user{number}@d{number % 5}.test", tags=["sales"] if number % 3 else [])
        answer = await project.http.post("/v1/accounts", json=body)
        assert answer.status_code == 202, answer.text
        places.append(f"/v1/accounts/{answer.json()['id']}")
    requested = [event for event in await harness.published() if isinstance(event, AccountRequested)]
    await harness.deliver(*(verified(event, works=bool(number % 4)) for number, event in enumerate(requested)))
    await harness.deliver(*(audited(f"d{number}.test") for number in range(5)), source="/berth/dns-auditor")
    return places


async def walk(project: Project, places: list[str], workspace: str) -> None:
    """The canonical API, each call once or more."""
    alice, bob = places[1], places[2]
    ids = [place.rpartition("/")[2] for place in (alice, bob)]
    filters = {
        "status": "failed", "provider": "custom", "domain": "d1.test", "seat_kind": "monitoring", "suspended": "false",
        "workspace_id": ids[0], "import_id": ids[0], "tag": "sales", "search": "user1",
    }  # fmt: skip
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/v1/accounts?limit=5", None),
        *(("GET", f"/v1/accounts?{name}={value}", None) for name, value in filters.items()),
        ("GET", alice, None),
        ("GET", f"{alice}/verification", None),
        ("GET", f"{alice}/stats", None),
        ("PUT", f"{alice}/aliases", {"aliases": [{"email": "sales@d1.test"}]}),
        ("GET", f"{alice}/aliases", None),
        ("PATCH", alice, {"tags": ["a", "b"], "settings": {"daily_limit": 3, "alias": "sales@d1.test"}}),
        ("POST", f"{alice}/reconnect", None),
        ("POST", f"{alice}/checkup", None),
        ("POST", f"{alice}/suspend", None),
        ("POST", f"{alice}/resume", None),
        ("PUT", f"{alice}/credentials", {"password": "x"}),
        ("PUT", f"{alice}/credentials", {"password": "y", "apply": "now"}),
        ("POST", "/v1/probes", account_body()),
        ("GET", f"/v1/probes/{ids[0]}", None),
        ("POST", "/v1/accounts/batch", {"action": "untag", "account_ids": ids, "tags": ["a"]}),
        ("GET", "/v1/tags", None),
        ("POST", "/v1/tags", {"name": "new"}),
        ("PATCH", "/v1/tags/1", {"color": "#000000"}),
        ("DELETE", "/v1/tags/1", None),
        ("GET", "/v1/domains", None),
        ("GET", "/v1/domains?finding=DMARC_MISSING", None),
        ("GET", "/v1/domains/d1.test", None),
        ("POST", "/v1/domains/d1.test/audit", None),
        ("GET", "/v1/usage", None),
        ("GET", "/v1/usage?as_of=2026-01-01", None),
        ("GET", "/v1/events?type=AccountRequested", None),
        ("GET", f"/v1/events?subject={ids[0]}", None),
        ("DELETE", bob, None),
        ("GET", "/v1/email-workspaces", None),
        ("GET", workspace, None),
        ("PATCH", workspace, {"name": "other"}),
        ("PUT", f"{workspace}/credentials", microsoft_body(name=None, provider=None)),
        ("POST", f"{workspace}/imports", {"accounts": ["a@d1.test", "a@d1.test"]}),
        ("POST", "/v1/imports", {"accounts": [{"email": "b@d1.test", "password": "x", "provider": "gmail"}]}),
        ("GET", "/v1/imports", None),
        ("GET", "/v1/imports?cursor=aTk", None),
    ]
    for method, path, body in calls:
        answer = await project.http.request(method, path, json=body, headers={"Idempotency-Key": f"{method}{path}"})
        assert answer.status_code < 400, (method, path, answer.text)


async def walk_smartlead(project: Project) -> None:
    """What SmartLead's calls ask of the database besides; the accounts are those of the canonical API."""
    some = {"email_account_ids": [4, 5]}
    calls: list[tuple[str, str, Any]] = [
        ("POST", "/tags", {"name": "of SmartLead"}),
        ("POST", "/email-accounts/tag-mapping", {**some, "tag_ids": [2]}),
        ("POST", "/email-accounts/tag-list", {"email_ids": ["user4@d4.test"]}),
        ("DELETE", "/email-accounts/tag-mapping", {**some, "tag_ids": [2]}),
        ("POST", "/campaigns/7/email-accounts", some),
        ("GET", "/campaigns/7/email-accounts", None),
        ("GET", "/email-accounts?isInUse=true&fetch_campaigns=true", None),
        ("GET", "/email-accounts/4", None),
        ("DELETE", "/campaigns/7/email-accounts", some),
        ("POST", "/email-accounts/reconnect-failed-email-accounts", {}),
    ]
    for method, path, body in calls:
        answer = await project.http.request(method, f"/api/v1{path}", json=body)
        assert answer.status_code < 400, (method, path, answer.text)


async def follow_imports(harness: GatewayHarness, project: Project, workspace: str) -> None:
    """What happens to imports, and to the workspace they came through, from the first look to the end."""
    [newest, _] = (await project.http.get("/v1/imports")).json()["items"]
    for more in ("", "/accounts?state=pending", "/rejected.csv"):
        assert (await project.http.get(f"/v1/imports/{newest['id']}{more}")).status_code == 200
    events = await harness.published()
    await harness.deliver(*(verified(event, works=True) for event in events if isinstance(event, AccountRequested)))
    replaced = [event for event in events if isinstance(event, EmailWorkspaceCredentialsReplaced)]
    await harness.deliver(*(workspace_result(event, works=True) for event in replaced))
    assert (await project.http.get(f"/v1/imports/{newest['id']}/events")).status_code == 200
    assert await harness.gateway.services.import_settled.wait(UUID(newest["id"]), within=5)
    assert (await project.http.delete(workspace)).status_code == 204


async def manage(harness: GatewayHarness, project: Project) -> None:
    """The calls on organizations, projects and keys; the operator's queries are the same."""
    organization, made = f"/v1/organizations/{project.organization_id}", f"/v1/projects/{project.project_id}"
    terms = {"name": "n", "scopes": ["projects:read", "projects:write", "accounts:read"]}
    platform = {"X-Api-Key": (await harness.platform(f"{organization}/keys", terms))["key"]}
    other = (await harness.platform(f"{organization}/projects", {"name": "other"}))["id"]
    key = f"/v1/keys/{(await harness.platform(f'{made}/keys', {**terms, 'scopes': ['accounts:read']}))['id']}"
    calls: list[tuple[str, str, Any]] = [
        *(("GET", path, None) for path in ("/v1/organizations", organization, made, key)),
        *(("GET", path, None) for path in (f"{organization}/projects", f"{organization}/keys", f"{made}/keys")),
        *(("PATCH", path, {"name": "renamed"}) for path in (organization, made, key)),
        ("POST", f"{key}/rotate", None),
        ("DELETE", key, None),
        ("DELETE", f"/v1/projects/{other}", None),
    ]
    for method, path, body in calls:
        answer = await harness.http.request(method, path, json=body, headers=platform)
        assert answer.status_code < 400, (method, path, answer.text)


async def speak_sendkit(harness: GatewayHarness, project: Project) -> None:
    """SendKit's calls, each once or more."""
    mailbox = (await create_mailbox(project, "sendkit@d1.test", tags=["vip"]))["_id"]
    terms = {"name": "n", "scopes": ["projects:read", "projects:write", "accounts:read"]}
    key = (await harness.platform(f"/v1/organizations/{project.organization_id}/keys", terms))["key"]
    own = project.project_id.hex[:24]
    platform = {"X-Api-Key": key, "Authorization": "", "X-Workspace-Id": own}
    csv = {"file": "email,password,smtphost,imaphost\ncsv@d1.test,x,smtp.acme.com,imap.acme.com\n"}
    skipping = {"data": {"skipConnectionTest": "true"}, "files": csv}
    filters = "status=inactive&tags=vip&minHealthScore=1&warmupStatus=paused&search=a&sendingEnabled=false"
    calls: list[tuple[str, str, dict[str, Any]]] = [
        *(("GET", f"/v1/mailboxes{more}", {}) for more in ("", f"?{filters}", "?limit=2&page=2")),
        *(("GET", f"/v1/mailboxes/{mailbox}{more}", {}) for more in ("", "/health", "/connection-test")),
        ("PATCH", f"/v1/mailboxes/{mailbox}", {"json": {"tags": ["a"], "dailySendLimit": 3}}),
        ("POST", "/v1/mailboxes/import/smtp", skipping),
        ("GET", "/v1/warmup/stats", {}),
        ("POST", "/v1/warmup/bulk", {"json": {"operation": "start", "mailboxes": [mailbox, "0" * 24]}}),
        ("GET", "/v1/account", {}),
        ("GET", "/v1/mailboxes", {"headers": platform}),
        *(("GET", path, {"headers": platform}) for path in ("/v1/workspaces", f"/v1/workspaces/{own}")),
        ("PATCH", f"/v1/workspaces/{own}", {"json": {"name": "n"}}),
        ("DELETE", f"/v1/mailboxes/{mailbox}", {}),
    ]
    for method, path, sent in calls:
        answer = await project.http.request(method, path, **sent)
        assert answer.status_code < 400, (method, path, answer.text)


async def test_every_query_has_an_index(harness: GatewayHarness, project: Project, queries: set[str]) -> None:
    places = await fill(harness, project)
    workspace = (await project.http.post("/v1/email-workspaces", json=microsoft_body())).headers["location"]
    await walk(project, places, workspace)
    await walk_smartlead(project)
    await follow_imports(harness, project, workspace)
    await manage(harness, project)
    await speak_sendkit(harness, project)
    asked = [query for query in sorted(queries) if re.match(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)", query)]
    asked = [query for query in asked if ";" not in query]  # what the driver sends when a connection goes back
    assert len(asked) > 40
    async with harness.owner.acquire() as connection, connection.transaction():
        # otherwise a table of thirty rows is read whole, rightly; so, only one that has no index to go by
        await connection.execute("SET LOCAL enable_seqscan = off")
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        found = [(table, query) for query in asked for table in scans(await generic_plan(connection, query))]
    assert not found, "\n".join(f"{table}: {query}" for table, query in found)
