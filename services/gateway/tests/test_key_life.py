"""What becomes of a key: shown, listed, changed, rotated, expired, revoked."""

from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

import httpx
import pytest

from berth_events.runtime.clock import SystemClock
from berth_events.runtime.database import open_pool
from berth_gateway.tenants.keyring import Keyring
from berth_gateway.tenants.secrets import digest, new_secret
from berth_testing.gateway_harness import OPERATOR_KEY, GatewayHarness, Project

OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}


async def make(harness: GatewayHarness, project: Project, **terms: Any) -> dict[str, Any]:
    body = {"name": "made", "scopes": ["accounts:read"], **terms}
    return await harness.platform(f"/v1/projects/{project.project_id}/keys", body)


async def tried(harness: GatewayHarness, secret: str) -> int:
    return (await harness.http.get("/v1/accounts", headers={"X-Api-Key": secret})).status_code


async def test_a_key_is_shown_without_its_secret(harness: GatewayHarness, project: Project) -> None:
    made = await make(harness, project, rate_limit="10/second", expires_at="2099-01-01T00:00:00+02:00")
    secret = made.pop("key")
    assert secret.startswith(f"berth_{made['prefix']}_")
    assert (made["rate_limit"], made["expires_at"]) == ("10/second", "2098-12-31T22:00:00.000Z")
    shown = await harness.http.get(f"/v1/keys/{made['id']}", headers=OPERATOR)
    assert shown.json() == made
    await tried(harness, secret)
    shown = await harness.http.get(f"/v1/keys/{made['id']}", headers=OPERATOR)
    used = datetime.fromisoformat(shown.json()["last_used_at"])
    assert abs(used - harness.clock.now()) < timedelta(seconds=30)
    assert secret.rpartition("_")[2] not in shown.text


async def test_keys_are_listed_in_pages(harness: GatewayHarness, project: Project) -> None:
    made = [(await make(harness, project, name=str(number)))["id"] for number in range(4)]
    path = f"/v1/projects/{project.project_id}/keys"
    first = (await harness.http.get(path, params={"limit": 3}, headers=OPERATOR)).json()
    cursor = {"limit": "3", "cursor": first["next_cursor"]}
    second = (await harness.http.get(path, params=cursor, headers=OPERATOR)).json()
    assert [each["id"] for each in [*first["items"], *second["items"]]][1:] == made  # the first is the project's own
    assert second["next_cursor"] is None
    assert all("key" not in each for each in first["items"])


async def test_what_is_left_out_of_a_change_stays(harness: GatewayHarness, project: Project) -> None:
    made = await make(harness, project, rate_limit="10/second")
    path = f"/v1/keys/{made['id']}"
    changed = await harness.http.patch(path, json={"name": "other"}, headers=OPERATOR)
    del made["key"]
    assert changed.json() == {**made, "name": "other"}
    changed = await harness.http.patch(path, json={"rate_limit": None, "scopes": ["events:read"]}, headers=OPERATOR)
    assert changed.json() == {**made, "name": "other", "rate_limit": None, "scopes": ["events:read"]}


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"rate_limit": "many"}, "rate_limit"),
        ({"rate_limit": "0/second"}, "rate_limit"),
        ({"rate_limit": "1/fortnight"}, "rate_limit"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["accounts:all"]}, "scopes.0"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"prefix": "mine"}, "prefix"),
    ],
)
async def test_bad_terms(harness: GatewayHarness, project: Project, terms: dict[str, Any], field: str) -> None:
    made = await make(harness, project)
    path = f"/v1/projects/{project.project_id}/keys"
    body = {"name": "x", "scopes": ["accounts:read"], **terms}
    for answer in (
        await harness.http.post(path, json=body, headers=OPERATOR),
        await harness.http.patch(f"/v1/keys/{made['id']}", json=terms, headers=OPERATOR),
    ):
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_key_expires(harness: GatewayHarness, project: Project) -> None:
    made = await make(harness, project, expires_at=(harness.clock.now() + timedelta(hours=1)).isoformat())
    assert await tried(harness, made["key"]) == 200
    harness.clock.shift = timedelta(minutes=61)
    assert await tried(harness, made["key"]) == 401
    path = f"/v1/keys/{made['id']}"
    longer = await harness.http.patch(path, json={"expires_at": None}, headers=OPERATOR)
    assert longer.json()["expires_at"] is None
    assert await tried(harness, made["key"]) == 200


async def test_an_expired_key_can_be_renamed(harness: GatewayHarness, project: Project) -> None:
    made = await make(harness, project, expires_at=(harness.clock.now() + timedelta(hours=1)).isoformat())
    harness.clock.shift = timedelta(hours=2)
    renamed = await harness.http.patch(f"/v1/keys/{made['id']}", json={"name": "old"}, headers=OPERATOR)
    assert (renamed.status_code, renamed.json()["name"]) == (200, "old")


