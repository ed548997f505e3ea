"""DNS block lists (RFC 5782): whether the domain, or an address that sends for it, is on one that the operator chose.

Whatever a list answers that is not plainly a listing is taken for a refusal, and a list that fails its own test for out of
order: to say of somebody that he is listed when he is not does more harm than to say nothing.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Final

from berth_dns_auditor.checks.outcome import Outcome, ask, ask_all
from berth_dns_auditor.findings import finding
from berth_dns_auditor.resolver import Resolver, TemporaryDnsError
from berth_events.contracts import Finding

__all__ = ["NO_LISTS", "BlockLists", "check_block_lists"]

#: Addresses of a domain that are looked up.
ADDRESSES_MAX: Final = 4
_LISTED: Final = IPv4Network("127.0.0.0/8")
#: What providers of lists answer to those whom they do not serve: a name that is not theirs, a public resolver, too much.
_REFUSED: Final = IPv4Network("127.255.255.0/24")


@dataclass(frozen=True, slots=True)
class BlockLists:
    """The zones of lists of addresses, and of lists of domains."""

    addresses: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


NO_LISTS: Final = BlockLists()


async def check_block_lists(
    resolver: Resolver, domain: str, senders: Iterable[str], lists: BlockLists
) -> Outcome[None]:
    """Look the domain and addresses up; that of a list that is not asked nothing is said.

    Args:
        resolver: Asks the DNS. Lists refuse public resolvers.
        domain: The domain.
        senders: Addresses that send for it.
        lists: Where to look.
    """
    addresses = list(dict.fromkeys(senders))[:ADDRESSES_MAX]
    rounds = await asyncio.gather(
        *(_list(resolver, zone, ("2.0.0.127", "1.0.0.127"), {_reversed(one): one for one in addresses})
          for zone in lists.addresses if addresses),
        *(_list(resolver, zone, ("test", "invalid"), {domain: domain}) for zone in lists.domains),
    )  # fmt: skip
    return Outcome(None, tuple(found for some in rounds for found in some))


def _reversed(address: str) -> str:
    """The address as names of lists begin (§2.1, §2.4)."""
    return ip_address(address).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


async def _list(resolver: Resolver, zone: str, tests: tuple[str, str], names: dict[str, str]) -> list[Finding]:
    code = "DNSBL_DOMAIN_LISTED" if tests[0] == "test" else "DNSBL_IP_LISTED"
    replies = await ask_all(resolver, ((f"{label}.{zone}", "A") for label in (*tests, *names)))
    for reply in replies:
        if isinstance(reply, TemporaryDnsError):
            return [finding("DNSBL_QUERY_REFUSED", zone, str(reply))]
        if not _are_listings(reply.records):
            return [finding("DNSBL_QUERY_REFUSED", zone, reply.evidence, *reply.records)]
    present, absent, *answers = [reply.records for reply in replies if not isinstance(reply, TemporaryDnsError)]
    if not present or absent:
        shown = f"its own test: {tests[0]} {'is' if present else 'is not'} listed, {tests[1]} {'is' if absent else 'is not'}"
        return [finding("DNSBL_QUERY_REFUSED", zone, shown)]
    findings = []
    for (label, subject), records in zip(names.items(), answers, strict=True):
        if records:
            why = await ask(resolver, f"{label}.{zone}", "TXT")
            texts = () if isinstance(why, TemporaryDnsError) else why.records
            findings.append(finding(code, f"{subject} {zone}", *records, *texts))
    return findings


def _are_listings(records: Sequence[str]) -> bool:
    """Whether all that was answered says that something is listed, and for what; nothing at all does, too."""
    addresses = [IPv4Address(record) for record in records]
    return all(address in _LISTED and address not in _REFUSED for address in addresses)
