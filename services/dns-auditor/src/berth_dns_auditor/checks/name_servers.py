"""The zone that the domain is in, as the resolver shows it: its name servers and its wildcards."""

from ipaddress import ip_address, ip_network
from typing import Final

from berth_dns_auditor.checks.outcome import Outcome, Reply, ask, ask_all
from berth_dns_auditor.checks.suffixes import registrable
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError, printable
from berth_events.contracts import Finding

__all__ = ["Zone", "check_name_servers", "zone_of"]

#: What is examined at most.
SERVERS_MAX: Final = 13
_FEW: Final = 2
_PREFIXES: Final = {4: 24, 6: 48}

Zone = tuple[str, tuple[str, ...]]


async def zone_of(resolver: Resolver, domain: str) -> Zone | TemporaryDnsError | None:
    """The name of the domain's zone and its name servers; None when neither it nor the registered domain is a zone."""
    above = registrable(domain, known_only=True)
    for name in dict.fromkeys(filter(None, (domain, above))):
        reply = await ask(resolver, name, "NS")
        if isinstance(reply, TemporaryDnsError):
            return reply
        if reply.records and not reply.aliases:
            return name, reply.records[:SERVERS_MAX]
    return None


async def check_name_servers(resolver: Resolver, domain: str, probe: str) -> Outcome[tuple[str, ...]]:
    """Examine the zone; what comes out are its name servers.

    Args:
        resolver: Asks the DNS.
        domain: The domain.
        probe: A label that no zone has.
    """
    found = await zone_of(resolver, domain)
    wild = await _wild(resolver, domain, probe)
    findings = [tempfail(reply) for reply in wild if isinstance(reply, TemporaryDnsError)]
    caught = [reply for reply in wild if isinstance(reply, Answer) and reply.records]
    if caught:
        shown = (text for reply in caught for text in (reply.evidence, *reply.records))
        mend = [change(f"*.{domain}", reply.rdtype, None, *reply.records) for reply in caught if not reply.aliases]
        findings.append(finding("WILDCARD_MX_OR_TXT", domain, *shown, publish=mend))
    if isinstance(found, TemporaryDnsError):
        return Outcome((), (tempfail(found), *findings))
    if found is None:
        return Outcome((), tuple(findings))
    zone, servers = found
    findings += await _servers(resolver, zone, servers)
    return Outcome(tuple(printable(server) for server in servers), tuple(findings))


async def _wild(resolver: Resolver, domain: str, probe: str) -> list[Reply]:
    """The answers about a name that nobody made; none when another answer shows that there is no wildcard."""
    existing = await ask(resolver, f"_mta-sts.{domain}", "TXT")  # which is asked anyway
    if isinstance(existing, Answer) and existing.rcode == "NXDOMAIN":
        return []
    first = await ask(resolver, f"{probe}.{domain}", "MX")
    if isinstance(first, Answer) and first.rcode == "NXDOMAIN":
        return []  # nor has it TXT (RFC 8020)
    return [first, await ask(resolver, f"{probe}.{domain}", "TXT")]


async def _servers(resolver: Resolver, zone: str, servers: tuple[str, ...]) -> list[Finding]:
    findings = []
    if len(servers) < _FEW:
        findings.append(finding("NS_SINGLE", zone, *servers))
    replies = await ask_all(resolver, ((server, rdtype) for server in servers for rdtype in ("A", "AAAA")))
    addresses: list[str] = []
    for server, first, second in zip(servers, replies[::2], replies[1::2], strict=True):
        errors = [tempfail(reply) for reply in (first, second) if isinstance(reply, TemporaryDnsError)]
        answers = [reply for reply in (first, second) if isinstance(reply, Answer)]
        known = [address for answer in answers for address in answer.records]
        alias = next((answer.aliases[-1] for answer in answers if answer.aliases), None)
        addresses += known
        findings += errors
        evidence = [answer.evidence for answer in answers]
        if alias:
            mend = change(zone, "NS", None if alias in servers else alias, server)
            findings.append(finding("NS_CNAME", server, *evidence, publish=(mend,)))
        elif not known and not errors:
            left = [change(zone, "NS", None, server)] if len(servers) > _FEW else []
            findings.append(finding("NS_NO_ADDRESS", server, *evidence, publish=left))
    networks = {ip_network(f"{text}/{_PREFIXES[ip_address(text).version]}", strict=False) for text in addresses}
    if len(servers) >= _FEW and len(networks) == 1 and not any(found.severity == "unknown" for found in findings):
        findings.append(finding("NS_SAME_PREFIX", zone, str(next(iter(networks))), *addresses))
    return findings
