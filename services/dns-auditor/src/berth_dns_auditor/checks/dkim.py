"""DKIM (RFC 6376): whether a key of the domain can be found with which receivers verify its mail."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from berth_dns_auditor.checks.dkim_key import DkimKey, parse_dkim
from berth_dns_auditor.checks.dkim_mend import mended_key
from berth_dns_auditor.checks.known import NOTHING_KNOWN, Known
from berth_dns_auditor.checks.outcome import Outcome, Reply, ask_all
from berth_dns_auditor.checks.providers import candidates
from berth_dns_auditor.checks.spf_grammar import Directive, is_spf, parse_spf
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError, exchanges, printable
from berth_events.contracts import DkimCheck, Finding, RecordChange

__all__ = ["check_dkim"]

SELECTOR_MAX: Final = 128

_SELECTOR: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*")


@dataclass(frozen=True, slots=True)
class _Published:
    """What stands at one selector.

    Attributes:
        key: The key, if there is exactly one record (§3.6.2.2).
    """

    selector: str
    answer: Answer
    key: DkimKey | None

    @classmethod
    def at(cls, selector: str, answer: Answer) -> Self:
        return cls(selector, answer, parse_dkim(answer.records[0]) if len(answer.records) == 1 else None)

    @property
    def usable(self) -> bool:
        return self.key is not None and self.key.usable

    @property
    def signs_for_all(self) -> bool:
        """Whether every receiver can verify with the key, so that no other is needed."""
        return self.key is not None and self.key.usable and self.key.kind == "rsa"


async def check_dkim(resolver: Resolver, domain: str, probe: str, known: Known = NOTHING_KNOWN) -> Outcome[DkimCheck]:
    """Look for the DKIM keys of a domain.

    It passes when a selector has a usable key, or a receiver verified a message with one whose key is gone or cannot be
    read. It fails when nothing exists below `_domainkey` (RFC 8020: NXDOMAIN speaks for the whole subtree), or when every
    key that was found is revoked or broken. Otherwise it is unknown. Selectors that are known are asked for first, then
    those of the domain's mail provider; when one of these has a good key, the selectors in common use are not.

    Args:
        resolver: Asks the DNS.
        domain: The domain that would sign.
        probe: A random label, to tell a wildcard from a selector.
        known: Its selectors from messages or from its owner.
    """
    base = f"_domainkey.{domain}"
    try:
        root = await resolver.query(base, "TXT")
        if root.rcode == "NXDOMAIN":
            missing = finding("DKIM_MISSING", domain, root.evidence)
            return Outcome(_proven(DkimCheck(state="fail"), (), known), (missing,))
        wildcard = await resolver.query(f"{probe}.{base}", "TXT")
    except TemporaryDnsError as error:
        return Outcome(_proven(DkimCheck(state="unknown"), (), known), (tempfail(error),))
    mail = await ask_all(resolver, ((domain, "MX"), (domain, "TXT")))
    likely, common = candidates(_mail_hosts(mail))
    first = tuple(dict.fromkeys((*(selector for selector in known.selectors if _is_name(selector)), *likely)))
    tried = dict(zip(first, await _ask_selectors(resolver, base, first), strict=True))
    answered = _answered(tried, wildcard)
    if not any(one.signs_for_all for one in answered):
        common = tuple(selector for selector in common if selector not in tried)
        tried |= zip(common, await _ask_selectors(resolver, base, common), strict=True)
        answered = _answered(tried, wildcard)
    errors = [reply for reply in (*mail, *tried.values()) if isinstance(reply, TemporaryDnsError)]
    published = [one for one in answered if one.answer.records]
    if not published and (star := _Published.at("*", wildcard)).key and star.key.revoked:
        published = [star]  # a domain that never signs says so for every selector at once
    findings = [*map(tempfail, errors), *_wildcard(domain, root, wildcard)]
    findings += [
        finding(
            "DKIM_CNAME_BROKEN",
            one.selector,
            one.answer.evidence,
            publish=(change(one.answer.name, "CNAME", None, one.answer.aliases[0]),),
        )
        for one in answered
        if one.answer.aliases and not one.answer.records
    ]
    findings += _keys(published)
    if not published and not errors:
        findings.append(finding("DKIM_SELECTOR_UNKNOWN", domain, root.evidence, f"{len(tried)} selectors tried"))
    return Outcome(_proven(_verdict(published, complete=not errors), published, known), tuple(findings))


def _proven(check: DkimCheck, published: Sequence[_Published], known: Known) -> DkimCheck:
    """The verdict, unless a message says more: it was verified with a selector at which no key was read now."""
    read = {one.selector for one in published}
    seen = next((selector for selector in known.selectors if selector in known.proven and selector not in read), None)
    if check.state == "pass" or seen is None:
        return check
    return DkimCheck(state="pass", selector=printable(seen), value="")


def _is_name(selector: str) -> bool:
    """Whether a selector can stand in a name; those from messages were written by strangers (RFC 6376 §3.1)."""
    return len(selector) <= SELECTOR_MAX and _SELECTOR.fullmatch(selector) is not None


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
        _Published.at(selector, reply)
        for selector, reply in tried.items()
        if isinstance(reply, Answer) and not (covered and (sorted(reply.records), reply.aliases) == same)
    ]


def _wildcard(domain: str, root: Answer, wildcard: Answer) -> Iterator[Finding]:
    if wildcard.records:
        # Where the root of the selectors has the same records, the wildcard covers the whole domain.
        covered = domain if sorted(root.records) == sorted(wildcard.records) else f"_domainkey.{domain}"
        mend = change(f"*.{covered}", "TXT", None, *wildcard.records)
        ours = () if wildcard.aliases else (mend,)
        yield finding("DKIM_WILDCARD", domain, wildcard.evidence, *wildcard.records, publish=ours)


def _keys(published: Sequence[_Published]) -> Iterator[Finding]:
    usable = [one for one in published if one.usable]
    for one in published:
        evidence = (one.answer.evidence, *one.answer.records)
        if one.key is None:
            best = min(one.answer.records, key=lambda text: _rank(parse_dkim(text)))
            mend = _changed(one, None, *(text for text in one.answer.records if text != best))
            yield finding("DKIM_MULTIPLE_RECORDS", one.selector, *evidence, publish=mend)
            continue
        if one.key.faults:
            mended = mended_key(one.answer.records[0])
            left = {fault.code for fault in mended[1].faults} if mended else set()
            right = _changed(one, mended[0], one.answer.records[0]) if mended else []
            for fault in one.key.faults:
                publish = right if fault.code not in left else []
                yield finding(fault.code, one.selector, fault.detail, *evidence, publish=publish)
        if one.key.revoked:
            mend = _changed(one, None, one.answer.records[0]) if usable else []
            yield finding("DKIM_KEY_REVOKED", one.selector, *evidence, severity="low" if usable else None, publish=mend)
    if usable and all(one.key is not None and one.key.kind == "ed25519" for one in usable):
        for one in usable:
            yield finding("DKIM_ED25519_ONLY", one.selector, one.answer.evidence)


def _rank(key: DkimKey) -> tuple[bool, int]:
    """The lower, the better a key is."""
    return not key.usable, len(key.faults)


def _changed(one: _Published, value: str | None, *replaces: str) -> list[RecordChange]:
    """The change at a selector; none where an alias leaves the record to the mail provider."""
    return [] if one.answer.aliases else [change(one.answer.name, "TXT", value, *replaces)]


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
