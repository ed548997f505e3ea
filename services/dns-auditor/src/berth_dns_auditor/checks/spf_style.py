"""What is unwise in a valid SPF record, and what it says of everybody else. Pure."""

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final

from berth_dns_auditor.checks.spf_grammar import Directive, Modifier, Network, SpfRecord
from berth_dns_auditor.checks.spf_mend import rewrite
from berth_dns_auditor.checks.spf_tree import Node, SpfTree
from berth_dns_auditor.findings import finding
from berth_events.contracts import Finding

__all__ = ["ending", "passes_all", "style"]

BROAD_V4: Final = 16
BROAD_V6: Final = 32
#: Of a record with more terms only these are looked at.
TERMS_MAX: Final = 200

_MECHANISMS: Final = frozenset({"include", "a", "mx", "ptr", "ip4", "ip6", "exists"})


def style(zone: str, domain: str, record: SpfRecord) -> Iterator[Finding]:
    """Terms that do no good.

    Args:
        zone: The domain that is audited.
        domain: Where the record stands.
        record: The record.
    """
    if record.redirect and record.all:
        mend = rewrite(zone, domain, record, {record.redirect.text: ""})
        yield finding("SPF_REDIRECT_IGNORED", f"{domain} {record.redirect.text}", record.text, publish=mend)
    terms = record.terms[:TERMS_MAX]
    counts = Counter([term.text.lower() for term in terms])
    if len(counts) < len(terms):
        mend = rewrite(zone, domain, record)
        for text, count in counts.items():
            if count > 1:
                yield finding("SPF_DUPLICATE_TERM", f"{domain} {text}", record.text, publish=mend)
    for term in terms:
        yield from _term_style(zone, domain, record, term)


def _term_style(zone: str, domain: str, record: SpfRecord, term: Directive | Modifier) -> Iterator[Finding]:
    subject = f"{domain} {term.text}"
    match term:
        case Modifier(name=name) if name not in {"redirect", "exp"}:
            meant = f"{name}:{term.value}" if name in _MECHANISMS else ""
            mend = rewrite(zone, domain, record, {term.text: meant})
            yield finding("SPF_UNKNOWN_MODIFIER", subject, record.text, publish=mend)
        case Directive(mechanism="ptr"):
            mend = rewrite(zone, domain, record, {term.text: f"{term.qualifier.strip('+')}mx"})
            yield finding("SPF_PTR_USED", subject, record.text, publish=mend)
        case Directive(network=IPv4Network() | IPv6Network() as network, qualifier="+"):
            if network.prefixlen and network.prefixlen < (BROAD_V4 if network.version == 4 else BROAD_V6):  # noqa: PLR2004
                yield finding("SPF_BROAD_RANGE", subject, f"{network.num_addresses} addresses")
            if network.prefixlen and not network.is_global:
                mend = rewrite(zone, domain, record, {term.text: ""})
                yield finding("SPF_PRIVATE_RANGE", subject, str(network), publish=mend)
        case _:
            pass


def ending(tree: SpfTree, own: list[Node]) -> Iterator[Finding]:
    """What the policy says of everybody else.

    Args:
        tree: The tree of the domain.
        own: Its record and those that it redirects to.
    """
    for node in own:
        if node.record and passes_all(node.record):
            open_terms = {term.text: "" for term in node.record.reached if _is_open(term)}
            mend = rewrite(tree.domain, node.domain, node.record, open_terms, ending="~all")
            yield finding("SPF_PASS_ALL", node.domain, node.record.text, publish=mend)
            return
    domain, record = own[-1].domain, own[-1].record
    if record is None or record.issues:
        return
    match record.all:
        case Directive(qualifier="?"):
            mend = rewrite(tree.domain, domain, record, ending="~all")
            yield finding("SPF_NEUTRAL_ALL", tree.domain, record.text, publish=mend)
        case Directive(qualifier="~"):
            yield finding("SPF_SOFTFAIL_ALL", tree.domain, record.text)
        case None if record.redirect is None:
            mend = rewrite(tree.domain, domain, record, ending="~all")
            yield finding("SPF_NO_ALL", tree.domain, record.text, publish=mend)
        case _:
            pass


def passes_all(record: SpfRecord) -> bool:
    """Whether the record passes every client: by all, or by ranges that cover the Internet."""
    passing = [term for term in record.reached if term.qualifier == "+"]
    if any(term.mechanism == "all" or 0 in term.prefixes for term in passing):
        return True
    return _covers_internet([term.network for term in passing if term.network is not None])


def _is_open(term: Directive) -> bool:
    """Whether a term has its part in letting everybody pass."""
    network = term.network
    broad = network is not None and network.prefixlen < (BROAD_V4 if network.version == 4 else BROAD_V6)  # noqa: PLR2004
    return term.qualifier == "+" and (term.mechanism == "all" or 0 in term.prefixes or broad)


def _covers_internet(networks: list[Network]) -> bool:
    four = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    six = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return any(network.prefixlen == 0 for network in four) or any(network.prefixlen == 0 for network in six)
