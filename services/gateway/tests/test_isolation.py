"""Nothing of a project is to be read, listed, counted, guessed or timed by another: every route is walked.

Routes that come later are walked by themselves. One whose path has a parameter that is not known here fails until PARAMETERS
says how to name a thing of another tenant with it, and `berth_testing.neighbours` makes such a thing.
"""

import re
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from berth_testing.gateway_harness import GatewayHarness
from berth_testing.neighbours import Neighbour, application, neighbour

#: Where in the paths a parameter means what: prefix, name, kind of Neighbour.ids, what nobody has. The first that fits counts.
PARAMETERS: Final[Sequence[tuple[str, str, str, Callable[[], str]]]] = (
    ("/v1/email_workspaces/", "workspace_id", "workspace_number", lambda: "999999"),
    ("/v1/workspaces/", "workspace_id", "sendkit_project", lambda: uuid4().hex[:24]),
    ("/v1/", "mailbox_id", "sendkit_account", lambda: uuid4().hex[:24]),
    ("/v1/", "organization_id", "organization", lambda: str(uuid4())),
    ("/v1/", "project_id", "project", lambda: str(uuid4())),
    ("/v1/projects/", "key_id", "project_key", lambda: str(uuid4())),
    ("/v1/", "key_id", "key", lambda: str(uuid4())),
    ("/v1/", "account_id", "account", lambda: str(uuid4())),
    ("/v1/", "account_ids", "account", lambda: str(uuid4())),
    ("/v1/", "probe_id", "probe", lambda: str(uuid4())),
    ("/v1/", "tag_id", "tag", lambda: "999999"),
    ("/v1/", "domain", "domain", lambda: "unknown.test"),
    ("/v1/", "webhook_id", "webhook", lambda: str(uuid4())),
    ("/v1/", "delivery_id", "delivery", lambda: str(uuid4())),
    ("/v1/", "workspace_id", "workspace", lambda: str(uuid4())),
    ("/v1/", "import_id", "import", lambda: str(uuid4())),
    ("/api/v1/", "account_id", "account_number", lambda: "999999"),
    ("/api/v1/", "account_ids", "account_number", lambda: "999999"),
    ("/api/v1/", "workspace_id", "workspace_number", lambda: "999999"),
    ("/api/v1/", "alert_id", "alert", lambda: "999999"),
    ("/api/v1/", "task_id", "import_number", lambda: "999999"),
    ("/api/v1/", "email_account_ids", "account_number", lambda: "999999"),
    ("/api/v1/", "email_ids", "address", lambda: "nobody@unknown.test"),
    ("/api/v1/", "tag_id", "tag", lambda: "999999"),
    ("/api/v1/", "tag_ids", "tag", lambda: "999999"),
    ("/api/v1/", "campaign_id", "campaign", lambda: "999999"),
    ("/", "id", "account_number", lambda: "999999"),
)
#: Parameters of paths that name no thing: any of their words will do.
WORDS: Final = {"kind": "inbox"}
#: Parameters of queries that a call cannot do without, and that name no thing.
NEEDED: Final = {"email": "nobody@gmail.com"}
#: Calls on the organization, for which a platform key need not name a project.
MANAGING: Final = re.compile(r"/v1/(organizations|projects|keys|workspaces|account)(/.*)?")
#: Numbers that callers choose for themselves, so that each is as good as any other.
CHOSEN: Final = frozenset({"campaign_id"})
#: Fields that hold ids of things which are not Berth's.
ALIEN: Final = re.compile("(outlook_)?(client|tenant|secret)_id")
IDENTITY: Final = re.compile("(.*_)?ids?")
#: What is not the same in two answers, whatever was asked for.
VOLATILE: Final = re.compile(r"x-request-id|date|(x-)?ratelimit.*")
TIMED: Final = 9


