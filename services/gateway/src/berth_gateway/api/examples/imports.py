"""The examples of email workspaces and imports in the OpenAPI document. A test holds each against its model."""

from typing import Any, Final

__all__ = ["EXAMPLES", "IMPORT", "IMPORT_PLAN", "IMPORT_ROWS", "PROGRESS_STREAM", "REJECTED", "WORKSPACE"]

_WORKSPACE_ID: Final = "2f4f6c2a-5f0e-4d60-8a58-0c4f9f0b7a21"
_IMPORT_ID: Final = "7d1a9c54-2b8e-4c1f-9e57-6b0d3f2a8c10"
_ACCOUNT_ID: Final = "0d3c5a0e-8f57-4d0e-9c53-2f0c7a4b9e11"

_GOOGLE: Final[dict[str, Any]] = {
    "name": "Acme on Google",
    "provider": "google",
    "service_account_key": {
        "type": "service_account",
        "project_id": "acme-mail",
        "private_key_id": "6f2c1d0b9a8e7f65",
        "private_key": "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n",
        "client_email": "berth@acme-mail.iam.gserviceaccount.com",
        "client_id": "104242424242424242424",
    },
}
_MICROSOFT_CREDENTIAL: Final[dict[str, Any]] = {
    "tenant_id": "b1f0c3d2-6a55-4f0e-8c1b-3d2e1f0a9b87",
    "client_id": "5c2a7b90-1d3e-4f6a-9b8c-7e6d5c4b3a29",
    "client_secret": "Xy7~example-of-a-secret-value",
    "secret_id": "0e1f2a3b-4c5d-4e6f-8a9b-0c1d2e3f4a5b",
    "secret_expires_at": "2028-01-29",
}

WORKSPACE: Final[dict[str, Any]] = {
    "id": _WORKSPACE_ID,
    "number": 1,
    "name": "Acme on Google",
    "provider": "google",
    "status": "verified",
    "note": None,
    "diagnosis": None,
    "service_account": "berth@acme-mail.iam.gserviceaccount.com",
    "key_id": "6f2c1d0b9a8e7f65",
    "tenant_id": None,
    "client_id": "104242424242424242424",
    "secret_id": None,
    "credential_version": 1,
    "secret_expires_at": None,
    "secret_days_left": None,
    "accounts": {"total": 1200, "pending": 200, "connected": 985, "failed": 15, "disconnected": 0},
    "verified_at": "2026-11-21T09:30:01.512Z",
    "created_at": "2026-11-21T09:30:00.120Z",
    "updated_at": "2026-11-21T09:31:12.004Z",
}

_PENDING: Final[dict[str, Any]] = {
    **WORKSPACE,
    "status": "pending",
    "accounts": {"total": 0, "pending": 0, "connected": 0, "failed": 0, "disconnected": 0},
    "verified_at": None,
    "updated_at": WORKSPACE["created_at"],
}

IMPORT: Final[dict[str, Any]] = {
    "id": _IMPORT_ID,
    "number": 3,
    "workspace_id": _WORKSPACE_ID,
    "state": "running",
    "mode": "per_row",
    "seat_kind": "monitoring",
    "on_failure": "keep",
    "progress": {
        "total": 1202,
        "accepted": 1200,
        "rejected": 2,
        "pending": 200,
        "connected": 985,
        "failed": 15,
        "removed": 0,
        "percent": 83,
    },
    "failures": [
        {
            "code": "OAUTH_USER_UNKNOWN",
            "count": 15,
            "detail": "The identity provider does not know the mailbox",
            "remedy": "Check the address, and that the user has a mailbox",
        }
    ],
    "rejections": [
        {
            "code": "address_taken",
            "count": 2,
            "detail": "The address is an account of this project already.",
            "remedy": "Use that account, or remove it first.",
        }
    ],
    "diagnosis": None,
    "created_at": "2026-11-21T09:31:12.004Z",
    "finished_at": None,
}

