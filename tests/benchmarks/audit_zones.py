"""The domains that auditors are measured with: all that a mail domain usually has, and nothing that ends an audit early."""

import base64
from ipaddress import ip_address

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["audit_zones", "domain_name"]

_HEAD = """\
$TTL 300
@ IN SOA ns.infra.example. hostmaster.infra.example. 1 3600 600 86400 60
@ IN NS ns.infra.example.
"""


def domain_name(number: int) -> str:
    """The name of one of the domains."""
    return f"d{number}.example"


def audit_zones(count: int) -> dict[str, str | None]:
    """Zone files, by name.

    Each domain has three exchanges with four addresses and their reverse names, SPF with an include that has three
    nested ones, four DKIM keys (RSA of 2048 and 1024 bits, an alias to the provider, Ed25519), DMARC with reports that
    go to another organization, and TLS reports.
    """
    long, short = _rsa(2048), _rsa(1024)
    ed25519 = base64.b64encode(bytes(range(32))).decode()
    reverse4, reverse6 = [], []
    zones: dict[str, str | None] = {
        ".": _HEAD,
        "infra.example": f"{_HEAD}ns IN A 8.8.4.4\n",
        "reports.example": f'{_HEAD}@ IN MX 10 mx\nmx IN A 8.8.4.5\n*._report._dmarc IN TXT "v=DMARC1"\n',
        "provider.example": _HEAD
        + '_spf IN TXT "v=spf1 include:_a.provider.example include:_b.provider.example include:_c.provider.example ~all"\n'
        + "".join(f'_{name} IN TXT "v=spf1 ip4:9.9.{index}.0/24 -all"\n' for index, name in enumerate("abc"))
        + f"key._domainkey IN TXT {_txt(f'v=DKIM1; k=rsa; p={long}')}\n",
    }
    for number in range(count):
        net = f"8.{number // 250}.{number % 250}"
        hosts = [("mx1", f"{net}.1"), ("mx2", f"{net}.2"), ("mx3", f"{net}.3"), ("mx1", f"2a00:1450::{number + 1:x}")]
        lines = [
            _HEAD,
            f"@ IN A {net}.1",
            "@ IN MX 10 mx1\n@ IN MX 20 mx2\n@ IN MX 30 mx3",
            '@ IN TXT "v=spf1 a mx include:_spf.provider.example ip4:9.9.9.0/24 -all"',
            '_dmarc IN TXT "v=DMARC1; p=reject; rua=mailto:d@reports.example"',
            '_smtp._tls IN TXT "v=TLSRPTv1; rua=mailto:tls@reports.example"',
            f"default._domainkey IN TXT {_txt(f'v=DKIM1; k=rsa; p={long}')}",
            f"mail._domainkey IN TXT {_txt(f'v=DKIM1; k=rsa; p={short}')}",
            "selector1._domainkey IN CNAME key._domainkey.provider.example.",
            f'selector2._domainkey IN TXT "v=DKIM1; k=ed25519; p={ed25519}"',
        ]
        for host, address in hosts:
            parsed = ip_address(address)
            lines.append(f"{host} IN {'A' if parsed.version == 4 else 'AAAA'} {address}")
            reverse = reverse4 if parsed.version == 4 else reverse6
            reverse.append(f"{parsed.reverse_pointer}. IN PTR {host}.{domain_name(number)}.")
        zones[domain_name(number)] = "\n".join(lines) + "\n"
    zones["8.in-addr.arpa"] = _HEAD + "\n".join(reverse4) + "\n"
    zones["0.5.4.1.0.0.a.2.ip6.arpa"] = _HEAD + "\n".join(reverse6) + "\n"
    return zones


def _rsa(bits: int) -> str:
    key = generate_private_key(65537, bits).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def _txt(text: str) -> str:
    return " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255))