@dataclass(frozen=True, slots=True)
class Call:
    """One method of one route."""

    method: str
    path: str
    names: tuple[str, ...]
    operation: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def meaning(self, name: str) -> tuple[str, Callable[[], str]]:
        for prefix, known, kind, unknown in PARAMETERS:
            if known == name and self.path.startswith(prefix):
                return kind, unknown
        raise AssertionError(f"{self}: the parameter {name} is unknown. Say in PARAMETERS what it names.")

    def body(self) -> Any:
        content = self.operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        examples = [example["value"] for example in content.get("examples", {}).values()]
        return next(iter(examples), content.get("example"))

    def filters(self) -> list[str]:
        """The parameters of the query that are ids."""
        parameters = self.operation.get("parameters", [])
        names = [each["name"] for each in parameters if each["in"] == "query"]
        return [name for name in names if IDENTITY.fullmatch(name) and not ALIEN.fullmatch(name)]

    def needed(self) -> dict[str, str]:
        """The query without which there is no answer."""
        required = [
            each["name"] for each in self.operation.get("parameters", []) if each["in"] == "query" and each["required"]
        ]
        return {name: NEEDED[name] for name in required}

    def fields(self) -> list[str]:
        """The fields of the body that are ids."""
        body = self.body()
        names = body if isinstance(body, dict) else ()
        return [name for name in names if IDENTITY.fullmatch(name) and not ALIEN.fullmatch(name)]

    async def send(self, http: httpx.AsyncClient, ids: Sequence[str], **options: Any) -> httpx.Response:
        path = self.path
        for name, identity in zip(self.names, ids, strict=True):
            path = path.replace(f"{{{name}}}", identity)
        options = {"json": self.body(), **options, "params": {**self.needed(), **options.get("params", {})}}
        return await http.request(self.method, path, **options)


def calls(app: FastAPI) -> Iterator[Call]:
    document = app.openapi()["paths"]
    for route in iter_route_contexts(app.routes):
        if not isinstance(route.original_route, APIRoute) or (route.path or "").startswith("/docs"):
            continue
        path = route.path or ""
        operations = document.get(path, document.get(path.rstrip("/"), {}))
        for name, word in WORDS.items():
            path = path.replace(f"{{{name}}}", word)
        for method in sorted(route.methods or ()):
            operation = operations.get(method.lower(), {})
            yield Call(method, path, tuple(re.findall(r"{(\w+)", path)), operation)


@pytest.fixture
async def app(harness: GatewayHarness) -> FastAPI:
    return application(harness)


@pytest.fixture
async def mallory(harness: GatewayHarness, app: FastAPI) -> AsyncIterator[Neighbour]:
    async with neighbour(harness, app, "mallory", 100) as made:
        yield made


@pytest.fixture
async def victim(harness: GatewayHarness, app: FastAPI) -> AsyncIterator[Neighbour]:
    async with neighbour(harness, app, "qzvictim", 48_611) as made:
        yield made


def told(answer: httpx.Response, ids: Sequence[str]) -> tuple[int, dict[str, str], str]:
    """An answer without what is different in any two."""
    text = answer.text.replace(answer.headers["x-request-id"], "REQUEST")
    for identity in ids:
        text = text.replace(identity, "ID")
    text = re.sub(r'"id":\d+', '"id":N', text)  # of what the call has made
    headers = {name: value for name, value in answer.headers.items() if not VOLATILE.fullmatch(name)}
    headers.pop("content-length", None)  # of an answer that repeats the id
    return answer.status_code, headers, text


def choices(call: Call, mallory: Neighbour, victim: Neighbour) -> Iterator[tuple[list[str], list[str]]]:
    """Foreign ids and unknown ones: all of them, and only the last ones behind ids of one's own."""
    meanings = [call.meaning(name) for name in call.names]
    for own in range(len(meanings)):
        begin = [mallory.ids[kind] for kind, _ in meanings[:own]]
        foreign = [victim.ids[kind] for kind, _ in meanings[own:]]
        yield begin + foreign, begin + [unknown() for _, unknown in meanings[own:]]


@pytest.mark.parametrize("kind", ["project", "platform"])
async def test_what_is_foreign_is_answered_as_what_is_not_there(
    app: FastAPI, mallory: Neighbour, victim: Neighbour, kind: str
) -> None:
    http = mallory.project.http if kind == "project" else mallory.platform
    allowed = {403, 404} if kind == "project" else {404}  # a project's key manages nothing
    before = await seen(app, victim)
    walked = 0
    for call in calls(app):
        for foreign, unknown in choices(call, mallory, victim):
            found = told(await call.send(http, foreign), foreign)
            assert found == told(await call.send(http, unknown), unknown), call
            assert found[0] in allowed or CHOSEN.issuperset(call.names), (call, found)
            walked += 1
    assert walked > 30
    assert await seen(app, victim) == before


