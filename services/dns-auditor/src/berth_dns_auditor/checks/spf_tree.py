"""The tree of SPF records below a domain: fetched level by level, then counted without the network.

The count is that of the worst case, in which no mechanism matches before `all`: what one evaluation (RFC 7208 §4.6.4)
costs at most, whoever the client is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from berth_dns_auditor.checks.outcome import Reply, ask_all
from berth_dns_auditor.checks.spf_grammar import (
    Directive,
    Modifier,
    SpfRecord,
    is_spf,
    parse_spf,
)
from berth_dns_auditor.checks.spf_macros import expand_name
from berth_dns_auditor.resolver import Answer, Rdtype, Resolver, TemporaryDnsError, exchanges

__all__ = ["MX_HOSTS_MAX", "Lookup", "Node", "SpfTree", "Tally", "fetch_tree", "lookups_of", "tally"]

LookupKind = Literal["include", "redirect", "a", "mx", "ptr", "exists"]

#: Enough to see that a tree exceeds the limit of ten, and a bound on what a hostile tree can make us ask.
NODES_MAX: Final = 20
TERMS_MAX: Final = 11
MX_HOSTS_MAX: Final = 10
MX_HOSTS_ASKED: Final = 16
#: The count of lookups stops here, whatever the tree.
COUNTED_MAX: Final = 100
#: Terms that are listed one by one.
ROWS_MAX: Final = 30

_QUESTIONS: Final[dict[LookupKind, tuple[Rdtype, ...]]] = {"a": ("A", "AAAA"), "mx": ("MX",), "exists": ("A",)}


@dataclass(frozen=True, slots=True)
class Lookup:
    """A term that costs a lookup; `name` is None when it depends on the message (macros)."""

    kind: LookupKind
    text: str
    name: str | None

    @property
    def passes(self) -> bool:
        """Whether it is an include, and who matches may send."""
        return self.kind == "include" and self.text[0] not in "-~?"


@dataclass(frozen=True, slots=True)
class Node:
    """What one domain says of SPF: its reply to TXT and the SPF records in it (one, if all is well)."""

    domain: str
    reply: Reply
    records: tuple[SpfRecord, ...]

    @property
    def record(self) -> SpfRecord | None:
        """The record, if there is exactly one."""
        return self.records[0] if len(self.records) == 1 else None


@dataclass(frozen=True, slots=True)
class SpfTree:
    """Every record that an evaluation for `domain` can reach, and the answers its other terms need."""

    domain: str
    nodes: dict[str, Node]
    replies: dict[tuple[str, Rdtype], Reply]

    @property
    def errors(self) -> list[TemporaryDnsError]:
        """The questions that got no definite answer."""
        asked = [node.reply for node in self.nodes.values()] + list(self.replies.values())
        return [reply for reply in asked if isinstance(reply, TemporaryDnsError)]

    def is_void(self, name: str, kind: LookupKind) -> bool:
        """Whether a lookup finds nothing, for any client: neither kind of address, no MX, no TXT."""
        if kind in {"include", "redirect"}:
            replies: list[Reply | None] = [self.nodes[name].reply if name in self.nodes else None]
        else:
            replies = [self.replies.get((name, rdtype)) for rdtype in _QUESTIONS.get(kind, ())]
        return bool(replies) and all(isinstance(reply, Answer) and not reply.records for reply in replies)

    def mx_hosts(self, name: str) -> int:
        """How many exchanges an mx term leads to."""
        reply = self.replies.get((name, "MX"))
        return len(reply.records) if isinstance(reply, Answer) else 0


@dataclass(slots=True)
class Tally:
    """The worst-case cost of a tree.

    Attributes:
        lookups: DNS terms that are evaluated.
        voids: The terms whose lookup finds nothing, with the domain they stand in.
        loops: The terms that lead back to a record they came from, with the domain they stand in.
        shares: Lookups that each term of the first record stands for.
        rows: Every term, in the order of evaluation: its depth, the domain it stands in, itself, and its lookups with
            those of all that it leads to; the first of them only.
    """

    lookups: int = 0
    voids: list[tuple[str, Lookup]] = field(default_factory=list)
    loops: list[tuple[str, Lookup]] = field(default_factory=list)
    shares: list[tuple[str, int]] = field(default_factory=list)
    rows: list[tuple[int, str, Lookup, int]] = field(default_factory=list)


async def fetch_tree(resolver: Resolver, domain: str) -> SpfTree:
    """Ask for every record below `domain`, then for what the terms of these records name."""
    nodes: dict[str, Node] = {}
    level = [domain]
    while level:
        replies = await ask_all(resolver, ((name, "TXT") for name in level))
        found = [_node(name, reply) for name, reply in zip(level, replies, strict=True)]
        nodes.update((node.domain, node) for node in found)
        targets = (
            lookup.name
            for node in found
            for lookup in lookups_of(node, domain)
            if lookup.kind in {"include", "redirect"} and lookup.name is not None
        )
        level = [name for name in dict.fromkeys(targets) if name not in nodes][: NODES_MAX - len(nodes)]
    questions = tuple(
        dict.fromkeys(
            (lookup.name, rdtype)
            for node in nodes.values()
            for lookup in lookups_of(node, domain)
            if lookup.name is not None
            for rdtype in _QUESTIONS.get(lookup.kind, ())
        )
    )
    answers = dict(zip(questions, await ask_all(resolver, questions), strict=True))
    crowd = _crowd(answers)
    return SpfTree(domain, nodes, answers | dict(zip(crowd, await ask_all(resolver, crowd), strict=True)))


def _crowd(replies: Mapping[tuple[str, Rdtype], Reply]) -> tuple[tuple[str, Rdtype], ...]:
    """What to ask of mail exchanges that are too many for an mx term, so that their addresses can stand in its place."""
    hosts = (
        host
        for (_, rdtype), reply in replies.items()
        if rdtype == "MX" and isinstance(reply, Answer) and MX_HOSTS_MAX < len(reply.records) <= MX_HOSTS_ASKED
        for _, host in exchanges(reply)
    )
    return tuple(dict.fromkeys((host, rdtype) for host in hosts for rdtype in _QUESTIONS["a"]))


def lookups_of(node: Node, sender_domain: str) -> list[Lookup]:
    """The terms of a record that cost a lookup, in the order of evaluation; of more than eleven, the first eleven."""
    return list(_lookups(node, sender_domain))[:TERMS_MAX]


def _lookups(node: Node, sender_domain: str) -> Iterator[Lookup]:
    record = node.record
    if record is None:
        return
    known = {"d": node.domain, "o": sender_domain}
    for term in record.reached:
        if kind := _kind(term):
            yield Lookup(kind, term.text, expand_name(term.target or "%{d}", known))
    if record.redirect and record.all is None:
        yield Lookup("redirect", record.redirect.text, expand_name(record.redirect.value, known))


def _kind(term: Directive | Modifier) -> LookupKind | None:
    match term:
        case Directive(mechanism="include" | "a" | "mx" | "ptr" | "exists" as kind):
            return kind
        case _:
            return None


def tally(tree: SpfTree) -> Tally:
    """Count the worst case of the whole tree; the count stops at a hundred lookups."""
    total = Tally()
    _descend(tree, tree.domain, (), total)
    return total


def _descend(tree: SpfTree, domain: str, path: tuple[str, ...], total: Tally) -> None:
    path = (*path, domain)
    for lookup in lookups_of(tree.nodes[domain], tree.domain):
        if total.lookups >= COUNTED_MAX:
            return
        before, row = total.lookups, len(total.rows)
        total.lookups += 1
        if row < ROWS_MAX:
            total.rows.append((len(path) - 1, domain, lookup, 1))
        if lookup.name is not None and tree.is_void(lookup.name, lookup.kind):
            total.voids.append((domain, lookup))
        if lookup.kind in {"include", "redirect"} and lookup.name in tree.nodes:
            if lookup.name in path:
                total.loops.append((domain, lookup))
            else:
                _descend(tree, lookup.name, path, total)
        if row < ROWS_MAX:
            total.rows[row] = (len(path) - 1, domain, lookup, total.lookups - before)
        if len(path) == 1:
            total.shares.append((lookup.text, total.lookups - before))


def _node(domain: str, reply: Reply) -> Node:
    texts = reply.records if isinstance(reply, Answer) else ()
    return Node(domain, reply, tuple(parse_spf(text) for text in texts if is_spf(text)))
