"""The DNS of the tests: a root, so that an unknown name is NXDOMAIN, and one domain for each thing to find."""

from typing import Final

from berth_testing.certificates import HOSTS

__all__ = ["DKIM_PUBLIC_KEY", "DOMAINS", "mail_domain"]

#: A real RSA key of 2048 bits, whose private half nobody kept.
DKIM_PUBLIC_KEY: Final = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqoQ1Oj4ei1XKKIVDmLDtdcq4r3JZq4BfGj3ADJX8VQIE/6VIaeigzU2y"
    "x4Gt9rq+smkFag7V2ed/sMfNkhKhhGEMXMw89vUWXr7oCK0GWOy9uu9jOHVaIb4HtwXvcAGzRPofFbOK1e7c9X3NpgHX3SKS5OFD"
    "r0+CvnnhTkSQIqno/19Rao2zTiclyE/2G9LZo0YcNezk2vKfGR4e9oDGJhLz4P/VLE4HtZ4R27juPwOHO7f396QRk9NR7WEn15uw"
    "EekGUV5N3QHn0PoU0cXz78aAhvPJ/n+82LdFNCaf5e8Zfq6eF1l0Q4Cg3KNgjUz5Ntl2c3M3s1JHMl6ymH/cwQIDAQAB"
)
_AUTHORITY: Final = """\
$TTL 300
@ IN SOA ns.test.example. hostmaster.test.example. 1 3600 600 86400 60
@ IN NS ns.test.example.
"""


def mail_domain(
    *,
    mx: str = "10 mail.test.example.",
    spf: str | None = "v=spf1 mx -all",
    dkim: str | None = "default",
    dmarc: str | None = "v=DMARC1; p=reject; rua=mailto:dmarc@test.example",
) -> str:
    """The zone file of a domain with mail; None leaves a record out. `dkim` is the selector."""
    records = [f"@ IN MX {mx}"]
    if spf is not None:
        records.append(f'@ IN TXT "{spf}"')
    if dkim is not None:
        first, second = DKIM_PUBLIC_KEY[:200], DKIM_PUBLIC_KEY[200:]
        records.append(f'{dkim}._domainkey IN TXT "v=DKIM1; k=rsa; p={first}" "{second}"')
    if dmarc is not None:
        records.append(f'_dmarc IN TXT "{dmarc}"')
    return _AUTHORITY + "\n".join(records) + "\n"


_HOST_RECORDS: Final = "".join(f"{name}. IN A {address}\n" for name, address in HOSTS.items())

#: Zone name -> zone file; None is a zone that is configured but has no data: SERVFAIL for every question.
DOMAINS: Final[dict[str, str | None]] = {
    ".": _AUTHORITY,
    # `internal` is a loopback address too, but outside what the tests' platform may dial
    "test.example": mail_domain() + _HOST_RECORDS + "ns IN A 127.0.0.1\ninternal IN A 127.0.0.9\n",
    "nodmarc.example": mail_domain(dmarc=None),
    "brokenspf.example": mail_domain(
        spf="v=spf1 ipv4:192.0.2.1 -all"
    ),  # RFC 7208: the mechanism is ip4, so a permerror
    "lame.example": None,
    "checkup.example": mail_domain(dkim="bed"),  # a selector that only a message tells
    "nomail.example": mail_domain(mx="0 .", spf="v=spf1 -all", dkim=None),  # RFC 7505: takes no mail
}
