"""The zone's name servers, each asked by itself: whether it answers, with authority, and the same as the others."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Protocol

from berth_dns_auditor.checks.name_servers import zone_of
from berth_dns_auditor.checks.outcome import Outcome, ask, ask_all
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Answer, Rdtype, Resolver, TemporaryDnsError
from berth_events.contracts import Finding

__all__ = ["Authorities", "AuthorityReply", "NotAsked", "check_delegation"]

#: What is asked at most.
SERVERS_MAX: Final = 8
PARENTS_MAX: Final = 2
_COMPARED: Final[tuple[Rdtype, ...]] = ("MX", "TXT")


class NotAsked(Exception):
    """The address is not one of the public Internet, or there is no way to it from here: that says nothing of the server."""


@dataclass(frozen=True, slots=True)
class AuthorityReply:
    """What a server answered.

    Attributes:
        rcode: As text, for example REFUSED.
        authoritative: Whether it answers for the zone (AA).
        records: Of the type that was asked.
        delegated: The name servers to which it refers, of this very name.
    """

    rcode: str
    authoritative: bool
    records: tuple[str, ...]
    delegated: tuple[str, ...]


class Authorities(Protocol):
    """Asks single name servers."""

    async def ask(self, address: str, name: str, rdtype: Rdtype, *, tcp: bool = False) -> AuthorityReply | None:
        """What a server says; None when it does not answer.

        Raises:
            NotAsked: nothing can be learnt from here.
        """
        ...


@dataclass(slots=True)
class _Seen:
    """What the servers said, by "server address"."""

    silent: list[str] = field(default_factory=list)
    lame: dict[str, str] = field(default_factory=dict)
    without_tcp: list[str] = field(default_factory=list)
    authority: dict[str, str] = field(default_factory=dict)
    sets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    answers: dict[Rdtype, dict[str, tuple[str, ...]]] = field(default_factory=dict)


async def check_delegation(resolver: Resolver, domain: str, authorities: Authorities) -> Outcome[None]:
    """Ask every name server of the domain's zone, and one of its parent.

    Args:
        resolver: Finds them.
        domain: The domain.
        authorities: Asks them.
    """
    found = await zone_of(resolver, domain)
    if isinstance(found, TemporaryDnsError):
        return Outcome(None, (tempfail(found),))
    if found is None:
        return Outcome(None)
    zone, child = found
    parent = await _parents_view(resolver, zone, authorities)
    names = list(dict.fromkeys((*child, *parent)))[:SERVERS_MAX]
    replies = await ask_all(resolver, ((name, "A") for name in names))
    # Of one address each; that of IPv6 only where there is no other, for the way to it may be missing on our side.
    targets: dict[str, str] = {}
    for name, reply in zip(names, replies, strict=True):
        if isinstance(reply, Answer) and not reply.records:
            reply = await ask(resolver, name, "AAAA")  # noqa: PLW2901
        if isinstance(reply, Answer) and reply.records:
            targets[f"{name} {reply.records[0]}"] = reply.records[0]
    seen = _Seen()
    await asyncio.gather(*(_examine(authorities, zone, domain, key, address, seen) for key, address in targets.items()))
    if targets and len(seen.silent) == len(targets):
        shown = "none of the name servers answers us; that may be on our side"
        return Outcome(None, (finding("NS_UNREACHABLE", zone, shown, *seen.silent, severity="unknown"),))
    return Outcome(None, tuple(_findings(zone, domain, parent, seen)))


async def _parents_view(resolver: Resolver, zone: str, authorities: Authorities) -> tuple[str, ...]:
    """The name servers to which the parent zone refers; none when it does not say."""
    labels = zone.split(".")
    for start in range(1, len(labels) + 1):
        reply = await ask(resolver, ".".join(labels[start:]), "NS")
        if isinstance(reply, TemporaryDnsError):
            return ()
        if reply.records:
            break
    else:
        return ()
    for server in reply.records[:PARENTS_MAX]:
        where = await ask(resolver, server, "A")
        if isinstance(where, TemporaryDnsError) or not where.records:
            continue
        try:
            told = await authorities.ask(where.records[0], zone, "NS")
        except NotAsked:
            continue
        if told and told.delegated and not told.authoritative:
            return told.delegated
    return ()


async def _examine(authorities: Authorities, zone: str, domain: str, key: str, address: str, seen: _Seen) -> None:
    try:
        soa = await authorities.ask(address, zone, "SOA")
        if soa is None:
            if ip_address(address).version == 4:  # noqa: PLR2004 - of IPv6 the way may be missing
                seen.silent.append(key)
            return
        if not soa.authoritative or not soa.records:
            seen.lame[key] = f"{key}: {soa.rcode}{'' if soa.authoritative else ', not authoritative'}"
            return
        seen.authority[key] = soa.records[0]
        if await authorities.ask(address, zone, "SOA", tcp=True) is None:
            seen.without_tcp.append(key)
        ours = await authorities.ask(address, zone, "NS")
        if ours and ours.authoritative:
            seen.sets[key] = ours.records
        for rdtype in _COMPARED:
            reply = await authorities.ask(address, domain, rdtype)
            if reply and reply.authoritative and reply.rcode in {"NOERROR", "NXDOMAIN"}:
                seen.answers.setdefault(rdtype, {})[key] = reply.records
    except NotAsked:
        return


def _findings(zone: str, domain: str, parent: tuple[str, ...], seen: _Seen) -> list[Finding]:
    findings = [finding("NS_UNREACHABLE", key, "no answer by UDP") for key in seen.silent]
    findings += [finding("NS_LAME", key, reason) for key, reason in seen.lame.items()]
    findings += [finding("NS_NO_TCP", key, "no answer by TCP") for key in seen.without_tcp]
    for rdtype, answers in seen.answers.items():
        if len(set(answers.values())) > 1:
            serials = (f"serial of {key}: {soa.split(' ')[2]}" for key, soa in seen.authority.items())
            shown = (f"{key}: {', '.join(records) or 'none'}" for key, records in answers.items())
            findings.append(finding("NS_INCONSISTENT_ANSWERS", f"{domain} {rdtype}", *list(shown)[:3], *serials))
    findings += _mailbox(zone, next(iter(seen.authority.values()), None))
    child = _agreed(seen.sets)
    if parent and child and set(parent) != set(child):
        extra = sorted(set(child) - set(parent))
        mend = [change(zone, "NS", name) for name in sorted(set(parent) - set(child))]
        if extra:
            mend.append(change(zone, "NS", None, *extra))
        views = (f"parent: {', '.join(parent)}", f"zone: {', '.join(child)}")
        findings.append(finding("NS_PARENT_CHILD_MISMATCH", zone, *views, publish=mend))
    return findings


def _agreed(sets: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """What the zone says of its name servers, if all of them say the same."""
    distinct = set(sets.values())
    return distinct.pop() if len(distinct) == 1 else None


def _mailbox(zone: str, soa: str | None) -> list[Finding]:
    """Whether the SOA record names a mailbox as it is to be written, as a domain name."""
    if soa is None:
        return []
    primary, mailbox, numbers = soa.split(" ", 2)
    if "@" not in mailbox and mailbox.replace("\\.", "").count(".") > 1:
        return []
    local, _, host = mailbox.partition("@")
    mended = f"{local}.{host}" if host else f"hostmaster.{zone}"
    mend = change(zone, "SOA", f"{primary} {mended} {numbers}", soa)
    return [finding("SOA_RNAME_INVALID", zone, mailbox, publish=(mend,))]
