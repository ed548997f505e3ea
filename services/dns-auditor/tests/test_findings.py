"""Every finding against NSD: a zone that provokes exactly it, one that does not, and the zone mended as the finding says.

The cases stand in data/findings, one file for each group. A case begins with a sound domain, of which nothing is to be
said, and changes some of its records. Its keys:

- provokes: the changes, `name TYPE: [records]`. `<d>` is the domain, `<p>` its parent, `<rsa2048>` and the like are keys.
- also: codes that cannot but come with it.
- spares: other changes, with which it must not be raised; without them the sound domain is taken.
- mends: `no` where nothing that could be published is known from the DNS.
- sender, spares_sender: an address that is known to send for the domain.
- label: the domain is a subdomain with this label. bare: the domain begins without records. dead: its servers fail.
"""

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # no stubs are installed
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from berth_dns_auditor.advice import zone_line
from berth_dns_auditor.checks.basics import check_basics
from berth_dns_auditor.checks.dkim import check_dkim
from berth_dns_auditor.checks.dmarc import check_dmarc
from berth_dns_auditor.checks.known import Sender
from berth_dns_auditor.checks.mx import check_mx
from berth_dns_auditor.checks.sending import check_senders
from berth_dns_auditor.checks.spf import check_spf
from berth_dns_auditor.findings import bounded, catalogue
from berth_dns_auditor.nameservers import Nameserver, NameserverResolver
from berth_dns_auditor.resolver import Answer, Rdtype, Resolver, TemporaryDnsError, printable
from berth_events.contracts import Finding
from berth_testing.nsd import name_server
from berth_testing.servers import require_root_and

DATA: Final = Path(__file__).parent / "data" / "findings"

Records = dict[str, tuple[str, ...]]

SOUND: Final = {
    "<d> MX": ["10 mx1.sound.example", "20 mx2.sound.example"],
    "<d> TXT": ["v=spf1 mx -all"],
    "default._domainkey.<d> TXT": ["v=DKIM1; k=rsa; p=<rsa2048>"],
    "_dmarc.<d> TXT": ["v=DMARC1; p=reject; rua=mailto:dmarc@<d>"],
}
HOSTS: Final[Records] = {
    "mx1.sound.example A": ("8.8.4.4",),
    "mx2.sound.example AAAA": ("2606:4700::1111",),
    "4.4.8.8.in-addr.arpa PTR": ("mx1.sound.example",),
    "1.1.1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.4.6.0.6.2.ip6.arpa PTR": ("mx2.sound.example",),
}
AUTHORITY: Final = "$TTL 60\n. IN SOA ns.example. hostmaster.example. 1 3600 600 86400 60\n. IN NS ns.example.\n"


def _der(tag: int, content: bytes) -> bytes:
    size = len(content).to_bytes(2, "big")
    return bytes([tag, 0x82]) + size + content


