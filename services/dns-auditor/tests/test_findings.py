"""Every finding against NSD: a zone that provokes exactly it, one that does not, and the zone mended as the finding says.

The cases stand in data/findings, one file for each group. A case begins with a sound domain, of which nothing is to be
said, and changes some of its records. Its keys:

- provokes: the changes, `name TYPE: [records]`. `<d>` is the domain, `<p>` its parent, `<rsa2048>` and the like are keys.
- also: codes that cannot but come with it.
- spares: other changes, with which it must not be raised; without them the sound domain is taken.
- mends: `no` where nothing that could be published is known from the DNS.
- sender, policy, registration, site, zone, second: what there is beside the records: an address that is known to send for
  the domain; the MTA-STS policy, or the status in its place; what the registry says, in days; which schemes are answered;
  the addresses of the domain's own name servers (see `SERVERS`), and the records that the second of them has. Each also
  with `spares_` before it, for the zone that does not provoke; and for both:
- lists, type99: what the operator switched on.
- signs: how the zone is signed, of the provoking and of the sparing domain.
- label: the domain is a subdomain with this label. bare: the domain begins without records. dead: its servers fail.
  top: the top-level domain, in place of `example`.
"""

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # no stubs are installed
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from berth_dns_auditor.advice import zone_line
from berth_dns_auditor.audit import Auditor
from berth_dns_auditor.authorities import NameServers
from berth_dns_auditor.checks.block_lists import BlockLists
from berth_dns_auditor.checks.delegation import NotAsked
from berth_dns_auditor.checks.known import Known, Sender
from berth_dns_auditor.checks.mta_sts import Unreachable
from berth_dns_auditor.checks.registration import Registered, RegistryUnavailable
from berth_dns_auditor.findings import catalogue
from berth_dns_auditor.means import Means
from berth_dns_auditor.nameservers import Nameserver, NameserverResolver
from berth_dns_auditor.resolver import Answer, Rdtype, Resolver, TemporaryDnsError, printable
from berth_dns_auditor.signatures import RecursiveSignatures
from berth_events.contracts import Finding
from berth_testing.nsd import NameServer, name_server
from berth_testing.servers import free_ports, require_root_and
from berth_testing.signed_zones import signer
from berth_testing.udp_relay import udp_only

DATA: Final = Path(__file__).parent / "data" / "findings"

Records = dict[str, tuple[str, ...]]

