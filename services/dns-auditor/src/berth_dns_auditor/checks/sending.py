"""The addresses that send for a domain: their reverse DNS, and whether their mail passes SPF and counts for DMARC.

The result belongs to the pair of address and domain (RFC 7208 §4, RFC 8601 §3, RFC 9989 §4.10.2).
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from berth_dns_auditor.checks.dmarc_tree import walk_from
from berth_dns_auditor.checks.known import Sender
from berth_dns_auditor.checks.outcome import ask, ask_all
from berth_dns_auditor.checks.spf_check_host import SpfVerdict, check_host
from berth_dns_auditor.checks.spf_grammar import is_spf, parse_spf
from berth_dns_auditor.checks.spf_mend import mended
from berth_dns_auditor.checks.suffixes import registrable
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Answer, Rdtype, Resolver, TemporaryDnsError, printable
from berth_events.contracts import Finding, RecordChange, SenderCheck
from berth_net import is_routable

__all__ = ["Senders", "check_senders"]

#: What is examined at most.
SENDERS_MAX: Final = 4
PTR_NAMES_MAX: Final = 4
SIGNERS_MAX: Final = 4

#: Findings with which mail from the address does not count, or is refused.
_FAILING: Final = frozenset({"SPF_SENDING_IP_NOT_PASS", "SPF_NOT_ALIGNED", "RDNS_MISSING", "RDNS_NOT_CONFIRMED"})

_POOL: Final = re.compile(
    r"(?:^|[.-])(?:dyn|dynamic|dhcp|dialup|dial-?in|dsl|adsl|vdsl|xdsl|cable|ppp|pppoe|pool|broadband|ftth|fiber|res|"
    r"residential|unassigned|unused)[0-9]*(?=[.-])"
)


@dataclass(frozen=True, slots=True)
class Senders:
    """The verdict on each address, and the findings on all."""

    checks: tuple[SenderCheck, ...]
    findings: tuple[Finding, ...]

    @property
    def complete(self) -> bool:
        """Whether every question got a definite answer; see `Outcome.complete`."""
        return all(found.code != "DNS_TEMPFAIL" for found in self.findings)


async def check_senders(resolver: Resolver, domain: str, senders: Sequence[Sender]) -> Senders:
    """Examine the addresses that send mail with the domain in From; those that are not public are left out.

    Args:
        resolver: Asks the DNS.
        domain: The domain of the From address.
        senders: The addresses, most important first.
    """
    public = {one.address: one for one in senders if (parsed := _parsed(one.address)) and is_routable(parsed)}
    pairs = await asyncio.gather(*(_check(resolver, domain, one) for one in list(public.values())[:SENDERS_MAX]))
    return Senders(tuple([check for check, _ in pairs]), tuple([found for _, findings in pairs for found in findings]))


async def _check(resolver: Resolver, domain: str, sender: Sender) -> tuple[SenderCheck, list[Finding]]:
    envelope = (sender.return_path or domain).lower().removesuffix(".")
    helo = sender.helo or "unknown"
    verdict, (confirmed, reverse), (aligned, alignment) = await asyncio.gather(
        check_host(resolver, sender.address, envelope, f"postmaster@{envelope}", helo),
        _reverse(resolver, sender),
        _aligned(resolver, domain, sender, envelope),
    )
    findings = [*await _spf(resolver, domain, envelope, sender, verdict), *reverse, *alignment]
    if verdict.result == "pass" and aligned is False:
        evidence = f"return path {envelope}, From {domain}"
        findings.append(finding("SPF_NOT_ALIGNED", f"{domain} {sender.address}", evidence))
    bad = any(found.code in _FAILING for found in findings)
    good = verdict.result == "pass" and aligned is True and confirmed is not None
    check = SenderCheck(
        state="fail" if bad else "pass" if good else "unknown",
        address=sender.address,
        reverse_dns=printable(confirmed) if confirmed else None,
        spf=verdict.result,
        spf_domain=printable(envelope),
        spf_term=printable(verdict.term) if verdict.term else None,
        aligned=aligned,
    )
    return check, findings


async def _spf(resolver: Resolver, domain: str, envelope: str, sender: Sender, verdict: SpfVerdict) -> list[Finding]:
    if verdict.result == "pass":
        return []
    if verdict.result == "temperror":
        return [finding("DNS_TEMPFAIL", envelope, verdict.reason)]
    evidence = (f"check_host({sender.address}, {envelope}): {verdict.result}", verdict.reason, *verdict.path)
    publish = await _allowing(resolver, domain, envelope, sender.address)
    return [finding("SPF_SENDING_IP_NOT_PASS", f"{envelope} {sender.address}", *evidence, publish=publish)]


async def _allowing(resolver: Resolver, domain: str, envelope: str, address: str) -> list[RecordChange]:
    """The change that lets the address send, where the record is the domain's own."""
    reply = await ask(resolver, envelope, "TXT")
    if isinstance(reply, TemporaryDnsError) or not (envelope == domain or envelope.endswith(f".{domain}")):
        return []
    term = f"ip{_version(address)}:{address}"
    texts = [text for text in reply.records if is_spf(text)]
    if not texts:
        return [change(envelope, "TXT", f"v=spf1 {term} ~all")]
    if len(texts) > 1:
        return []  # merged first: none counts as it is
    rest = mended(parse_spf(texts[0]), {}).removeprefix("v=spf1").strip()
    return [change(envelope, "TXT", f"v=spf1 {term} {rest or '~all'}", texts[0])]


