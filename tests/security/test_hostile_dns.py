"""An attacker's DNS, over real sockets: names that change, mix, or lead inside by aliases. And servers that send elsewhere."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final
from uuid import uuid4

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
import pytest_asyncio

from berth_connector.diagnosis import DiagnosisTable
from berth_connector.probe import Limits, Login, Prober, client_context
from berth_dns_auditor.assembly import Choice, open_auditor
from berth_events.contracts import MailServer, Verification
from berth_events.runtime.clock import SystemClock
from berth_gateway.accounts.servers import NamedServer, ServerVetting
from berth_gateway.autoconfig.known import KnownServices
from berth_gateway.autoconfig.lookup import Autoconfig
from berth_net import DnsMailRecords, DnsResolver, HostGuard, Policy
from berth_net.http import ExchangeFailed, HttpClient, WebGuard
from berth_net.urls import WebUrl
from berth_testing.certificates import issue_certificates
from berth_testing.dials import Endpoint, watch_dials
from berth_testing.peers import START_TLS, Peer, Script

PUBLIC: Final = "8.8.8.8"
#: What is answered at first, and later, in the lines of a zone; "" is an empty answer.
Answers = Sequence[str]
ALIASES: Final = """\
{name} 0 IN CNAME a.evil.example.
a.evil.example. 0 IN CNAME b.evil.example.
b.evil.example. 0 IN A 10.0.0.1"""
ZONES: Final[dict[str, dict[str, Answers]]] = {
    "loopback": {"A": ["{name} 0 IN A 127.0.0.1"]},
    "metadata": {"A": ["{name} 0 IN A 169.254.169.254"]},
    "mixed": {"A": [f"{{name}} 0 IN A {PUBLIC}\n{{name}} 0 IN A 192.168.1.1"]},
    "nat64": {"A": [f"{{name}} 0 IN A {PUBLIC}"], "AAAA": ["{name} 0 IN AAAA 64:ff9b::a9fe:a9fe"]},
    "mapped": {"A": [f"{{name}} 0 IN A {PUBLIC}"], "AAAA": ["{name} 0 IN AAAA ::ffff:127.0.0.1"]},
    "six-to-four": {"AAAA": ["{name} 0 IN AAAA 2002:7f00:1::1"]},
    "unique-local": {"AAAA": ["{name} 0 IN AAAA fd00:ec2::254"]},
    "aliases": {"A": [ALIASES]},
    "local": {"A": ["{name} 0 IN CNAME localhost.\nlocalhost. 0 IN A 127.0.0.1"]},
}
#: Where the first answer is public and those behind it lead inside: asked once for each use, what was vetted is dialled.
CHANGING: Final[dict[str, dict[str, Answers]]] = {
    "rebound": {"A": [f"{{name}} 0 IN A {PUBLIC}", "{name} 0 IN A 127.0.0.1"]},
    "rebound6": {"A": [f"{{name}} 0 IN A {PUBLIC}"], "AAAA": ["", "{name} 0 IN AAAA ::1"]},
}


@dataclass
class Attacker(asyncio.DatagramProtocol):
    """A name server. `talks` are its own endpoints and its clients': no dials of what is tested."""

    zones: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    talks: set[Endpoint] = field(default_factory=set)
    endpoint: str = ""

    def publish(self, label: str, zone: dict[str, Answers]) -> str:
        """Answer anew for a label; its name."""
        name = f"{label}.evil.example"
        self.zones[f"{name}."] = {kind: list(answers) for kind, answers in zone.items()}
        return name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        host, port = transport.get_extra_info("sockname")
        self.endpoint = f"{host}:{port}"
        self.talks.add((host, port))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.talks.add(addr)
        query = dns.message.from_wire(data)
        name, kind = query.question[0].name.to_text().lower(), dns.rdatatype.to_text(query.question[0].rdtype)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        answers = self.zones.get(name, {}).get(kind, [""])
        lines = answers.pop(0) if len(answers) > 1 else answers[0]
        records = [line.split(" ", 4) for line in lines.format(name=name).split("\n") if line]
        for owner, rdtype in dict.fromkeys((owner, rdtype) for owner, _, _, rdtype, _ in records):
            texts = [text for other, _, _, kind, text in records if (other, kind) == (owner, rdtype)]
            response.answer.append(dns.rrset.from_text(owner, 0, "IN", rdtype, *texts))
        self.transport.sendto(response.to_wire(), addr)  # type: ignore[attr-defined]


