"""MailReach's own pages, which `tests/seeds` has word for word: their requests are sent as they stand, host, key, mailbox and
secrets changed, and what comes has every key that they document.
"""

import json
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from berth_gateway.dialects.mailreach.account_schemas import AccountUpdate
from berth_gateway.dialects.mailreach.schemas import ImapAuthRequest
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.gateway_workspaces import SECRET, service_account_key

SEEDS: Final = Path(__file__).parents[3] / "tests/seeds"
GUIDE: Final = (SEEDS / "mailreach-connect-an-inbox.txt").read_text(encoding="utf-8")
IMAP_AUTH: Final = (SEEDS / "mailreach-imap-auth.txt").read_text(encoding="utf-8")
UPDATE: Final = (SEEDS / "mailreach-update-account.txt").read_text(encoding="utf-8")
#: The pages print secrets as dots.
DOTS: Final = "••••••"
#: What stands for each field whose value the pages do not print.
FILLED: Final[dict[str, Any]] = {
    "email": "alice@example.com",
    "password": "s3cret",
    "imap_server": "imap.example.com",
    "imap_server_port": 993,
    "imap_server_username": "alice@example.com",
    "imap_server_password": "s3cret",
    "smtp_server": "smtp.example.com",
    "smtp_server_port": 587,
    "smtp_server_username": "alice@example.com",
    "smtp_server_password": "s3cret",
    "outlook_client_id": "5c2a7b90-1d3e-4f6a-9b8c-7e6d5c4b3a29",
    "outlook_client_secret": "0d9a8b7c-6e5f-4a3b-8c2d-1e0f9a8b7c6d",
    "outlook_client_secret_value": SECRET,
    "outlook_tenant_id": "b1f0c3d2-6a55-4f0e-8c1b-3d2e1f0a9b87",
    "outlook_client_secret_expires_at": "31/12/2099",
    "file_key_json": json.dumps(service_account_key()),
}


def json_behind(text: str, mark: str, occurrence: int = 0) -> Any:
    """The JSON value that begins behind a mark."""
    start = [found.end() for found in re.finditer(re.escape(mark), text)][occurrence]
    return json.JSONDecoder().raw_decode(text[text.index("{", start) :])[0]


def guided() -> list[tuple[str, dict[str, str], dict[str, Any]]]:
    """The requests of the guide: path, headers, body."""
    found = []
    for match in re.finditer(r"POST https://api\.mailreach\.co(\S+)\n((?:[\w-]+: .*\n)+)\n", GUIDE):
        headers = dict(line.split(": ", 1) for line in match[2].splitlines())
        body = json.JSONDecoder().raw_decode(GUIDE[GUIDE.index("{", match.end()) :])[0]
        found.append((match[1], headers, body))
    return found


def curl(page: str) -> tuple[str, str, dict[str, str], dict[str, Any]]:
    """The curl example of a page: method, path, headers, body."""
    text = page[page.index("curl http") :]
    words = shlex.split(text[: text.index("\n}'") + 3].replace("\\\n", " "))
    options = dict(zip(words[2::2], words[3::2], strict=True))
    headers = dict(words[place + 1].split(": ", 1) for place, word in enumerate(words) if word == "--header")
    return (
        options["--request"],
        words[1].removeprefix("http://api.mailreach.co"),
        headers,
        json.loads(options["--data"]),
    )


def documented(page: str) -> dict[str, Any]:
    """The answer of a page: what stands behind its curl example."""
    return json_behind(page, "\n}'")


def filled(body: dict[str, Any]) -> dict[str, Any]:
    return {
        name: FILLED.get(name, value) if value in ("", 1, DOTS) or name in FILLED else value
        for name, value in body.items()
    }


@pytest.fixture
async def client(harness: GatewayHarness) -> AsyncIterator[httpx.AsyncClient]:
    async with harness.client({}) as unmarked:
        yield unmarked


def with_key(headers: dict[str, str], project: Project) -> dict[str, str]:
    changed = {
        name: value.replace("YOUR_API_KEY", project.key).replace("YOUR_SECRET_TOKEN", project.key)
        for name, value in headers.items()
    }
    assert changed != headers
    return changed


def test_the_pages_have_their_examples() -> None:
    assert [path for path, _, _ in guided()] == [
        "/api/v1/imap_auth",
        "/api/v1/email_workspaces",
        "/api/v1/email_workspaces/{workspace_id}/accounts",
        "/api/v1/email_workspaces",
    ]
    assert curl(IMAP_AUTH)[:2] == ("POST", "/api/v1/imap_auth")
    assert curl(UPDATE)[:2] == ("POST", "/api/v1/accounts/1234")


async def test_the_guides_mailbox(harness: GatewayHarness, project: Project, client: httpx.AsyncClient) -> None:
    path, headers, body = guided()[0]
    async with harness.connector():
        answer = await client.post(path, json=filled(body), headers=with_key(headers, project))
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() >= documented(IMAP_AUTH).keys()
    assert answer.json()["domain"].keys() >= documented(IMAP_AUTH)["domain"].keys()


