"""DMARC (RFC 9989): which policy applies to the domain, and whether receivers can use it."""

from collections.abc import Iterator
from typing import Final

from berth_dns_auditor.checks.dmarc_record import DmarcRecord, is_dmarc, lowered, weaker
from berth_dns_auditor.checks.dmarc_reports import check_destinations
from berth_dns_auditor.checks.dmarc_tree import Place, Walk, walk_from
from berth_dns_auditor.checks.outcome import Outcome, ask
from berth_dns_auditor.findings import finding, tempfail
from berth_dns_auditor.resolver import Resolver, TemporaryDnsError, printable
from berth_events.contracts import DmarcCheck, Finding

__all__ = ["check_dmarc"]

#: Faults that are about one tag or value of the record, which they name.
_ABOUT_A_VALUE: Final = frozenset(
    {
        "DMARC_SYNTAX_ERROR",
        "DMARC_DUPLICATE_TAG",
        "DMARC_P_INVALID",
        "DMARC_UNKNOWN_TAG",
        "DMARC_REMOVED_TAG",
        "DMARC_INVALID_VALUE",
        "DMARC_RUA_INVALID",
    }
)


async def check_dmarc(resolver: Resolver, domain: str) -> Outcome[DmarcCheck]:
    """Audit the DMARC policy of a domain.

    It passes when policy discovery ends in a record that receivers apply, also with the policy none. `policy` is what
    they apply to mail of this very domain, after test mode.
    """
    try:
        walk = await walk_from(resolver, domain)
    except TemporaryDnsError as error:
        return Outcome(DmarcCheck(state="unknown"), (tempfail(error),))
    own, place = walk.places[0], walk.applicable
    if walk.error and own.record is None:
        return Outcome(DmarcCheck(state="unknown"), (tempfail(walk.error), *_discarded(own)))
    findings = [*_discarded(own)]
    if own.record is None:
        findings += await _misplaced(resolver, domain)
    if place is None or place.record is None:
        explained = any(found.code != "DNS_TEMPFAIL" for found in findings)
        evidence = (step.answer.evidence for step in walk.places)
        findings += [] if explained else [finding("DMARC_MISSING", domain, *evidence)]
        return Outcome(DmarcCheck(state="fail"), tuple(findings))
    record, inherited = place.record, place.domain != domain
    exists = await ask(resolver, domain, "MX") if inherited else own.answer
    if isinstance(exists, TemporaryDnsError):
        findings.append(tempfail(exists))
    gone = not isinstance(exists, TemporaryDnsError) and inherited and exists.rcode == "NXDOMAIN"
    asked = record.asked(inherited=inherited, exists=not gone)
    findings += _content(walk, place, record)
    if record.processed:
        if asked == "none":
            findings.append(finding("DMARC_P_NONE", place.domain, record.text))
        findings += await check_destinations(resolver, place.domain, record)
    check = DmarcCheck(
        state="pass" if record.processed else "fail",
        value=printable(record.text),
        policy=(lowered(asked) if record.testing else asked) if record.processed else None,
        location=place.domain,
    )
    return Outcome(check, tuple(findings))


def _discarded(own: Place) -> Iterator[Finding]:
    """Records at the domain's own name that do not count."""
    if len(own.texts) > 1:
        yield finding("DMARC_MULTIPLE_RECORDS", own.domain, own.answer.evidence, *own.texts)
    alike = [text for text in own.answer.records if "dmarc1" in text.lower() and not is_dmarc(text)]
    if alike:
        yield finding("DMARC_SYNTAX_ERROR", own.domain, own.answer.evidence, *alike)


async def _misplaced(resolver: Resolver, domain: str) -> list[Finding]:
    reply = await ask(resolver, domain, "TXT")
    if isinstance(reply, TemporaryDnsError):
        return [tempfail(reply)]
    texts = [text for text in reply.records if is_dmarc(text)]
    return [finding("DMARC_WRONG_LOCATION", domain, reply.evidence, *texts)] if texts else []


def _content(walk: Walk, place: Place, record: DmarcRecord) -> Iterator[Finding]:
    for fault in record.faults:
        subject = f"{place.domain} {fault.detail}" if fault.code in _ABOUT_A_VALUE else place.domain
        yield finding(fault.code, subject, fault.detail, place.answer.evidence, record.text)
    if place.domain != walk.places[0].domain:
        yield finding("DMARC_INHERITED", walk.places[0].domain, place.answer.evidence, record.text)
    if weaker(record.sp, record.p):
        yield finding("DMARC_SP_WEAKER", place.domain, record.text)
    if weaker(record.np, record.p):
        yield finding("DMARC_NP_WEAKER", place.domain, record.text)
    if record.testing:
        yield finding("DMARC_TEST_MODE", place.domain, record.text)
