"""What can be said of the domain itself from the answers that the other checks need anyway."""

from berth_dns_auditor.findings import finding
from berth_dns_auditor.resolver import Resolver, TemporaryDnsError
from berth_events.contracts import Finding

__all__ = ["check_basics"]


async def check_basics(resolver: Resolver, domain: str) -> tuple[Finding, ...]:
    """Whether the domain exists and is not an alias. Its temporary errors are those of the MX check."""
    try:
        answer = await resolver.query(domain, "MX")
    except TemporaryDnsError:
        return ()
    findings = []
    if answer.rcode == "NXDOMAIN" and not answer.aliases:
        findings.append(finding("DOMAIN_NXDOMAIN", domain, answer.evidence))
    if answer.aliases:
        findings.append(finding("APEX_CNAME", domain, answer.evidence))
    return tuple(findings)
