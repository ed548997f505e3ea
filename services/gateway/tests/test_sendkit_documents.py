"""SendKit's own page, which `tests/seeds` has word for word: its requests are run as they stand, its answers are what comes.

Host, key and mailbox are changed, and what keeps an example from running anywhere: Python's has JSON's `true`, Go's an import
that it does not use, and Ruby's asks for TLS, which the gateway under test does not speak.
"""

import ast
import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import jsonschema
import pytest
import uvicorn

from berth_gateway.dialects.sendkit import examples
from berth_gateway.dialects.sendkit.requests import (
    BulkWarmup,
    CreateMailbox,
    NameWorkspace,
    UpdateMailbox,
    WarmupConfigInput,
)
from berth_local.ports import free_port
from berth_testing.gateway_harness import GatewayHarness, Project
from berth_testing.sendkit import create_mailbox
from berth_testing.waiting import eventually

SEED: Final = (Path(__file__).parents[3] / "tests/seeds/sendkit-add-smtp-mailbox.txt").read_text(encoding="utf-8")
#: How each example of the page begins and ends.
EXAMPLES: Final = {
    "curl": ("curl -X POST", "\n}'\n"),
    "python": ("import requests", "print(response.json())\n"),
    "node": ("const response", "console.log(data);\n"),
    "go": ("package main", "resp.Status)\n}\n"),
    "ruby": ("require 'net/http'", "puts response.body\n"),
}
#: What is mended in them.
MENDED: Final = {
    "python": ("import requests\n", "import requests\ntrue = True\n"),
    "go": ('"encoding/json"\n', ""),
    "ruby": ("http.use_ssl = true", "http.use_ssl = false"),
}
#: What each needs to be installed; the first runs it.
INTERPRETERS: Final = {
    "curl": ("sh", "curl"),
    "python": (sys.executable,),
    "node": ("node",),
    "go": ("go",),
    "ruby": ("ruby",),
}
ADDRESS: Final = "sarah@company.com"
MAILBOX: Final = "sarah@acme.test"


def example(language: str) -> str:
    begins, ends = EXAMPLES[language]
    start = SEED.index(begins)
    return SEED[start : SEED.index(ends, start) + len(ends)]


def documented() -> list[dict[str, Any]]:
    """The answers of the page: the success, then the errors. The page forgets to escape two quotation marks."""
    _, _, answers = SEED.partition("puts response.body\n")
    answers = answers.partition("/v1/mailboxes\nPlatform")[0].replace('"inactive"."', '\\"inactive\\"."')
    decoder, found = json.JSONDecoder(), []
    while answers.strip():
        value, end = decoder.raw_decode(answers.lstrip())
        found.append(value)
        answers = answers.lstrip()[end:]
    return found


SUCCESS, *ERRORS = documented()


def body_of(language: str) -> dict[str, Any]:
    """The body that an example sends."""
    text = example(language).replace("json.dumps(", "")
    start = text.index('{\n"email"')
    body: dict[str, Any] = json.JSONDecoder().raw_decode(text[start:])[0]
    return body


