"""Links of the OpenAPI document: which calls take what an answer holds (OpenAPI 3.1, Link Object)."""

import re
from typing import Any, Final

__all__ = ["link"]

#: What an answer's value is for other calls: operation -> status, where it stands in the body, path parameter that takes it.
_IDENTIFIERS: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "createOrganization": (("201", "id", "organization_id"),),
    "createProject": (("201", "id", "project_id"),),
    "createKey": (("201", "id", "key_id"),),
    "createPlatformKey": (("201", "id", "key_id"),),
    "connectAccount": (("202", "id", "account_id"), ("202", "domain/domain", "domain")),
    "getAccount": (("200", "id", "account_id"), ("200", "domain/domain", "domain")),
    "replaceCredentials": (("202", "id", "probe_id"),),
    "probeMailbox": (("202", "id", "probe_id"),),
    "createTag": (("201", "id", "tag_id"),),
    "createWebhook": (("201", "id", "webhook_id"),),
    "createWorkspace": (("202", "id", "workspace_id"),),
    "importThroughWorkspace": (("202", "id", "import_id"),),
    "importAccounts": (("202", "id", "import_id"),),
}
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_DIALECT: Final = " dialect"


def link(document: dict[str, Any]) -> None:
    """Add the links: from what was made to what can be done with it, and from each page to the next."""
    operations = {
        operation["operationId"]: (path, operation)
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if not any(tag.endswith(_DIALECT) for tag in operation["tags"])
    }
    for name, identifiers in _IDENTIFIERS.items():
        for status, place, parameter in identifiers:
            links = operations[name][1]["responses"][status].setdefault("links", {})
            for target, (path, _) in operations.items():
                if _PARAMETER.findall(path) == [parameter] and target != name:
                    links[target] = {"operationId": target, "parameters": {parameter: f"$response.body#/{place}"}}
    for name, (path, operation) in operations.items():
        if any(parameter["name"] == "cursor" for parameter in operation.get("parameters", ())):
            kept = {parameter: f"$request.path.{parameter}" for parameter in _PARAMETER.findall(path)}
            operation["responses"]["200"].setdefault("links", {})["nextPage"] = {
                "operationId": name,
                "parameters": {**kept, "cursor": "$response.body#/next_cursor"},
                "description": "null on the last page",
            }
