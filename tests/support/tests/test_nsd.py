from collections.abc import Sequence

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from berth_testing.nsd import NameServer, name_server
from berth_testing.servers import require_root_and


async def ask(server: NameServer, name: str, kind: str) -> tuple[str, Sequence[str]]:
    query = dns.message.make_query(name, kind)
    answer = await dns.asyncquery.udp(query, server.address, port=server.port, timeout=5)
    return dns.rcode.to_text(answer.rcode()), [str(record) for rrset in answer.answer for record in rrset]


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "records"),
    [
        ("mail.test.example", "A", "NOERROR", ["127.0.0.1"]),
        ("wronghost.test.example", "A", "NOERROR", ["127.0.0.3"]),
        ("test.example", "MX", "NOERROR", ["10 mail.test.example."]),
        ("_dmarc.nodmarc.example", "TXT", "NXDOMAIN", []),
        ("mail.nowhere.example", "A", "NXDOMAIN", []),
        ("lame.example", "MX", "SERVFAIL", []),
    ],
)
async def test_the_domains_of_the_tests(nsd: NameServer, name: str, kind: str, rcode: str, records: list[str]) -> None:
    assert await ask(nsd, name, kind) == (rcode, records)


async def test_zones_of_ones_own() -> None:
    require_root_and("nsd")
    zone = "$TTL 60\n@ IN SOA ns hostmaster 1 60 60 60 60\n@ IN NS ns\nns IN A 127.0.0.1\nwww IN A 192.0.2.7\n"
    with name_server({"own.example": zone}) as server:
        assert await ask(server, "www.own.example", "A") == ("NOERROR", ["192.0.2.7"])
        assert await ask(server, "test.example", "A") == ("REFUSED", [])
