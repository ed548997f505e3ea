"""MX (RFC 5321 §5.1): where the domain takes mail, and whether these hosts can be reached."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from berth_dns_auditor.checks.outcome import Outcome, Reply, ask, ask_all
from berth_dns_auditor.checks.suffixes import registrable
from berth_dns_auditor.findings import Severity, change, finding, tempfail
from berth_dns_auditor.resolver import Answer, Rdtype, Resolver, TemporaryDnsError, exchanges, printable
from berth_events.contracts import Finding, MxCheck, MxRecord, RecordChange
from berth_net import is_routable

__all__ = ["check_mx"]

#: What is examined at most, so that a hostile zone cannot keep the auditor busy.
HOSTS_MAX: Final = 16
ADDRESSES_MAX: Final = 8
PTR_NAMES_MAX: Final = 4

_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_BAD: Final = re.compile(r"[^A-Za-z0-9-]+")
_IPV4: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")


@dataclass(frozen=True, slots=True)
class _Host:
    """A mail exchange with its replies to A and AAAA."""

    name: str
    preference: int
    replies: tuple[Reply, ...]

    @property
    def answers(self) -> list[Answer]:
        return [reply for reply in self.replies if isinstance(reply, Answer)]

    @property
    def errors(self) -> list[TemporaryDnsError]:
        return [reply for reply in self.replies if isinstance(reply, TemporaryDnsError)]

    @property
    def is_gone(self) -> bool:
        """Whether the name does not exist."""
        if _IPV4.fullmatch(self.name):
            return False  # an address in place of a name, which is another finding
        return bool(self.answers) and not self.errors and all(answer.rcode == "NXDOMAIN" for answer in self.answers)

    @property
    def text(self) -> str:
        """Its MX record."""
        return _text(self.preference, self.name)

    @property
    def addresses(self) -> list[str]:
        return [address for answer in self.answers for address in answer.records][:ADDRESSES_MAX]


async def check_mx(resolver: Resolver, domain: str) -> Outcome[MxCheck]:
    """Audit the MX records of a domain.

    It passes when an exchange has an address, fails when none has, and is unknown while that is open. The implicit
    exchange of a domain without MX is not counted: a mailbox domain that relies on it is most likely broken.
    """
    try:
        answer = await resolver.query(domain, "MX")
    except TemporaryDnsError as error:
        return Outcome(MxCheck(state="unknown"), (tempfail(error),))
    listed = exchanges(answer)
    if not listed:
        return Outcome(MxCheck(state="fail"), tuple(await _missing(resolver, answer)))
    real = [(preference, name) for preference, name in listed if name]
    findings = list(_shape(domain, answer, listed))
    preferences = {name: preference for preference, name in reversed(real)}
    examined = list(dict.fromkeys(name for _, name in real))[:HOSTS_MAX]
    hosts = await asyncio.gather(*(_look_up(resolver, name, preferences[name]) for name in examined))
    findings += _hosts(domain, hosts)
    findings += [found for host in hosts if host.is_gone for found in await _dangling(resolver, domain, host, hosts)]
    addresses = {address: host.name for host in hosts for address in host.addresses}
    if len(addresses) == 1 and not any(host.errors for host in hosts):
        findings.append(finding("MX_SINGLE_ADDRESS", domain, *addresses))
    reverse = await asyncio.gather(*(_check_reverse(resolver, *pair) for pair in addresses.items()))
    findings += [found for some in reverse for found in some]
    records = tuple(
        MxRecord(host=printable(host.name), address=address, preference=host.preference)
        for host in hosts
        for address in host.addresses
    )
    undecided = any(host.errors for host in hosts)
    return Outcome(
        MxCheck(state="pass" if records else "unknown" if undecided else "fail", records=records), tuple(findings)
    )


async def _missing(resolver: Resolver, answer: Answer) -> list[Finding]:
    """No MX: senders fall back to the addresses of the domain itself, which an MX record can say openly."""
    replies = await ask_all(resolver, ((answer.name, "A"), (answer.name, "AAAA")))
    implicit = any(isinstance(reply, Answer) and reply.records for reply in replies)
    mend = [change(answer.name, "MX", _text(10, answer.name))] if implicit else []
    return [finding("MX_MISSING", answer.name, answer.evidence, publish=mend)]


def _text(preference: int, name: str) -> str:
    """An MX record as it is written: the empty name of a null MX is a dot."""
    return f"{preference} {name or '.'}"


def _shape(domain: str, answer: Answer, listed: Sequence[tuple[int, str]]) -> Iterator[Finding]:
    """What the MX records say before any host is looked up."""
    evidence = (answer.evidence, *answer.records)
    names = [name for _, name in listed]
    if not any(names):
        yield finding("MX_NULL", domain, *evidence)
    if "" in names and listed != [(0, "")]:
        nulls = [_text(*pair) for pair in listed if not pair[1]]
        mend = change(domain, "MX", None if any(names) else "0 .", *nulls)
        yield finding("MX_NULL_WITH_OTHERS", domain, *evidence, publish=(mend,))
    for name, count in Counter(filter(None, names)).items():
        rows = [_text(*pair) for pair in listed if pair[1] == name]
        if count > 1:
            yield finding("MX_DUPLICATE", name, *evidence, publish=(change(domain, "MX", None, *rows[1:]),))
        if _IPV4.fullmatch(name):
            mend = change(domain, "MX", f"{rows[0].partition(' ')[0]} mail.{domain}", *rows)
            yield finding("MX_IP_LITERAL", name, *evidence, publish=(change(f"mail.{domain}", "A", name), mend))
    distinct = list(dict.fromkeys(names))
    if len(distinct) > HOSTS_MAX:
        surplus = [_text(*pair) for pair in listed if pair[1] in distinct[HOSTS_MAX:]]
        shown = f"{len(distinct)} mail exchanges, {HOSTS_MAX} examined"
        yield finding("MX_TOO_MANY", domain, shown, publish=(change(domain, "MX", None, *surplus),))


async def _look_up(resolver: Resolver, name: str, preference: int) -> _Host:
    return _Host(name, preference, tuple(await ask_all(resolver, ((name, "A"), (name, "AAAA")))))


def _hosts(domain: str, hosts: Sequence[_Host]) -> Iterator[Finding]:
    lost = all(not host.addresses and not host.errors for host in hosts)
    for host in hosts:
        yield from (tempfail(error) for error in host.errors)
        evidence = [answer.evidence for answer in host.answers]
        aliases = next((answer.aliases for answer in host.answers if answer.aliases), ())
        if aliases:
            known = aliases[-1] in {other.name for other in hosts}
            mend = change(domain, "MX", None if known else _text(host.preference, aliases[-1]), host.text)
            yield finding("MX_CNAME", host.name, *evidence, publish=(mend,))
        if not _IPV4.fullmatch(host.name) and not all(_LABEL.fullmatch(label) for label in host.name.split(".")):
            yield finding("MX_BAD_HOSTNAME", host.name, *evidence, publish=_renamed(domain, host))
        if not host.addresses and not host.errors and not host.is_gone and not _IPV4.fullmatch(host.name):
            severity: Severity | None = "critical" if lost else None
            yield finding(
                "MX_NO_ADDRESS", host.name, *evidence, severity=severity, publish=_dropped(domain, host, hosts)
            )
        for address in host.addresses:
            if not is_routable(ip_address(address)):
                mend_private = _without_address(domain, host, address, hosts)
                yield finding("MX_PRIVATE_ADDRESS", f"{host.name} {address}", *evidence, publish=mend_private)


async def _dangling(resolver: Resolver, domain: str, host: _Host, hosts: Sequence[_Host]) -> list[Finding]:
    """An exchange that does not exist: whether its whole domain is free, so that anybody can register it."""
    lost = all(not other.addresses and not other.errors for other in hosts)
    evidence = [answer.evidence for answer in host.answers]
    mend = _dropped(domain, host, hosts)
    theirs = registrable(host.name, known_only=True)
    if theirs and theirs != registrable(domain):
        reply = await ask(resolver, theirs, "A")
        if isinstance(reply, TemporaryDnsError):
            return [tempfail(reply)]
        if reply.rcode == "NXDOMAIN" and not reply.aliases:
            return [finding("MX_DANGLING_REGISTRABLE", host.name, reply.evidence, *evidence, publish=mend)]
    severity: Severity | None = "critical" if lost else None
    return [finding("MX_NXDOMAIN", host.name, *evidence, severity=severity, publish=mend)]


def _dropped(domain: str, host: _Host, hosts: Sequence[_Host]) -> list[RecordChange]:
    """The change that takes an exchange out, if mail still has somewhere to go."""
    left = any(other.addresses for other in hosts if other is not host)
    return [change(domain, "MX", None, host.text)] if left else []


def _renamed(domain: str, host: _Host) -> list[RecordChange]:
    """The changes that give an exchange of the domain itself a name that hosts may have."""
    labels = (_BAD.sub("-", label).strip("-") or "mx" for label in host.name.removesuffix(f".{domain}").split("."))
    name = f"{'.'.join(labels)}.{domain}"
    if not host.name.endswith(f".{domain}") or not host.addresses:
        return []
    mx = change(domain, "MX", _text(host.preference, name), host.text)
    return [*(change(name, _rdtype(address), address) for address in host.addresses), mx]


def _without_address(domain: str, host: _Host, address: str, hosts: Sequence[_Host]) -> list[RecordChange]:
    """The change after which nobody is sent to an address, if the host has another, or the domain another host."""
    if any(is_routable(ip_address(other)) for other in host.addresses):
        ours = host.name.endswith(f".{domain}") and not any(answer.aliases for answer in host.answers)
        return [change(host.name, _rdtype(address), None, address)] if ours else []
    return _dropped(domain, host, hosts)


def _rdtype(address: str) -> Rdtype:
    return "AAAA" if ":" in address else "A"


async def _check_reverse(resolver: Resolver, address: str, host: str) -> list[Finding]:
    """Whether the address of a host has a PTR, and a name there resolves back to it (RFC 1912 §2.1)."""
    parsed = ip_address(address)
    if not is_routable(parsed):
        return []
    pointer = await ask(resolver, parsed.reverse_pointer, "PTR")
    if isinstance(pointer, TemporaryDnsError):
        return [tempfail(pointer)]
    subject = f"{host} {address}"
    if not pointer.records:
        mend = change(parsed.reverse_pointer, "PTR", host)
        return [finding("MX_PTR_MISSING", subject, pointer.evidence, publish=(mend,))]
    forward = await ask_all(resolver, ((name, _rdtype(address)) for name in pointer.records[:PTR_NAMES_MAX]))
    answers = [reply for reply in forward if isinstance(reply, Answer)]
    if any(ip_address(record) == parsed for answer in answers for record in answer.records):
        return []
    errors = [tempfail(reply) for reply in forward if isinstance(reply, TemporaryDnsError)]
    mend = change(parsed.reverse_pointer, "PTR", host, *pointer.records)
    shown = (*pointer.records, *(answer.evidence for answer in answers))
    return errors or [finding("MX_PTR_MISMATCH", subject, *shown, publish=(mend,))]
