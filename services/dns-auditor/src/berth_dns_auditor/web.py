"""What is asked of web servers: policies of MTA-STS, and whether a site answers. Every request goes through the guard."""

import time
from collections.abc import Callable
from typing import Final

from berth_dns_auditor.checks.mta_sts import Unreachable
from berth_dns_auditor.remembered import Remembered
from berth_net.http import ExchangeFailed, HttpClient, Reason
from berth_net.urls import InvalidUrl, WebUrl

__all__ = ["Web"]

#: Seconds for one request.
DEADLINE: Final = 3.0
#: Seconds that an answer is kept, and a failure.
KEPT: Final = 6 * 3600.0
FAILURE_KEPT: Final = 15 * 60.0
#: Senders may stop reading here (RFC 8461 §3.3).
POLICY_MAX: Final = 64 * 1024
_OK: Final = 200
_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429
#: What is most likely over soon.
_PASSING: Final[frozenset[Reason]] = frozenset({"timeout", "lookup_failed"})

_Answered = tuple[bool | None, str]


class Web:
    """Asks web servers, each once in six hours unless a policy's id changes.

    Args:
        client: Asks, within the guard's limits.
        monotonic: The clock, in seconds.
    """

    def __init__(self, client: HttpClient, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._policies: Remembered[tuple[str, str | Unreachable]] = Remembered(
            lambda found: FAILURE_KEPT if isinstance(found[1], Unreachable) else KEPT, monotonic=monotonic
        )
        self._sites: Remembered[_Answered] = Remembered(
            lambda found: KEPT if found[0] else FAILURE_KEPT, monotonic=monotonic
        )

    async def close(self) -> None:
        """Give up what is under way."""
        await self._policies.close()
        await self._sites.close()

    def forget(self, domain: str) -> None:
        """Ask anew next time."""
        self._policies.forget(domain)
        self._sites.forget(domain)

    async def policy(self, domain: str, id_: str) -> str | Unreachable:
        """See `Policies.policy`."""

        async def ask() -> tuple[str, str | Unreachable]:
            return id_, await self._fetch(domain)

        of, found = await self._policies.get(domain, ask)
        if of != id_:
            self._policies.forget(domain)
            _, found = await self._policies.get(domain, ask)
        return found

    async def _fetch(self, domain: str) -> str | Unreachable:
        try:
            url = WebUrl.parse(f"https://mta-sts.{domain}/.well-known/mta-sts.txt")
            answer = await self._client.send("GET", url, deadline=DEADLINE, max_bytes=POLICY_MAX)
        except ExchangeFailed as error:
            return Unreachable(f"{url}: {error}", passing=error.reason in _PASSING)
        except InvalidUrl as error:
            return Unreachable(str(error), passing=False)
        if answer.status != _OK:
            passing = answer.status >= _SERVER_ERROR or answer.status == _TOO_MANY
            return Unreachable(f"{url}: status {answer.status}", passing=passing)
        return answer.body.decode("latin-1")

    async def answers(self, url: str) -> _Answered:
        """See `Sites.answers`."""
        return await self._sites.get(f"{url.split('/')[2]} {url}", lambda: self._look(url))

    async def _look(self, url: str) -> _Answered:
        try:
            parsed = WebUrl.parse(url)
        except InvalidUrl as error:
            return False, f"{url}: {error}"
        shown = ""
        for method in ("HEAD", "GET"):
            try:
                answer = await self._client.send(method, parsed, deadline=DEADLINE, max_bytes=0)
            except ExchangeFailed as error:
                shown = f"{url}: {error}"
                if error.reason != "protocol":
                    return (None if error.reason in _PASSING else False), shown
            else:
                return True, f"{url}: status {answer.status}"
        return False, shown
