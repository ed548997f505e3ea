"""Examples of organizations, projects and keys."""

from typing import Any, Final

__all__ = ["EXAMPLES"]

_NAME: Final = {"acme": {"summary": "A name", "value": {"name": "Acme"}}}
_ORGANIZATION_ID: Final = "c0a8f3f6-3c55-4f4c-8d0d-0f6d1f5c2a01"
_PROJECT_ID: Final = "b58f1d53-8a0b-4b43-9a0e-4c9b9d0f7a02"
_CREATED_AT: Final = "2026-11-21T09:00:00.000Z"

_ORGANIZATION: Final[dict[str, Any]] = {"id": _ORGANIZATION_ID, "name": "Acme", "created_at": _CREATED_AT}
_PROJECT: Final[dict[str, Any]] = {
    "id": _PROJECT_ID,
    "organization_id": _ORGANIZATION_ID,
    "name": "Acme",
    "created_at": _CREATED_AT,
}
_API_KEY: Final[dict[str, Any]] = {
    "id": "9a1f5d10-0b61-4c7e-8f8e-0f9d4b1f2e03",
    "kind": "project",
    "organization_id": _ORGANIZATION_ID,
    "project_id": _PROJECT_ID,
    "name": "production",
    "prefix": "k5xw2n7q",
    "scopes": ["accounts:read", "accounts:write", "events:read"],
    "rate_limit": None,
    "created_at": _CREATED_AT,
    "last_used_at": "2026-11-21T09:29:00.000Z",
    "expires_at": "2027-11-21T00:00:00.000Z",
    "retiring_until": None,
    "revoked_at": None,
}
_PLATFORM_KEY: Final[dict[str, Any]] = {
    **_API_KEY,
    "kind": "platform",
    "project_id": None,
    "name": "backend",
    "scopes": ["accounts:read", "accounts:write", "projects:read", "projects:write"],
}
_SECRET: Final = {"key": "berth_k5xw2n7q_(43 random characters)"}
_KEY_INPUT: Final = {
    "production": {
        "summary": "A key for the accounts of one project, for a year",
        "value": {
            "name": "production",
            "scopes": ["accounts:read", "accounts:write", "events:read"],
            "expires_at": "2027-11-21T00:00:00Z",
        },
    }
}
_PLATFORM_KEY_INPUT: Final = {
    "backend": {
        "summary": "A key that manages projects, and the accounts of each",
        "value": {"name": "backend", "scopes": _PLATFORM_KEY["scopes"], "rate_limit": "600/second"},
    }
}

#: By operation id, then by status or `request`.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "createOrganization": {"request": _NAME, "201": _ORGANIZATION},
    "listOrganizations": {"200": {"items": [_ORGANIZATION], "next_cursor": None}},
    "getOrganization": {"200": _ORGANIZATION},
    "renameOrganization": {"request": _NAME, "200": _ORGANIZATION},
    "createProject": {"request": _NAME, "201": _PROJECT},
    "listProjects": {"200": {"items": [_PROJECT], "next_cursor": None}},
    "getProject": {"200": _PROJECT},
    "renameProject": {"request": _NAME, "200": _PROJECT},
    "createPlatformKey": {"request": _PLATFORM_KEY_INPUT, "201": {**_PLATFORM_KEY, **_SECRET}},
    "listPlatformKeys": {"200": {"items": [_PLATFORM_KEY], "next_cursor": None}},
    "createKey": {"request": _KEY_INPUT, "201": {**_API_KEY, **_SECRET}},
    "listKeys": {"200": {"items": [_API_KEY], "next_cursor": None}},
    "getKey": {"200": _API_KEY},
    "changeKey": {
        "request": {"longer": {"summary": "Never expires", "value": {"expires_at": None}}},
        "200": {**_API_KEY, "expires_at": None},
    },
    "rotateKey": {
        "request": {"hour": {"summary": "Both secrets for an hour", "value": {"grace_seconds": 3600}}},
        "200": {**_API_KEY, **_SECRET, "retiring_until": "2026-11-21T10:30:00.000Z"},
    },
}
