"""Finding the DKIM keys of a domain."""

from collections.abc import Callable

import pytest

from berth_dns_auditor.checks.dkim import check_dkim
from berth_dns_auditor.checks.known import Known
from berth_dns_auditor.checks.outcome import Outcome
from berth_dns_auditor.resolver import Resolver
from berth_events.contracts import DkimCheck

Dns = Callable[[dict[str, list[str]]], Resolver]

KEY = (
    "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqoQ1Oj4ei1XKKIVDmLDtdcq4r3JZq4BfGj3ADJX8VQIE/6VIaei"
    "gzU2yx4Gt9rq+smkFag7V2ed/sMfNkhKhhGEMXMw89vUWXr7oCK0GWOy9uu9jOHVaIb4HtwXvcAGzRPofFbOK1e7c9X3NpgHX3SKS5OFDr0+Cvnnh"
    "TkSQIqno/19Rao2zTiclyE/2G9LZo0YcNezk2vKfGR4e9oDGJhLz4P/VLE4HtZ4R27juPwOHO7f396QRk9NR7WEn15uwEekGUV5N3QHn0PoU0cXz7"
    "8aAhvPJ/n+82LdFNCaf5e8Zfq6eF1l0Q4Cg3KNgjUz5Ntl2c3M3s1JHMl6ymH/cwQIDAQAB"
)
ED25519 = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
REVOKED = "v=DKIM1; p="
DOMAIN = {"example.com MX": ["10 mail.example.com"]}


async def check(resolver: Resolver) -> Outcome[DkimCheck]:
    return await check_dkim(resolver, "example.com", "probe")


def raised(outcome: Outcome[DkimCheck]) -> set[tuple[str, str, str]]:
    return {(found.code, found.subject, found.severity) for found in outcome.findings}


async def test_a_common_selector_is_found(dns: Dns) -> None:
    outcome = await check(dns(DOMAIN | {"default._domainkey.example.com TXT": [KEY]}))

    assert outcome.check == DkimCheck(state="pass", selector="default", value=KEY)
    assert outcome.findings == ()


@pytest.mark.parametrize(
    ("mail", "selector"),
    [
        ({"example.com MX": ["1 aspmx.l.google.com"]}, "google"),
        ({"example.com MX": ["0 example-com.mail.protection.outlook.com"]}, "selector2"),
        ({"example.com TXT": ["v=spf1 include:mailgun.org ~all"]}, "pic"),
        ({"example.com TXT": ["v=spf1 include:spf.messagingengine.com ?all"]}, "fm3"),
    ],
)
async def test_the_provider_tells_the_selector(dns: Dns, mail: dict[str, list[str]], selector: str) -> None:
    outcome = await check(dns(mail | {f"{selector}._domainkey.example.com TXT": [KEY]}))

    assert (outcome.check.state, outcome.check.selector) == ("pass", selector)


async def test_common_selectors_are_asked_only_when_the_provider_has_no_good_rsa_key(dns: Dns) -> None:
    google = {"example.com MX": ["1 aspmx.l.google.com"], "default._domainkey.example.com TXT": [REVOKED]}
    good, other, none = (
        dns(google | {"google._domainkey.example.com TXT": records}) for records in ([KEY], [ED25519], [])
    )

    assert raised(await check(good)) == set()
    assert ("DKIM_KEY_REVOKED", "default", "low") in raised(await check(other))
    assert (await check(none)).check.selector == "default"
    assert len(good.asked) == 5  # type: ignore[attr-defined]


async def test_a_selector_of_a_provider_is_not_asked_of_others(dns: Dns) -> None:
    outcome = await check(dns(DOMAIN | {"fm1._domainkey.example.com TXT": [KEY]}))

    assert outcome.check == DkimCheck(state="unknown")
    assert raised(outcome) == {("DKIM_SELECTOR_UNKNOWN", "example.com", "info")}


async def test_nothing_below_domainkey_is_definite_and_stops_the_search(dns: Dns) -> None:
    resolver = dns(DOMAIN)

    outcome = await check(resolver)

    assert outcome.check == DkimCheck(state="fail")
    assert raised(outcome) == {("DKIM_MISSING", "example.com", "high")}
    assert resolver.asked == [("_domainkey.example.com", "TXT")]  # type: ignore[attr-defined]


async def test_a_cname_to_the_provider_is_followed(dns: Dns) -> None:
    zone = {"s1._domainkey.example.com CNAME": ["s1.provider.example"], "s1.provider.example TXT": [KEY]}

    assert (await check(dns(DOMAIN | zone))).check == DkimCheck(state="pass", selector="s1", value=KEY)


async def test_a_cname_to_nowhere(dns: Dns) -> None:
    outcome = await check(dns(DOMAIN | {"s1._domainkey.example.com CNAME": ["s1.provider.example"]}))

    assert outcome.check.state == "unknown"
    assert raised(outcome) == {("DKIM_CNAME_BROKEN", "s1", "high"), ("DKIM_SELECTOR_UNKNOWN", "example.com", "info")}


async def test_revoked_keys_only(dns: Dns) -> None:
    outcome = await check(dns(DOMAIN | {"default._domainkey.example.com TXT": [REVOKED]}))

    assert outcome.check == DkimCheck(state="fail", selector="default", value=REVOKED)
    assert raised(outcome) == {("DKIM_KEY_REVOKED", "default", "high")}