@pytest_asyncio.fixture
async def attacker() -> AsyncIterator[Attacker]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(Attacker, ("127.0.0.1", 0))
    yield server
    transport.close()


tls = cache(client_context)
table = cache(DiagnosisTable.load)


async def verify(attacker: Attacker, host: str) -> Verification:
    """As the connector does."""
    prober = Prober(
        HostGuard(DnsResolver([attacker.endpoint])), tls(), table(), SystemClock(), local_hostname="v.example"
    )
    imap, smtp = (
        Login(MailServer.model_validate({"host": host, "port": port, "security": "tls", "username": "a"}), "secret")
        for port in (993, 465)
    )
    return (await prober.verify(uuid4(), imap, smtp)).verification


def refused(found: Verification) -> bool:
    return {step.diagnosis.code for step in found.steps if step.diagnosis} == {"HOST_REFUSED"}


@pytest.mark.parametrize("label", ZONES)
async def test_no_name_leads_inside(label: str, attacker: Attacker) -> None:
    name = attacker.publish(label, ZONES[label])
    for kind in ("_imaps", "_imap", "_submissions", "_submission"):
        attacker.publish(f"{kind}._tcp", {"SRV": [f"{{name}} 0 IN SRV 0 0 993 {name}."]})
    resolver = DnsResolver([attacker.endpoint])
    guard = HostGuard(resolver)
    with watch_dials(attacker.talks) as dials:
        assert refused(await verify(attacker, name))
        async with HttpClient(WebGuard(guard, plain="anywhere")) as client:
            for scheme in ("http", "https"):
                with pytest.raises(ExchangeFailed, match="public Internet"):
                    await client.send("GET", WebUrl.parse(f"{scheme}://{name}/"), deadline=5, max_bytes=10)
        found = await Autoconfig(KnownServices.load(), DnsMailRecords([attacker.endpoint]), guard).find("evil.example")
        named = NamedServer(host=name, port=993, security="tls", username="a", host_field="h", port_field="p")
        vetted, faults = await ServerVetting(guard).vet([named])
    assert dials.made <= attacker.talks
    assert (found.imap, found.smtp, [each.outcome for each in found.looked_up[3:]]) == ((), (), ["refused"] * 4)
    assert (vetted, [fault.field for fault in faults]) == ([], ["h"])


