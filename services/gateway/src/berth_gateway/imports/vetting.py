"""Vetting the hosts of one import: each once, some at a time, and all within a few seconds."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from berth_events.contracts import MailServer
from berth_gateway.accounts.servers import NamedServer, ServerVetting
from berth_gateway.autoconfig.findings import Findings
from berth_gateway.autoconfig.lookup import FindsServers
from berth_gateway.errors import FieldFault
from berth_net import Address, AddressResolver

if TYPE_CHECKING:
    from berth_net import HostGuard

__all__ = ["HostsOfOneImport", "ImportVetting", "ServersOfOneImport"]

_AT_ONCE: Final = 50


class HostsOfOneImport:
    """A resolver that asks about each host once, whatever the answer, and stops asking when its time is over.

    What is not known by then passes unvetted here, as a name that does not resolve does: the connector vets what it dials.

    Args:
        resolver: is asked.
        seconds: for all hosts together, from now on.
    """

    def __init__(self, resolver: AddressResolver, *, seconds: float = 5) -> None:
        self._resolver = resolver
        self._until = asyncio.get_running_loop().time() + seconds
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._answers: dict[str, asyncio.Task[tuple[Address, ...]]] = {}

    async def addresses(self, host: str) -> tuple[Address, ...]:
        """See `AddressResolver.addresses`; TimeoutError when the time is over."""
        if host not in self._answers:
            self._answers[host] = asyncio.create_task(self._ask(host))
            self._answers[host].add_done_callback(_retrieved)
        return await asyncio.shield(self._answers[host])

    async def _ask(self, host: str) -> tuple[Address, ...]:
        async with asyncio.timeout_at(self._until), self._at_once:
            return await self._resolver.addresses(host)


def _retrieved(answer: asyncio.Task[tuple[Address, ...]]) -> None:
    """Nobody may be waiting for it any more: its failure is not to be reported as forgotten."""
    if not answer.cancelled():
        answer.exception()


class ImportVetting(ServerVetting):
    """Vets each host and port once, and says the same of all rows that name them.

    Args:
        guard: the operator's policy, on `HostsOfOneImport`.
    """

    def __init__(self, guard: "HostGuard") -> None:
        super().__init__(guard)
        self._vetted: dict[tuple[str, int], asyncio.Task[tuple[NamedServer, MailServer | FieldFault]]] = {}

    async def vet(self, servers: Sequence[NamedServer]) -> tuple[list[MailServer], list[FieldFault]]:
        """See `ServerVetting.vet`."""
        accepted: list[MailServer] = []
        refused: list[FieldFault] = []
        for server in servers:
            place = (server.host, server.port)
            if place not in self._vetted:
                self._vetted[place] = asyncio.create_task(self._first(server))
            task = self._vetted[place]
            first, said = task.result() if task.done() else await asyncio.shield(task)
            if isinstance(said, FieldFault):
                field = server.port_field if said.field == first.port_field else server.host_field
                refused.append(replace(said, field=field))
            else:
                differing = {name: getattr(server, name) for name in ("security", "username", "mechanism")}
                accepted.append(said.model_copy(update=differing))
        return accepted, refused

    async def _first(self, server: NamedServer) -> tuple[NamedServer, MailServer | FieldFault]:
        accepted, refused = await super().vet([server])
        return server, (accepted or refused)[0]


class ServersOfOneImport:
    """Finds the servers of the rows that name none, and stops when its time is over: what is not found by then is rejected.

    Args:
        finder: is asked.
        seconds: for all domains together, from now on.
    """

    def __init__(self, finder: FindsServers, *, seconds: float = 10) -> None:
        self._finder = finder
        self._until = asyncio.get_running_loop().time() + seconds

    async def find(self, domain: str) -> Findings:
        """See `FindsServers.find`."""
        try:
            async with asyncio.timeout_at(self._until):
                return await self._finder.find(domain)
        except TimeoutError:
            return Findings(complete=False)