@pytest.mark.parametrize("test", [True, False])
async def test_the_references_mailbox(
    harness: GatewayHarness, project: Project, client: httpx.AsyncClient, test: bool
) -> None:
    _, path, headers, body = curl(IMAP_AUTH)
    sent = {**filled(body), "id": 1, "test": test}
    if not test:
        del sent["id"]  # there is no account 1 yet
    async with harness.connector():
        answer = await client.post(path, json=sent, headers=with_key(headers, project))
    assert answer.status_code == 200, answer.text
    shown, example = answer.json(), documented(IMAP_AUTH)
    assert shown.keys() >= example.keys()
    for name, value in example.items():
        nullable = shown[name] is None
        assert nullable or isinstance(shown[name], type(value)) or {type(value), type(shown[name])} <= {int, float}, (
            name
        )
    assert len((await project.http.get("/v1/accounts")).json()["items"]) == (0 if test else 1)


async def test_the_references_update(harness: GatewayHarness, project: Project, client: httpx.AsyncClient) -> None:
    path, headers, body = guided()[0]
    async with harness.connector():
        made = await client.post(path, json=filled(body), headers=with_key(headers, project))
    account_id = (await project.http.get("/v1/accounts")).json()["items"][0]["id"]
    aliases = {"aliases": [{"email": "john.doe@acme.com"}]}
    await project.http.put(f"/v1/accounts/{account_id}/aliases", json=aliases)
    method, path, headers, body = curl(UPDATE)
    answer = await client.request(
        method, path.replace("1234", str(made.json()["id"])), json=body, headers=with_key(headers, project)
    )
    assert answer.status_code == 200, answer.text
    shown, example = answer.json(), documented(UPDATE)
    assert shown.keys() >= example.keys()
    for name in body.keys() & example.keys() - {"imap_issue"}:
        assert shown[name] == example[name], name  # "Paris" is answered as "Europe/Paris"
    assert shown["imap_issue"] is body["imap_issue"]


async def test_the_guides_workspaces(harness: GatewayHarness, project: Project, client: httpx.AsyncClient) -> None:
    (_, *_), (google, headers, google_body), (connect, _, accounts), (outlook, _, outlook_body) = guided()
    marked = with_key(headers, project)
    async with harness.connector():
        for number, (path, body) in enumerate(((google, google_body), (outlook, outlook_body)), 1):
            made = await client.post(path, json=filled(body), headers=marked)
            assert made.status_code == 200, made.text
            assert made.json()["id"] == number
            assert made.json()["provider"] == body["provider"]
            sent = {"accounts": [address.replace("acme", f"acme{number}") for address in accounts["accounts"]]}
            answer = await client.post(connect.format(workspace_id=number), json=sent, headers=marked)
            assert (answer.status_code, answer.json()["completed"]) == (200, True), answer.text
            assert answer.json()["errors"] == []
    assert (await harness.seats(project.organization_id))["monitoring"] == 6


def test_every_field_of_the_references_is_known() -> None:
    for page, form in ((IMAP_AUTH, ImapAuthRequest), (UPDATE, AccountUpdate)):
        listed = set(re.findall(r"^  • (\w+)\n    Type:", page, re.MULTILINE))
        assert listed
        sent = curl(page)[3].keys()
        assert (listed | sent) - {"id"} <= form.model_fields.keys() - {"id"}


@pytest.mark.parametrize(
    ("field", "lowest", "highest"),
    [
        ("config_max_conversation_running", 0, 35),
        ("config_rampup_increase", 0, 5),
        ("config_rampup_target", 3, 35),
    ],
)
async def test_the_ranges_of_the_reference(
    harness: GatewayHarness, project: Project, client: httpx.AsyncClient, field: str, lowest: int, highest: int
) -> None:
    printed = re.search(rf"• {field}\n.*\n    min:  \n    (\d+)\n    max:  \n    (\d+)\n", UPDATE)
    assert printed is None or [int(printed[1]), int(printed[2])] == [lowest, highest]
    path, headers, body = guided()[0]
    async with harness.connector():
        await client.post(path, json=filled(body), headers=with_key(headers, project))
    for value, status in ((lowest, 200), (highest, 200), (lowest - 1, 422), (highest + 1, 422)):
        answer = await client.post("/api/v1/accounts/1", json={field: value}, headers={"X-Api-Key": project.key})
        assert answer.status_code == status, (field, value)


async def test_bad_credentials_as_documented(
    harness: GatewayHarness, project: Project, client: httpx.AsyncClient
) -> None:
    path, headers, body = guided()[0]
    async with harness.connector(works=False):
        answer = await client.post(path, json=filled(body), headers=with_key(headers, project))
    assert answer.status_code == 500
    shown = answer.json()
    assert (shown["success"], shown["imap_auth_success"], shown["smtp_auth_success"]) == (False, False, False)
    assert isinstance(shown["error"], str)
    assert (await project.http.get("/v1/accounts")).json()["items"] == []


async def test_errors_as_documented(project: Project, client: httpx.AsyncClient) -> None:
    path, _, body = guided()[0]
    without = await client.post(path, json=filled(body))
    assert (without.status_code, without.json()["error"]) == (401, "Invalid API key")
    missing = await client.post(path, json={"email": "a@b.com"}, headers={"X-Api-Key": project.key})
    assert missing.status_code == 422
    assert "provider is missing" in missing.json()["error"]
    unknown = await client.post("/api/v1/accounts/1234", json={}, headers={"X-Api-Key": project.key})
    assert (unknown.status_code, unknown.json()["error"]) == (404, "Account not found")
