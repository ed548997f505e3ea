"""An auditor put together: the same for the service and for the command line, which needs neither database nor bus."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

from berth_dns_auditor.audit import Auditor
from berth_dns_auditor.authorities import NameServers
from berth_dns_auditor.cache import AnswerCache
from berth_dns_auditor.checks.block_lists import NO_LISTS, BlockLists
from berth_dns_auditor.means import RESOLVER_ONLY, Means
from berth_dns_auditor.nameservers import NameserverResolver, system_nameservers
from berth_dns_auditor.registry import Rdap
from berth_dns_auditor.signatures import RecursiveSignatures
from berth_dns_auditor.web import Web
from berth_net import DnsResolver, HostGuard, parse_nameserver
from berth_net.http import HttpClient, WebGuard

__all__ = ["EVERYTHING", "Asked", "Assembly", "Choice", "make_auditor", "open_auditor", "open_dns"]

#: What may be asked beside the resolver.
Asked = Literal["name-servers", "mta-sts", "registration", "web"]
EVERYTHING: Final[tuple[Asked, ...]] = ("name-servers", "mta-sts", "registration", "web")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What an operator wants asked.

    Attributes:
        asked: Beside the resolver.
        lists: Where addresses and domains are looked up.
        type99: Whether the SPF record type is asked for.
    """

    asked: Sequence[Asked] = EVERYTHING
    lists: BlockLists = NO_LISTS
    type99: bool = False


@dataclass(frozen=True, slots=True)
class Assembly:
    """An auditor with its memories."""

    auditor: Auditor
    memories: tuple[AnswerCache | Web | Rdap | NameServers, ...]

    def forget(self, domain: str) -> None:
        """Drop what is known of a domain, because somebody wants to see what is there now."""
        for memory in self.memories:
            memory.forget(domain)


@asynccontextmanager
async def open_dns(dns_servers: Sequence[str]) -> AsyncIterator[AnswerCache]:
    """The DNS as these name servers (see `parse_nameserver`), or those of the system, know it."""
    nameservers = tuple(parse_nameserver(server) for server in dns_servers) or system_nameservers()
    async with NameserverResolver(nameservers) as resolver, AnswerCache(resolver) as cache:
        yield cache


def make_auditor(dns: AnswerCache, means: Means = RESOLVER_ONLY) -> Auditor:
    """An auditor that asks the DNS."""
    return Auditor(dns, probe=lambda: secrets.token_hex(10), means=means)


@asynccontextmanager
async def open_auditor(dns_servers: Sequence[str], choice: Choice) -> AsyncIterator[Assembly]:
    """An auditor with everything that is chosen; what it fetches from the web goes through the guard of hosts."""
    nameservers = tuple(parse_nameserver(server) for server in dns_servers) or system_nameservers()
    # Not the operator's private networks: a stranger's zone names these hosts, and decides where they lie.
    guard = WebGuard(HostGuard(DnsResolver(dns_servers)), plain="anywhere")
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(open_dns(dns_servers))
        client = await stack.enter_async_context(HttpClient(guard))
        web, registry, authorities = Web(client), Rdap(client), NameServers()
        for memory in (web, registry, authorities):
            stack.push_async_callback(memory.close)
        means = Means(
            signatures=RecursiveSignatures(nameservers),
            policies=web if "mta-sts" in choice.asked else None,
            sites=web if "web" in choice.asked else None,
            registry=registry if "registration" in choice.asked else None,
            authorities=authorities if "name-servers" in choice.asked else None,
            lists=choice.lists,
            type99=choice.type99,
        )
        yield Assembly(make_auditor(dns, means), (dns, web, registry, authorities))
