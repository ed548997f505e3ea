"""SPF (RFC 7208): whether the domain's policy is valid for every client, and what is unwise about it."""

import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final

from berth_dns_auditor.checks.outcome import Outcome
from berth_dns_auditor.checks.spf_grammar import Directive, Modifier, Network, SpfRecord, is_spf
from berth_dns_auditor.checks.spf_tree import Lookup, Node, SpfTree, Tally, fetch_tree, lookups_of, tally
from berth_dns_auditor.findings import finding, tempfail
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError, printable
from berth_events.contracts import Finding, SpfCheck

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
MX_HOSTS_MAX: Final = 10
RECORD_BYTES: Final = 450
ANSWER_BYTES: Final = 512
BROAD_V4: Final = 16
BROAD_V6: Final = 32
#: Of a record with more terms only these are looked at for style.
TERMS_MAX: Final = 200

_SHADOW: Final = re.compile(r"[\s\"']*v\s*=\s*spf1(?![0-9])", re.IGNORECASE)


async def check_spf(resolver: Resolver, domain: str) -> Outcome[SpfCheck]:
    """Audit the SPF policy of a domain.

    It passes when exactly one record exists, all of it and of the records it leads to is in the grammar, every target
    has a record, and the worst case stays within 10 lookups, 2 void lookups and 10 exchanges for each mx.
    """
    tree = await fetch_tree(resolver, domain)
    top = tree.nodes[domain]
    if isinstance(top.reply, TemporaryDnsError):
        return Outcome(SpfCheck(state="unknown"), (tempfail(top.reply),))
    total = tally(tree)
    findings = tuple(_findings(tree, top, top.reply, total))
    complete = not tree.errors
    invalid = any(found.code in INVALIDATING for found in findings)
    check = SpfCheck(
        state="fail" if invalid else "pass" if complete else "unknown",
        value=printable(top.records[0].text) if top.records else None,
        lookups=total.lookups if top.record and complete else None,
        void_lookups=len(total.voids) if top.record and complete else None,
    )
    return Outcome(check, findings)


def _findings(tree: SpfTree, top: Node, answer: Answer, total: Tally) -> Iterator[Finding]:
    yield from (tempfail(error) for error in tree.errors)
    yield from _bystanders(top.domain, answer)
    if not top.records:
        yield finding("SPF_MISSING", top.domain, answer.evidence)
        return
    for node in tree.nodes.values():
        yield from _void(node)
    yield from _limits(tree, total)
    yield from _targets(tree)
    own = _own(tree, top)
    for node in own:
        if node.record is not None:
            yield from _style(node.domain, node.record)
    yield from _ending(tree, own)


