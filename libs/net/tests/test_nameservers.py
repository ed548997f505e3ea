"""What an operator writes in BERTH_DNS_SERVERS."""

import dns.nameserver
import pytest

from berth_net import DnsResolver, Nameserver, parse_nameserver


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:5353", Nameserver("127.0.0.1", 5353)),
        ("192.0.2.1", Nameserver("192.0.2.1", 53)),
        ("[2001:db8::1]:5353", Nameserver("2001:db8::1", 5353)),
        ("2001:db8::1", Nameserver("2001:db8::1", 53)),
        (" [::1] ", Nameserver("::1", 53)),
        ("tls://9.9.9.9", Nameserver("9.9.9.9", 853, "tls")),
        ("tls://[2620:fe::fe]:8853#DNS.quad9.net", Nameserver("2620:fe::fe", 8853, "tls", "dns.quad9.net")),
        ("https://dns.quad9.net/dns-query", Nameserver("dns.quad9.net", 443, "https", path="/dns-query")),
        ("https://[2620:fe::fe]:5053/q", Nameserver("2620:fe::fe", 5053, "https", path="/q")),
    ],
)
def test_name_servers(text: str, parsed: Nameserver) -> None:
    assert parse_nameserver(text) == parsed
    assert parse_nameserver(str(parsed)) == Nameserver(parsed.address, parsed.port, parsed.transport, path=parsed.path)


@pytest.mark.parametrize(
    "text",
    [
        "dns.example.com:53",
        "127.0.0.1:dns",
        "",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "tls://dns.quad9.net",
        "tls://9.9.9.9#not a name",
        "udp://9.9.9.9",
        "http://dns.quad9.net/dns-query",
        "https://dns.quad9.net",
        "https://user:secret@dns.quad9.net/dns-query",
        "https://dns.quad9.net/dns-query?dns=x",
        "https://dns.quad9.net:99999/dns-query",
    ],
)
def test_malformed_name_servers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="name server"):
        parse_nameserver(text)


async def test_the_resolver_speaks_to_each_in_its_way() -> None:
    servers = DnsResolver(["192.0.2.1", "tls://192.0.2.1#dns.example", "https://dns.example/q"])._resolver.nameservers

    plain, tls, https = servers
    assert isinstance(plain, dns.nameserver.Do53Nameserver)
    assert isinstance(tls, dns.nameserver.DoTNameserver)
    assert (tls.port, tls.hostname) == (853, "dns.example")
    assert isinstance(https, dns.nameserver.DoHNameserver)
    assert https.url == "https://dns.example:443/q"
