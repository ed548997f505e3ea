"""DMARC (RFC 9989): which policy applies to the domain, and whether receivers can use it."""

from collections.abc import Iterator, Mapping
from typing import Final

from berth_dns_auditor.checks.dmarc_mend import mended_dmarc, reports_to, strictest, suggested
from berth_dns_auditor.checks.dmarc_record import DmarcRecord, Policy, is_dmarc, weaker
from berth_dns_auditor.checks.dmarc_reports import check_destinations
from berth_dns_auditor.checks.dmarc_tree import Place, Walk, walk_from
from berth_dns_auditor.checks.outcome import Outcome, ask
from berth_dns_auditor.checks.suffixes import registrable
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Resolver, TemporaryDnsError, printable
from berth_events.contracts import DmarcCheck, Finding, RecordChange

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
        evidence = [step.answer.evidence for step in walk.places]
        mend = (change(f"_dmarc.{domain}", "TXT", suggested(domain)),)
        findings += [] if explained else [finding("DMARC_MISSING", domain, *evidence, publish=mend)]
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
            findings.append(finding("DMARC_P_NONE", place.domain, record.text, publish=_stricter(place, record)))
        findings += await check_destinations(resolver, place.domain, record)
    findings += _organization(walk, place, record)
    return Outcome(_verdict(walk, place, record, asked), tuple(findings))


def _verdict(walk: Walk, place: Place, record: DmarcRecord, asked: Policy) -> DmarcCheck:
    return DmarcCheck(
        state="pass" if record.processed else "fail",
        value=printable(record.text),
        policy=record.applied(asked),
        subdomain_policy=record.applied(record.asked(inherited=True, exists=True)),
        missing_policy=record.applied(record.asked(inherited=True, exists=False)),
        location=place.domain,
        organizational_domain=None if walk.error else walk.organizational,
        registrable_domain=registrable(walk.places[0].domain),
    )


def _discarded(own: Place) -> Iterator[Finding]:
    """Records at the domain's own name that do not count."""
    name = own.answer.name
    if len(own.texts) > 1:
        best = mended_dmarc(strictest(own.texts).text, own.domain)
        mend = change(name, "TXT", best, *own.texts)
        yield finding("DMARC_MULTIPLE_RECORDS", own.domain, own.answer.evidence, *own.texts, publish=(mend,))
    alike = [text for text in own.answer.records if "dmarc1" in text.lower() and not is_dmarc(text)]
    if alike:
        mend = change(name, "TXT", None if own.texts else mended_dmarc(alike[0], own.domain), *alike)
        yield finding("DMARC_SYNTAX_ERROR", own.domain, own.answer.evidence, *alike, publish=(mend,))


async def _misplaced(resolver: Resolver, domain: str) -> list[Finding]:
    reply = await ask(resolver, domain, "TXT")
    if isinstance(reply, TemporaryDnsError):
        return [tempfail(reply)]
    texts = [text for text in reply.records if is_dmarc(text)]
    if not texts:
        return []
    right = change(f"_dmarc.{domain}", "TXT", mended_dmarc(texts[0], domain))
    mend = (right, change(domain, "TXT", None, *texts))
    return [finding("DMARC_WRONG_LOCATION", domain, reply.evidence, *texts, publish=mend)]


def _content(walk: Walk, place: Place, record: DmarcRecord) -> Iterator[Finding]:
    right = _rewritten(place, record, {}) if record.faults else []
    for fault in record.faults:
        subject = f"{place.domain} {fault.detail}" if fault.code in _ABOUT_A_VALUE else place.domain
        swap = {"rua": reports_to(place.domain)}
        mend = _rewritten(place, record, swap) if fault.code == "DMARC_NO_RUA" else right
        yield finding(fault.code, subject, fault.detail, place.answer.evidence, record.text, publish=mend)
    if place.domain != walk.places[0].domain:
        yield finding("DMARC_INHERITED", walk.places[0].domain, place.answer.evidence, record.text)
    if weaker(record.sp, record.p):
        yield finding("DMARC_SP_WEAKER", place.domain, record.text, publish=_rewritten(place, record, {"sp": None}))
    if weaker(record.np, record.p):
        yield finding("DMARC_NP_WEAKER", place.domain, record.text, publish=_rewritten(place, record, {"np": None}))
    if record.testing:
        yield finding("DMARC_TEST_MODE", place.domain, record.text, publish=_rewritten(place, record, {"t": None}))


def _rewritten(place: Place, record: DmarcRecord, swap: Mapping[str, str | None]) -> list[RecordChange]:
    """The change from the record to its mended form; none at a public suffix, whose owner is another."""
    if record.psd == "y":
        return []
    return [change(place.answer.name, "TXT", mended_dmarc(record.text, place.domain, swap), record.text)]


def _stricter(place: Place, record: DmarcRecord) -> list[RecordChange]:
    """The change that makes every policy ask for something."""
    swap: dict[str, str | None] = {} if record.p in {"quarantine", "reject"} else {"p": "quarantine"}
    swap |= {name: None for name, policy in (("sp", record.sp), ("np", record.np)) if policy == "none"}
    return _rewritten(place, record, swap)


def _organization(walk: Walk, place: Place, record: DmarcRecord) -> Iterator[Finding]:
    """Whether receivers that go by the public suffix list take the domain to be of another organization."""
    domain = walk.places[0].domain
    listed = registrable(domain)
    if walk.error or listed is None or listed == walk.organizational:
        return
    held = next((step.record.text for step in walk.places if step.domain == listed and step.record), None)
    deliberate = record.psd == "n" and place.domain == walk.organizational
    wanted = mended_dmarc(held or record.text, listed, {"psd": "n"})
    mend = [] if deliberate else [change(f"_dmarc.{listed}", "TXT", wanted, *([held] if held else []))]
    views = (f"tree walk: {walk.organizational}", f"public suffix list: {listed}")
    yield finding("DMARC_ORGDOMAIN_DIFFERS", domain, *views, publish=mend)
