"""An SPF record that needs fewer lookups: addresses in place of the terms that lead to them. Pure."""

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

from berth_dns_auditor.checks.spf_grammar import Directive
from berth_dns_auditor.checks.spf_mend import RECORD_BYTES, mended, rewrite
from berth_dns_auditor.checks.spf_tree import SpfTree, Tally
from berth_dns_auditor.findings import change
from berth_dns_auditor.resolver import Answer, Rdtype, exchanges
from berth_events.contracts import RecordChange

__all__ = ["flatten", "spelled_out"]

#: More addresses than this do not fit a record anyway.
NETWORKS_MAX: Final = 40

_FAMILIES: Final[tuple[Rdtype, Rdtype]] = ("A", "AAAA")

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


def spelled_out(tree: SpfTree, domain: str, text: str) -> tuple[RecordChange, ...]:
    """The change that puts addresses in place of one term of the record at a domain; none when they are not known."""
    record = tree.nodes[domain].record
    term = next((term for term in record.reached if term.text == text), None) if record else None
    networks = _networks(tree, domain, term, {domain: None}) if term else None
    return rewrite(tree.domain, domain, record, {text: " ".join(networks)}) if record and networks else ()


def _networks(tree: SpfTree, domain: str, term: Directive, known: _Known) -> list[str] | None:
    """The ranges that a term passes, as terms; None when they are not known."""
    if term.qualifier != "+":
        return None
    match term.mechanism:
        case "ip4" | "ip6":
            return [f"{term.mechanism}:{_short(str(term.network))}"]
        case "a" if "%" not in (term.target or ""):
            return _addresses(tree, [(term.target or domain).lower().removesuffix(".")], term)
        case "mx" if "%" not in (term.target or ""):
            reply = tree.replies.get(((term.target or domain).lower().removesuffix("."), "MX"))
            hosts = [host for _, host in exchanges(reply) if host] if isinstance(reply, Answer) else None
            return _addresses(tree, hosts, term) if hosts else None
        case "include" if "%" not in (term.target or ""):
            target = (term.target or "").lower().removesuffix(".")
            if target not in known:
                known[target] = None  # a circle ends here
                known[target] = _below(tree, target, known)
            return known[target]
        case _:
            return None


def _addresses(tree: SpfTree, hosts: Iterable[str], term: Directive) -> list[str] | None:
    """The ranges around the addresses of hosts; None unless all were asked for and answered."""
    networks: list[str] = []
    for host in hosts:
        for rdtype, length in zip(_FAMILIES, term.prefixes, strict=True):
            reply = tree.replies.get((host, rdtype))
            if not isinstance(reply, Answer):
                return None
            found = (ip_network((record, length), strict=False) for record in reply.records)
            networks += [f"ip{network.version}:{_short(str(network))}" for network in found]
    return networks


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
