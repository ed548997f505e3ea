"""SendKit's mailboxes: listed with filters and pages, shown, changed, deleted."""

import time
from typing import Any

import pytest

from berth_events.contracts import (
    AccountDisconnected,
    AccountRequested,
    AccountUpdated,
    DomainAudited,
)
from berth_gateway.dialects.sendkit.examples import EXAMPLES, MAILBOX
from berth_testing.gateway_harness import GatewayHarness, Project, account_body
from berth_testing.gateway_results import audited, verification, verified
from berth_testing.sendkit import create_mailbox, failure, outcome

HEALTH = EXAMPLES["sendkitMailboxHealth"]["200"]["data"]


async def connected(harness: GatewayHarness, project: Project, email: str, **changes: Any) -> str:
    """A mailbox that works, on a domain that was audited."""
    mailbox = await create_mailbox(project, email, **changes)
    (event,) = [each for each in await harness.published() if isinstance(each, AccountRequested)]
    await harness.deliver(verified(event, works=True))
    await harness.deliver(audited(event.domain), source="/berth/dns-auditor")
    identity: str = mailbox["_id"]
    return identity


async def listed(project: Project, query: str) -> list[str]:
    """The local parts of the mailboxes that a list shows."""
    answer = await project.http.get(f"/v1/mailboxes?{query}")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["pagination"]["total"] >= len(shown["data"])
    return [mailbox["email"].partition("@")[0] for mailbox in shown["data"]]