@contextlib.asynccontextmanager
async def served(harness: GatewayHarness) -> AsyncIterator[str]:
    """The application on a port, for programs that are not ours."""
    port = free_port()
    config = uvicorn.Config(harness.app, port=port, log_level="error", timeout_graceful_shutdown=1, lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await eventually(lambda: asyncio.sleep(0, server.started), bool, within=10, pause=0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await task


def program(language: str, folder: Path, url: str, key: str) -> list[str]:
    """The command that runs an example."""
    text = (
        example(language).replace("https://api.sendkit.ai", url).replace("YOUR_API_KEY", key).replace(ADDRESS, MAILBOX)
    )
    found = shutil.which(INTERPRETERS[language][0])
    assert found
    suffix = {"curl": "sh", "python": "py", "node": "mjs", "go": "go", "ruby": "rb"}[language]
    file = folder / f"example.{suffix}"
    file.write_text(text.replace(*MENDED.get(language, ("", ""))), encoding="utf-8")
    return [found, *(["run"] if language == "go" else []), str(file)]


async def run(command: list[str], folder: Path) -> str:
    """What a program says."""
    keep = ("PATH", "HOME", "GOCACHE", "LANG")
    environment = {"HOME": str(folder), **{name: os.environ[name] for name in keep if name in os.environ}}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(240):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def expected(answer: dict[str, Any]) -> dict[str, Any]:
    """The documented success, with this answer's id and times, and our mailbox."""
    own = {name: answer["data"][name] for name in ("_id", "createdAt", "updatedAt")}
    return {**SUCCESS, "data": {**SUCCESS["data"], **own, "email": MAILBOX}}


def test_the_page_has_these_examples() -> None:
    assert len(ERRORS) == 3
    assert all(body_of(language) == examples.CREATE for language in EXAMPLES)
    assert SEED.count("api.sendkit.ai") == len(EXAMPLES)
    assert SEED.count("YOUR_API_KEY") == len(EXAMPLES)


@pytest.mark.parametrize("language", EXAMPLES)
async def test_each_example_gets_the_documented_answer(
    harness: GatewayHarness, project: Project, language: str
) -> None:
    """The request of each example, extracted from the page."""
    text = json.dumps(body_of(language)).replace(ADDRESS, MAILBOX)
    assert "X-Api-Key" in example(language)
    answer = await harness.http.post(
        "/v1/mailboxes", content=text, headers={"X-Api-Key": project.key, "Content-Type": "application/json"}
    )
    assert answer.status_code == 201
    assert answer.json() == expected(answer.json())
    assert re.fullmatch("[0-9a-f]{24}", answer.json()["data"]["_id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer.json()["data"]["createdAt"])


@pytest.mark.timeout(300)  # Go compiles its standard library first
@pytest.mark.parametrize("language", [name for name, needed in INTERPRETERS.items() if all(map(shutil.which, needed))])
async def test_each_example_runs(harness: GatewayHarness, project: Project, tmp_path: Path, language: str) -> None:
    async with served(harness) as url:
        command = program(language, tmp_path, url, project.key)
        said = await run(command, tmp_path)
    (made,) = (await project.http.get("/v1/mailboxes")).json()["data"]
    assert made["email"] == MAILBOX
    match language:
        case "curl" | "ruby":
            assert json.loads(said) == expected(json.loads(said))
        case "python":
            assert ast.literal_eval(said) == expected(ast.literal_eval(said))
        case "go":
            assert said == "Response Status: 201 Created\n"
        case "node":
            assert made["_id"] in said
            assert "Mailbox queued for SMTP verification." in said


# -- the errors of the page


async def request(project: Project) -> httpx.Response:
    return await project.http.post("/v1/mailboxes", json=examples.CREATE)


async def test_no_subscription(harness: GatewayHarness) -> None:
    project = await harness.project(await harness.organization(subscribed=False))
    async with project.http:
        answer = await request(project)
    assert (answer.status_code, answer.json()) == (403, ERRORS[0])


async def test_ten_of_ten(project: Project) -> None:
    for number in range(10):
        await create_mailbox(project, f"user{number}@acme.test")
    answer = await request(project)
    assert (answer.status_code, answer.json()) == (403, ERRORS[1])


async def test_the_same_again(project: Project) -> None:
    assert (await request(project)).status_code == 201
    answer = await request(project)
    assert (answer.status_code, answer.json()) == (409, ERRORS[2])


# -- our own document


@pytest.fixture
async def operations(harness: GatewayHarness) -> dict[str, dict[str, Any]]:
    """SendKit's calls, as the OpenAPI document has them."""
    document = (await harness.http.get("/openapi.json")).json()
    return {
        f"{method.upper()} {path}": {**operation, "components": document["components"]}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "SendKit dialect" in operation["tags"]
    }


def test_every_call_is_documented(operations: dict[str, dict[str, Any]]) -> None:
    of_warm_up = [f"POST /v1/warmup/{name}/{{mailbox_id}}" for name in ("start", "stop", "pause", "resume")]
    assert operations.keys() == {
        "POST /v1/mailboxes",
        "GET /v1/mailboxes",
        "GET /v1/mailboxes/{mailbox_id}",
        "PATCH /v1/mailboxes/{mailbox_id}",
        "DELETE /v1/mailboxes/{mailbox_id}",
        "GET /v1/mailboxes/{mailbox_id}/connection-test",
        "GET /v1/mailboxes/{mailbox_id}/health",
        "POST /v1/mailboxes/import/smtp",
        "POST /v1/mailboxes/import/outlook",
        "POST /v1/mailboxes/connect/google",
        "POST /v1/mailboxes/connect/outlook",
        "GET /v1/workspaces",
        "POST /v1/workspaces",
        "GET /v1/workspaces/{workspace_id}",
        "PATCH /v1/workspaces/{workspace_id}",
        "DELETE /v1/workspaces/{workspace_id}",
        "GET /v1/account",
        "GET /v1/warmup/config/{mailbox_id}",
        "PATCH /v1/warmup/config/{mailbox_id}",
        "GET /v1/warmup/stats",
        "GET /v1/warmup/stats/{mailbox_id}",
        *of_warm_up,
        "POST /v1/warmup/bulk",
    }


def test_answers_are_in_the_envelope(operations: dict[str, dict[str, Any]]) -> None:
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            schema = {**response["content"]["application/json"]["schema"], "components": operation["components"]}
            shown = response["content"]["application/json"].get("example")
            if shown is None:
                assert name.startswith("POST /v1/mailboxes/connect/"), (name, status)
                continue
            jsonschema.validate(shown, schema)
            assert shown["success"] is status.startswith("2")


@pytest.mark.parametrize(
    ("operation", "model"),
    [
        ("sendkitCreateMailbox", CreateMailbox),
        ("sendkitUpdateMailbox", UpdateMailbox),
        ("sendkitCreateWorkspace", NameWorkspace),
        ("sendkitUpdateWarmupConfig", WarmupConfigInput),
        ("sendkitBulkWarmup", BulkWarmup),
    ],
)
def test_requests_are_valid(operation: str, model: type[CreateMailbox]) -> None:
    for shown in examples.EXAMPLES[operation]["request"].values():
        model.model_validate(shown["value"])


async def test_answers_are_as_documented(project: Project, operations: dict[str, dict[str, Any]]) -> None:
    mailbox_id = (await create_mailbox(project))["_id"]
    workspace_id = project.project_id.hex[:24]
    for name, operation in operations.items():
        method, _, path = name.partition(" ")
        if method != "GET":
            continue
        answer = await project.http.get(path.format(mailbox_id=mailbox_id, workspace_id=workspace_id))
        assert answer.status_code == 200, name
        content = operation["responses"]["200"]["content"]["application/json"]
        jsonschema.validate(answer.json(), {**content["schema"], "components": operation["components"]})
        assert answer.json().keys() == content["example"].keys(), name
