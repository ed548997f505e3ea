"""What SendKit's clients send and look for."""

from typing import Any

from berth_testing.gateway_harness import Project
from berth_testing.waiting import eventually

__all__ = ["create_mailbox", "failure", "mailbox_body", "outcome"]


def mailbox_body(email: str = "alice@acme.test", **changes: Any) -> dict[str, Any]:
    """A body for POST /v1/mailboxes."""
    login = {"username": "alice@acme.test", "password": "s3cret"}
    return {
        "email": email,
        "smtp": {"host": "smtp.acme.com", "port": 587, **login},
        "imap": {"host": "imap.acme.com", "port": 993, **login},
        **changes,
    }


async def create_mailbox(project: Project, email: str = "alice@acme.test", **changes: Any) -> dict[str, Any]:
    """Add a mailbox."""
    answer = await project.http.post("/v1/mailboxes", json=mailbox_body(email, **changes))
    if answer.status_code != 201:
        raise AssertionError(f"{answer.status_code} {answer.text}")
    made: dict[str, Any] = answer.json()["data"]
    return made


async def outcome(project: Project, mailbox_id: str) -> dict[str, Any]:
    """The result of a mailbox's test, when there is one, polled as clients do."""

    async def look() -> dict[str, Any]:
        answer = await project.http.get(f"/v1/mailboxes/{mailbox_id}/connection-test")
        found: dict[str, Any] = answer.json()["data"]
        return found

    return await eventually(look, lambda found: found["status"] != "pending", within=5, pause=0.02)


def failure(code: str, message: str, **numbers: int) -> dict[str, Any]:
    """An error as it is documented."""
    return {"success": False, "error": {"code": code, "message": message, **numbers}}
