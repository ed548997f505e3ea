"""The OpenAPI document: complete, with examples that are true."""

from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from berth_gateway.accounts import schemas
from berth_gateway.api.examples import accounts as examples
from berth_gateway.api.examples import autoconfig as autoconfig_examples
from berth_gateway.api.examples import imports as import_examples
from berth_gateway.autoconfig.schemas import Autoconfiguration
from berth_gateway.dialects.mailreach import examples as mailreach_examples
from berth_gateway.dialects.mailreach.schemas import Account, ImapAuthError, ImapAuthRequest
from berth_gateway.imports.schemas import Import, ImportPlan, ImportRowPage
from berth_gateway.workspaces.schemas import EmailWorkspace
from berth_testing.gateway_harness import GatewayHarness


@pytest.fixture
async def document(harness: GatewayHarness) -> dict[str, Any]:
    answer = await harness.http.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def of_a_dialect(operation: dict[str, Any]) -> bool:
    return any("dialect" in tag for tag in operation["tags"])


def test_every_call_is_there(document: dict[str, Any]) -> None:
    assert {name for name, operation in operations(document) if not of_a_dialect(operation)} == {
        "POST /v1/organizations",
        "GET /v1/organizations",
        "GET /v1/organizations/{organization_id}",
        "PATCH /v1/organizations/{organization_id}",
        "POST /v1/organizations/{organization_id}/keys",
        "GET /v1/organizations/{organization_id}/keys",
        "POST /v1/organizations/{organization_id}/projects",
        "GET /v1/organizations/{organization_id}/projects",
        "GET /v1/projects/{project_id}",
        "PATCH /v1/projects/{project_id}",
        "DELETE /v1/projects/{project_id}",
        "POST /v1/projects/{project_id}/keys",
        "GET /v1/projects/{project_id}/keys",
        "DELETE /v1/projects/{project_id}/keys/{key_id}",
        "GET /v1/keys/{key_id}",
        "PATCH /v1/keys/{key_id}",
        "DELETE /v1/keys/{key_id}",
        "POST /v1/keys/{key_id}/rotate",
        "POST /v1/accounts",
        "GET /v1/accounts",
        "GET /v1/accounts/{account_id}",
        "DELETE /v1/accounts/{account_id}",
        "GET /v1/accounts/{account_id}/verification",
        "PATCH /v1/accounts/{account_id}",
        "PUT /v1/accounts/{account_id}/credentials",
        "POST /v1/accounts/{account_id}/reconnect",
        "POST /v1/accounts/{account_id}/checkup",
        "POST /v1/accounts/{account_id}/suspend",
        "POST /v1/accounts/{account_id}/resume",
        "GET /v1/accounts/{account_id}/stats",
        "GET /v1/accounts/{account_id}/aliases",
        "PUT /v1/accounts/{account_id}/aliases",
        "POST /v1/accounts/batch",
        "POST /v1/probes",
        "GET /v1/probes/{probe_id}",
        "GET /v1/autoconfig",
        "GET /v1/tags",
        "POST /v1/tags",
        "PATCH /v1/tags/{tag_id}",
        "DELETE /v1/tags/{tag_id}",
        "GET /v1/domains",
        "GET /v1/domains/{domain}",
        "POST /v1/domains/{domain}/audit",
        "GET /v1/usage",
        "POST /v1/email-workspaces",
        "GET /v1/email-workspaces",
        "GET /v1/email-workspaces/{workspace_id}",
        "PATCH /v1/email-workspaces/{workspace_id}",
        "DELETE /v1/email-workspaces/{workspace_id}",
        "PUT /v1/email-workspaces/{workspace_id}/credentials",
        "POST /v1/email-workspaces/{workspace_id}/imports",
        "POST /v1/imports",
        "GET /v1/imports",
        "GET /v1/imports/{import_id}",
        "GET /v1/imports/{import_id}/accounts",
        "GET /v1/imports/{import_id}/rejected.csv",
        "GET /v1/imports/{import_id}/events",
        "GET /v1/events",
        "GET /v1/events/stream",
        "POST /v1/webhooks",
        "GET /v1/webhooks",
        "GET /v1/webhooks/{webhook_id}",
        "PATCH /v1/webhooks/{webhook_id}",
        "DELETE /v1/webhooks/{webhook_id}",
        "POST /v1/webhooks/{webhook_id}/rotate",
        "POST /v1/webhooks/{webhook_id}/test",
        "POST /v1/webhooks/{webhook_id}/recover",
        "GET /v1/webhooks/{webhook_id}/deliveries",
        "GET /v1/webhooks/{webhook_id}/deliveries/{delivery_id}",
        "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    }


def test_every_call_says_what_it_does_and_what_goes_wrong(document: dict[str, Any]) -> None:
    identifiers = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(identifiers)) == len(identifiers)
    for name, operation in operations(document):
        assert operation["description"], name
        headers = [{"bearer": []}, {"apiKey": []}]
        assert operation["security"] in (headers, [{"queryKey": []}, *headers]), name
        assert {"401", "403", "503"} <= operation["responses"].keys(), name