async def _reverse(resolver: Resolver, sender: Sender) -> tuple[str | None, list[Finding]]:
    """A name of the address that resolves back to it (iprev), and the findings."""
    address = ip_address(sender.address)
    pointer = await ask(resolver, address.reverse_pointer, "PTR")
    if isinstance(pointer, TemporaryDnsError):
        return None, [tempfail(pointer)]
    if not pointer.records:
        mend = [change(pointer.name, "PTR", sender.helo)] if sender.helo and "." in sender.helo else []
        return None, [finding("RDNS_MISSING", sender.address, pointer.evidence, publish=mend)]
    names = pointer.records[:PTR_NAMES_MAX]
    rdtype: Rdtype = "A" if address.version == 4 else "AAAA"  # noqa: PLR2004 - IPv4
    replies = await ask_all(resolver, ((name, rdtype) for name in names))
    answers = [reply for reply in replies if isinstance(reply, Answer)]
    confirmed = [answer.name for answer in answers if any(ip_address(record) == address for record in answer.records)]
    if confirmed:
        generic = [name for name in confirmed if _is_generic(name, address)]
        shown = (pointer.evidence, *generic)
        return confirmed[0], [finding("RDNS_GENERIC", sender.address, *shown)] if generic == confirmed else []
    errors = [tempfail(reply) for reply in replies if isinstance(reply, TemporaryDnsError)]
    mend = [change(names[0], rdtype, sender.address)]
    shown = (*names, *(answer.evidence for answer in answers))
    return None, errors or [finding("RDNS_NOT_CONFIRMED", sender.address, *shown, publish=mend)]


def _is_generic(name: str, address: IPv4Address | IPv6Address) -> bool:
    """Whether a name holds the address, in one of the usual ways, or names a pool of connections."""
    if _POOL.search(name):
        return True
    if isinstance(address, IPv6Address):
        nibbles = address.exploded.replace(":", "")
        packed = re.sub(r"[^0-9a-f]", "", name)
        return nibbles in packed or nibbles[::-1] in packed
    octets = [str(byte) for byte in address.packed]
    numbers = [number.lstrip("0") or "0" for number in re.findall(r"[0-9]+", name)]
    runs = [numbers[start : start + 4] for start in range(len(numbers) - 3)]
    forms = (address.packed.hex(), "".join(octet.zfill(3) for octet in octets))
    return octets in runs or octets[::-1] in runs or any(form in name for form in forms)


async def _aligned(resolver: Resolver, domain: str, sender: Sender, envelope: str) -> tuple[bool | None, list[Finding]]:
    """Whether the domain of the return path is aligned, and what is to be said of that of the signatures."""
    try:
        ours = await walk_from(resolver, domain)
        record = ours.applicable.record if ours.applicable else None
        spf = await _belongs(resolver, domain, envelope, strict=record is not None and record.aspf == "s")
        strict = record is not None and record.adkim == "s"
        signers = [name.lower().removesuffix(".") for name in sender.signed_by[:SIGNERS_MAX]]
        signed = [await _belongs(resolver, domain, name, strict=strict) for name in signers]
    except TemporaryDnsError as error:
        return None, [tempfail(error)]
    if not signed or any(signed):
        return spf, []
    return spf, [finding("DKIM_NOT_ALIGNED", domain, *(f"d={name}" for name in signers))]


async def _belongs(resolver: Resolver, domain: str, other: str, *, strict: bool) -> bool:
    """Whether two domains are aligned (RFC 9989 §4.10.2): the same, or if that is enough of one organization."""
    if strict or domain == other:
        return domain == other
    walks = await asyncio.gather(walk_from(resolver, domain), walk_from(resolver, other))
    for walk in walks:
        if walk.error:
            raise walk.error
    if not any(place.record for walk in walks for place in walk.places):
        # Without a record the walk knows no organization; once there is one it most likely stands at the registered domain.
        return registrable(domain) is not None and registrable(domain) == registrable(other)
    return walks[0].organizational == walks[1].organizational


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def _version(address: str) -> int:
    return ip_address(address).version