SOUND: Final = {
    "<d> MX": ["10 mx1.sound.example", "20 mx2.sound.example"],
    "<d> TXT": ["v=spf1 mx -all"],
    "default._domainkey.<d> TXT": ["v=DKIM1; k=rsa; p=<rsa2048>"],
    "_dmarc.<d> TXT": ["v=DMARC1; p=reject; rua=mailto:dmarc@<d>"],
    "_mta-sts.<d> TXT": ["v=STSv1; id=1"],
    "_smtp._tls.<d> TXT": ["v=TLSRPTv1; rua=mailto:tls@<d>"],
}
#: Said of many cases that are about something else: that the zone is not signed, and what follows from other findings.
AMBIENT: Final = frozenset({"DNSSEC_UNSIGNED", "BULK_SENDER_NOT_READY"})
#: The name servers of zones: what stands at these addresses.
SERVERS: Final = {
    "9.9.9.101": "first",
    "9.9.9.105": "first",
    "8.8.4.101": "first",
    "8.8.4.102": "second",
    "8.8.4.103": "nothing",
    "8.8.4.104": "without tcp",
    "8.8.4.106": "second",  # which has the root zone, as the parent of the others
}
NOW: Final = datetime.now(UTC)
HOSTS: Final[Records] = {
    "ns.example A": ("8.8.4.106",),
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
    """One zone of one finding; as a `Policies`, `Sites` and `Registry` it says what there is beside the DNS."""

    code: str
    domain: str
    records: Records
    dead: bool
    sender: Sender | None
    also: frozenset[str]
    mends: bool
    signed: str
    beside: Mapping[str, Any]
    lists: BlockLists
    servers: tuple[str, ...] = ()
    second: Records | None = None

    async def policy(self, domain: str, id_: str) -> str | Unreachable:
        assert (domain, id_.isalnum()) == (self.domain, True)
        policy = self.beside["policy"]
        return policy if isinstance(policy, str) else Unreachable(f"status {policy}", passing=False)

    async def answers(self, url: str) -> tuple[bool | None, str]:
        return self.beside["site"][url.partition(":")[0]], url

    async def registration(self, domain: str) -> Registered | None:
        assert domain == self.domain
        told = self.beside["registration"]
        if told == "unavailable":
            raise RegistryUnavailable("status 503")
        created, expires = (NOW + timedelta(days=told[name]) for name in ("created", "expires"))
        return Registered(created, expires, tuple(told.get("status", ())))

    def means(self, network: Means) -> Means:
        """Those of the network, and what the case says."""
        return Means(
            signatures=network.signatures,
            authorities=network.authorities if self.servers else None,
            policies=self if "policy" in self.beside else None,
            sites=self if "site" in self.beside else None,
            registry=self if "registration" in self.beside else None,
            lists=self.lists,
            type99=self.beside["type99"],
        )


def _cases(code: str, spec: Mapping[str, Any]) -> tuple[Case, Case]:
    """The case that provokes a finding, and the one that does not."""
    slug, top = code.lower().replace("_", "-"), spec.get("top", "example")
    base = {} if spec.get("bare") or spec.get("dead") else SOUND
    provoking = _case(code, f"{slug}.{top}", base | (spec.get("provokes") or {}), spec, "")
    sparing = _case(code, f"not-{slug}.{top}", SOUND | (spec.get("spares") or {}), spec, "spares_")
    return provoking, sparing


def _case(code: str, parent: str, records: Mapping[str, list[Any]], spec: Mapping[str, Any], prefix: str) -> Case:
    domain = f"{spec['label']}.{parent}" if "label" in spec else parent

    def filled(text: object) -> str:
        for place, value in ({"<d>": domain, "<p>": parent} | KEYS).items():
            text = str(text).replace(place, value)
        return str(text)

    def all_filled(some: Mapping[str, list[Any]]) -> Records:
        return {filled(key): tuple(map(filled, values)) for key, values in some.items()}

    def given(key: str) -> Any:
        return spec.get(f"{prefix}{key}", spec.get(key))

    known = given("sender")
    signed = spec.get("signs", ("not", "not"))[bool(prefix)]
    servers = tuple(given("zone") or (() if signed == "not" else ("9.9.9.101", "8.8.4.101")))
    second = given("second")
    own = {**_own_servers(servers), **records}
    return Case(
        code=code,
        domain=domain,
        records=all_filled(own),
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
        signed=signed,
        beside={"type99": spec.get("type99", False)}
        | {key: given(key) for key in ("policy", "site", "registration") if given(key) is not None},
        lists=BlockLists(**{kind: tuple(map(filled, zones)) for kind, zones in spec.get("lists", {}).items()}),
        servers=servers,
        second=None if second is None else all_filled(own | second),
    )


def _own_servers(addresses: tuple[str, ...]) -> dict[str, list[Any]]:
    """The NS records of a zone, and the addresses of its name servers."""
    names = [f"ns{number}.<d>" for number in range(1, len(addresses) + 1)]
    if not names:
        return {}
    return {"<d> NS": names} | {f"{name} A": [address] for name, address in zip(names, addresses, strict=True)}


SOUND_CASE: Final = _case("SOUND", "sound.example", SOUND, {}, "")
SOUND_ZONE: Final = SOUND_CASE.records
CASES: Final = {
    code: _cases(code, spec)
    for file in sorted(DATA.glob("*.yml"))
    for code, spec in yaml.safe_load(file.read_text("utf-8")).items()
}


def zone_file(zones: Iterable[Records], head: str = AUTHORITY) -> str:
    """One zone with all records."""
    lines = {
        zone_line(key.partition(" ")[0], key.partition(" ")[2], printable(record)) + "\n"
        for records in zones
        for key, values in records.items()
        for record in values
    }
    return head + "".join(sorted(lines))


@dataclass(slots=True)
class Files:
    """The zone files of both servers, and what stands above the zones with files of their own."""

    above: list[Records] = field(default_factory=list)
    delegations: list[Records] = field(default_factory=list)
    first: dict[str, str | None] = field(default_factory=dict)
    second: dict[str, str | None] = field(default_factory=dict)

    def add(self, case: Case, records: Records) -> None:
        """A domain: with the others in the root zone, or where it has name servers or signatures, in a zone of its own."""
        domain = case.domain
        if case.dead:
            self.first[domain] = None
        if not case.servers:
            self.above.append(records)
            return
        inside = {key: values for key, values in records.items() if _is_inside(key, domain)}
        outside = {key: values for key, values in records.items() if key not in inside}
        names = tuple(f"ns{number}.{domain}" for number in range(1, len(case.servers) + 1))
        glue = {f"{name} A": (address,) for name, address in zip(names, case.servers, strict=True)}
        self.delegations.append(glue | {f"{domain} NS": names})
        self.above.append(outside)
        self.first[domain] = self._signed(case, self._file(domain, inside))
        if case.second is not None:
            self.second[domain] = self._file(domain, case.second)

    @staticmethod
    def _file(domain: str, records: Records) -> str:
        needed = {
            f"{domain} NS": ("ns.example",),
            f"{domain} SOA": (f"ns.example hostmaster.{domain} 1 3600 600 86400 60",),
        }
        inside = {key: values for key, values in records.items() if _is_inside(key, domain)}
        return zone_file([needed | inside], "$TTL 60\n")

    def _signed(self, case: Case, text: str) -> str:
        if case.signed == "not":
            return text
        key = signer(case.domain, "RSASHA1" if case.signed == "old" else "ECDSAP256SHA256")
        if f"{case.domain} DS" not in self._all():
            other = signer("another") if case.signed == "other key" else key
            self.above.append({f"{case.domain} DS": (other.ds(case.domain),)})
        lasts = timedelta(days=2 if case.signed == "expiring" else 30)
        return key.sign(case.domain, text, NOW, lasts=lasts)

    def _all(self) -> set[str]:
        return {key for records in self.above for key in records}


def _is_inside(key: str, domain: str) -> bool:
    name, _, rdtype = key.partition(" ")
    return (name == domain and rdtype != "DS") or name.endswith(f".{domain}")


def mended(case: Case, findings: Iterable[Finding]) -> Records:
    """The zone of a case, with what its finding wants published."""
    records = dict(case.records)
    if case.signed == "other key":
        records[f"{case.domain} DS"] = (signer("another").ds(case.domain),)
    for change in (change for found in findings if found.code == case.code for change in found.publish):
        key = f"{change.name} {change.type}"
        left = [record for record in records.get(key, ()) if printable(record) not in change.replaces]
        assert len(left) + len(change.replaces) == len(records.get(key, ())), "what is replaced was published"
        assert change.value not in left, "what is to be published is new"
        records[key] = (*left, change.value) if change.value is not None else tuple(left)
    return records


async def examine(
    resolver: Resolver,
    case: Case,
    network: Means = Means(),  # noqa: B008 - it is frozen
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The states of the checks, and the findings."""
    auditor = Auditor(resolver, probe=lambda: "xq7d2", means=case.means(network), now=lambda: NOW)
    known = Known(senders=(case.sender,) if case.sender else ())
    record = (await auditor.audit(case.domain, known)).record
    checks = (record.mx, record.spf, record.dkim, record.dmarc, record.dnssec, *record.senders)
    return tuple(check.state for check in checks if check), record.findings


async def audit_all(cases: Iterable[Case], files: Files) -> dict[str, tuple[Finding, ...]]:
    """The findings of each domain."""
    first = {".": zone_file([HOSTS, *files.above, *files.delegations]), **files.first}
    parent = {".": zone_file(files.delegations), **files.second}
    with name_server(first) as server, name_server(parent) as second:
        async with (
            udp_only(server) as without_tcp,
            NameserverResolver([Nameserver(server.address, server.port)]) as resolver,
        ):
            [closed] = free_ports(1)
            places = {
                "first": server,
                "second": second,
                "nothing": NameServer("127.0.0.1", closed),
                "without tcp": without_tcp,
            }

            def dial(address: str) -> tuple[str, int]:
                if address not in SERVERS:
                    raise NotAsked(address)
                place = places[SERVERS[address]]
                return place.address, place.port

            network = Means(
                signatures=RecursiveSignatures([Nameserver(server.address, server.port)]),
                authorities=NameServers(dial, attempt=0.7),
            )
            gate = asyncio.Semaphore(16)

            async def findings(case: Case) -> tuple[str, tuple[Finding, ...]]:
                async with gate:
                    return case.domain, (await examine(resolver, case, network))[1]

            return dict(await asyncio.gather(*map(findings, cases)))


def files_of(zones: Iterable[tuple[Case, Records]]) -> Files:
    files = Files()
    for case, records in zones:
        files.add(case, records)
    return files


@dataclass(frozen=True, slots=True)
class Seen:
    first: Mapping[str, tuple[Finding, ...]]
    second: Mapping[str, tuple[Finding, ...]]


@pytest.fixture(scope="module")
async def seen() -> Seen:
    """What was found at first, and after the provoking zones were mended."""
    require_root_and("nsd")
    pairs = list(CASES.values())
    cases = [SOUND_CASE, *(case for pair in pairs for case in pair)]
    first = await audit_all(cases, files_of((case, case.records) for case in cases))
    provoking = [case for case, _ in pairs]
    zones = [(case, mended(case, first[case.domain])) for case in provoking]
    return Seen(first, await audit_all(provoking, files_of([(SOUND_CASE, SOUND_ZONE), *zones])))


def codes(findings: Iterable[Finding]) -> set[str]:
    return {found.code for found in findings}


def test_every_finding_has_its_zones() -> None:
    assert CASES.keys() == catalogue().keys()


async def test_of_a_sound_domain_nothing_is_to_be_said(seen: Seen) -> None:
    assert codes(seen.first["sound.example"]) == {"DNSSEC_UNSIGNED"}
    assert seen.first["not-dnssec-unsigned.example"] == ()


@pytest.mark.parametrize("code", CASES)
async def test_a_zone_that_provokes_it(seen: Seen, code: str) -> None:
    case, _ = CASES[code]

    assert codes(seen.first[case.domain]) - (AMBIENT - {code}) == {code} | case.also


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
            explained = {"DNS_TEMPFAIL", "DNSBL_QUERY_REFUSED"} | (
                {"DMARC_MISSING"} if code == "DMARC_WRONG_LOCATION" else set()
            )
            assert codes(open_findings) <= codes(findings) | explained
