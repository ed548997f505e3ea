"""DANE for SMTP (RFC 7672): the TLSA records of the mail exchanges, which count in signed zones only."""

import asyncio
from dataclasses import dataclass
from typing import Final

from berth_dns_auditor.checks.outcome import Outcome, ask, ask_all
from berth_dns_auditor.checks.suffixes import registrable
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError, exchanges
from berth_events.contracts import Finding, RecordChange

__all__ = ["check_dane"]

#: What is examined at most.
HOSTS_MAX: Final = 16
#: Names above a host that are asked for a DS record.
PARENTS_MAX: Final = 5
#: Bytes of a digest by matching type: SHA-256, SHA-512 (RFC 6698 §2.1.3).
_DIGESTS: Final = {"1": 32, "2": 64}
#: The usages that SMTP has in place of those of authorities (RFC 7672 §3.1.3): the same data, with another meaning.
_USAGES: Final = {"0": "2", "1": "3"}


@dataclass(frozen=True, slots=True)
class _Tlsa:
    """A record taken apart."""

    text: str
    usage: str
    selector: str
    matching: str
    data: str

    @property
    def has_sound_data(self) -> bool:
        if self.selector not in {"0", "1"} or not self.data:
            return False
        return self.matching == "0" or len(self.data) == 2 * _DIGESTS.get(self.matching, 0)

    @property
    def usable(self) -> bool:
        return self.usage in {"2", "3"} and self.has_sound_data


async def check_dane(resolver: Resolver, domain: str) -> Outcome[bool | None]:
    """Examine the TLSA records; what comes out is whether all exchanges have a usable one that counts.

    In zones that are not signed none counts; of these one exchange is looked at, for whoever publishes them in vain.
    """
    reply = await ask(resolver, domain, "MX")
    if isinstance(reply, TemporaryDnsError):
        return Outcome(None, (tempfail(reply),))
    hosts = list(dict.fromkeys(host for _, host in exchanges(reply) if host))[:HOSTS_MAX]
    signed = await _zones(resolver, hosts)
    if isinstance(signed, TemporaryDnsError):
        return Outcome(None, (tempfail(signed),))
    asked = [host for host in hosts if signed[host]] or hosts[:1]
    replies = await ask_all(resolver, ((f"_25._tcp.{host}", "TLSA") for host in asked))
    findings: list[Finding] = []
    counts: list[bool | None] = []
    for host, answer in zip(asked, replies, strict=True):
        if isinstance(answer, TemporaryDnsError):
            findings.append(tempfail(answer))
            counts.append(None)
        elif not answer.records:
            counts.append(False)
        else:
            counted, found = await _host(resolver, domain, host, answer)
            counts.append(counted)
            findings += found
    everywhere = False if False in counts or len(asked) < len(hosts) or not counts else None if None in counts else True
    return Outcome(everywhere, tuple(findings))


async def _zones(resolver: Resolver, hosts: list[str]) -> dict[str, bool] | TemporaryDnsError:
    """Whether the registered domain of each host is signed."""
    tops = {host: registrable(host) or host for host in hosts}
    names = list(dict.fromkeys(tops.values()))
    signed: dict[str, bool] = {}
    for name, reply in zip(names, await ask_all(resolver, ((name, "DS") for name in names)), strict=True):
        if isinstance(reply, TemporaryDnsError):
            return reply
        signed[name] = bool(reply.records)
    return {host: signed[top] for host, top in tops.items()}


async def _host(resolver: Resolver, domain: str, host: str, answer: Answer) -> tuple[bool | None, list[Finding]]:
    ours = (host == domain or host.endswith(f".{domain}")) and not answer.aliases
    records = [_parsed(text) for text in answer.records]
    findings = [
        finding("TLSA_UNUSABLE", f"{host} {one.text}", answer.evidence, publish=_mended(answer, one) if ours else ())
        for one in records
        if not one.usable
    ]
    signed = True if answer.authenticated else await _is_signed(resolver, host)
    if isinstance(signed, TemporaryDnsError):
        return None, [*findings, tempfail(signed)]
    if not signed:
        mend = [change(answer.name, "TLSA", None, *answer.records)] if ours else []
        findings.append(finding("TLSA_WITHOUT_DNSSEC", host, answer.evidence, *answer.records, publish=mend))
    return signed and any(one.usable for one in records), findings


def _parsed(text: str) -> _Tlsa:
    usage, selector, matching, *data = text.split()
    return _Tlsa(text, usage, selector, matching, "".join(data))


def _mended(answer: Answer, one: _Tlsa) -> list[RecordChange]:
    """The same data under the usage that was meant; without sound data the record goes."""
    gone = [change(answer.name, "TLSA", None, one.text)]
    usage = _USAGES.get(one.usage)
    if usage is None or not one.has_sound_data:
        return gone
    text = f"{usage} {one.selector} {one.matching} {one.data}"
    return gone if text in answer.records else [change(answer.name, "TLSA", text, one.text)]


async def _is_signed(resolver: Resolver, host: str) -> bool | TemporaryDnsError:
    """Whether a zone on the way down to the host has a DS record, so that the resolver may not have told (no AD)."""
    top = registrable(host) or host
    names = [host]
    while names[-1] != top and len(names) < PARENTS_MAX:
        names.append(names[-1].partition(".")[2])
    replies = await asyncio.gather(*(ask(resolver, name, "DS") for name in names))
    if any(isinstance(reply, Answer) and reply.records for reply in replies):
        return True
    return next((reply for reply in replies if isinstance(reply, TemporaryDnsError)), False)
