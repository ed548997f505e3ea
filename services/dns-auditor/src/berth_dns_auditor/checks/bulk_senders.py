"""Whether the domain meets what Google and Yahoo (2024) and Microsoft (2025) ask of senders of bulk mail. Pure.

Only what can be seen from outside is judged: not TLS of the sending server, one-click unsubscribing or rates of complaint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from berth_dns_auditor.checks.outcome import Outcome
from berth_dns_auditor.findings import finding
from berth_events.contracts import BulkSenderCheck, DkimCheck, DmarcCheck, Finding, SenderCheck, SpfCheck

__all__ = ["MailChecks", "check_bulk_sender"]


@dataclass(frozen=True, slots=True)
class MailChecks:
    """What the verdict is made of."""

    spf: SpfCheck
    dkim: DkimCheck
    dmarc: DmarcCheck
    senders: tuple[SenderCheck, ...]
    findings: tuple[Finding, ...]


def _spf(checks: MailChecks) -> bool | None:
    """A valid record, which every address passes that is known to send."""
    if checks.spf.state == "fail" or "SPF_SENDING_IP_NOT_PASS" in _codes(checks.findings):
        return False
    return True if checks.spf.state == "pass" else None


def _dkim(checks: MailChecks) -> bool | None:
    return {"pass": True, "fail": False}.get(checks.dkim.state)


def _dmarc(checks: MailChecks) -> bool | None:
    return {"pass": True, "fail": False}.get(checks.dmarc.state)


def _aligned(checks: MailChecks) -> bool | None:
    """Mail counts for DMARC if SPF or DKIM is of the domain's organization; that neither is has to be seen in messages."""
    codes = _codes(checks.findings)
    bad = "DKIM_NOT_ALIGNED" in codes and bool(codes & {"SPF_NOT_ALIGNED", "SPF_SENDING_IP_NOT_PASS"})
    return _unless(checks, bad=bad)


def _reverse(checks: MailChecks) -> bool | None:
    """Reverse DNS that is confirmed, of the addresses that are known to send."""
    return _unless(checks, bad=bool(_codes(checks.findings) & {"RDNS_MISSING", "RDNS_NOT_CONFIRMED"}))


def _unless(checks: MailChecks, *, bad: bool) -> bool | None:
    """What is not seen to be bad is good, once every address was examined to the end."""
    if bad:
        return False
    return None if any(sender.state == "unknown" for sender in checks.senders) else True


_Rule = tuple[str, Callable[[MailChecks], bool | None]]
_BASE: Final[tuple[_Rule, ...]] = (
    ("SPF is not valid, or a sending address does not pass", _spf),
    ("there is no usable DKIM key", _dkim),
    ("no DMARC record applies", _dmarc),
    ("neither SPF nor DKIM is aligned", _aligned),
)
_FORWARD_CONFIRMED: Final[_Rule] = ("the reverse DNS of a sending address is missing or not confirmed", _reverse)
_PROVIDERS: Final[dict[str, Sequence[_Rule]]] = {
    "google": (*_BASE, _FORWARD_CONFIRMED),
    "yahoo": (*_BASE, _FORWARD_CONFIRMED),
    "microsoft": _BASE,
}


def check_bulk_sender(domain: str, checks: MailChecks) -> Outcome[BulkSenderCheck]:
    """The verdict of each provider's rules: false as soon as one is not met, true when all are, else not known."""
    verdicts: dict[str, bool | None] = {}
    findings = []
    for provider, rules in _PROVIDERS.items():
        results = [(text, rule(checks)) for text, rule in rules]
        missing = [text for text, met in results if met is False]
        verdicts[provider] = False if missing else None if any(met is None for _, met in results) else True
        if missing:
            findings.append(finding("BULK_SENDER_NOT_READY", f"{domain} {provider}", *missing))
    return Outcome(BulkSenderCheck(**verdicts), tuple(findings))


def _codes(findings: Sequence[Finding]) -> set[str]:
    return {found.code for found in findings if found.severity != "unknown"}
