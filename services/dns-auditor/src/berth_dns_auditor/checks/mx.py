"""MX (RFC 5321 §5.1): where the domain takes mail, and whether these hosts can be reached."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from berth_dns_auditor.checks.outcome import Outcome, Reply, ask, ask_all
from berth_dns_auditor.findings import finding, tempfail
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError, exchanges, printable
from berth_events.contracts import Finding, MxCheck, MxRecord
from berth_net import is_routable

__all__ = ["check_mx"]

#: What is examined at most, so that a hostile zone cannot keep the auditor busy.
HOSTS_MAX: Final = 16
ADDRESSES_MAX: Final = 8
PTR_NAMES_MAX: Final = 4

_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
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
    real = [(preference, name) for preference, name in listed if name]
    findings = list(_shape(domain, answer, listed))
    preferences = {name: preference for preference, name in reversed(real)}
    examined = list(dict.fromkeys(name for _, name in real))[:HOSTS_MAX]
    hosts = await asyncio.gather(*(_look_up(resolver, name, preferences[name]) for name in examined))
    findings += _hosts(hosts)
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


def _shape(domain: str, answer: Answer, listed: Sequence[tuple[int, str]]) -> Iterator[Finding]:
    """What the MX records say before any host is looked up."""
    evidence = (answer.evidence, *answer.records)
    names = [name for _, name in listed]
    if not names:
        yield finding("MX_MISSING", domain, *evidence)
    if names and not any(names):
        yield finding("MX_NULL", domain, *evidence)
    if "" in names and listed != [(0, "")]:
        yield finding("MX_NULL_WITH_OTHERS", domain, *evidence)
    for name, count in Counter(filter(None, names)).items():
        if count > 1:
            yield finding("MX_DUPLICATE", name, *evidence)
        if _IPV4.fullmatch(name):
            yield finding("MX_IP_LITERAL", name, *evidence)
        elif not all(_LABEL.fullmatch(label) for label in name.split(".")):
            yield finding("MX_BAD_HOSTNAME", name, *evidence)
    if len(set(names)) > HOSTS_MAX:
        yield finding("MX_TOO_MANY", domain, f"{len(set(names))} mail exchanges, {HOSTS_MAX} examined")


async def _look_up(resolver: Resolver, name: str, preference: int) -> _Host:
    return _Host(name, preference, tuple(await ask_all(resolver, ((name, "A"), (name, "AAAA")))))


def _hosts(hosts: Sequence[_Host]) -> Iterator[Finding]:
    lost = all(not host.addresses and not host.errors for host in hosts)
    for host in hosts:
        yield from (tempfail(error) for error in host.errors)
        evidence = [answer.evidence for answer in host.answers]
        if any(answer.aliases for answer in host.answers):
            yield finding("MX_CNAME", host.name, *evidence)
        if not host.addresses and not host.errors and not _IPV4.fullmatch(host.name):
            missing = all(answer.rcode == "NXDOMAIN" for answer in host.answers)
            code = "MX_NXDOMAIN" if missing else "MX_NO_ADDRESS"
            yield finding(code, host.name, *evidence, severity="critical" if lost else None)
        for address in host.addresses:
            if not is_routable(ip_address(address)):
                yield finding("MX_PRIVATE_ADDRESS", f"{host.name} {address}", *evidence)


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
        return [finding("MX_PTR_MISSING", subject, pointer.evidence)]
    rdtype: Final = "A" if parsed.version == 4 else "AAAA"  # noqa: PLR2004
    forward = await ask_all(resolver, ((name, rdtype) for name in pointer.records[:PTR_NAMES_MAX]))
    answers = [reply for reply in forward if isinstance(reply, Answer)]
    if any(ip_address(record) == parsed for answer in answers for record in answer.records):
        return []
    errors = [tempfail(reply) for reply in forward if isinstance(reply, TemporaryDnsError)]
    return errors or [finding("MX_PTR_MISMATCH", subject, *pointer.records, *(answer.evidence for answer in answers))]
