"""What an audit says together with the one before it. Pure."""

from typing import Final

from berth_dns_auditor.audit import Audit
from berth_dns_auditor.findings import bounded
from berth_events.contracts import DomainRecord, Finding, SenderCheck

__all__ = ["changes", "known", "settle"]

_CHECKS: Final = ("mx", "spf", "dkim", "dmarc")
#: The check that decides a finding is the first word of its code, but for these words and codes.
_DECIDED_BY: Final = {
    "domain": "mx",
    "apex": "mx",
    "rdns": "senders",
    "SPF_SENDING_IP_NOT_PASS": "senders",
    "SPF_NOT_ALIGNED": "senders",
    "DKIM_NOT_ALIGNED": "senders",
}


def settle(audit: Audit, previous: DomainRecord | None, *, patient: bool) -> DomainRecord:
    """The record with the last definite answer in place of each open one.

    Args:
        audit: What was found now.
        previous: The definite record of the audit before, if there was one.
        patient: Whether a finding that is missing from a check with an open question is taken to be unseen rather than
            gone. A question that stays open for long must not keep what was repaired meanwhile.
    """
    record = audit.record
    unknown = {name for name in _CHECKS if getattr(record, name).state == "unknown"}
    if any(sender.state == "unknown" for sender in record.senders):
        unknown.add("senders")
    held = audit.incomplete if patient else audit.incomplete & unknown
    fresh = [found for found in record.findings if found.code != "DNS_TEMPFAIL"]
    if previous is None:
        return record.model_copy(update={"findings": tuple(fresh)})
    kept = [found for found in previous.findings if _decided_by(found) in held]
    answers = {name: getattr(previous, name) for name in unknown & set(_CHECKS)}
    senders = tuple([_definite(sender, previous.senders) for sender in record.senders])
    return record.model_copy(update={**answers, "senders": senders, "findings": bounded((*fresh, *kept))})


def _definite(sender: SenderCheck, previous: tuple[SenderCheck, ...]) -> SenderCheck:
    """The last definite answer for an address, if it is open now."""
    if sender.state != "unknown":
        return sender
    return next((one for one in previous if one.address == sender.address), sender)


def known(record: DomainRecord, definite: DomainRecord) -> tuple[Finding, ...]:
    """What is to be said of a domain: the definite findings, and which questions are open."""
    return (*definite.findings, *(found for found in record.findings if found.code == "DNS_TEMPFAIL"))


def changes(before: tuple[Finding, ...], after: tuple[Finding, ...]) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """The findings that came and those that went, by code and subject."""
    old, new = {_identity(found) for found in before}, {_identity(found) for found in after}
    raised = tuple(found for found in after if _identity(found) not in old)
    cleared = tuple(found for found in before if _identity(found) not in new)
    return raised, cleared


def _identity(found: Finding) -> tuple[str, str]:
    return found.code, found.subject


def _decided_by(found: Finding) -> str:
    word = found.code.partition("_")[0].lower()
    return _DECIDED_BY.get(found.code) or _DECIDED_BY.get(word, word)