async def rotate(harness: GatewayHarness, key: dict[str, Any], body: Any = None) -> httpx.Response:
    return await harness.http.post(f"/v1/keys/{key['id']}/rotate", json=body, headers=OPERATOR)


async def test_both_secrets_are_valid_for_the_grace_period(harness: GatewayHarness, project: Project) -> None:
    made = await make(harness, project)
    rotated = (await rotate(harness, made, {"grace_seconds": 3600})).json()
    assert rotated["key"] != made["key"]
    assert (rotated["id"], rotated["prefix"]) == (made["id"], made["prefix"])
    until = datetime.fromisoformat(rotated["retiring_until"])
    assert abs(until - harness.clock.now() - timedelta(hours=1)) < timedelta(seconds=30)
    assert [await tried(harness, made["key"]), await tried(harness, rotated["key"])] == [200, 200]
    harness.clock.shift = timedelta(seconds=3601)
    assert [await tried(harness, made["key"]), await tried(harness, rotated["key"])] == [401, 200]


async def test_the_grace_period_is_a_day_unless_told(harness: GatewayHarness, project: Project) -> None:
    made = await make(harness, project)
    await rotate(harness, made)
    harness.clock.shift = timedelta(hours=23, minutes=59)
    assert await tried(harness, made["key"]) == 200
    harness.clock.shift = timedelta(hours=24, minutes=1)
    assert await tried(harness, made["key"]) == 401


async def test_no_grace_is_at_once_and_two_rotations_leave_two_secrets(
    harness: GatewayHarness, project: Project
) -> None:
    first = await make(harness, project)
    second = (await rotate(harness, first, {"grace_seconds": 0})).json()
    assert [await tried(harness, first["key"]), await tried(harness, second["key"])] == [401, 200]
    third = (await rotate(harness, first)).json()
    fourth = (await rotate(harness, first)).json()
    found = [await tried(harness, each["key"]) for each in (second, third, fourth)]
    assert found == [401, 200, 200]


@pytest.mark.parametrize("grace", [-1, 7 * 86_400 + 1, "soon", 1.5])
async def test_bad_grace_periods(harness: GatewayHarness, project: Project, grace: object) -> None:
    made = await make(harness, project)
    answer = await rotate(harness, made, {"grace_seconds": grace})
    assert answer.status_code == 422
    assert await tried(harness, made["key"]) == 200


async def test_a_revoked_key_is_kept_to_be_seen(harness: GatewayHarness, project: Project) -> None:
    made = await make(harness, project)
    rotated = (await rotate(harness, made)).json()
    path = f"/v1/keys/{made['id']}"
    assert (await harness.http.delete(path, headers=OPERATOR)).status_code == 204
    assert [await tried(harness, made["key"]), await tried(harness, rotated["key"])] == [401, 401]
    shown = (await harness.http.get(path, headers=OPERATOR)).json()
    assert shown["revoked_at"] is not None
    for answer in (
        await harness.http.delete(path, headers=OPERATOR),
        await harness.http.patch(path, json={"name": "x"}, headers=OPERATOR),
        await rotate(harness, made),
    ):
        assert answer.status_code == 404


async def test_no_secret_is_stored(harness: GatewayHarness, project: Project) -> None:
    made = await make(harness, project)
    rotated = (await rotate(harness, made)).json()
    rows = await harness.owner.fetch("SELECT k::text AS text FROM api_key k")
    for key in (made["key"], rotated["key"]):
        assert all(key.split("_", 2)[2] not in row["text"] for row in rows)


async def test_keys_of_before_keep_what_they_could_do(database: str) -> None:
    """The migration gives a key of version 1 its organization, and takes nothing from it."""
    scopes, secret = ["accounts:read", "accounts:write", "events:read"], new_secret("abcdefgh")
    migrations = sorted((files("berth_gateway") / "migrations").iterdir(), key=lambda file: file.name)
    async with await open_pool(database, application_name="test", max_size=2) as pool:
        for file in migrations[:3]:
            await pool.execute(file.read_text())
        await pool.execute(
            """WITH o AS (INSERT INTO organization VALUES (gen_random_uuid(), 'Acme', now()) RETURNING organization_id),
                    p AS (INSERT INTO project (project_id, organization_id, name, created_at)
                          SELECT gen_random_uuid(), organization_id, 'Main', now() FROM o RETURNING project_id)
               INSERT INTO api_key (key_id, project_id, name, prefix, secret_hash, scopes, created_at)
               SELECT gen_random_uuid(), project_id, 'old', 'abcdefgh', $1, $2, now() FROM p""",
            digest(secret),
            scopes,
        )
        await pool.execute(migrations[3].read_text())
        found = await Keyring(pool, SystemClock()).recognise(secret)
        assert found is not None
        project = await pool.fetchrow("SELECT project_id, organization_id FROM project")
        assert (found.project_id, found.organization_id, found.platform) == (*project.values(), False)
        assert (found.scopes, found.rate_limit) == (frozenset(scopes), None)