IMPORT_ROWS: Final[dict[str, Any]] = {
    "items": [
        {
            "row": 1,
            "email": "ada@acme.com",
            "state": "connected",
            "account_id": _ACCOUNT_ID,
            "existing_account_id": None,
            "code": None,
            "detail": None,
            "remedy": None,
            "diagnosis": None,
            "settled_at": "2026-11-21T09:31:13.120Z",
        },
        {
            "row": 2,
            "email": "ada@acme.com",
            "state": "rejected",
            "account_id": None,
            "existing_account_id": None,
            "code": "duplicate_address",
            "detail": "The address stands in row 1 of this request already.",
            "remedy": "Remove one of the rows.",
            "diagnosis": None,
            "settled_at": "2026-11-21T09:31:12.004Z",
        },
    ],
    "next_cursor": None,
}

IMPORT_PLAN: Final[dict[str, Any]] = {
    "dry_run": True,
    "total": 2,
    "accepted": 1,
    "rejected": 1,
    "refused": True,
    "seats": {"kind": "monitoring", "needed": 2, "free": 1},
    "rows": [
        {
            "row": 1,
            "email": "ada@acme.com",
            "accepted": True,
            "existing_account_id": None,
            "code": None,
            "detail": None,
            "remedy": None,
        },
        {
            "row": 2,
            "email": "grace@acme.com",
            "accepted": False,
            "existing_account_id": None,
            "code": "seat_limit_reached",
            "detail": "Seat limit reached: the seats that are free go to the rows before.",
            "remedy": "Remove accounts or raise the limit of the subscription, then import the row again.",
        },
    ],
}

REJECTED: Final = (
    "row,email,code,detail,remedy,existing_account_id\r\n"
    "2,ada@acme.com,duplicate_address,The address stands in row 1 of this request already.,Remove one of the rows.,\r\n"
)

PROGRESS_STREAM: Final = (
    'retry: 1000\n\nevent: progress\ndata: {"id":"…","state":"running","progress":{"percent":83,…},…}\n\n: still here\n\n'
    'event: finished\ndata: {"id":"…","state":"finished",…}\n\n'
)

_THROUGH: Final[dict[str, Any]] = {
    "addresses": {"summary": "Addresses", "value": {"accounts": ["ada@acme.com", "grace@acme.com"]}},
    "dryRun": {
        "summary": "What would happen, with names",
        "value": {
            "accounts": [{"email": "ada@acme.com", "first_name": "Ada", "last_name": "Lovelace"}],
            "mode": "all_or_nothing",
            "dry_run": True,
        },
    },
}
_WITH_PASSWORDS: Final[dict[str, Any]] = {
    "json": {
        "summary": "Mailboxes on servers of their own",
        "value": {
            "accounts": [
                {
                    "email": "ada@acme.com",
                    "password": "correct horse battery staple",
                    "imap": {"host": "imap.acme.com", "port": 993},
                    "smtp": {"host": "smtp.acme.com", "port": 587},
                }
            ],
            "on_failure": "remove",
        },
    }
}

#: By operation id, then by status or `request`.
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "createWorkspace": {
        "request": {
            "google": {"summary": "A Google service account", "value": _GOOGLE},
            "microsoft": {
                "summary": "A Microsoft app registration",
                "value": {"name": "Acme on Microsoft", "provider": "microsoft", **_MICROSOFT_CREDENTIAL},
            },
        },
        "202": _PENDING,
    },
    "listWorkspaces": {"200": {"items": [WORKSPACE], "next_cursor": None}},
    "getWorkspace": {"200": WORKSPACE},
    "updateWorkspace": {
        "request": {"name": {"summary": "Another name", "value": {"name": "Acme, sales"}}},
        "200": {**WORKSPACE, "name": "Acme, sales"},
    },
    "replaceWorkspaceCredentials": {
        "request": {"secret": {"summary": "A new secret", "value": _MICROSOFT_CREDENTIAL}},
        "202": {
            **_PENDING,
            "credential_version": 2,
            "note": "The new credential is being verified; the accounts go on with the one before until it is.",
        },
    },
    "importThroughWorkspace": {"request": _THROUGH, "200": IMPORT_PLAN, "202": IMPORT},
    "importAccounts": {"request": _WITH_PASSWORDS, "200": IMPORT_PLAN, "202": {**IMPORT, "workspace_id": None}},
    "listImports": {"200": {"items": [IMPORT], "next_cursor": None}},
    "getImport": {"200": IMPORT},
    "listImportAccounts": {"200": IMPORT_ROWS},
}