def test_every_call_tells_of_its_limit(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert "429" in operation["responses"], name
        for status, response in operation["responses"].items():
            told = set(response.get("headers", {}))
            assert ("X-RateLimit-Remaining" in told) == (status[0] in "23" or status == "429"), (name, status)
            assert ("Retry-After" in told) == (status in {"429", "503"}), (name, status)
    assert all("description" in header for header in document["components"]["headers"].values())


def test_errors_are_problems_with_examples(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if of_a_dialect(operation):
            continue
        for status, response in operation["responses"].items():
            if status.startswith(("2", "3")):
                continue
            assert set(response["content"]) == {"application/problem+json"}, (name, status)
            content = response["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            for example in content["examples"].values():
                assert example["value"]["status"] == int(status)
                jsonschema.validate(example["value"], resolved(document, content["schema"]))


def test_bodies_and_answers_have_examples_that_fit(document: dict[str, Any]) -> None:
    checked = 0
    for name, operation in operations(document):
        bodies = [operation.get("requestBody", {})]
        bodies += [response for status, response in operation["responses"].items() if status[0] in "245"]
        for each in bodies:
            for media_type, content in each.get("content", {}).items():
                if "json" not in media_type:
                    continue
                found = [example["value"] for example in content.get("examples", {}).values()]
                found += [content["example"]] if "example" in content else []
                for example in found:
                    jsonschema.validate(example, resolved(document, content["schema"]))
                    checked += 1
        if operation.get("requestBody"):
            (content, *_) = operation["requestBody"]["content"].values()
            assert "examples" in content or "example" in content, name
    assert checked > 100


def test_links_lead_to_calls_that_take_them(document: dict[str, Any]) -> None:
    known = {
        operation["operationId"]: {parameter["name"] for parameter in operation.get("parameters", ())}
        for _, operation in operations(document)
    }
    linked = [
        (name, link)
        for name, operation in operations(document)
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(linked) > 60
    for name, link in linked:
        assert link["parameters"].keys() <= known[link["operationId"]], name
    connected = document["paths"]["/v1/accounts"]["post"]["responses"]["202"]["links"]
    assert {"getAccount", "getVerification", "removeAccount", "getDomain"} <= connected.keys()


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "components": document["components"]}


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (schemas.Account, examples.ACCOUNT),
        (schemas.AccountPage, examples.ACCOUNT_PAGE),
        (schemas.VerificationReport, examples.VERIFICATION),
        (Autoconfiguration, autoconfig_examples.AUTOCONFIGURATION),
        (EmailWorkspace, import_examples.WORKSPACE),
        (Import, import_examples.IMPORT),
        (ImportRowPage, import_examples.IMPORT_ROWS),
        (ImportPlan, import_examples.IMPORT_PLAN),
        (Account, mailreach_examples.ACCOUNT),
        (ImapAuthError, mailreach_examples.IMAP_AUTH_ERROR),
    ],
)
def test_answers_are_shown_as_they_are_sent(model: type[BaseModel], example: dict[str, Any]) -> None:
    assert model.model_validate(example).model_dump(mode="json", exclude_unset=True) == example


@pytest.mark.parametrize("example", examples.ACCOUNT_INPUTS.values())
def test_requests_are_valid(example: dict[str, Any]) -> None:
    schemas.AccountInput.model_validate(example["value"])


def test_the_dialects_request_is_valid() -> None:
    ImapAuthRequest.model_validate(mailreach_examples.IMAP_AUTH)
