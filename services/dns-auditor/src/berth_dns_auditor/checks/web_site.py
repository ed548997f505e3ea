"""Whether the domain answers as a web site: some receivers and reputation services look."""

import asyncio
from typing import Protocol

from berth_dns_auditor.checks.outcome import Outcome
from berth_dns_auditor.findings import Severity, finding
from berth_events.contracts import Finding, WebCheck

__all__ = ["Sites", "check_web_site"]


class Sites(Protocol):
    """Looks at web sites."""

    async def answers(self, url: str) -> tuple[bool | None, str]:
        """Whether anything answers, with whatever status (None: not known), and what was seen."""
        ...


async def check_web_site(domain: str, sites: Sites) -> Outcome[WebCheck | None]:
    """Ask http and https."""
    (http, plain), (https, secure) = await asyncio.gather(
        sites.answers(f"http://{domain}/"), sites.answers(f"https://{domain}/")
    )
    findings: list[Finding] = []
    for answered, code, shown in ((http, "HTTP_NO_RESPONSE", plain), (https, "HTTPS_INVALID", secure)):
        severity: Severity | None = "unknown" if answered is None else None
        if not answered:
            findings.append(finding(code, domain, shown, severity=severity))
    return Outcome(WebCheck(http=http, https=https), tuple(findings))