def _spki(bits: int) -> str:
    """A SubjectPublicKeyInfo with a modulus of so many bits: a key to everybody who verifies nothing with it."""
    modulus = ((1 << (bits - 1)) | 1).to_bytes(bits // 8 + 1, "big")
    key = _der(0x30, _der(0x02, modulus) + _der(0x02, b"\1\0\1"))
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    return _base64(_der(0x30, algorithm + _der(0x03, b"\0" + key)))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_ED25519: Final = ed25519.Ed25519PrivateKey.generate().public_key()
KEYS: Final = {
    **{f"<rsa{bits}>": _spki(bits) for bits in (1023, 1024, 2047, 2048)},
    "<ed25519>": _base64(_ED25519.public_bytes(Encoding.Raw, PublicFormat.Raw)),
    "<ed25519-spki>": _base64(_ED25519.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One zone of one finding."""

    code: str
    domain: str
    records: Records
    dead: bool
    sender: Sender | None
    also: frozenset[str]
    mends: bool


def _cases(code: str, spec: Mapping[str, Any]) -> tuple[Case, Case]:
    """The case that provokes a finding, and the one that does not."""
    slug = code.lower().replace("_", "-")
    base = {} if spec.get("bare") or spec.get("dead") else SOUND
    provoking = _case(code, f"{slug}.example", base | (spec.get("provokes") or {}), spec, "sender")
    sparing = _case(code, f"not-{slug}.example", SOUND | (spec.get("spares") or {}), spec, "spares_sender")
    return provoking, sparing


def _case(code: str, parent: str, records: Mapping[str, list[Any]], spec: Mapping[str, Any], sender: str) -> Case:
    domain = f"{spec['label']}.{parent}" if "label" in spec else parent

    def filled(text: object) -> str:
        for place, value in ({"<d>": domain, "<p>": parent} | KEYS).items():
            text = str(text).replace(place, value)
        return str(text)

    known = spec.get(sender) or (spec.get("sender") if sender == "spares_sender" else None)
    return Case(
        code=code,
        domain=domain,
        records={filled(key): tuple(map(filled, values)) for key, values in records.items()},
        dead=spec.get("dead", False) and not parent.startswith("not-"),
        sender=Sender(
            address=known["address"],
            return_path=filled(known["return_path"]) if "return_path" in known else None,
            helo=filled(known["helo"]) if "helo" in known else None,
            signed_by=tuple(map(filled, known.get("signed_by", ()))),
        )
        if known
        else None,
        also=frozenset(spec.get("also", ())),
        mends=spec.get("mends", True),
    )


SOUND_CASE: Final = _case("SOUND", "sound.example", SOUND, {}, "sender")
SOUND_ZONE: Final = SOUND_CASE.records
CASES: Final = {
    code: _cases(code, spec)
    for file in sorted(DATA.glob("*.yml"))
    for code, spec in yaml.safe_load(file.read_text("utf-8")).items()
}


def zone_file(zones: Iterable[Records]) -> str:
    """One zone, the root, with all records."""
    lines = {
        zone_line(key.partition(" ")[0], key.partition(" ")[2], printable(record)) + "\n"
        for records in zones
        for key, values in records.items()
        for record in values
    }
    return AUTHORITY + "".join(sorted(lines))


def mended(case: Case, findings: Iterable[Finding]) -> Records:
    """The zone of a case, with what its finding wants published."""
    records = dict(case.records)
    for change in (change for found in findings if found.code == case.code for change in found.publish):
        key = f"{change.name} {change.type}"
        left = [record for record in records.get(key, ()) if printable(record) not in change.replaces]
        assert len(left) + len(change.replaces) == len(records.get(key, ())), "what is replaced was published"
        assert change.value not in left, "what is to be published is new"
        records[key] = (*left, change.value) if change.value is not None else tuple(left)
    return records


async def examine(resolver: Resolver, case: Case) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The states of the checks, and the findings."""
    mx, spf, dkim, dmarc, senders, basics = await asyncio.gather(
        check_mx(resolver, case.domain),
        check_spf(resolver, case.domain),
        check_dkim(resolver, case.domain, "xq7d2"),
        check_dmarc(resolver, case.domain),
        check_senders(resolver, case.domain, [case.sender] if case.sender else []),
        check_basics(resolver, case.domain),
    )
    findings = (*basics, *mx.findings, *spf.findings, *dkim.findings, *dmarc.findings, *senders.findings)
    states = (mx.check.state, spf.check.state, dkim.check.state, dmarc.check.state)
    return (*states, *(sender.state for sender in senders.checks)), bounded(findings)


async def audit_all(cases: Iterable[Case], zones: Iterable[Records]) -> dict[str, tuple[Finding, ...]]:
    """The findings of each domain."""
    dead = {case.domain: None for case in cases if case.dead}
    with name_server({".": zone_file([HOSTS, *zones]), **dead}) as server:
        async with NameserverResolver([Nameserver(server.address, server.port)]) as resolver:
            return {case.domain: (await examine(resolver, case))[1] for case in cases}


@dataclass(frozen=True, slots=True)
class Seen:
    first: Mapping[str, tuple[Finding, ...]]
    second: Mapping[str, tuple[Finding, ...]]


@pytest.fixture(scope="module")
async def seen() -> Seen:
    """What was found at first, and after the provoking zones were mended."""
    require_root_and("nsd")
    pairs = list(CASES.values())
    sound = SOUND_CASE
    cases = [sound, *(case for pair in pairs for case in pair)]
    first = await audit_all(cases, [case.records for case in cases])
    provoking = [case for case, _ in pairs]
    zones = [sound.records, *(mended(case, first[case.domain]) for case in provoking)]
    return Seen(first, await audit_all(provoking, zones))


def codes(findings: Iterable[Finding]) -> set[str]:
    return {found.code for found in findings}


def test_every_finding_has_its_zones() -> None:
    assert CASES.keys() == catalogue().keys()


async def test_of_a_sound_domain_nothing_is_to_be_said(seen: Seen) -> None:
    assert seen.first["sound.example"] == ()


@pytest.mark.parametrize("code", CASES)
async def test_a_zone_that_provokes_it(seen: Seen, code: str) -> None:
    case, _ = CASES[code]

    assert codes(seen.first[case.domain]) == {code} | case.also


@pytest.mark.parametrize("code", CASES)
async def test_a_zone_that_does_not(seen: Seen, code: str) -> None:
    _, case = CASES[code]

    assert code not in codes(seen.first[case.domain])


@pytest.mark.parametrize("code", CASES)
async def test_the_record_that_mends_it(seen: Seen, code: str) -> None:
    case, _ = CASES[code]
    found = [one for one in seen.first[case.domain] if one.code == code]

    assert any(one.publish for one in found) == case.mends
    if case.mends:
        assert code not in codes(seen.second[case.domain])


class Unreliable:
    """A resolver that leaves every sixth question or so without an answer, always the same ones."""

    def __init__(self, resolver: Resolver, seed: int) -> None:
        self._resolver, self._seed = resolver, seed

    async def query(self, name: str, rdtype: Rdtype) -> Answer:
        if Random(f"{self._seed} {name} {rdtype}").random() < 1 / 6:
            raise TemporaryDnsError(name, rdtype, "no answer")
        return await self._resolver.query(name, rdtype)


@pytest.mark.parametrize("code", CASES)
async def test_without_some_answers_nothing_turns_false(dns: Callable[[Records], Resolver], code: str) -> None:
    for case in CASES[code]:
        resolver = dns(HOSTS | SOUND_ZONE | case.records)
        states, findings = await examine(resolver, case)
        for seed in range(4):
            open_states, open_findings = await examine(Unreliable(resolver, seed), case)

            assert all(after in {before, "unknown"} for before, after in zip(states, open_states, strict=True))
            # That there is no record is known, though not that it stands in the wrong place.
            explained = {"DNS_TEMPFAIL"} | ({"DMARC_MISSING"} if code == "DMARC_WRONG_LOCATION" else set())
            assert codes(open_findings) <= codes(findings) | explained
