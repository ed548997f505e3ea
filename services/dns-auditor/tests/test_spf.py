"""The verdict on SPF policies, the limits of evaluation, and the findings."""

from collections.abc import Callable

import pytest

from berth_dns_auditor.checks.outcome import Outcome
from berth_dns_auditor.checks.spf import INVALIDATING, check_spf
from berth_dns_auditor.findings import catalogue
from berth_dns_auditor.resolver import Resolver
from berth_events.contracts import SpfCheck

Dns = Callable[[dict[str, list[str]]], Resolver]

HOSTS = {
    "example.com A": ["203.0.113.1"],
    "example.com MX": ["10 mail.example.com"],
    "mail.example.com A": ["203.0.113.1"],
}


def codes(outcome: Outcome[SpfCheck]) -> set[str]:
    return {found.code for found in outcome.findings}


async def test_a_sound_policy_passes(dns: Dns) -> None:
    record = "v=spf1 a mx ip4:203.0.113.0/24 include:_spf.provider.example -all"
    zone = HOSTS | {"example.com TXT": ["other", record], "_spf.provider.example TXT": ["v=spf1 a:x.example.com ~all"]}

    outcome = await check_spf(dns(zone | {"x.example.com A": ["203.0.113.9"]}), "example.com")

    assert outcome.check.model_copy(update={"tree": ()}) == SpfCheck(
        state="pass", value=record, lookups=4, void_lookups=0
    )
    assert [(row.depth, row.domain, row.term, row.lookups) for row in outcome.check.tree] == [
        (0, "example.com", "a", 1),
        (0, "example.com", "mx", 1),
        (0, "example.com", "include:_spf.provider.example", 2),
        (1, "_spf.provider.example", "a:x.example.com", 1),
    ]
    assert codes(outcome) == {"SPF_PRIVATE_RANGE"}, "203.0.113.0/24 is for documentation"


async def test_no_record(dns: Dns) -> None:
    outcome = await check_spf(dns(HOSTS | {"example.com TXT": ["v=spf10 -all"]}), "example.com")

    assert outcome.check == SpfCheck(state="fail")
    assert codes(outcome) == {"SPF_MISSING"}


async def test_a_lookalike_is_shown(dns: Dns) -> None:
    outcome = await check_spf(dns({"example.com TXT": [" v=spf1 -all", "v=spf1;a"]}), "example.com")

    assert codes(outcome) == {"SPF_MISSING", "SPF_SHADOW_RECORD"}
    shadow = next(found for found in outcome.findings if found.code == "SPF_SHADOW_RECORD")
    assert shadow.evidence == (" v=spf1 -all", "v=spf1;a")


async def test_two_records_are_none(dns: Dns) -> None:
    outcome = await check_spf(dns({"example.com TXT": ["v=spf1 -all", "V=spf1 a -all"]}), "example.com")

    assert outcome.check.state == "fail"
    assert codes(outcome) == {"SPF_MULTIPLE_RECORDS"}


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ("v=spf1 -all ipv4:192.0.2.1", "SPF_SYNTAX_AFTER_ALL"),
        ("v=spf1 a:192.0.2.1 -all", "SPF_A_IS_IP"),
        ("v=spf1 include:none.example -all", "SPF_INCLUDE_NO_RECORD"),
        ("v=spf1 redirect=none.example", "SPF_REDIRECT_NO_RECORD"),
        ("v=spf1 include:example.com -all", "SPF_LOOP"),
        ("v=spf1 include:%{d} -all", "SPF_LOOP"),
        ("v=spf1 a:x1.example a:x2.example a:x3.example -all", "SPF_TOO_MANY_VOID"),
        ("v=spf1 mx:many.example -all", "SPF_MX_TOO_MANY"),
        ("v=spf1 include:broken.example -all", "SPF_SYNTAX_ERROR"),
        ("v=spf1 include:twice.example -all", "SPF_MULTIPLE_RECORDS"),
        ("v=spf1 " + "exists:%{i}.example.com " * 11 + "-all", "SPF_TOO_MANY_LOOKUPS"),
    ],
)
async def test_what_makes_a_policy_invalid(dns: Dns, record: str, code: str) -> None:
    zone = {
        "example.com TXT": [record],
        "many.example MX": [f"10 mx{number}.example" for number in range(11)],
        "broken.example TXT": ["v=spf1 ipv4:192.0.2.1 -all"],
        "twice.example TXT": ["v=spf1 -all", "v=spf1 a -all"],
    }

    outcome = await check_spf(dns(zone), "example.com")

    assert outcome.check.state == "fail"
    assert code in codes(outcome)
    assert codes(outcome) & INVALIDATING == {code}


