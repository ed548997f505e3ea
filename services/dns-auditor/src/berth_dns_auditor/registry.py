"""RDAP (RFC 9082, RFC 9083): which registry has a domain (RFC 9224), and what it says. Registries are asked slowly."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from berth_dns_auditor.checks.registration import Registered, RegistryUnavailable
from berth_dns_auditor.remembered import Remembered
from berth_net.http import Answer, ExchangeFailed, HttpClient
from berth_net.urls import WebUrl

__all__ = ["BOOTSTRAP_URL", "Rdap"]

BOOTSTRAP_URL: Final = "https://data.iana.org/rdap/dns.json"
_HOUR: Final = 3600.0
#: Seconds.
DEADLINE: Final = 8.0
BOOTSTRAP_KEPT: Final = 7 * 24 * _HOUR
ANSWER_KEPT: Final = 24 * _HOUR
#: Seconds between two questions to one registry, and how long one may wait for its turn.
PAUSE: Final = 0.5
PATIENCE: Final = 5.0
#: Seconds that a registry is left alone which says 429 without saying for how long; and the most that it may say.
REST: Final = 60.0
REST_MAX: Final = _HOUR
ANSWER_MAX: Final = 256 * 1024
BOOTSTRAP_MAX: Final = 2 * 1024 * 1024
_TOO_MANY: Final = 429
_NOT_FOUND: Final = 404
_OK: Final = 200


class Rdap:
    """Asks registries, each domain once a day at most.

    Args:
        client: Asks, within the guard's limits.
        bootstrap_url: Which server has which ending.
        monotonic: The clock, in seconds.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        bootstrap_url: str = BOOTSTRAP_URL,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._monotonic = client, monotonic
        self._bootstrap_url = WebUrl.parse(bootstrap_url)
        self._bootstrap: Remembered[dict[str, str]] = Remembered(lambda _: BOOTSTRAP_KEPT, monotonic=monotonic)
        self._answers: Remembered[Registered | None] = Remembered(lambda _: ANSWER_KEPT, monotonic=monotonic)
        self._turns: dict[str, float] = {}

    async def close(self) -> None:
        """Give up what is under way."""
        await self._answers.close()
        await self._bootstrap.close()

    def forget(self, domain: str) -> None:
        """Ask anew next time."""
        self._answers.forget(domain)

    async def registration(self, domain: str) -> Registered | None:
        """See `Registry.registration`."""
        return await self._answers.get(domain, lambda: self._ask(domain))

    async def _ask(self, domain: str) -> Registered | None:
        servers = await self._bootstrap.get("dns", self._servers)
        ending = domain
        while ending not in servers:
            ending = ending.partition(".")[2]
            if not ending:
                raise RegistryUnavailable(f"no RDAP server is known for .{domain.rpartition('.')[2]}")
        url = WebUrl.parse(f"{servers[ending].rstrip('/')}/domain/{domain}")
        await self._take_turn(url.host)
        answer = await self._get(url, ANSWER_MAX)
        if answer.status == _NOT_FOUND:
            return None
        if answer.status == _TOO_MANY:
            self._turns[url.host] = self._monotonic() + _retry_after(answer)
        if answer.status != _OK:
            raise RegistryUnavailable(f"{url.host} answered {answer.status}")
        return _registered(_object(answer))

    async def _servers(self) -> dict[str, str]:
        """The https server of each ending."""
        answer = await self._get(self._bootstrap_url, BOOTSTRAP_MAX)
        if answer.status != _OK:
            raise RegistryUnavailable(f"{self._bootstrap_url.host} answered {answer.status}")
        found: dict[str, str] = {}
        for service in _object(answer).get("services", []):
            match service:
                case [list(endings), list(urls)]:
                    secure = next((url for url in urls if isinstance(url, str) and url.startswith("https://")), None)
                    found |= {str(ending).lower(): secure for ending in endings if secure}
                case _:
                    pass
        return found

    async def _take_turn(self, host: str) -> None:
        now = self._monotonic()
        turn = max(now, self._turns.get(host, now))
        if turn - now > PATIENCE:
            raise RegistryUnavailable(f"{host} is not asked more often now")
        self._turns[host] = turn + PAUSE
        if turn > now:
            await asyncio.sleep(turn - now)

    async def _get(self, url: WebUrl, max_bytes: int) -> Answer:
        accept = {"Accept": "application/rdap+json, application/json"}
        try:
            return await self._client.send("GET", url, headers=accept, deadline=DEADLINE, max_bytes=max_bytes)
        except ExchangeFailed as error:
            raise RegistryUnavailable(f"{url.host}: {error}") from error


def _retry_after(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), REST_MAX) if text.isascii() and text.isdigit() and len(text) < 10 else REST  # noqa: PLR2004


def _object(answer: Answer) -> dict[str, Any]:
    try:
        read = json.loads(answer.body)
    except (ValueError, RecursionError):
        read = None
    if answer.truncated or not isinstance(read, dict):
        raise RegistryUnavailable("the answer is not a JSON object, or too long")
    return read


def _registered(read: dict[str, Any]) -> Registered:
    """What can be read of an answer; the rest is left out."""
    events = {
        event["eventAction"]: _instant(event.get("eventDate"))
        for event in _list(read.get("events"))
        if isinstance(event, dict) and isinstance(event.get("eventAction"), str)
    }
    statuses = tuple(status for status in _list(read.get("status")) if isinstance(status, str))
    return Registered(events.get("registration"), events.get("expiration"), statuses)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _instant(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
