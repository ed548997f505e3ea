"""DNSSEC (RFC 4035 §5): whether the zone is signed, and whether a validating resolver accepts what it says.

The chain is followed over its last link: from the DS records at the parent to the keys of the zone, and from these to its
SOA record. What is above is the parent's, and a resolver that validates refuses the DS records if that is broken.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Protocol

import dns.dnssec
import dns.exception
import dns.name
import dns.node
import dns.rdataset
import dns.rdatatype
import dns.rrset
from dns.dnssectypes import DSDigest
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.RRSIG import RRSIG

from berth_dns_auditor.checks.outcome import Outcome, ask
from berth_dns_auditor.checks.suffixes import registrable
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError
from berth_events.contracts import CheckState, DnssecCheck, Finding, RecordChange

__all__ = ["Signatures", "Signed", "check_dnssec"]

EXPIRING: Final = timedelta(days=3)
#: Must not be used for signing any more: RSAMD5, DSA and RSASHA1 in both forms, GOST (IANA, RFC 9904).
_OLD_ALGORITHMS: Final = frozenset({1, 3, 5, 6, 7, 12})
_OLD_DIGESTS: Final = frozenset({1, 3})
_SECURE_ENTRY_POINT: Final = 0x0001


@dataclass(frozen=True, slots=True)
class Signed:
    """Records with their signatures, as they are in the zone; None: there are none."""

    records: dns.rrset.RRset | None
    signatures: dns.rrset.RRset | None


class Signatures(Protocol):
    """Asks for records with signatures, and has nobody validate them."""

    async def signed(self, name: str, rdtype: Literal["DNSKEY", "SOA"]) -> Signed:
        """The records at a name.

        Raises:
            TemporaryDnsError: nothing definite was learnt.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why validation fails, and the DS records that would mend it."""

    reason: str
    ds: tuple[str, ...] = ()


async def check_dnssec(
    resolver: Resolver, domain: str, signatures: Signatures | None, now: datetime
) -> Outcome[DnssecCheck]:
    """Examine the zone that the domain is in.

    Args:
        resolver: Asks the DNS.
        domain: The domain; of one below the registered domain the latter counts, unless it is a signed zone itself.
        signatures: Asks for signatures; None leaves them out.
        now: The time by which signatures are judged.
    """
    zone, reply = domain, await ask(resolver, domain, "DS")
    above = registrable(domain)
    if above and above != domain and isinstance(reply, Answer) and not reply.records:
        zone, reply = above, await ask(resolver, above, "DS")
    if isinstance(reply, TemporaryDnsError):
        return Outcome(DnssecCheck(state="unknown"), (tempfail(reply),))
    if reply.aliases:
        return Outcome(DnssecCheck(state="unknown"))  # nothing below an alias is a zone of the domain's own
    if not reply.records:
        unsigned = finding("DNSSEC_UNSIGNED", zone, reply.evidence)
        return Outcome(DnssecCheck(state="pass", signed=False), (unsigned,))
    findings = list(_old(zone, reply))
    state: CheckState = "unknown"
    if signatures is not None:
        try:
            state, found = await _validated(zone, reply, signatures, now)
        except TemporaryDnsError as error:
            found = [tempfail(error)]
        findings += found
    return Outcome(DnssecCheck(state=state, signed=True), tuple(findings))


def _old(zone: str, reply: Answer) -> list[Finding]:
    fields = [[int(number) for number in text.split()[1:3]] for text in reply.records]
    # A DS with an old digest beside one with a good one does no harm (RFC 4509 §3).
    digests = {digest for _, digest in fields}
    if any(algorithm in _OLD_ALGORITHMS for algorithm, _ in fields) or digests <= _OLD_DIGESTS:
        return [finding("DNSSEC_OLD_ALGORITHM", zone, reply.evidence, *reply.records)]
    return []


async def _validated(zone: str, ds: Answer, signatures: Signatures, now: datetime) -> tuple[CheckState, list[Finding]]:
    keys, soa = await signatures.signed(zone, "DNSKEY"), await signatures.signed(zone, "SOA")
    try:
        fault = _fault(zone, ds, keys, soa, now.timestamp())
    except (dns.exception.UnsupportedAlgorithm, dns.exception.DeniedByPolicy):
        return "unknown", []  # nor would a resolver validate it
    if fault:
        mend: list[RecordChange] = []
        if fault.ds:
            mend = [change(zone, "DS", fault.ds[0], *ds.records)]
            mend += [change(zone, "DS", text) for text in fault.ds[1:]]
        return "fail", [finding("DNSSEC_BOGUS", zone, fault.reason, *ds.records, publish=mend)]
    ends = [signature.expiration for rrset in (keys.signatures, soa.signatures) if rrset for signature in _sigs(rrset)]
    end = datetime.fromtimestamp(min(ends), UTC)
    if end - now < EXPIRING:
        return "pass", [finding("DNSSEC_SIG_EXPIRING", zone, f"the first signature ends at {end:%Y-%m-%d %H:%M} UTC")]
    return "pass", []


def _sigs(rrset: dns.rrset.RRset) -> list[RRSIG]:
    return [rdata for rdata in rrset if isinstance(rdata, RRSIG)]


def _fault(zone: str, ds: Answer, keys: Signed, soa: Signed, now: float) -> _Fault | None:
    name = dns.name.from_text(zone)
    if keys.records is None:
        return _Fault("the parent has DS records, the zone has no keys")
    if keys.signatures is None or soa.records is None or soa.signatures is None:
        return _Fault("the parent has DS records, the zone has no signatures")
    published = [key for key in keys.records if isinstance(key, DNSKEY)]
    trusted = [key for key in published if any(_matches(name, key, text) for text in ds.records)]
    if not trusted:
        entries = [key for key in published if key.flags & _SECURE_ENTRY_POINT]
        return _Fault("no DS record matches a key of the zone", tuple(_ds(name, key) for key in entries))
    links = ((keys.records, keys.signatures, trusted), (soa.records, soa.signatures, published))
    for records, signed, by in links:
        keyring: dict[dns.name.Name, dns.node.Node | dns.rdataset.Rdataset]
        keyring = {name: dns.rrset.from_rdata_list(name, 0, by)}
        try:
            dns.dnssec.validate(records, signed, keyring, None, now)
        except dns.exception.ValidationFailure as error:
            kind = dns.rdatatype.to_text(records.rdtype)
            if all(signature.expiration < now for signature in _sigs(signed)):
                return _Fault(f"every signature of {kind} has expired")
            return _Fault(f"no signature of {kind} holds: {error}")
    return None


def _matches(name: dns.name.Name, key: DNSKEY, text: str) -> bool:
    tag, algorithm, digest, value = text.split(maxsplit=3)
    if int(tag) != dns.dnssec.key_id(key) or int(algorithm) != key.algorithm:
        return False
    try:
        made = dns.dnssec.make_ds(name, key, DSDigest(int(digest)), validating=True)
    except (dns.exception.UnsupportedAlgorithm, dns.exception.DeniedByPolicy, ValueError):
        return False
    return made.digest.hex() == value.replace(" ", "").lower()


def _ds(name: dns.name.Name, key: DNSKEY) -> str:
    return dns.dnssec.make_ds(name, key, DSDigest.SHA256).to_text()
