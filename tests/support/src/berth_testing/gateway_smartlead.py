"""A client of SmartLead's API at the gateway, and mail services that say what a test lets them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import httpx

from berth_events.contracts import (
    AccountConnected,
    AccountConnectionFailed,
    AccountCredentialsReplaced,
    AccountRequested,
    AccountVerificationRequested,
    Step,
    Verification,
)
from berth_testing.gateway_harness import GatewayHarness
from berth_testing.gateway_results import DIAGNOSIS

__all__ = ["OAUTH", "SAVE", "Asking", "SmartLeadClient", "found", "mail_services"]

Asking: TypeAlias = AccountRequested | AccountCredentialsReplaced | AccountVerificationRequested

_ASKING = (AccountRequested, AccountCredentialsReplaced, AccountVerificationRequested)

#: The request of SmartLead's reference (page "add-smtp"), with only the mailbox changed.
SAVE: dict[str, Any] = {
    "from_name": "John Doe",
    "from_email": "john@acme.test",
    "user_name": "john@acme.test",
    "password": "s3cret-canary",
    "smtp_host": "smtp.acme.com",
    "smtp_port": 587,
    "imap_host": "imap.acme.com",
    "imap_port": 993,
    "warmup_enabled": True,
    "total_warmup_per_day": 20,
    "daily_rampup": 2,
    "max_email_per_day": 50,
    "time_to_wait_in_mins": 5,
    "type": "GMAIL",
}
OAUTH: dict[str, Any] = {
    "from_name": "John Doe",
    "from_email": "john@acme.test",
    "username": "john@acme.test",
    "type": "GMAIL",
    "token": {
        "scope": "https://mail.google.com/",
        "token_type": "Bearer",
        "access_token": "token-canary",
        "refresh_token": "refresh-canary",
        "expiry_date": 1795264200000,
    },
    "warmup_enabled": True,
    "use_whitelabel_credentials": False,
}


@dataclass(frozen=True, slots=True)
class SmartLeadClient:
    """Sends the key in the query, as SmartLead's clients do."""

    http: httpx.AsyncClient
    key: str

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> httpx.Response:
        """Send one request; `path` is what follows `/api/v1`."""
        content = json.dumps({} if body is None else body)  # as ASCII, in which lone surrogates can be sent
        return await self.http.request(method, f"/api/v1{path}", params={"api_key": self.key, **query}, content=content)

    async def get(self, path: str, **query: str) -> Any:
        """What a call that reads answers, which has to be 200."""
        answer = await self.http.get(f"/api/v1{path}", params={"api_key": self.key, **query})
        if answer.status_code != httpx.codes.OK:
            raise AssertionError(f"{path}: {answer.status_code} {answer.text}")
        return answer.json()


def found(*, imap: bool = True, smtp: bool = True, code: str = "AUTH_BAD_CREDENTIALS") -> Verification:
    """What a verification finds; each protocol that fails says so in words of its own."""
    moment = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
    said = {
        protocol: DIAGNOSIS.model_copy(update={"code": code, "meaning": f"{protocol} said no.", "remedy": "Mend it."})
        for protocol in ("imap", "smtp")
    }
    protocols: tuple[tuple[Literal["imap", "smtp"], bool], ...] = (("imap", imap), ("smtp", smtp))
    steps = tuple(
        Step(
            protocol=protocol,
            name="authenticate",
            outcome="ok" if works else "failed",
            started_at=moment,
            duration_ms=1,
            diagnosis=None if works else said[protocol],
        )
        for protocol, works in protocols
    )
    return Verification(
        verification_id=uuid4(),
        started_at=moment,
        duration_ms=2,
        outcome="connected" if imap and smtp else "failed",
        imap=imap,
        smtp=smtp,
        steps=steps,
        diagnosis=next((step.diagnosis for step in steps if step.diagnosis), None),
    )


@contextlib.asynccontextmanager
async def mail_services(
    harness: GatewayHarness, finds: Callable[[Asking], Verification] = lambda _: found()
) -> AsyncIterator[list[Asking]]:
    """Answer every request for a verification while the block runs; yields the list of what was asked."""
    asked: list[Asking] = []

    async def play() -> None:
        while True:
            for event in await harness.published():
                if isinstance(event, _ASKING):
                    asked.append(event)
                    await harness.deliver(_result(event, finds(event)))
            await asyncio.sleep(0.01)

    task = asyncio.create_task(play())
    try:
        yield asked
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _result(event: Asking, verification: Verification) -> AccountConnected | AccountConnectionFailed:
    kind = AccountConnected if verification.outcome == "connected" else AccountConnectionFailed
    return kind(
        account_id=event.account_id,
        organization_id=event.organization_id,
        project_id=event.project_id,
        address=event.address,
        credential_ref=event.credential_ref,
        verification=verification,
    )