async def test_lookups_are_counted_through_the_tree_and_again_for_each_use(dns: Dns) -> None:
    zone = {
        "example.com TXT": ["v=spf1 include:a.example include:b.example ~all"],
        "a.example TXT": ["v=spf1 include:c.example exists:%{i}.a.example -all"],
        "b.example TXT": ["v=spf1 include:c.example ip4:203.0.113.1 redirect=d.example"],
        "c.example TXT": ["v=spf1 exists:%{i}.c.example -all"],
        "d.example TXT": ["v=spf1 -all a"],
    }

    outcome = await check_spf(dns(zone), "example.com")

    assert outcome.check.lookups == 8
    assert codes(outcome) == {"SPF_LOOKUPS_NEAR_LIMIT", "SPF_SOFTFAIL_ALL"}
    near = next(found for found in outcome.findings if found.code == "SPF_LOOKUPS_NEAR_LIMIT")
    assert near.evidence == ("8 lookups", "4 by include:a.example", "4 by include:b.example")


async def test_ten_lookups_are_allowed_and_eleven_are_not(dns: Dns) -> None:
    for terms, state in ((10, "pass"), (11, "fail")):
        record = "v=spf1 " + " ".join(f"exists:%{{i}}.{number}.example" for number in range(terms)) + " -all"
        assert (await check_spf(dns({"example.com TXT": [record]}), "example.com")).check.state == state


async def test_a_host_with_one_kind_of_address_is_not_void(dns: Dns) -> None:
    zone = {"example.com TXT": ["v=spf1 a:four.example a:six.example a:gone.example -all"]}
    zone |= {"four.example A": ["203.0.113.1"], "six.example AAAA": ["2001:db8::1"]}

    outcome = await check_spf(dns(zone), "example.com")

    assert (outcome.check.state, outcome.check.void_lookups) == ("pass", 1)


@pytest.mark.parametrize("failing", ["example.com TXT", "a.example TXT", "host.example A"])
async def test_a_temporary_error_never_fails_a_policy(dns: Dns, fails: list[str], failing: str) -> None:
    zone = {
        "example.com TXT": ["v=spf1 include:a.example a:host.example -all"],
        "a.example TXT": ["v=spf1 -all"],
        "host.example A": ["203.0.113.1"],
    }

    outcome = await check_spf(dns(zone | {failing: fails}), "example.com")

    assert outcome.check.state == "unknown"
    assert (outcome.check.lookups, outcome.check.void_lookups) == (None, None)
    assert codes(outcome) == {"DNS_TEMPFAIL"}
    assert not outcome.complete


