"""The SPF record type (99), which RFC 7208 §3.1 gave up; asked for only on demand."""

from berth_dns_auditor.checks.outcome import Outcome, ask
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Resolver, TemporaryDnsError

__all__ = ["check_type99"]


async def check_type99(resolver: Resolver, domain: str) -> Outcome[None]:
    """Whether there is a record of that type, which receivers do not read and people forget to change."""
    reply = await ask(resolver, domain, "SPF")
    if isinstance(reply, TemporaryDnsError):
        return Outcome(None, (tempfail(reply),))
    if not reply.records or reply.aliases:
        return Outcome(None)
    mend = change(domain, "SPF", None, *reply.records)
    return Outcome(None, (finding("SPF_TYPE99_PRESENT", domain, reply.evidence, *reply.records, publish=(mend,)),))
