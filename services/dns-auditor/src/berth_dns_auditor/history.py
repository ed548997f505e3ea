"""What an audit says together with the one before it. Pure."""

from typing import Any, Final

from berth_dns_auditor.audit import CORE, Audit
from berth_dns_auditor.findings import bounded
from berth_dns_auditor.score import health_score
from berth_events.contracts import DnssecCheck, DomainRecord, Finding, SenderCheck

__all__ = ["changes", "known", "settle"]

_CHECKS: Final = ("mx", "spf", "dkim", "dmarc")
#: What the others leave in the record.
_FIELDS: Final = {
    "transport": "transport",
    "dnssec": "dnssec",
    "zone": "name_servers",
    "registration": "registration",
    "web": "web",
    "bulk": "bulk_sender",
}
#: The check that decides a finding is the first word of its code, but for these words and codes.
_DECIDED_BY: Final = {
    "domain": "mx",
    "apex": "mx",
    "rdns": "senders",
    "mtasts": "transport",
    "tlsrpt": "transport",
    "tlsa": "transport",
    "ns": "zone",
    "soa": "zone",
    "wildcard": "zone",
    "http": "web",
    "https": "web",
    "dnsbl": "lists",
    "DOMAIN_EXPIRED": "registration",
    "DOMAIN_EXPIRING": "registration",
    "DOMAIN_HOLD": "registration",
    "DOMAIN_YOUNG": "registration",
    "SPF_TYPE99_PRESENT": "obsolete",
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
    # What is not of the core is not audited again soon, so it keeps its last answer until it has another.
    held = audit.incomplete if patient else (audit.incomplete & unknown) | (audit.incomplete - CORE)
    fresh = [found for found in record.findings if found.severity != "unknown"]
    if previous is None:
        return _scored(record.model_copy(update={"findings": bounded(fresh)}))
    kept = [found for found in previous.findings if _decided_by(found) in held]
    answers = {name: getattr(previous, name) for name in unknown & set(_CHECKS)}
    answers |= {field: _merged(getattr(record, field), getattr(previous, field)) for field in _opened(audit)}
    senders = tuple([_definite(sender, previous.senders) for sender in record.senders])
    return _scored(record.model_copy(update={**answers, "senders": senders, "findings": bounded((*fresh, *kept))}))


def _opened(audit: Audit) -> list[str]:
    return [field for name, field in _FIELDS.items() if name in audit.incomplete]


def _merged(now: Any, before: Any) -> Any:
    """What is known now, and what was known before of the rest."""
    if not now or isinstance(now, tuple):
        return now or before
    if isinstance(now, DnssecCheck):
        return before if before and now.state == "unknown" else now
    unknown = [name for name in type(now).model_fields if getattr(now, name) is None]
    return now.model_copy(update={name: getattr(before, name) for name in unknown}) if before else now


def _scored(record: DomainRecord) -> DomainRecord:
    return record.model_copy(update={"health_score": health_score(record)})


def _definite(sender: SenderCheck, previous: tuple[SenderCheck, ...]) -> SenderCheck:
    """The last definite answer for an address, if it is open now."""
    if sender.state != "unknown":
        return sender
    return next((one for one in previous if one.address == sender.address), sender)


def known(record: DomainRecord, definite: DomainRecord) -> tuple[Finding, ...]:
    """What is to be said of a domain: the definite findings, and which questions are open."""
    return (*definite.findings, *(found for found in record.findings if found.severity == "unknown"))


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
