"""An SPF record that needs fewer lookups: addresses in place of the terms that lead to them. Pure."""

from ipaddress import ip_network
from typing import Final

from berth_dns_auditor.checks.spf_grammar import Directive
from berth_dns_auditor.checks.spf_mend import RECORD_BYTES, mended
from berth_dns_auditor.checks.spf_tree import SpfTree, Tally
from berth_dns_auditor.findings import change
from berth_dns_auditor.resolver import Answer
from berth_events.contracts import RecordChange

__all__ = ["flatten"]

#: More addresses than this do not fit a record anyway.
NETWORKS_MAX: Final = 40

#: The ranges that the record of a domain passes, as terms; None while that is being worked out, and where it is not known.
_Known = dict[str, list[str] | None]


def flatten(tree: SpfTree, total: Tally, limit: int) -> tuple[RecordChange, ...]:
    """The change that brings the worst case down to a limit; none when addresses alone cannot do it.

    Terms that stand for the most lookups are replaced first. Only those are whose every client is known by address: an
    exists or ptr below them leaves them as they are.
    """
    record = tree.nodes[tree.domain].record
    if record is None or record.issues:
        return ()
    count = total.lookups
    swap: dict[str, str] = {}
    known: _Known = {tree.domain: None}
    for text, share in sorted(total.shares, key=lambda pair: -pair[1]):
        if count <= limit:
            break
        term = next((term for term in record.reached if term.text == text), None)
        if text in swap:
            count -= share  # repeated, and replaced already
        elif term is not None and (networks := _networks(tree, tree.domain, term, known)) is not None:
            swap[text] = " ".join(networks)
            count -= share
    text = mended(record, swap)
    return (change(tree.domain, "TXT", text, record.text),) if count <= limit and len(text) <= RECORD_BYTES else ()


def _networks(tree: SpfTree, domain: str, term: Directive, known: _Known) -> list[str] | None:
    """The ranges that a term passes, as terms; None when they are not known."""
    if term.qualifier != "+":
        return None
    match term.mechanism:
        case "ip4" | "ip6":
            return [f"{term.mechanism}:{_short(str(term.network))}"]
        case "a" if "%" not in (term.target or ""):
            name = (term.target or domain).lower().removesuffix(".")
            replies = [tree.replies.get((name, "A")), tree.replies.get((name, "AAAA"))]
            if not all(isinstance(reply, Answer) for reply in replies):
                return None
            found = [
                ip_network((record, term.prefixes[":" in record]), strict=False)
                for reply in replies
                if isinstance(reply, Answer)
                for record in reply.records
            ]
            return [f"ip{network.version}:{_short(str(network))}" for network in found]
        case "include" if "%" not in (term.target or ""):
            target = (term.target or "").lower().removesuffix(".")
            if target not in known:
                known[target] = None  # a circle ends here
                known[target] = _below(tree, target, known)
            return known[target]
        case _:
            return None


def _below(tree: SpfTree, domain: str, known: _Known) -> list[str] | None:
    node = tree.nodes.get(domain)
    if node is None or node.record is None or node.record.issues or (node.record.redirect and not node.record.all):
        return None
    networks: list[str] = []
    for term in node.record.reached:
        if term.mechanism == "all":
            break
        inner = _networks(tree, domain, term, known)
        if inner is None or len(networks) + len(inner) > NETWORKS_MAX:
            return None
        networks += inner
    return networks


def _short(network: str) -> str:
    return network.removesuffix("/128" if ":" in network else "/32")
