"""What can be said of the domain itself from the answers that the other checks need anyway."""

from typing import Final

from berth_dns_auditor.checks.outcome import ask_all
from berth_dns_auditor.findings import change, finding
from berth_dns_auditor.resolver import Answer, Rdtype, Resolver, TemporaryDnsError
from berth_events.contracts import Finding, RecordChange

__all__ = ["check_basics"]

#: What a mail domain has at its own name.
_COPIED: Final[tuple[Rdtype, ...]] = ("A", "AAAA", "MX", "TXT")
#: Of more records than these a copy is not worked out.
COPIES_MAX: Final = 40


async def check_basics(resolver: Resolver, domain: str) -> tuple[Finding, ...]:
    """Whether the domain exists and is not an alias. Its temporary errors are those of the MX check."""
    try:
        answer = await resolver.query(domain, "MX")
    except TemporaryDnsError:
        return ()
    if answer.aliases:
        publish = await _copied(resolver, domain, answer.aliases[0])
        return (finding("APEX_CNAME", domain, answer.evidence, publish=publish),)
    if answer.rcode == "NXDOMAIN":
        return (finding("DOMAIN_NXDOMAIN", domain, answer.evidence),)
    return ()


async def _copied(resolver: Resolver, domain: str, target: str) -> list[RecordChange]:
    """The changes that put the records in place of the alias through which they are seen now."""
    replies = await ask_all(resolver, ((domain, rdtype) for rdtype in _COPIED))
    answers = [reply for reply in replies if isinstance(reply, Answer)]
    copies = [
        change(domain, answer.rdtype, f"{record}." if record.endswith(" ") else record)
        for answer in answers
        for record in answer.records
    ]
    if len(answers) < len(replies) or not copies or len(copies) > COPIES_MAX:
        return []
    return [change(domain, "CNAME", None, target), *copies]
