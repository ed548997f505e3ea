"""SPF against RFC 7208, case by case: check_host for one client, and the audit that knows no client.

Two sources in one form: the project's own cases, and the openspf suite (release 2014.04, 3-clause BSD) where Debian's package
python3-spf has brought it along as documentation.
"""

import asyncio
import gzip
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Final, cast

import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
import yaml  # type: ignore[import-untyped]  # no stubs are installed

from berth_dns_auditor.advice import zone_line
from berth_dns_auditor.checks.spf import check_spf
from berth_dns_auditor.checks.spf_check_host import check_host
from berth_dns_auditor.nameservers import Nameserver, NameserverResolver
from berth_dns_auditor.resolver import Answer, Rdtype, TemporaryDnsError, printable

OWN: Final = Path(__file__).parent / "data" / "spf-cases.yml"
OPENSPF: Final = Path("/usr/share/doc/python3-spf/rfc7208-tests.yml.gz")

#: In the openspf suite the audit and the evaluation of one message must differ here.
DEVIATIONS: Final = {
    "include-at-limit": "the evaluation matches at the tenth term; the worst case needs eleven",
}


class SuiteZone:
    """The zone data of a scenario: what every server would answer (the rules are those of the openspf suite)."""

    def __init__(self, data: Mapping[str, list[Any]]) -> None:
        self._zone: dict[str, dict[str, list[str | None]]] = {}
        for name, entries in data.items():
            own_text = any("TXT" in entry for entry in entries if isinstance(entry, dict))
            records = self._zone.setdefault(name.lower().rstrip("."), {})
            for entry in entries:
                for rdtype, value in entry.items() if isinstance(entry, dict) else [("FAILS", None)]:
                    # A policy of the type SPF stands for the same as TXT, unless there is one.
                    kept = "TXT" if rdtype == "SPF" and not own_text else rdtype
                    if value != "NONE":
                        records.setdefault(kept, []).append(None if value == "TIMEOUT" else _text(rdtype, value))

    async def query(self, name: str, rdtype: Rdtype) -> Answer:
        target = name
        aliases: list[str] = []
        for _ in range(9):
            if not all(0 < len(label) < 64 for label in target.split(".")):
                return Answer(name, rdtype, "NXDOMAIN")
            records = self._zone.get(target)
            if records is None:
                return Answer(name, rdtype, "NXDOMAIN", aliases=tuple(aliases))
            found = records.get(rdtype, [])
            if "RCODE" in records or None in found or ("FAILS" in records and not found):
                raise TemporaryDnsError(name, rdtype, "no answer")
            if found or "CNAME" not in records:
                return Answer(name, rdtype, records=tuple(filter(None, found)), aliases=tuple(aliases))
            target = str(records["CNAME"][0])
            aliases.append(target)
        raise TemporaryDnsError(name, rdtype, "a circle of aliases")


def _text(rdtype: str, value: Any) -> str:
    match rdtype:
        case "MX":
            return f"{value[0]} {value[1].lower().rstrip('.')}"
        case "PTR" | "CNAME":
            return str(value).lower().rstrip(".")
        case _:
            return "".join(value) if isinstance(value, list) else str(value)


class Server(asyncio.DatagramProtocol):
    """Answers over UDP from the zone of the case that is under way."""

    def __init__(self) -> None:
        self.zone = SuiteZone({})
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        task = asyncio.create_task(self._answer(dns.message.from_wire(data), addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, query: dns.message.Message, addr: tuple[str | Any, int]) -> None:
        question = query.question[0]
        asked = ".".join(label.decode("latin-1") for label in question.name.labels if label)
        reply = dns.message.make_response(query)
        try:
            answer = await self.zone.query(asked.lower(), cast("Rdtype", dns.rdatatype.to_text(question.rdtype)))
        except TemporaryDnsError:
            reply.set_rcode(dns.rcode.SERVFAIL)
        else:
            owners = [question.name, *(_wire_name(alias) for alias in answer.aliases)]
            for owner, alias in pairwise(owners):
                reply.answer.append(dns.rrset.from_text(owner, 60, "IN", "CNAME", str(alias)))
            records = [
                dns.rdata.from_text("IN", answer.rdtype, _zone_data(answer.rdtype, one)) for one in answer.records
            ]
            if records:
                reply.answer.append(dns.rrset.from_rdata_list(owners[-1], 60, records))
            else:
                soa = "ns.example. h.example. 1 2 3 4 60"
                reply.authority.append(dns.rrset.from_text(".", 60, "IN", "SOA", soa))
            reply.set_rcode(dns.rcode.from_text(answer.rcode))
        assert self._transport is not None
        self._transport.sendto(reply.to_wire(), addr)


def _wire_name(text: str) -> dns.name.Name:
    return dns.name.Name([*(label.encode("latin-1") for label in text.split(".")), b""])


def _zone_data(rdtype: str, record: str) -> str:
    return zone_line("x", rdtype, printable(record)).split(" ", 3)[3]


@dataclass(frozen=True, slots=True)
class Case:
    zone: SuiteZone
    name: str
    host: str
    helo: str
    sender: str
    results: tuple[str, ...]
    explanation: str | None
    static: str | None

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]

    @property
    def expected_state(self) -> str | None:
        """What the audit must say; None when the suite leaves it open."""
        if self.static:
            return self.static
        if len(self.results) > 1 and "permerror" in self.results:
            return None
        return {"permerror": "fail", "none": "fail", "temperror": "unknown"}.get(self.results[0], "pass")


