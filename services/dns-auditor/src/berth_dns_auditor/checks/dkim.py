"""DKIM (RFC 6376): whether a key of the domain can be found with which receivers verify its mail."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from berth_dns_auditor.checks.dkim_key import DkimKey, parse_dkim
from berth_dns_auditor.checks.outcome import Outcome, Reply, ask_all
from berth_dns_auditor.checks.providers import candidates
from berth_dns_auditor.checks.spf_grammar import Directive, is_spf, parse_spf
from berth_dns_auditor.findings import finding, tempfail
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError, exchanges, printable
from berth_events.contracts import DkimCheck, Finding

__all__ = ["check_dkim"]


@dataclass(frozen=True, slots=True)
class _Published:
    """What stands at one selector."""

    selector: str
    answer: Answer

    @property
    def key(self) -> DkimKey | None:
        """The key, if there is exactly one record (§3.6.2.2)."""
        return parse_dkim(self.answer.records[0]) if len(self.answer.records) == 1 else None

    @property
    def usable(self) -> bool:
        return self.key is not None and self.key.usable

    @property
    def signs_for_all(self) -> bool:
        """Whether every receiver can verify with the key, so that no other is needed."""
        return self.key is not None and self.key.usable and self.key.kind == "rsa"


async def check_dkim(resolver: Resolver, domain: str, probe: str) -> Outcome[DkimCheck]:
    """Look for the DKIM keys of a domain.

    It passes when a selector has a usable key. It fails when nothing exists below `_domainkey` (RFC 8020: NXDOMAIN
    speaks for the whole subtree), or when every key that was found is revoked or broken. Otherwise it is unknown.
    When a selector of the domain's mail provider has a good key, the selectors in common use are not asked for.

    Args:
        resolver: Answers the questions.
        domain: The domain that would sign.
        probe: A random label, to tell a wildcard from a selector.
    """
    base = f"_domainkey.{domain}"
    try:
        root = await resolver.query(base, "TXT")
        if root.rcode == "NXDOMAIN":
            return Outcome(DkimCheck(state="fail"), (finding("DKIM_MISSING", domain, root.evidence),))
        wildcard = await resolver.query(f"{probe}.{base}", "TXT")
    except TemporaryDnsError as error:
        return Outcome(DkimCheck(state="unknown"), (tempfail(error),))
    mail = await ask_all(resolver, ((domain, "MX"), (domain, "TXT")))
    likely, common = candidates(_mail_hosts(mail))
    tried = dict(zip(likely, await _ask_selectors(resolver, base, likely), strict=True))
    answered = _answered(tried, wildcard)
    if not any(one.signs_for_all for one in answered):
        tried |= zip(common, await _ask_selectors(resolver, base, common), strict=True)
        answered = _answered(tried, wildcard)
    errors = [reply for reply in (*mail, *tried.values()) if isinstance(reply, TemporaryDnsError)]
    published = [one for one in answered if one.answer.records]
    if not published and (star := _Published("*", wildcard)).key and star.key.revoked:
        published = [star]  # a domain that never signs says so for every selector at once
    findings = [*map(tempfail, errors), *_wildcard(domain, wildcard)]
    findings += [
        finding("DKIM_CNAME_BROKEN", one.selector, one.answer.evidence)
        for one in answered
        if one.answer.aliases and not one.answer.records
    ]
    findings += _keys(published)
    if not published and not errors:
        findings.append(finding("DKIM_SELECTOR_UNKNOWN", domain, root.evidence, f"{len(tried)} selectors tried"))
    return Outcome(_verdict(published, complete=not errors), tuple(findings))


async def _ask_selectors(resolver: Resolver, base: str, selectors: Sequence[str]) -> list[Reply]:
    return await ask_all(resolver, ((f"{selector}.{base}", "TXT") for selector in selectors))


def _verdict(published: Sequence[_Published], *, complete: bool) -> DkimCheck:
    if not published:
        return DkimCheck(state="unknown")
    best = next((one for one in published if one.usable), published[0])
    state = "pass" if best.usable else "fail" if complete else "unknown"
    return DkimCheck(state=state, selector=best.selector, value=printable(best.answer.records[0]))


def _answered(tried: Mapping[str, Reply], wildcard: Answer) -> list[_Published]:
    """The selectors that have an answer of their own, which is not that of the wildcard."""
    covered = bool(wildcard.records or wildcard.aliases)
    same = (sorted(wildcard.records), wildcard.aliases)
    return [
        _Published(selector, reply)
        for selector, reply in tried.items()
        if isinstance(reply, Answer) and not (covered and (sorted(reply.records), reply.aliases) == same)
    ]


def _wildcard(domain: str, wildcard: Answer) -> Iterator[Finding]:
    if wildcard.records:
        yield finding("DKIM_WILDCARD", domain, wildcard.evidence, *wildcard.records)


def _keys(published: Sequence[_Published]) -> Iterator[Finding]:
    usable = [one for one in published if one.usable]
    for one in published:
        evidence = (one.answer.evidence, *one.answer.records)
        if one.key is None:
            yield finding("DKIM_MULTIPLE_RECORDS", one.selector, *evidence)
            continue
        for fault in one.key.faults:
            yield finding(fault.code, one.selector, fault.detail, *evidence)
        if one.key.revoked:
            yield finding("DKIM_KEY_REVOKED", one.selector, *evidence, severity="low" if usable else None)
    if usable and all(one.key is not None and one.key.kind == "ed25519" for one in usable):
        for one in usable:
            yield finding("DKIM_ED25519_ONLY", one.selector, one.answer.evidence)


def _mail_hosts(replies: Sequence[Reply]) -> list[str]:
    """Where the MX records and the includes of SPF point: they tell who the mail provider is."""
    hosts: list[str] = []
    for reply in replies:
        if isinstance(reply, TemporaryDnsError):
            continue
        if reply.rdtype == "MX":
            hosts += [name for _, name in exchanges(reply)]
            continue
        for text in filter(is_spf, reply.records):
            terms = parse_spf(text).terms
            hosts += [term.target.lower() for term in terms if isinstance(term, Directive) and term.target]
    return hosts