async def test_what_is_wrong_whatever_the_open_answer_fails(dns: Dns, fails: list[str]) -> None:
    zone = {"example.com TXT": ["v=spf1 ipv4:x include:a.example -all"], "a.example TXT": fails}

    outcome = await check_spf(dns(zone), "example.com")

    assert outcome.check.state == "fail"
    assert codes(outcome) == {"SPF_SYNTAX_ERROR", "DNS_TEMPFAIL"}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=spf1 +all", {"SPF_PASS_ALL"}),
        ("v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all", {"SPF_PASS_ALL", "SPF_BROAD_RANGE"}),
        ("v=spf1 ip6:::/0 -all", {"SPF_PASS_ALL"}),
        ("v=spf1 a:host.example/0 -all", {"SPF_PASS_ALL"}),
        ("v=spf1 -ip4:0.0.0.0/0 -all", set()),
        ("v=spf1 ?all", {"SPF_NEUTRAL_ALL"}),
        ("v=spf1 a:host.example", {"SPF_NO_ALL"}),
        ("v=spf1 redirect=soft.example", {"SPF_SOFTFAIL_ALL"}),
        ("v=spf1 -all redirect=soft.example", {"SPF_REDIRECT_IGNORED"}),
        ("v=spf1 ptr -all", {"SPF_PTR_USED"}),
        ("v=spf1 include=a.example -all", {"SPF_UNKNOWN_MODIFIER"}),
        ("v=spf1 ip4:20.0.0.0/8 -all", {"SPF_BROAD_RANGE"}),
        ("v=spf1 ip4:10.1.0.0/16 -all", {"SPF_PRIVATE_RANGE"}),
        ("v=spf1 ip4:8.8.8.8 IP4:8.8.8.8 -all", {"SPF_DUPLICATE_TERM"}),
        ("v=spf1 include:open.example -all", {"SPF_NESTED_PASS_ALL"}),
        ("v=spf1 ?include:open.example -all", set()),
        ("v=spf1 " + " ".join(f"ip4:8.8.8.{number}" for number in range(40)) + " -all", {"SPF_RECORD_TOO_LONG"}),
    ],
)
async def test_style(dns: Dns, record: str, expected: set[str]) -> None:
    zone = {
        "example.com TXT": [record],
        "host.example A": ["203.0.113.1"],
        "soft.example TXT": ["v=spf1 ~all"],
        "open.example TXT": ["v=spf1 +all"],
    }

    outcome = await check_spf(dns(zone), "example.com")

    assert outcome.check.state == "pass"
    assert codes(outcome) == expected


async def test_the_style_of_a_provider_is_not_the_domains_business(dns: Dns) -> None:
    zone = {"example.com TXT": ["v=spf1 include:a.example -all"], "a.example TXT": ["v=spf1 ptr ip4:20.0.0.0/8 ?all"]}

    assert codes(await check_spf(dns(zone), "example.com")) == set()


async def test_sender_id_is_obsolete(dns: Dns) -> None:
    outcome = await check_spf(dns({"example.com TXT": ["v=spf1 -all", "spf2.0/pra -all"]}), "example.com")

    assert codes(outcome) == {"SPF_SENDER_ID"}


async def test_a_hostile_tree_is_bounded(dns: Dns) -> None:
    wide = {
        f"n{level}.example TXT": ["v=spf1 " + " ".join(f"include:n{level + 1}.example" for _ in range(11)) + " -all"]
        for level in range(50)
    }
    resolver = dns(wide)

    outcome = await check_spf(resolver, "n0.example")

    assert outcome.check.state == "fail"
    assert "SPF_TOO_MANY_LOOKUPS" in codes(outcome)
    assert len(resolver.asked) <= 20  # type: ignore[attr-defined]


@pytest.mark.timeout(5)
async def test_a_tree_of_many_paths_and_few_records_takes_no_time(dns: Dns) -> None:
    levels = {
        f"n{level}.example TXT": ["v=spf1 " + " ".join([f"include:n{level + 1}.example"] * 11) + " -all"]
        for level in range(9)
    }

    outcome = await check_spf(dns(levels | {"n9.example TXT": ["v=spf1 -all"]}), "n0.example")

    [found] = [found for found in outcome.findings if found.code == "SPF_TOO_MANY_LOOKUPS"]
    assert [change.value for change in found.publish] == ["v=spf1 -all"]


@pytest.mark.timeout(5)
async def test_a_record_of_many_faults_takes_no_time(dns: Dns) -> None:
    terms = [" ".join(f"x{number}=y" for number in range(size)) for size in (150, 4000)]
    for text in (*terms, "a:1.2.3.4 " * 100, "ptr " * 200):
        assert (await check_spf(dns({"example.com TXT": [f"v=spf1 {text}"]}), "example.com")).findings


def test_every_invalidating_code_is_in_the_catalogue() -> None:
    assert catalogue().keys() >= INVALIDATING
