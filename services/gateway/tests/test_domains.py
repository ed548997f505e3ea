"""Domains of the project's accounts, and usage."""

from datetime import timedelta

from berth_events.contracts import AccountDomainAuditRequested, AccountRequested, SubscriptionEnded
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_results import audited


async def connect(project: Project, email: str, **changes: str) -> str:
    answer = await project.http.post("/v1/accounts", json=account_body(email, **changes))
    assert answer.status_code == 202, answer.text
    return f"/v1/accounts/{answer.json()['id']}"


async def test_a_domain_is_shown_with_its_findings(harness: GatewayHarness, project: Project) -> None:
    for email in ("alice@acme.test", "bob@acme.test", "carol@zeta.test"):
        await connect(project, email)
    await harness.deliver(audited("acme.test"), source="/berth/dns-auditor")
    page = (await project.http.get("/v1/domains")).json()
    assert [(domain["domain"], domain["accounts"]) for domain in page["items"]] == [("acme.test", 2), ("zeta.test", 1)]
    assert page["items"][1]["checks"]["spf"] == "unknown"
    detail = (await project.http.get("/v1/domains/ACME.test.")).json()
    assert detail["findings"][0]["code"] == "DMARC_MISSING"
    assert detail["record"]["dmarc"]["state"] == "fail"
    assert detail["dkim_valid"] is True
    filtered = (await project.http.get("/v1/domains", params={"finding": "DMARC_MISSING"})).json()
    assert [domain["domain"] for domain in filtered["items"]] == ["acme.test"]


async def test_domains_come_in_pages(project: Project) -> None:
    for name in "abc":
        await connect(project, f"x@{name}.test")
    seen, cursor = [], None
    while True:
        params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await project.http.get("/v1/domains", params=params)).json()
        seen += [domain["domain"] for domain in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["a.test", "b.test", "c.test"]
    assert (await project.http.get("/v1/domains", params={"cursor": "%00"})).status_code == 400


async def test_only_domains_of_the_projects_accounts(harness: GatewayHarness, project: Project) -> None:
    place = await connect(project, "alice@acme.test")
    other = await harness.project(await harness.organization())
    assert (await other.http.get("/v1/domains")).json()["items"] == []
    for method, path in (("GET", "/v1/domains/acme.test"), ("POST", "/v1/domains/acme.test/audit")):
        assert (await other.http.request(method, path)).status_code == 404
    assert (await project.http.get("/v1/domains/not a domain")).status_code == 404
    await project.http.delete(place)
    assert (await project.http.get("/v1/domains/acme.test")).status_code == 404


async def test_an_audit_is_asked_for(harness: GatewayHarness, project: Project) -> None:
    await connect(project, "alice@acme.test")
    await harness.published()
    answer = await project.http.post("/v1/domains/acme.test/audit")
    assert answer.status_code == 202
    (event,) = await harness.published()
    assert isinstance(event, AccountDomainAuditRequested)
    assert event.domain == "acme.test"


async def test_usage_now_and_as_of_a_day(harness: GatewayHarness, project: Project) -> None:
    sibling = await harness.project(project.organization_id)
    place = await connect(project, "alice@acme.test")
    await connect(project, "spam@acme.test", seat_kind="spam_check")
    await connect(sibling, "bob@acme.test")
    usage = (await project.http.get("/v1/usage")).json()
    assert usage["subscribed"] is True
    assert usage["seats"]["monitoring"] == {"used": 2, "used_by_project": 1, "limit": 10, "free": 8}
    assert usage["seats"]["spam_check"] == {"used": 1, "used_by_project": 1, "limit": 10, "free": 9}

    today = harness.clock.now().date()
    harness.clock.shift = timedelta(days=3)
    await project.http.delete(place)
    ended = SubscriptionEnded(organization_id=project.organization_id)
    await harness.deliver(ended, source="/berth/billing")
    now = (await project.http.get("/v1/usage")).json()
    assert now["subscribed"] is False
    assert now["seats"]["monitoring"] == {"used": 1, "used_by_project": 0, "limit": None, "free": None}
    before = (await project.http.get("/v1/usage", params={"as_of": today.isoformat()})).json()
    assert before["seats"]["monitoring"] == {"used": 2, "used_by_project": 1, "limit": 10, "free": 8}
    assert before["as_of"].startswith(f"{today}T23:59:59.999")
    earlier = (await project.http.get("/v1/usage", params={"as_of": str(today - timedelta(days=1))})).json()
    assert earlier["seats"]["monitoring"]["used"] == 0
    assert (await project.http.get("/v1/usage", params={"as_of": "9999-12-31"})).status_code == 200
    assert (await project.http.get("/v1/usage", params={"as_of": "yesterday"})).status_code == 422


async def test_the_ledger_and_usage_agree(harness: GatewayHarness, project: Project) -> None:
    for number in range(4):
        await connect(project, f"user{number}@acme.test")
    events = [event for event in await harness.published() if isinstance(event, AccountRequested)]
    await project.http.delete(f"/v1/accounts/{events[0].account_id}")
    usage = (await project.http.get("/v1/usage")).json()
    assert usage["seats"]["monitoring"]["used"] == (await harness.seats(project.organization_id))["monitoring"] == 3
