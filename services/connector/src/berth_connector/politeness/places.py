"""At which destination a run counts: of a server that is no known service's the address that it turns out to have."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from berth_connector.politeness.limits import address_name
from berth_connector.politeness.providers import provider_of
from berth_net import HostGuard, HostNotFound, HostRefused, LookupFailed
from berth_net.addresses import unwrap

if TYPE_CHECKING:
    from berth_connector.sign_in import Ready
    from berth_events.runtime.database import Pool
    from berth_events.runtime.work import Job, WorkQueue

__all__ = ["Elsewhere", "Places"]

#: As long as a verification waits for the same answer.
_RESOLVE_S: Final = 6


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The server has turned out to be at a destination where there is no room now: wait there."""

    destination: str


class Places:
    """Looks servers up before they are dialled, so that all names of one address share its limits.

    Args:
        pool: the connector's database.
        queue: counts the runs.
        guard: resolves; who remembers answers for a moment saves the verification that follows from asking again.
    """

    def __init__(self, pool: "Pool", queue: "WorkQueue", guard: HostGuard) -> None:
        self._pool, self._queue, self._guard = pool, queue, guard

    async def settle(self, job: "Job", ready: "Ready") -> str | Elsewhere:
        """The destination at which the job counts from now on."""
        login = ready.imap or ready.smtp
        if login is None or (ready.via and ready.via.paused):
            return job.destination
        destination = await self._destination(login.server.host) or job.destination
        if destination == job.destination:
            return destination
        async with self._pool.acquire() as connection:
            room = await self._queue.move(connection, job, destination)
        return destination if room else Elsewhere(destination)

    async def _destination(self, host: str) -> str | None:
        """The provider, or the lowest address, so that the order of the answer does not matter; None when it is not known.

        Servers in networks of the operator's own keep their names. Whatever is wrong with the host the verification finds.
        """
        if provider := provider_of(host):
            return provider
        try:
            async with asyncio.timeout(_RESOLVE_S):
                addresses = await self._guard.resolve(self._guard.check_name(host))
        except (HostRefused, HostNotFound, LookupFailed, TimeoutError):
            return None
        if self._guard.all_allowed(addresses):
            return host
        plain = [unwrap(address) for address in addresses]
        return address_name(min(plain, key=lambda one: (one.version, int(one))))