def shape(value: Any) -> Any:
    """The keys of a document, however deep."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


@pytest.mark.parametrize("slash", ["", "/"])
async def test_one_mailbox(harness: GatewayHarness, project: Project, slash: str) -> None:
    identity = await connected(harness, project, "alice@acme.test", tags=["outreach"])
    answer = await project.http.get(f"/v1/mailboxes/{identity}{slash}")
    assert answer.status_code == 200
    assert shape(answer.json()) == shape({"success": True, "data": MAILBOX})
    mailbox = answer.json()["data"]
    assert (mailbox["_id"], mailbox["status"], mailbox["sendingEnabled"]) == (identity, "active", True)
    assert mailbox["setupStatus"] == {
        "healthScore": 75,
        "mx": {"status": "pass"},
        "spf": {"status": "pass"},
        "dkim": {"status": "pass"},
        "dmarc": {"status": "fail"},
    }
    zeros = ("sentToday", "bounceRate", "totalSent", "totalReceived")
    assert [mailbox[name] for name in zeros] == [0] * 4
    upper = await project.http.get(f"/v1/mailboxes/{identity.upper()}")
    assert upper.json() == answer.json()


async def test_the_auditors_score_is_shown(harness: GatewayHarness, project: Project) -> None:
    identity = await connected(harness, project, "alice@acme.test")
    scored = audited("acme.test")
    better = scored.definite.model_copy(update={"health_score": 93})
    await harness.deliver(scored.model_copy(update={"definite": better}), source="/berth/dns-auditor")
    mailbox = (await project.http.get(f"/v1/mailboxes/{identity}")).json()["data"]
    assert mailbox["setupStatus"]["healthScore"] == 93
    assert await listed(project, "minHealthScore=93") == ["alice"]
    assert await listed(project, "minHealthScore=93.5") == []
    assert isinstance(scored, DomainAudited)


async def test_before_the_audit(project: Project) -> None:
    mailbox = await create_mailbox(project)
    shown = (await project.http.get(f"/v1/mailboxes/{mailbox['_id']}")).json()["data"]
    unknown = {"status": "unknown"}
    assert shown["setupStatus"] == {
        "healthScore": None, "mx": unknown, "spf": unknown, "dkim": unknown, "dmarc": unknown,
    }  # fmt: skip
    health = (await project.http.get(f"/v1/mailboxes/{mailbox['_id']}/health")).json()["data"]
    assert health["dns"]["mx"] == {"status": "unknown", "records": []}


@pytest.mark.parametrize("slash", ["", "/"])
async def test_health(harness: GatewayHarness, project: Project, slash: str) -> None:
    identity = await connected(harness, project, "alice@acme.test")
    health = (await project.http.get(f"/v1/mailboxes/{identity}/health{slash}")).json()["data"]
    assert shape(health) == shape(HEALTH)
    assert health["dns"] == {
        "mx": {"status": "pass", "records": [{"exchange": "mx.acme.test", "priority": 10}]},
        "spf": {"status": "pass", "record": "v=spf1 -all"},
        "dkim": {"status": "pass", "selector": "s1", "record": "v=DKIM1; p=abc"},
        "dmarc": {"status": "fail", "record": None},
        "healthScore": 75,
    }
    assert health["deliverability"] == {
        "bounceRate": 0, "totalSent": 0, "totalReceived": 0, "consecutiveFailures": 0,
    }  # fmt: skip
    assert (health["status"], health["lastError"], health["sentToday"]) == ("active", None, 0)


async def test_a_mailbox_that_works_no_more(harness: GatewayHarness, project: Project) -> None:
    identity = await connected(harness, project, "alice@acme.test")
    (event,) = [each for each in harness.history if isinstance(each, AccountRequested)]
    lost = AccountDisconnected(
        **{name: getattr(event, name) for name in ("account_id", "organization_id", "project_id", "address")},
        credential_ref=event.credential_ref,
        verification=verification(works=False),
    )
    await harness.deliver(lost)
    mailbox = (await project.http.get(f"/v1/mailboxes/{identity}")).json()["data"]
    assert (mailbox["status"], mailbox["sendingEnabled"]) == ("error", False)
    assert mailbox["lastError"] == "The server refused user name or password. Check the password."
    assert (await outcome(project, identity))["status"] == "failed"
    assert await listed(project, "status=error") == ["alice"]


# -- changes


async def test_a_change(harness: GatewayHarness, project: Project) -> None:
    identity = await connected(harness, project, "alice@acme.test", tags=["a", "b"])
    body = {"displayName": "Sarah J.", "dailySendLimit": 80, "signature": "<b>S</b>", "tags": ["b", "vip"]}
    for slash in ("", "/"):
        answer = await project.http.patch(f"/v1/mailboxes/{identity}{slash}", json=body)
        assert answer.status_code == 200
        changed = answer.json()["data"]
        assert changed == {
            "_id": identity,
            "email": "alice@acme.test",
            "displayName": "Sarah J.",
            "dailySendLimit": 50,
            "sendingEnabled": True,
            "tags": ["b", "vip"],
            "updatedAt": changed["updatedAt"],
        }
    mailbox = (await project.http.get(f"/v1/mailboxes/{identity}")).json()["data"]
    assert mailbox["signature"] == "<b>S</b>"
    events = [event for event in await harness.published() if isinstance(event, AccountUpdated)]
    assert len(events) == 1, "the second time nothing changed"
    assert events[0].settings is not None
    assert (events[0].settings.daily_limit, events[0].tags) == (50, ("b", "vip"))


async def test_sending_is_a_setting(harness: GatewayHarness, project: Project) -> None:
    identity = await connected(harness, project, "alice@acme.test")
    place = f"/v1/mailboxes/{identity}"
    for sent, kept in ((False, False), ("true", True), ("false", False), (None, False), (True, True)):
        answer = await project.http.patch(place, json={"sendingEnabled": sent})
        assert answer.json()["data"]["sendingEnabled"] is kept
        assert (await project.http.get(place)).json()["data"]["sendingEnabled"] is kept
    waiting = await create_mailbox(project, "bob@acme.test")
    answer = await project.http.patch(f"/v1/mailboxes/{waiting['_id']}", json={"sendingEnabled": True})
    assert answer.json()["data"]["sendingEnabled"] is False, "nobody sends from a mailbox that is not active"


async def test_nothing_to_change(harness: GatewayHarness, project: Project) -> None:
    mailbox = await create_mailbox(project, displayName="Sarah Johnson", tags=["a"])
    await harness.published()
    for body in (
        {},
        {"tags": None, "displayName": None, "surprise": 1, "password": "x"},
        {"displayName": "Sarah Johnson"},
    ):
        answer = await project.http.patch(f"/v1/mailboxes/{mailbox['_id']}", json=body)
        assert answer.status_code == 200
        assert (answer.json()["data"]["displayName"], answer.json()["data"]["tags"]) == ("Sarah Johnson", ["a"])
    assert await harness.published() == []
    cleared = await project.http.patch(f"/v1/mailboxes/{mailbox['_id']}", json={"tags": [], "displayName": ""})
    assert (cleared.json()["data"]["displayName"], cleared.json()["data"]["tags"]) == ("alice", [])


@pytest.mark.parametrize(
    ("body", "field"),
    [({"dailySendLimit": "x"}, "dailySendLimit"), ({"tags": "x"}, "tags"), ([], "body"), (None, "body")],
)
async def test_a_change_that_is_none(project: Project, body: object, field: str) -> None:
    mailbox = await create_mailbox(project)
    answer = await project.http.patch(f"/v1/mailboxes/{mailbox['_id']}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    if body is not None:
        assert answer.json()["error"]["details"][0]["field"] == field


# -- deletion


async def test_deletion(harness: GatewayHarness, project: Project) -> None:
    identity = await connected(harness, project, "alice@acme.test")
    answer = await project.http.delete(f"/v1/mailboxes/{identity}")
    assert (answer.status_code, answer.json()) == (200, {"success": True, "data": {"message": "Mailbox removed"}})
    again = await project.http.delete(f"/v1/mailboxes/{identity}/")
    assert (again.status_code, again.json()) == (404, failure("NOT_FOUND", "Mailbox not found"))
    assert (await harness.seats(project.organization_id))["monitoring"] == 0
    assert (await outcome(project, identity))["status"] == "passed", "what the test said stays true"
    assert (await project.http.get(f"/v1/warmup/config/{identity}")).status_code == 404


# -- lists


@pytest.fixture
async def filled(harness: GatewayHarness, project: Project) -> Project:
    """Mailboxes of every kind: active, inactive, pending, failed, suspended."""
    await connected(harness, project, "active@acme.test", tags=["red", "Blue"], displayName="Ada Lovelace")
    await connected(harness, project, "gmail@acme.test", provider="gmail", tags=["red"])
    await connected(harness, project, "quiet@other.test", provider="outlook")
    await create_mailbox(project, "inactive@fresh.test")
    await harness.published()
    accounts = {}
    for name in ("pending", "failed", "suspended"):
        accounts[name] = (await project.http.post("/v1/accounts", json=account_body(f"{name}@acme.test"))).json()
        (event,) = [each for each in await harness.published() if isinstance(each, AccountRequested)]
        if name != "pending":
            await harness.deliver(verified(event, works=name == "suspended"))
    answer = await project.http.post(f"/v1/accounts/{accounts['suspended']['id']}/suspend")
    assert answer.status_code < 300, answer.text
    quiet = (await project.http.get("/v1/mailboxes?search=quiet")).json()["data"][0]["_id"]
    await project.http.patch(f"/v1/mailboxes/{quiet}", json={"sendingEnabled": False})
    gmail = (await project.http.get("/v1/mailboxes?provider=gmail")).json()["data"][0]["_id"]
    await project.http.post(f"/v1/warmup/start/{gmail}")
    await project.http.post(f"/v1/warmup/start/{quiet}")
    await project.http.post(f"/v1/warmup/pause/{quiet}")
    return project


EVERY = ["active", "gmail", "quiet", "inactive", "pending", "failed", "suspended"]


async def test_filters(filled: Project) -> None:
    expected: dict[str, list[str]] = {
        "": EVERY,
        "status=&provider=&search=&tags=": EVERY,
        "surprise=1": EVERY,
        "status=active": ["active", "gmail", "quiet"],
        "status=inactive": ["inactive"],
        "status=pending": ["pending"],
        "status=failed": ["failed"],
        "status=suspended": ["suspended"],
        "status=error": [],
        "status=warming_up": [],
        "provider=gmail": ["gmail"],
        "provider=outlook": ["quiet"],
        "provider=outlook&connectionType=oauth": [],
        "provider=azure": [],
        "provider=azure&connectionType=smtp": [],
        "provider=custom": ["active", "inactive", "pending", "failed", "suspended"],
        "connectionType=smtp": EVERY,
        "connectionType=oauth": [],
        "sendingEnabled=true": ["active", "gmail"],
        "sendingEnabled=false": ["quiet", "inactive", "pending", "failed", "suspended"],
        "tags=red": ["active", "gmail"],
        "tags=blue": ["active"],
        "tags=red,blue": ["active", "gmail"],
        "tags=red&tags=blue": ["active", "gmail"],
        "tags=red,blue&tagMode=all": ["active"],
        "tags=red&tags=green&tagMode=all": [],
        "untagged=true": ["quiet", "inactive", "pending", "failed", "suspended"],
        "untagged=false": EVERY,
        "search=LOVELACE": ["active"],
        "search=@other": ["quiet"],
        "search=%25": [],
        "warmupEnabled=true": ["gmail", "quiet"],
        "warmupEnabled=false&status=active": ["active"],
        "warmupStatus=active": ["gmail"],
        "warmupStatus=paused": ["quiet"],
        "warmupStatus=not_started&status=active": ["active"],
        "warmupStatus=completed": [],
        "warmupStatus=paused&warmupEnabled=false": [],
        "warmupHealth=good": [],
        "minBounceRate=0": EVERY,
        "minBounceRate=0.1": [],
        "maxBounceRate=5": EVERY,
        "maxBounceRate=-1": [],
        "highBounceRate=true": [],
        "highBounceRate=false": EVERY,
        "minHealthScore=75": ["active", "gmail", "quiet", "pending", "failed", "suspended"],
        "maxHealthScore=74.5": [],
        "minHealthScore=0&maxHealthScore=100&status=inactive": [],
        "campaignIds=a,b": [],
        "notInCampaign=665b1c2d3e4f5a6b7c8d9e0f": EVERY,
        "notInCampaign=true": EVERY,
        "notInCampaign=false": [],
        "inActiveCampaign=true": [],
        "inActiveCampaign=false": EVERY,
        "status=active&tags=red&search=gmail": ["gmail"],
    }
    for query, names in expected.items():
        assert await listed(filled, query) == names, query


async def test_what_a_list_says_is_what_a_mailbox_says(filled: Project) -> None:
    for mailbox in (await filled.http.get("/v1/mailboxes")).json()["data"]:
        assert (await filled.http.get(f"/v1/mailboxes/{mailbox['_id']}")).json()["data"] == mailbox
        assert mailbox["email"] in {m["email"] for m in await of_status(filled, mailbox["status"])}


async def of_status(project: Project, status: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await project.http.get(f"/v1/mailboxes?status={status}")).json()["data"]
    assert all(mailbox["status"] == status for mailbox in found)
    return found


async def test_pages(filled: Project) -> None:
    page = (await filled.http.get("/v1/mailboxes?limit=3&page=2")).json()
    assert [mailbox["email"].partition("@")[0] for mailbox in page["data"]] == EVERY[3:6]
    expected = {"page": 2, "limit": 3, "total": 7, "pages": 3, "nextCursor": page["pagination"]["nextCursor"]}
    assert page["pagination"] == expected
    behind = (await filled.http.get("/v1/mailboxes", params={"limit": 3, "cursor": expected["nextCursor"]})).json()
    assert [mailbox["email"].partition("@")[0] for mailbox in behind["data"]] == EVERY[6:]
    assert (behind["pagination"]["nextCursor"], behind["pagination"]["total"]) == (None, 7)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await filled.http.get("/v1/mailboxes", params={"limit": 2, "cursor": cursor})).json()
        seen += [mailbox["email"].partition("@")[0] for mailbox in page["data"]]
        cursor = page["pagination"]["nextCursor"]
    assert seen == EVERY
    assert await listed(filled, "page=99") == []


@pytest.mark.parametrize(
    ("query", "limit", "page"),
    [("", 25, 1), ("limit=200", 200, 1), ("limit=5000", 200, 1), ("limit=0", 1, 1), ("limit=-3", 1, 1), ("page=0", 25, 1),
     ("page=-1", 25, 1), (f"page={10**30}&limit={10**30}", 200, 1_000_000), ("limit=&page=", 25, 1)],
)  # fmt: skip
async def test_limits_are_clamped(project: Project, query: str, limit: int, page: int) -> None:
    answer = await project.http.get(f"/v1/mailboxes?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "success": True,
        "data": [],
        "pagination": {"page": page, "limit": limit, "total": 0, "pages": 0, "nextCursor": None},
    }


@pytest.mark.parametrize(
    "query",
    ["limit=x", "page=1.5", "status=gone", "provider=hotmail", "connectionType=pop3", "sendingEnabled=perhaps", "tagMode=none",
     "minHealthScore=nan", "maxBounceRate=x", "search=%00", "tags=%00", "cursor=x", "cursor=%00", "highBounceRate=2"],
)  # fmt: skip
async def test_queries_that_are_refused(project: Project, query: str) -> None:
    answer = await project.http.get(f"/v1/mailboxes?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


async def test_2000_mailboxes(harness: GatewayHarness, project: Project) -> None:
    """Far from exact on a busy machine; the figures of record are those of the benchmarks."""
    await harness.subscribe(project.organization_id, monitoring=3_000)
    identity = await connected(harness, project, "user0@acme.test", tags=["outreach"])
    await harness.owner.execute(
        """INSERT INTO account (account_id, organization_id, project_id, number, address, address_key, domain, provider,
                                first_name, last_name, imap, smtp, imap_issue, seat_kind, on_failure, credential_id,
                                credential_version, version, created_at, updated_at)
           SELECT gen_random_uuid(), organization_id, project_id, number + n, 'user' || n || '@acme.test',
                  'user' || n || '@acme.test', domain, provider, first_name, last_name, imap, smtp, imap_issue, seat_kind,
                  'keep', gen_random_uuid(), 1, 1, created_at, updated_at
             FROM account, generate_series(1, 1999) AS n"""
    )
    await harness.owner.execute("ANALYZE account")
    for query in ("limit=100", "limit=100&page=20", "search=user19&status=pending", "minHealthScore=50&tags=outreach"):
        took = []
        for _ in range(5):
            began = time.perf_counter()
            answer = await project.http.get(f"/v1/mailboxes?{query}")
            took.append(time.perf_counter() - began)
        assert answer.json()["pagination"]["total"] in {1, 111, 2000}
        assert min(took) < 0.15, f"{query}: {min(took) * 1000:.0f} ms"
    assert (await project.http.get(f"/v1/mailboxes/{identity}")).status_code == 200
