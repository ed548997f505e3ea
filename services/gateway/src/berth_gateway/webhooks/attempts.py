"""One attempt to deliver an event: signed, sent, and what came of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from standardwebhooks import Webhook as Signer

from berth_gateway.webhooks.presentation import message
from berth_gateway.webhooks.schedule import retry_after
from berth_gateway.webhooks.schemas import Attempt, Failure
from berth_gateway.webhooks.secrets import SecretUnreadable
from berth_net.http import Answer, ExchangeFailed, HttpClient
from berth_net.urls import WebUrl

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_gateway.webhooks.queue import Job
    from berth_gateway.webhooks.secrets import SecretBox

__all__ = ["Messenger", "Outcome"]

_DEADLINE_S: Final = 15.0
_EXCERPT_BYTES: Final = 500
_GONE: Final = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an attempt.

    Attributes:
        error: None when it was delivered.
        patience: how long the endpoint asked to be left alone, if it did.
    """

    at: datetime
    duration_s: float
    status: int | None = None
    error: Failure | None = None
    detail: str | None = None
    excerpt: str = ""
    patience: timedelta | None = None

    def logged(self) -> dict[str, Any]:
        """As it stands in the log."""
        return Attempt(
            at=self.at,
            duration_ms=round(self.duration_s * 1000, 1),
            status=self.status,
            error=self.error,
            detail=self.detail,
            excerpt=self.excerpt,
        ).model_dump(mode="json")


class Messenger:
    """Signs and sends.

    Args:
        http: connects to vetted hosts only.
        box: opens the secrets.
        clock: time.
    """

    def __init__(self, http: HttpClient, box: "SecretBox", clock: "Clock") -> None:
        self._http, self._box, self._clock = http, box, clock

    async def attempt(self, job: "Job") -> Outcome:
        """Send the event once.

        Raises:
            SecretUnreadable: it cannot be signed, because none of its secrets opens.
        """
        at, began = self._clock.now(), self._clock.monotonic()
        body = message(job)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": str(job.event_id),
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._signatures(job, at, body),
        }
        try:
            answer = await self._http.send(
                "POST",
                WebUrl.parse(job.url),
                headers=headers,
                content=body.encode(),
                deadline=_DEADLINE_S,
                max_bytes=_EXCERPT_BYTES,
            )
        except ExchangeFailed as failure:
            duration = self._clock.monotonic() - began
            return Outcome(at=at, duration_s=duration, error=failure.reason, detail=str(failure))
        return _judged(answer, at, self._clock.monotonic() - began)

    def _signatures(self, job: "Job", at: datetime, body: str) -> str:
        """One for each secret that opens: when the key was lost, a new secret signs at once, without the old one."""
        signatures = []
        for secret_id, sealed in job.secrets:
            try:
                secret = self._box.open(job.webhook_id, secret_id, sealed)
            except SecretUnreadable:
                continue
            signatures.append(Signer(secret).sign(str(job.event_id), at, body))
        if not signatures:
            raise SecretUnreadable
        return " ".join(signatures)


def _judged(answer: Answer, at: datetime, duration: float) -> Outcome:
    """Only 2xx is success; a redirect is a failure like any other."""
    excerpt = answer.body.decode("utf-8", "replace").replace("\0", "\ufffd")
    if answer.status // 100 == 2:  # noqa: PLR2004 - the class of the status
        return Outcome(at=at, duration_s=duration, status=answer.status, excerpt=excerpt)
    gone = answer.status == _GONE
    return Outcome(
        at=at,
        duration_s=duration,
        status=answer.status,
        error="gone" if gone else "status",
        detail="The endpoint says that it is gone." if gone else f"The endpoint answered {answer.status}, not 2xx.",
        excerpt=excerpt,
        patience=retry_after(answer.headers.get("retry-after"), at),
    )
