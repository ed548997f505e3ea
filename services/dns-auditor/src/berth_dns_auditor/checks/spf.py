"""SPF (RFC 7208): whether the domain's policy is valid for every client, and what is unwise about it."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from berth_dns_auditor.checks.outcome import Outcome, ask
from berth_dns_auditor.checks.providers import spf_of
from berth_dns_auditor.checks.spf_flatten import flatten, spelled_out
from berth_dns_auditor.checks.spf_grammar import is_spf, parse_spf
from berth_dns_auditor.checks.spf_mend import mended, merged, rewrite, split_up
from berth_dns_auditor.checks.spf_style import ending, passes_all, style
from berth_dns_auditor.checks.spf_tree import MX_HOSTS_MAX, Lookup, Node, SpfTree, Tally, fetch_tree, lookups_of, tally
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError, exchanges, printable
from berth_events.contracts import Finding, RecordChange, SpfCheck, SpfTerm

__all__ = ["INVALIDATING", "check_spf"]

#: Findings that make the policy a permanent error.
INVALIDATING: Final = frozenset(
    {
        "SPF_MISSING",
        "SPF_MULTIPLE_RECORDS",
        "SPF_SYNTAX_ERROR",
        "SPF_SYNTAX_AFTER_ALL",
        "SPF_MODIFIER_REPEATED",
        "SPF_A_IS_IP",
        "SPF_BAD_CIDR",
        "SPF_MACRO_INVALID",
        "SPF_NON_ASCII",
        "SPF_TOO_MANY_LOOKUPS",
        "SPF_TOO_MANY_VOID",
        "SPF_MX_TOO_MANY",
        "SPF_INCLUDE_NO_RECORD",
        "SPF_REDIRECT_NO_RECORD",
        "SPF_LOOP",
    }
)

LOOKUPS_MAX: Final = 10
LOOKUPS_NEAR: Final = 8
VOIDS_MAX: Final = 2
RECORD_BYTES: Final = 450
ANSWER_BYTES: Final = 512
TERM_WIDTH: Final = 255

_SHADOW: Final = re.compile(r"[\s\"']*v\s*=\s*spf1(?![0-9])[\s\"';]*", re.IGNORECASE)


async def check_spf(resolver: Resolver, domain: str) -> Outcome[SpfCheck]:
    """Audit the SPF policy of a domain.

    It passes when exactly one record exists, all of it and of the records it leads to is in the grammar, every target
    has a record, and the worst case stays within 10 lookups, 2 void lookups and 10 exchanges for each mx.
    """
    tree = await fetch_tree(resolver, domain)
    top = tree.nodes[domain]
    if isinstance(top.reply, TemporaryDnsError):
        return Outcome(SpfCheck(state="unknown"), (tempfail(top.reply),))
    if not top.records:
        return Outcome(SpfCheck(state="fail"), tuple(await _missing(resolver, domain, top.reply)))
    total = tally(tree)
    findings = tuple(_findings(tree, top, top.reply, total))
    complete = not tree.errors
    invalid = any(found.code in INVALIDATING for found in findings)
    counted = top.record is not None and complete
    check = SpfCheck(
        state="fail" if invalid else "pass" if complete else "unknown",
        value=printable(top.records[0].text),
        lookups=total.lookups if counted else None,
        void_lookups=len(total.voids) if counted else None,
        tree=tuple([_term(depth, where, lookup, cost) for depth, where, lookup, cost in total.rows]) if counted else (),
    )
    return Outcome(check, findings)


async def _missing(resolver: Resolver, domain: str, answer: Answer) -> list[Finding]:
    """No record: what to publish depends on what resembles one, and on who takes the domain's mail."""
    shadows = [text for text in answer.records if _SHADOW.match(text)]
    if shadows:
        record = mended(parse_spf("v=spf1 " + _SHADOW.sub("", shadows[0], count=1)), {})
        mend = [change(domain, "TXT", record, *shadows)]
    else:
        mail = await ask(resolver, domain, "MX")
        hosts = [name for _, name in exchanges(mail) if name] if isinstance(mail, Answer) else []
        provider = spf_of(hosts)
        terms = f"include:{provider} ~all" if provider else "mx ~all" if hosts else "-all"
        mend = [change(domain, "TXT", f"v=spf1 {terms}")] if isinstance(mail, Answer) else []
    return [
        *_bystanders(domain, answer, shadow_mend=mend),
        finding("SPF_MISSING", domain, answer.evidence, publish=mend),
    ]


def _term(depth: int, domain: str, lookup: Lookup, cost: int) -> SpfTerm:
    return SpfTerm(depth=depth, domain=printable(domain), term=printable(lookup.text, TERM_WIDTH), lookups=cost)


def _findings(tree: SpfTree, top: Node, answer: Answer, total: Tally) -> Iterator[Finding]:
    yield from (tempfail(error) for error in tree.errors)
    yield from _bystanders(top.domain, answer)
    yield from _length(top, answer)
    for node in tree.nodes.values():
        yield from _void(tree.domain, node)
    yield from _limits(tree, total)
    yield from _targets(tree)
    own = _own(tree, top)
    for node in own:
        if node.record is not None:
            yield from style(tree.domain, node.domain, node.record)
    yield from ending(tree, own)


def _bystanders(domain: str, answer: Answer, shadow_mend: Sequence[RecordChange] | None = None) -> Iterator[Finding]:
    """TXT records beside the policy that matter to it."""
    sender_id = [text for text in answer.records if text.lower().startswith("spf2.0/")]
    if sender_id:
        yield finding("SPF_SENDER_ID", domain, *sender_id, publish=(change(domain, "TXT", None, *sender_id),))
    shadows = [text for text in answer.records if _SHADOW.match(text) and not is_spf(text)]
    if shadows:
        gone = (change(domain, "TXT", None, *shadows),)
        yield finding("SPF_SHADOW_RECORD", domain, *shadows, publish=gone if shadow_mend is None else shadow_mend)


