"""MX and SRV records, from a name server in this process."""

import asyncio
from collections.abc import AsyncIterator

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import pytest_asyncio

from berth_net import DnsMailRecords, LookupFailed, ServiceRecord

RECORDS = {
    ("acme.test.", "MX"): ["20 Backup.Acme.test.", "10 mx.acme.test."],
    ("null.test.", "MX"): ["0 ."],
    ("_imaps._tcp.acme.test.", "SRV"): ["10 1 993 b.acme.test.", "0 1 993 A.acme.test.", "10 9 1993 c.acme.test."],
    ("_imap._tcp.acme.test.", "SRV"): ["0 0 0 ."],
}


class NameServer(asyncio.DatagramProtocol):
    """Answers from the table above; `failing` fails, `silent` is silent, anything else does not exist."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name, kind = query.question[0].name.to_text(), dns.rdatatype.to_text(query.question[0].rdtype)
        if name == "silent.test.":
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if (name, kind) in RECORDS:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *RECORDS[name, kind]))
        elif name == "failing.test.":
            response.set_rcode(dns.rcode.SERVFAIL)
        elif name != "empty.test.":
            response.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(response.to_wire(), addr)  # type: ignore[attr-defined]


@pytest_asyncio.fixture(scope="session")
async def records() -> AsyncIterator[DnsMailRecords]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, ("127.0.0.1", 0))
    yield DnsMailRecords([f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"], deadline=0.3)
    transport.close()


async def test_exchanges_in_the_order_of_their_preference(records: DnsMailRecords) -> None:
    assert await records.exchanges("acme.test") == ("mx.acme.test", "backup.acme.test")
    for domain in ("null.test", "empty.test", "missing.test"):
        assert await records.exchanges(domain) == ()


async def test_services_by_priority_and_weight(records: DnsMailRecords) -> None:
    assert await records.services("_imaps._tcp.acme.test") == (
        ServiceRecord("a.acme.test", 993),
        ServiceRecord("c.acme.test", 1993),
        ServiceRecord("b.acme.test", 993),
    )
    assert await records.services("_imap._tcp.acme.test") == (ServiceRecord("", 0),)
    assert await records.services("_submission._tcp.acme.test") == ()
    assert await records.services(f"_submission._tcp.{'a.' * 120}test") == (), "too long for the DNS"


@pytest.mark.parametrize("domain", ["failing.test", "silent.test"])
async def test_no_answer_is_not_the_same_as_no_records(records: DnsMailRecords, domain: str) -> None:
    with pytest.raises(LookupFailed, match=domain):
        await records.exchanges(domain)