async def test_the_project_in_the_header_is_foreign(app: FastAPI, mallory: Neighbour, victim: Neighbour) -> None:
    for call in calls(app):
        ids = [victim.ids[call.meaning(name)[0]] for name in call.names]
        answers = []
        for project in (victim.ids["project"], str(uuid4())):
            answer = await call.send(mallory.platform, ids, headers={"X-Project-Id": project})
            answers.append(told(answer, [project]))
            assert not any(mark in answer.text for mark in victim.marks), call
            assert answer.status_code == 404 or MANAGING.fullmatch(call.path), call
        assert answers[0] == answers[1] or MANAGING.fullmatch(call.path), call


async def test_foreign_ids_in_queries_and_bodies(app: FastAPI, mallory: Neighbour, victim: Neighbour) -> None:
    before = await seen(app, victim)
    for call in calls(app):
        own = [mallory.ids[call.meaning(name)[0]] for name in call.names]
        for name in call.filters():
            kind, unknown = call.meaning(name)
            for chosen in (victim.ids[kind], unknown()):
                answer = await call.send(mallory.platform, own, params={name: chosen})
                assert not any(mark in answer.text.replace(chosen, "") for mark in victim.marks), call
        for name in call.fields():
            kind, unknown = call.meaning(name)
            answers = []
            for chosen in (victim.ids[kind], unknown()):
                answer = await call.send(mallory.platform, own, json=with_identity(call.body(), name, chosen))
                answers.append(told(answer, [chosen]))
            assert answers[0] == answers[1], (call, name)
    assert await seen(app, victim) == before


def with_identity(body: Mapping[str, Any], name: str, chosen: str) -> dict[str, Any]:
    """The body with another id, in the form that the example has."""
    example = body[name]
    several = isinstance(example, list)
    number = isinstance(example[0] if several else example, int)
    identity = int(chosen) if number else chosen
    return {**body, name: [identity] if several else identity}


async def test_nothing_of_another_is_shown(app: FastAPI, mallory: Neighbour, victim: Neighbour) -> None:
    looked = 0
    for call in calls(app):
        if call.method != "GET":
            continue
        own = [mallory.ids[call.meaning(name)[0]] for name in call.names]
        for http in (mallory.project.http, mallory.platform):
            answer = await call.send(http, own)
            assert answer.status_code in (200, 403), (call, answer.text)
            assert not any(mark in answer.text for mark in victim.marks), call
            looked += answer.status_code == 200
    assert looked > 20


async def test_the_time_tells_nothing(app: FastAPI, mallory: Neighbour, victim: Neighbour) -> None:
    """Medians are compared roughly, and again when the machine was busy with something else."""
    for call in calls(app):
        if call.method != "GET" or not call.names or call.path.endswith("/"):
            continue
        meanings = [call.meaning(name) for name in call.names]
        foreign, unknown = [victim.ids[kind] for kind, _ in meanings], [make for _, make in meanings]
        for _ in range(4):
            medians = await timed(call, mallory.platform, foreign, unknown)
            if max(medians) < 1.5 * min(medians) + 0.001:
                break
        else:
            raise AssertionError(f"{call}: {medians} seconds")


async def timed(
    call: Call, http: httpx.AsyncClient, foreign: Sequence[str], unknown: Sequence[Callable[[], str]]
) -> tuple[float, float]:
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(TIMED):
        for times, ids in zip(seconds, (foreign, [each() for each in unknown]), strict=True):
            began = time.perf_counter()
            await call.send(http, ids)
            times.append(time.perf_counter() - began)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


async def seen(app: FastAPI, of: Neighbour) -> dict[str, Any]:
    """Everything that a tenant sees of itself."""
    shown = {}
    for call in calls(app):
        if call.method == "GET":
            answer = await call.send(of.platform, [of.ids[call.meaning(name)[0]] for name in call.names])
            if "event-stream" not in answer.headers["content-type"]:  # whose length depends on time
                shown[str(call)] = re.sub(r'"(last_used_at|as_of)":("[^"]+"|null)', "", answer.text)
    return shown
