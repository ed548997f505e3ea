"""Signatures of zones: what a validating resolver would make of them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import dns.name
import dns.rdatatype
import dns.zone
import pytest

from berth_dns_auditor.checks.dane import check_dane
from berth_dns_auditor.checks.dnssec import Signed, check_dnssec
from berth_dns_auditor.resolver import Resolver, TemporaryDnsError
from berth_testing.signed_zones import signer

Dns = Callable[[dict[str, Sequence[str]]], Resolver]

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TEXT = "$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns.example.net.\n"
KEY = signer("example.com")


class Zone:
    """A zone as it is published; as a `Signatures` it shows it without validating."""

    def __init__(self, text: str) -> None:
        self._zone = dns.zone.from_text(text, origin="example.com.", relativize=False)

    async def signed(self, name: str, rdtype: Literal["DNSKEY", "SOA"]) -> Signed:
        owner = dns.name.from_text(name)
        kind = dns.rdatatype.from_text(rdtype)
        return Signed(self._zone.get_rrset(owner, kind), self._zone.get_rrset(owner, dns.rdatatype.RRSIG, covers=kind))


def signed_zone(lasts: timedelta = timedelta(days=30)) -> str:
    return KEY.sign("example.com", TEXT, NOW, lasts=lasts)


async def audit(dns: Dns, text: str, *ds: str, domain: str = "example.com") -> tuple[str, bool | None, list[str]]:
    outcome = await check_dnssec(dns({"example.com DS": ds}), domain, Zone(text), NOW)
    return outcome.check.state, outcome.check.signed, [found.code for found in outcome.findings]


async def test_a_sound_zone(dns: Dns) -> None:
    assert await audit(dns, signed_zone(), KEY.ds("example.com")) == ("pass", True, [])
    both = (signer("old").ds("example.com"), KEY.ds("example.com", "SHA384"))
    assert await audit(dns, signed_zone(), *both) == ("pass", True, []), "one match is enough, as in a rollover"


async def test_a_name_below_is_of_the_registered_zone(dns: Dns) -> None:
    assert await audit(dns, signed_zone(), KEY.ds("example.com"), domain="mail.example.com") == ("pass", True, [])


async def test_an_unsigned_zone_is_nothing_bad(dns: Dns) -> None:
    assert await audit(dns, TEXT) == ("pass", False, ["DNSSEC_UNSIGNED"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TEXT, "has no keys"),
        (signed_zone(timedelta(seconds=-1)), "every signature of DNSKEY has expired"),
        ("".join(line for line in signed_zone().splitlines(True) if " RRSIG " not in line), "has no signatures"),
        (signed_zone().replace(" 1 3600 600 ", " 2 3600 600 "), "no signature of SOA holds"),
    ],
)
async def test_what_resolvers_refuse(dns: Dns, text: str, says: str) -> None:
    outcome = await check_dnssec(dns({"example.com DS": [KEY.ds("example.com")]}), "example.com", Zone(text), NOW)

    assert outcome.check.state == "fail"
    [found] = outcome.findings
    assert (found.code, found.publish) == ("DNSSEC_BOGUS", ())
    assert says in found.evidence[0]


async def test_the_ds_record_that_mends_it_is_proposed(dns: Dns) -> None:
    wrong = signer("another").ds("example.com")

    outcome = await check_dnssec(dns({"example.com DS": [wrong]}), "example.com", Zone(signed_zone()), NOW)

    [found] = outcome.findings
    [mend] = found.publish
    assert (mend.name, mend.type, mend.value, mend.replaces) == ("example.com", "DS", KEY.ds("example.com"), (wrong,))


@pytest.mark.parametrize(("hours", "codes"), [(71, ["DNSSEC_SIG_EXPIRING"]), (73, [])])
async def test_signatures_that_end(dns: Dns, hours: int, codes: list[str]) -> None:
    assert await audit(dns, signed_zone(timedelta(hours=hours)), KEY.ds("example.com")) == ("pass", True, codes)


async def test_what_nobody_can_validate_is_not_known(dns: Dns) -> None:
    unknown_algorithm = KEY.ds("example.com").replace(" 13 ", " 250 ", 1)

    state, signed, _ = await audit(dns, signed_zone().replace(" 257 3 13 ", " 257 3 13 "), unknown_algorithm)

    assert (state, signed) == ("fail", True), "no key of that algorithm is published"


async def test_a_temporary_error_is_not_known(dns: Dns, fails: str) -> None:
    class Silent:
        async def signed(self, name: str, rdtype: Literal["DNSKEY", "SOA"]) -> Signed:
            raise TemporaryDnsError(name, rdtype, "no answer")

    for ds, silent in (([KEY.ds("example.com")], Silent()), (fails, Zone(TEXT))):
        outcome = await check_dnssec(dns({"example.com DS": ds}), "example.com", silent, NOW)

        assert outcome.check.state == "unknown"
        assert [found.code for found in outcome.findings] == ["DNS_TEMPFAIL"]


TLSA = f"3 1 1 {'0' * 64}"
MAIL: dict[str, Sequence[str]] = {
    "example.com MX": ["10 mx1.example.com", "20 mx2.example.com"],
    "mx1.example.com A": ["8.8.4.4"],
    "_25._tcp.mx1.example.com TLSA": [TLSA],
}


@pytest.mark.parametrize(
    ("more", "dane", "codes"),
    [
        ({"example.com DS": ["1 13 2 00"], "_25._tcp.mx2.example.com TLSA": [TLSA]}, True, []),
        ({"example.com DS": ["1 13 2 00"]}, False, []),
        ({"_25._tcp.mx2.example.com TLSA": [TLSA]}, False, ["TLSA_WITHOUT_DNSSEC"]),
        ({"example.com DS": ["1 13 2 00"], "_25._tcp.mx2.example.com TLSA": ["3 1 1 00"]}, False, ["TLSA_UNUSABLE"]),
        ({"example.com DS": ["1 13 2 00"], "_25._tcp.mx2.example.com TLSA": ["3 9 0 00"]}, False, ["TLSA_UNUSABLE"]),
        (
            {"example.com DS": ["1 13 2 00"], "_25._tcp.mx2.example.com TLSA": ["9 1 0 00", TLSA]},
            True,
            ["TLSA_UNUSABLE"],
        ),
        ({"example.com MX": ["0 ."]}, False, []),
    ],
)
async def test_dane(dns: Dns, more: dict[str, Sequence[str]], dane: bool, codes: list[str]) -> None:
    outcome = await check_dane(dns(MAIL | more), "example.com")

    assert outcome.check is dane
    assert [found.code for found in outcome.findings] == codes


async def test_dane_that_is_not_known(dns: Dns, fails: str) -> None:
    for failing in ("example.com MX", "example.com DS", "_25._tcp.mx1.example.com TLSA"):
        zone = MAIL | {"example.com DS": ["1 13 2 00"], "_25._tcp.mx2.example.com TLSA": [TLSA], failing: fails}
        outcome = await check_dane(dns(zone), "example.com")

        assert outcome.check is None
        assert [found.code for found in outcome.findings] == ["DNS_TEMPFAIL"]
