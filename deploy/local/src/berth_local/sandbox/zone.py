"""The DNS of the sandbox: what a well-kept mail domain publishes, for each of its domains."""

from collections.abc import Iterable

from berth_local.sandbox.description import Host

__all__ = ["zone_file"]

_ROOT = """
$TTL 60
. IN SOA ns.invalid. nobody.invalid. 1 3600 600 86400 60
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
@ IN MX 10 mail.{domain}.
mail IN A {address}
imap IN A {address}
smtp IN A {address}
@ IN TXT "v=spf1 mx -all"
default._domainkey IN TXT "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwQWIzidqbFD3l/dMVwXjcLvZN5hK+m/ofFSHkwUPAIjTPK2hoUl2dUjGfFMSVk+vog15GeC4sErwbtl67N5Kz/+DNfNGVZv733zqfIllrte+AslaCtEBwjAaL2q27" "pL8Qkfe7+1KqJKDMQgR9BNeXBjYZ1nkvehySKOmdI0Gok6vqSSdlik0SMpjXgMrrCyzLdO/BM1F4yn1oYyZBH+tIGDMXmM7RTPqwKHMB0OBSXwJ32lQLXD/rK4wTrPkJVXB3qH3Rv7LI8THPM+P1mZyG2p/yxKgsGa0dtofatQQZAgQton2nVQukbscLIbz47AUNIkBSx4Iyay4VOF93obEFwIDAQAB"
_smtp._tls IN TXT "v=TLSRPTv1; rua=mailto:tls@{domain}"
"""  # noqa: E501 - a record is one line

_DMARC = '_dmarc.{domain}. IN TXT "v=DMARC1; p=reject; rua=mailto:dmarc@{domain}"\n'


def zone_file(hosts: Iterable[Host]) -> str:
    """The zones of all hosts' domains, and of their addresses for reverse look-ups."""
    text = _ROOT
    for host in hosts:
        text += _DOMAIN.format(domain=host.domain, address=host.address)
        if host.dmarc:
            text += _DMARC.format(domain=host.domain)
        reverse = ".".join(reversed(host.address.split(".")))
        text += f"{reverse}.in-addr.arpa. IN PTR {host.name}.\n"
    return text
