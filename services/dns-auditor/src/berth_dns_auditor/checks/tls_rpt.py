"""TLSRPT (RFC 8460 §3): where reports about TLS on the way to the domain go."""

import re
from typing import Final

from berth_dns_auditor.checks.outcome import Outcome, ask
from berth_dns_auditor.checks.tag_list import parse_tags
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Resolver, TemporaryDnsError, printable

__all__ = ["check_tls_rpt"]

_DESTINATION: Final = re.compile(r"mailto:[^@\s,!]+@[A-Za-z0-9.-]+|https://[^\s,!]+", re.IGNORECASE)
_MAILBOX: Final = re.compile(r"[^@\s,:;=/!]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+")


async def check_tls_rpt(resolver: Resolver, domain: str) -> Outcome[str | None]:
    """Read the record; what comes out is its text, if it is one that senders use."""
    name = f"_smtp._tls.{domain}"
    reply = await ask(resolver, name, "TXT")
    if isinstance(reply, TemporaryDnsError):
        return Outcome(None, (tempfail(reply),))
    texts = [text for text in reply.records if text.startswith("v=TLSRPTv1")]
    alike = [text for text in reply.records if "tlsrpt" in text.lower()]
    if not alike:
        mend = [change(name, "TXT", f"v=TLSRPTv1; rua=mailto:tls-reports@{domain}")]
        return Outcome(None, (finding("TLSRPT_MISSING", domain, reply.evidence, publish=mend),))
    if len(texts) == 1 and _is_valid(texts[0]):
        return Outcome(printable(texts[0]))
    boxes = [box for text in alike for box in _MAILBOX.findall(text)] or [f"tls-reports@{domain}"]
    valid = next(filter(_is_valid, texts), f"v=TLSRPTv1; rua=mailto:{boxes[0]}")
    # Of a record that stays nothing is said to come.
    mend = [change(name, "TXT", None, *(text for text in alike if text != valid))]
    if valid not in alike:
        mend = [change(name, "TXT", valid, *alike)]
    return Outcome(None, (finding("TLSRPT_INVALID", domain, reply.evidence, *alike, publish=mend),))


def _is_valid(text: str) -> bool:
    tags = parse_tags(text).tags
    if [(tag.name, tag.value) for tag in tags[:1]] != [("v", "TLSRPTv1")]:
        return False
    values = [tag.value for tag in tags if tag.name == "rua"]
    return len(values) == 1 and all(_DESTINATION.fullmatch(part.strip()) for part in values[0].split(","))
