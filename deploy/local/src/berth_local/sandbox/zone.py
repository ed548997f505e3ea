"""The DNS of the sandbox: what a well-kept mail domain publishes, for each of its domains."""

from collections.abc import Collection, Iterable, Mapping

from berth_local.sandbox.description import Host
from berth_local.sandbox.providers.services import Service

__all__ = ["provider_zones", "zone_file"]

# what exists nowhere else, so that its absence is remembered; of a zone of all names nobody else would be asked any more
_LOCAL = """
$TTL 60
test. IN SOA ns.invalid. nobody.invalid. 1 3600 600 86400 60
127.in-addr.arpa. IN SOA ns.invalid. nobody.invalid. 1 3600 600 86400 60
"""

# the private half of the DKIM key was thrown away: the sandbox signs nothing
_DOMAIN = """
$ORIGIN {domain}.
$TTL 60
@ IN SOA ns1.{domain}. hostmaster.{domain}. 1 3600 600 86400 60
@ IN NS ns1.{domain}.
@ IN NS ns2.{domain}.
ns1 IN A {address}
ns2 IN A {address}
@ IN A {address}
@ IN MX 10 {exchange}.
mail IN A {address}
imap IN A {address}
smtp IN A {address}
@ IN TXT "v=spf1 mx -all"
default._domainkey IN TXT "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwQWIzidqbFD3l/dMVwXjcLvZN5hK+m/ofFSHkwUPAIjTPK2hoUl2dUjGfFMSVk+vog15GeC4sErwbtl67N5Kz/+DNfNGVZv733zqfIllrte+AslaCtEBwjAaL2q27" "pL8Qkfe7+1KqJKDMQgR9BNeXBjYZ1nkvehySKOmdI0Gok6vqSSdlik0SMpjXgMrrCyzLdO/BM1F4yn1oYyZBH+tIGDMXmM7RTPqwKHMB0OBSXwJ32lQLXD/rK4wTrPkJVXB3qH3Rv7LI8THPM+P1mZyG2p/yxKgsGa0dtofatQQZAgQton2nVQukbscLIbz47AUNIkBSx4Iyay4VOF93obEFwIDAQAB"
_smtp._tls IN TXT "v=TLSRPTv1; rua=mailto:tls@{domain}"
"""  # noqa: E501 - a record is one line

# where its servers are, for whoever names none (RFC 6186, RFC 8314)
_SERVERS = """
_imaps._tcp.{domain}. IN SRV 0 1 {imaps} imap.{domain}.
_imap._tcp.{domain}. IN SRV 0 1 {imap} imap.{domain}.
_submissions._tcp.{domain}. IN SRV 0 1 {submissions} smtp.{domain}.
_submission._tcp.{domain}. IN SRV 0 1 {submission} smtp.{domain}.
"""

# a zone of one name: what is beside it stays what it is
_HOST = """
$ORIGIN {host}.
$TTL 60
@ IN SOA ns.invalid. nobody.invalid. 1 3600 600 86400 60
@ IN A {address}
"""

_DMARC = '_dmarc.{domain}. IN TXT "v=DMARC1; p=reject; rua=mailto:dmarc@{domain}"\n'


def zone_file(hosts: Iterable[Host], exchanges: Mapping[str, str] | None = None) -> str:
    """The zones of all hosts' domains, and of their addresses for reverse look-ups.

    Args:
        hosts: of the sandbox.
        exchanges: of domains whose mail somebody else takes, the host that does.
    """
    text = _LOCAL
    for host in hosts:
        exchange = (exchanges or {}).get(host.domain, host.name)
        text += _DOMAIN.format(domain=host.domain, address=host.address, exchange=exchange)
        if exchange == host.name:
            text += _SERVERS.format_map(host.model_dump())
        if host.dmarc:
            text += _DMARC.format(domain=host.domain)
        text += _reverse(host.address, host.name)
    return text


def provider_zones(services: Iterable[Service], addresses: Mapping[str, str], own_domains: Collection[str]) -> str:
    """The zones of the played providers' domains and hosts.

    Args:
        services: of all providers.
        addresses: of the providers.
        own_domains: of the sandbox: `zone_file` has them.
    """
    text, named = "", set[str]()
    for service in services:
        address = addresses[service.provider]
        if address not in named:
            text += _reverse(address, service.exchange)
            named.add(address)
        domains = [domain for domain in service.domains if domain not in own_domains]
        for domain in domains:
            text += _DOMAIN.format(domain=domain, address=address, exchange=service.exchange)
            text += _DMARC.format(domain=domain)
        named.update(f"{name}.{domain}" for name in ("mail", "imap", "smtp") for domain in domains)
        for host in (service.exchange, *service.imap, *service.smtp):
            if host not in named:
                text += _HOST.format(host=host, address=address)
                named.add(host)
    return text


def _reverse(address: str, host: str) -> str:
    return f"{'.'.join(reversed(address.split('.')))}.in-addr.arpa. IN PTR {host}.\n"