@cache
def cases(path: Path) -> tuple[Case, ...]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return tuple(
        Case(
            zone=zone,
            name=name,
            host=test["host"],
            helo=test["helo"],
            sender=test["mailfrom"] or f"postmaster@{test['helo']}",
            results=tuple(test["result"]) if isinstance(test["result"], list) else (test["result"],),
            explanation=test.get("explanation"),
            static=test.get("static"),
        )
        for scenario in yaml.safe_load_all(text)
        for zone, (name, test) in product([SuiteZone(scenario["zonedata"])], scenario["tests"].items())
    )


def own_cases() -> list[Any]:
    return [pytest.param(case, id=case.name) for case in cases(OWN)]


@pytest.fixture(scope="module")
def openspf() -> tuple[Case, ...]:
    if not OPENSPF.exists():
        pytest.skip(f"{OPENSPF} not installed: run tests/support/install-servers as root")
    return cases(OPENSPF)


async def evaluate(case: Case) -> tuple[str, str | None]:
    verdict = await check_host(case.zone, case.host, case.domain, case.sender, case.helo)
    return verdict.result, verdict.explanation or "DEFAULT"


async def audit(case: Case) -> str:
    """The state, or "none" when the reason of a failure is that there is no record."""
    outcome = await check_spf(case.zone, case.domain.lower())
    return "none" if "SPF_MISSING" in {found.code for found in outcome.findings} else outcome.check.state


@pytest.mark.parametrize("case", own_cases())
async def test_check_host(case: Case) -> None:
    result, explanation = await evaluate(case)

    assert result in case.results
    assert case.explanation is None or explanation == case.explanation


@pytest.mark.parametrize("case", own_cases())
async def test_the_audit_agrees(case: Case) -> None:
    expected = "none" if case.results == ("none",) else case.expected_state

    assert await audit(case) == expected


async def test_check_host_passes_the_openspf_suite(openspf: tuple[Case, ...]) -> None:
    wrong = {}
    for case in openspf:
        result, explanation = await evaluate(case)
        if result not in case.results or (case.explanation is not None and explanation != case.explanation):
            wrong[case.name] = (result, explanation)

    assert wrong == {}
    assert len(openspf) == 203


async def test_the_same_over_the_network(openspf: tuple[Case, ...]) -> None:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(Server, ("127.0.0.1", 0))
    wrong = {}
    async with NameserverResolver([Nameserver(*transport.get_extra_info("sockname")[:2])]) as resolver:
        for case in (*cases(OWN), *openspf):
            server.zone = case.zone
            verdict = await check_host(resolver, case.host, case.domain, case.sender, case.helo)
            if verdict.result not in case.results:
                wrong[case.name] = verdict
    transport.close()

    assert wrong == {}


async def test_the_audit_agrees_with_the_openspf_suite(openspf: tuple[Case, ...]) -> None:
    decidable = [case for case in openspf if case.expected_state]
    wrong = {}
    for case in decidable:
        state = await audit(case)
        if state != ("none" if case.results == ("none",) else case.expected_state):
            wrong[case.name] = state

    assert wrong.keys() == DEVIATIONS.keys()
    assert (len(decidable), len(wrong)) == (199, 1)


def test_our_own_cases_cover_every_result() -> None:
    seen = Counter(result for case in cases(OWN) for result in case.results)

    assert seen.keys() == {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}
    assert len({case.name for case in cases(OWN)}) == len(cases(OWN))