def _length(top: Node, answer: Answer) -> Iterator[Finding]:
    # Header, question, and for each record its fixed part and the length byte of each string (RFC 1035 §4.1).
    size = 12 + len(top.domain) + 6 + sum([12 + len(text) + len(text) // 255 + 1 for text in answer.records])
    longest = max([len(record.text) for record in top.records])
    if longest > RECORD_BYTES or size > ANSWER_BYTES:
        mend = split_up(top.domain, top.record) if top.record and longest > RECORD_BYTES else ()
        sizes = f"record {longest} bytes, answer about {size} bytes"
        yield finding("SPF_RECORD_TOO_LONG", top.domain, sizes, publish=mend)


def _void(zone: str, node: Node) -> Iterator[Finding]:
    """What makes one record, or the set at one name, void by itself."""
    if len(node.records) > 1:
        texts = [record.text for record in node.records]
        ours = node.domain == zone or node.domain.endswith(f".{zone}")
        one = [change(node.domain, "TXT", merged(node.records), *texts)] if ours else []
        yield finding("SPF_MULTIPLE_RECORDS", node.domain, *texts, publish=one)
    for record in node.records:
        mend = rewrite(zone, node.domain, record) if record.issues and len(node.records) == 1 else ()
        for issue in record.issues:
            where = f"at character {issue.position + 1}: {issue.reason}"
            yield finding(issue.code, f"{node.domain} {issue.term}", where, record.text, publish=mend)


def _limits(tree: SpfTree, total: Tally) -> Iterator[Finding]:
    shares = [f"{count} by {text}" for text, count in total.shares]
    if total.lookups > LOOKUPS_MAX:
        mend = flatten(tree, total, LOOKUPS_MAX)
        yield finding("SPF_TOO_MANY_LOOKUPS", tree.domain, f"{total.lookups} lookups", *shares, publish=mend)
    elif total.lookups >= LOOKUPS_NEAR and not tree.errors:  # what is not known may take it over the limit
        mend = flatten(tree, total, LOOKUPS_NEAR - 1)
        yield finding("SPF_LOOKUPS_NEAR_LIMIT", tree.domain, f"{total.lookups} lookups", *shares, publish=mend)
    if len(total.voids) > VOIDS_MAX:
        names = (f"{lookup.text} of {domain}: nothing at {lookup.name}" for domain, lookup in total.voids)
        top = tree.nodes[tree.domain].record
        dead = {lookup.text: "" for domain, lookup in total.voids if domain == tree.domain}
        enough = top is not None and len([1 for domain, _ in total.voids if domain != tree.domain]) <= VOIDS_MAX
        mend = rewrite(tree.domain, tree.domain, top, dead) if top and enough else ()
        yield finding("SPF_TOO_MANY_VOID", tree.domain, *names, publish=mend)
    for domain, lookup in total.loops:
        yield finding("SPF_LOOP", f"{domain} {lookup.text}", publish=_without(tree, domain, lookup))


def _without(tree: SpfTree, domain: str, lookup: Lookup) -> tuple[RecordChange, ...]:
    """The change that takes a term out of a record."""
    record = tree.nodes[domain].record
    if record is None:
        return ()
    if lookup.kind == "redirect":
        return rewrite(tree.domain, domain, record, ending="~all")
    return rewrite(tree.domain, domain, record, {lookup.text: ""})


def _targets(tree: SpfTree) -> Iterator[Finding]:
    """Terms whose target is not what they need."""
    seen: set[tuple[str, str]] = set()
    for node in tree.nodes.values():
        for lookup in lookups_of(node, tree.domain):
            if lookup.name is None or (node.domain, lookup.text) in seen:
                continue
            seen.add((node.domain, lookup.text))
            if lookup.kind == "mx" and (hosts := tree.mx_hosts(lookup.name)) > MX_HOSTS_MAX:
                shown = f"{lookup.name} has {hosts} mail exchanges"
                mend = spelled_out(tree, node.domain, lookup.text)
                yield finding("SPF_MX_TOO_MANY", f"{node.domain} {lookup.text}", shown, publish=mend)
            if lookup.kind in {"include", "redirect"} and lookup.name in tree.nodes:
                yield from _target(tree, node.domain, lookup, tree.nodes[lookup.name])


def _target(tree: SpfTree, domain: str, lookup: Lookup, target: Node) -> Iterator[Finding]:
    subject = f"{domain} {lookup.text}"
    if isinstance(target.reply, TemporaryDnsError):
        return
    if not target.records:
        code = "SPF_INCLUDE_NO_RECORD" if lookup.kind == "include" else "SPF_REDIRECT_NO_RECORD"
        mend = _without(tree, domain, lookup)
        yield finding(code, subject, target.reply.evidence, *target.reply.records, publish=mend)
    elif lookup.passes and target.record and passes_all(target.record):
        yield finding("SPF_NESTED_PASS_ALL", subject, target.record.text, publish=_without(tree, domain, lookup))


def _own(tree: SpfTree, top: Node) -> list[Node]:
    """The record of the domain and those it redirects to: the policy that the domain answers for."""
    chain = [top]
    while (record := chain[-1].record) and record.all is None and record.redirect:
        redirect = lookups_of(chain[-1], tree.domain)[-1]
        target = tree.nodes.get(redirect.name or "") if redirect.kind == "redirect" else None
        if target is None or target in chain:
            break
        chain.append(target)
    return chain