@pytest.mark.parametrize("label", CHANGING)
async def test_a_name_that_changes_is_dialled_where_it_was_vetted_or_not_at_all(label: str, attacker: Attacker) -> None:
    with watch_dials(attacker.talks) as dials:
        await verify(attacker, attacker.publish(label, CHANGING[label]))
        url = WebUrl.parse(f"https://{attacker.publish(label, CHANGING[label])}/")
        async with HttpClient(WebGuard(HostGuard(DnsResolver([attacker.endpoint])))) as client:
            for reason in ("connect", "host_refused"):
                with pytest.raises(ExchangeFailed) as failure:
                    await client.send("GET", url, deadline=5, max_bytes=10)
                assert failure.value.reason == reason
    assert {address for address, _ in dials.made - attacker.talks} == {PUBLIC}


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "64:ff9b::7f00:1"])
async def test_an_audit_asks_nobody_inside(address: str, attacker: Attacker) -> None:
    """Neither as a name server, nor for a policy, a web site, a logo or a mail exchange."""
    host = {"AAAA" if ":" in address else "A": [f"{{name}} 0 IN {'AAAA' if ':' in address else 'A'} {address}"]}
    for label in ("ns", "mail", "www", "mta-sts", "logo"):
        attacker.publish(label, host)
    for label, text in {
        "_mta-sts": "v=STSv1; id=1",
        "_smtp._tls": f"v=TLSRPTv1; rua=https://logo.evil.example/,https://{address}/",
        "default._bimi": "v=BIMI1; l=https://logo.evil.example/a.svg; a=https://127.0.0.1/a.pem",
        "_dmarc": "v=DMARC1; p=reject; rua=mailto:a@logo.evil.example",
    }.items():
        attacker.publish(label, {"TXT": [f'{{name}} 0 IN TXT "{text}"']})
    attacker.zones["evil.example."] = {
        **{kind: [answer.format(name="evil.example.") for answer in answers] for kind, answers in host.items()},
        "NS": ["evil.example. 0 IN NS ns.evil.example."],
        "SOA": ["evil.example. 0 IN SOA ns.evil.example. a.evil.example. 1 60 60 60 60"],
        "MX": ["evil.example. 0 IN MX 10 mail.evil.example."],
        "TXT": ['evil.example. 0 IN TXT "v=spf1 a mx include:logo.evil.example redirect=logo.evil.example"'],
    }
    with watch_dials(attacker.talks) as dials:
        async with open_auditor([attacker.endpoint], Choice()) as assembly:
            audit = await assembly.auditor.audit("evil.example")
    assert dials.made <= attacker.talks
    assert "MX_PRIVATE_ADDRESS" in {finding.code for finding in audit.record.findings}


REFERRAL: Final = "[REFERRAL imap://a@127.0.0.1:{port}/INBOX] [ALERT] http://127.0.0.1:{port}/"
#: At which point the server sends elsewhere: in its greeting, before TLS begins, when it is signed in to.
IMAP: Final = {
    "greeting": ("* BYE {referral}", "TAG OK", "TAG OK"),
    "starttls": ("* OK ready", "TAG NO {referral}", "TAG OK"),
    "login": ("* OK {referral}", "TAG OK", "TAG NO {referral}"),
}


@pytest.mark.parametrize("point", IMAP)
async def test_a_server_that_sends_elsewhere_is_not_followed(point: str, tmp_path: Path) -> None:
    class Here:
        async def addresses(self, _host: str) -> tuple[IPv4Address, ...]:
            return (IPv4Address("127.0.0.1"),)

    authority = issue_certificates(tmp_path / "issued")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "issued" / "good.crt", tmp_path / "issued" / "good.key")
    async with Peer.run(Script(greeting=b"")) as trap:
        referral = REFERRAL.format(port=trap.port)
        greeting, started, signed_in = (f"{line.format(referral=referral)}\r\n".encode() for line in IMAP[point])
        begins = (started, START_TLS) if b" OK" in started else started
        script = Script(
            greeting=greeting,
            answers=[
                (r" STARTTLS$", begins),
                (r" CAPABILITY$", b"* CAPABILITY IMAP4rev1 STARTTLS LOGIN-REFERRALS AUTH=PLAIN SASL-IR\r\nTAG OK\r\n"),
                (r" (AUTHENTICATE|LOGIN) ", signed_in),
            ],
        )
        async with Peer.run(script, starttls=context) as peer:
            policy = Policy.parse("127.0.0.1/32", f"{peer.port},{trap.port}")
            prober = Prober(
                HostGuard(Here(), policy),
                client_context(authority),
                table(),
                SystemClock(),
                local_hostname="v.example",
                limits=Limits(look=0.2, total=4),
            )
            server = MailServer(host="mail.test.example", port=peer.port, security="starttls", username="a")
            with watch_dials({("127.0.0.1", peer.port)}) as dials:
                found = (await prober.verify(uuid4(), Login(server, "secret"), None)).verification
        assert found.outcome == "failed"
        assert any("AUTHENTICATE" in line or "LOGIN" in line for line in peer.received) is (point == "login")
        assert (dials.made, trap.connections) == ({("127.0.0.1", peer.port)}, 0)