def _bystanders(domain: str, answer: Answer) -> Iterator[Finding]:
    """TXT records beside the policy that matter to it."""
    sender_id = [text for text in answer.records if text.lower().startswith("spf2.0/")]
    if sender_id:
        yield finding("SPF_SENDER_ID", domain, *sender_id)
    shadows = [text for text in answer.records if _SHADOW.match(text) and not is_spf(text)]
    if shadows:
        yield finding("SPF_SHADOW_RECORD", domain, *shadows)
    # Header, question, and for each record its fixed part and the length byte of each string (RFC 1035 §4.1).
    size = 12 + len(domain) + 6 + sum(12 + len(text) + len(text) // 255 + 1 for text in answer.records)
    longest = max((len(text) for text in answer.records if is_spf(text)), default=0)
    if longest > RECORD_BYTES or (longest and size > ANSWER_BYTES):
        yield finding("SPF_RECORD_TOO_LONG", domain, f"record {longest} bytes, answer about {size} bytes")


def _void(node: Node) -> Iterator[Finding]:
    """What makes one record, or the set at one name, void by itself."""
    if len(node.records) > 1:
        yield finding("SPF_MULTIPLE_RECORDS", node.domain, *(record.text for record in node.records))
    for record in node.records:
        for issue in record.issues:
            where = f"at character {issue.position + 1}: {issue.reason}"
            yield finding(issue.code, f"{node.domain} {issue.term}", where, record.text)


def _limits(tree: SpfTree, total: Tally) -> Iterator[Finding]:
    shares = [f"{count} by {text}" for text, count in total.shares]
    if total.lookups > LOOKUPS_MAX:
        yield finding("SPF_TOO_MANY_LOOKUPS", tree.domain, f"{total.lookups} lookups", *shares)
    elif total.lookups >= LOOKUPS_NEAR:
        yield finding("SPF_LOOKUPS_NEAR_LIMIT", tree.domain, f"{total.lookups} lookups", *shares)
    if len(total.voids) > VOIDS_MAX:
        names = (f"{lookup.text} of {domain}: nothing at {lookup.name}" for domain, lookup in total.voids)
        yield finding("SPF_TOO_MANY_VOID", tree.domain, *names)
    for domain, lookup in total.loops:
        yield finding("SPF_LOOP", f"{domain} {lookup.text}")


def _targets(tree: SpfTree) -> Iterator[Finding]:
    """Terms whose target is not what they need."""
    seen: set[tuple[str, str]] = set()
    for node in tree.nodes.values():
        for lookup in lookups_of(node, tree.domain):
            if lookup.name is None or (node.domain, lookup.text) in seen:
                continue
            seen.add((node.domain, lookup.text))
            subject = f"{node.domain} {lookup.text}"
            if lookup.kind == "mx" and (hosts := tree.mx_hosts(lookup.name)) > MX_HOSTS_MAX:
                yield finding("SPF_MX_TOO_MANY", subject, f"{lookup.name} has {hosts} mail exchanges")
            if lookup.kind in {"include", "redirect"} and lookup.name in tree.nodes:
                yield from _target(lookup, tree.nodes[lookup.name], subject)


def _target(lookup: Lookup, target: Node, subject: str) -> Iterator[Finding]:
    if isinstance(target.reply, TemporaryDnsError):
        return
    if not target.records:
        code = "SPF_INCLUDE_NO_RECORD" if lookup.kind == "include" else "SPF_REDIRECT_NO_RECORD"
        yield finding(code, subject, target.reply.evidence, *target.reply.records)
    elif lookup.kind == "include" and target.record and _passes_all(target.record):
        yield finding("SPF_NESTED_PASS_ALL", subject, target.record.text)


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


def _style(domain: str, record: SpfRecord) -> Iterator[Finding]:
    if record.redirect and record.all:
        yield finding("SPF_REDIRECT_IGNORED", f"{domain} {record.redirect.text}", record.text)
    terms = record.terms[:TERMS_MAX]
    for text, count in Counter(term.text.lower() for term in terms).items():
        if count > 1:
            yield finding("SPF_DUPLICATE_TERM", f"{domain} {text}", record.text)
    for term in terms:
        subject = f"{domain} {term.text}"
        match term:
            case Modifier(name=name) if name not in {"redirect", "exp"}:
                yield finding("SPF_UNKNOWN_MODIFIER", subject, record.text)
            case Directive(mechanism="ptr"):
                yield finding("SPF_PTR_USED", subject, record.text)
            case Directive(network=IPv4Network() | IPv6Network() as network, qualifier="+"):
                if network.prefixlen and network.prefixlen < (BROAD_V4 if network.version == 4 else BROAD_V6):  # noqa: PLR2004
                    yield finding("SPF_BROAD_RANGE", subject, f"{network.num_addresses} addresses")
                if network.prefixlen and not network.is_global:
                    yield finding("SPF_PRIVATE_RANGE", subject, str(network))
            case _:
                pass


def _ending(tree: SpfTree, own: list[Node]) -> Iterator[Finding]:
    """What the policy says of everybody else."""
    for node in own:
        if node.record and _passes_all(node.record):
            yield finding("SPF_PASS_ALL", node.domain, node.record.text)
            return
    record = own[-1].record
    if record is None or record.issues:
        return
    match record.all:
        case Directive(qualifier="?"):
            yield finding("SPF_NEUTRAL_ALL", tree.domain, record.text)
        case Directive(qualifier="~"):
            yield finding("SPF_SOFTFAIL_ALL", tree.domain, record.text)
        case None if record.redirect is None:
            yield finding("SPF_NO_ALL", tree.domain, record.text)
        case _:
            pass


def _passes_all(record: SpfRecord) -> bool:
    """Whether the record passes every client: by all, or by ranges that cover the Internet."""
    passing = [term for term in record.reached if term.qualifier == "+"]
    if any(term.mechanism == "all" or 0 in term.prefixes for term in passing):
        return True
    return _covers_internet([term.network for term in passing if term.network is not None])


def _covers_internet(networks: list[Network]) -> bool:
    four = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    six = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return any(network.prefixlen == 0 for network in four) or any(network.prefixlen == 0 for network in six)