async def test_a_revoked_key_beside_a_good_one(dns: Dns) -> None:
    zone = {"default._domainkey.example.com TXT": [REVOKED], "dkim._domainkey.example.com TXT": [KEY]}

    outcome = await check(dns(DOMAIN | zone))

    assert (outcome.check.state, outcome.check.selector) == ("pass", "dkim")
    assert raised(outcome) == {("DKIM_KEY_REVOKED", "default", "low")}


async def test_two_records_at_one_selector(dns: Dns) -> None:
    outcome = await check(dns(DOMAIN | {"default._domainkey.example.com TXT": [KEY, REVOKED]}))

    assert outcome.check.state == "fail"
    assert raised(outcome) == {("DKIM_MULTIPLE_RECORDS", "default", "high")}


async def test_ed25519_alone_and_beside_rsa(dns: Dns) -> None:
    alone = {"s1._domainkey.example.com TXT": [ED25519]}

    assert raised(await check(dns(DOMAIN | alone))) == {("DKIM_ED25519_ONLY", "s1", "medium")}
    assert raised(await check(dns(DOMAIN | alone | {"s2._domainkey.example.com TXT": [KEY]}))) == set()


async def test_a_wildcard_is_not_a_selector(dns: Dns) -> None:
    outcome = await check(dns(DOMAIN | {"*._domainkey.example.com TXT": ["v=spf1 -all"]}))

    assert outcome.check == DkimCheck(state="unknown")
    assert raised(outcome) == {
        ("DKIM_WILDCARD", "example.com", "medium"),
        ("DKIM_SELECTOR_UNKNOWN", "example.com", "info"),
    }


async def test_a_selector_beside_a_wildcard(dns: Dns) -> None:
    zone = {"*._domainkey.example.com TXT": ["nothing"], "mail._domainkey.example.com TXT": [KEY]}

    assert (await check(dns(DOMAIN | zone))).check.selector == "mail"


async def test_a_domain_that_revokes_every_selector_never_signs(dns: Dns) -> None:
    outcome = await check(dns(DOMAIN | {"*._domainkey.example.com TXT": [REVOKED]}))

    assert outcome.check == DkimCheck(state="fail", selector="*", value=REVOKED)


@pytest.mark.parametrize(
    "failing",
    ["_domainkey.example.com TXT", "probe._domainkey.example.com TXT", "dkim._domainkey.example.com TXT"],
)
async def test_a_temporary_error_leaves_it_open(dns: Dns, fails: list[str], failing: str) -> None:
    zone = {"default._domainkey.example.com TXT": [REVOKED], failing: fails}

    outcome = await check(dns(DOMAIN | zone))

    assert outcome.check.state == "unknown"
    assert not outcome.complete


async def test_a_good_key_passes_whatever_another_selector_would_say(dns: Dns, fails: list[str]) -> None:
    zone = {"default._domainkey.example.com TXT": [KEY], "dkim._domainkey.example.com TXT": fails}

    outcome = await check(dns(DOMAIN | zone))

    assert outcome.check.state == "pass"
    assert raised(outcome) == {("DNS_TEMPFAIL", "dkim._domainkey.example.com", "unknown")}


async def test_an_open_question_about_the_provider_leaves_a_bad_key_open(dns: Dns, fails: list[str]) -> None:
    zone = {"default._domainkey.example.com TXT": [REVOKED], "example.com MX": fails}

    assert (await check(dns(zone))).check.state == "unknown"


async def test_a_selector_from_a_message_is_asked_for_first(dns: Dns) -> None:
    resolver = dns(
        DOMAIN | {"20251104._domainkey.example.com TXT": [KEY], "default._domainkey.example.com TXT": [REVOKED]}
    )

    outcome = await check_dkim(resolver, "example.com", "probe", Known(selectors=("20251104",)))

    assert outcome.check == DkimCheck(state="pass", selector="20251104", value=KEY)
    assert outcome.findings == ()
    assert ("default._domainkey.example.com", "TXT") not in resolver.asked  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "zone", [{}, {"old._domainkey.example.com TXT": [KEY]}, {"_domainkey.example.com TXT": "SERVFAIL"}]
)
async def test_a_verified_message_proves_a_selector_without_its_key(dns: Dns, zone: dict[str, list[str]]) -> None:
    known = Known(selectors=("20251104",), proven=frozenset({"20251104"}))

    outcome = await check_dkim(dns(DOMAIN | zone), "example.com", "probe", known)

    assert outcome.check == DkimCheck(state="pass", selector="20251104", value="")


async def test_a_key_that_is_read_says_more_than_an_old_message(dns: Dns) -> None:
    known = Known(selectors=("s",), proven=frozenset({"s"}))

    outcome = await check_dkim(dns(DOMAIN | {"s._domainkey.example.com TXT": [REVOKED]}), "example.com", "probe", known)

    assert outcome.check.state == "fail"


async def test_a_selector_that_cannot_be_a_name_is_not_asked_for(dns: Dns) -> None:
    known = Known(selectors=("a b", "..", "x" * 64, "-", "\xe4", ""))
    resolver = dns(DOMAIN | {"default._domainkey.example.com TXT": [KEY]})

    assert (await check_dkim(resolver, "example.com", "probe", known)).check.selector == "default"
    assert all(name.isascii() and ".." not in name for name, _ in resolver.asked)  # type: ignore[attr-defined]
