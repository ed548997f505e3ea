"""Policy discovery (RFC 9989 §4.10) and the findings on the policy."""

from collections.abc import Callable

import pytest

from berth_dns_auditor.checks.dmarc import check_dmarc
from berth_dns_auditor.checks.dmarc_tree import walk_from, walk_names
from berth_dns_auditor.checks.outcome import Outcome
from berth_dns_auditor.resolver import Resolver
from berth_events.contracts import DmarcCheck

Dns = Callable[[dict[str, list[str]]], Resolver]

RUA = "rua=mailto:d@example.com"
REJECT = f"v=DMARC1; p=reject; {RUA}"
MAIL = {"example.com MX": ["10 mail.example.com"], "a.b.example.com A": ["203.0.113.1"]}


def codes(outcome: Outcome[DmarcCheck]) -> set[str]:
    return {found.code for found in outcome.findings}


def test_the_walk_takes_eight_steps_at_most() -> None:
    assert walk_names("a.mail.example.com") == ("a.mail.example.com", "mail.example.com", "example.com", "com")
    assert walk_names("a.b.c.d.e.f.g.h.i.j.mail.example.com") == (
        "a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "g.h.i.j.mail.example.com",
        "h.i.j.mail.example.com",
        "i.j.mail.example.com",
        "j.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    )
    assert len(walk_names("1.2.3.4.5.6.7.8")) == 8
    assert walk_names("com") == ("com",)


@pytest.mark.parametrize(
    ("records", "organization", "applicable"),
    [
        ({}, "a.b.example.com", None),
        ({"example.com": "p=none"}, "example.com", "example.com"),
        ({"b.example.com": "p=none", "example.com": "p=reject"}, "example.com", "example.com"),
        ({"a.b.example.com": "p=none", "example.com": "p=reject"}, "example.com", "a.b.example.com"),
        ({"b.example.com": "p=none; psd=n", "example.com": "p=reject"}, "b.example.com", "b.example.com"),
        ({"com": "p=reject; psd=y"}, "example.com", "com"),
        ({"com": "p=reject; psd=y", "example.com": "p=none"}, "example.com", "example.com"),
        ({"com": "p=reject; psd=y", "b.example.com": "p=none"}, "example.com", "com"),
        ({"a.b.example.com": "p=none; psd=y", "com": "p=none"}, "a.b.example.com", "a.b.example.com"),
    ],
)
async def test_organization_and_policy(
    dns: Dns, records: dict[str, str], organization: str, applicable: str | None
) -> None:
    zone = {f"_dmarc.{name} TXT": [f"v=DMARC1; {tags}"] for name, tags in records.items()}

    walk = await walk_from(dns(zone), "a.b.example.com")

    assert walk.organizational == organization
    assert (walk.applicable.domain if walk.applicable else None) == applicable


async def test_an_own_record_passes(dns: Dns) -> None:
    outcome = await check_dmarc(dns(MAIL | {"_dmarc.example.com TXT": ["unrelated", REJECT]}), "example.com")

    assert outcome.check == DmarcCheck(
        state="pass",
        value=REJECT,
        policy="reject",
        subdomain_policy="reject",
        missing_policy="reject",
        location="example.com",
        organizational_domain="example.com",
        registrable_domain="example.com",
    )
    assert outcome.findings == ()


async def test_the_policy_of_a_parent(dns: Dns) -> None:
    zone = MAIL | {"_dmarc.example.com TXT": [f"v=DMARC1; p=reject; sp=quarantine; np=none; {RUA}"]}

    existing = await check_dmarc(dns(zone), "a.b.example.com")
    missing = await check_dmarc(dns(zone), "x.example.com")

    assert (existing.check.policy, existing.check.location) == ("quarantine", "example.com")
    assert (existing.check.subdomain_policy, existing.check.missing_policy) == ("quarantine", "none")
    assert missing.check.policy == "none"
    assert codes(existing) == {"DMARC_INHERITED", "DMARC_SP_WEAKER", "DMARC_NP_WEAKER"}


async def test_test_mode_lowers_the_policy(dns: Dns) -> None:
    outcome = await check_dmarc(dns(MAIL | {"_dmarc.example.com TXT": [f"{REJECT}; t=y"]}), "example.com")

    assert outcome.check.policy == "quarantine"
    assert codes(outcome) == {"DMARC_TEST_MODE"}


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ({}, {"DMARC_MISSING"}),
        ({"_dmarc.example.com TXT": [REJECT, REJECT + ";"]}, {"DMARC_MULTIPLE_RECORDS"}),
        ({"_dmarc.example.com TXT": ["v=dmarc1; p=none"]}, {"DMARC_SYNTAX_ERROR"}),
        ({"example.com TXT": [REJECT]}, {"DMARC_WRONG_LOCATION"}),
        ({"_dmarc.example.com TXT": ["v=DMARC1; p=rejekt"]}, {"DMARC_P_INVALID", "DMARC_NO_RUA"}),
        ({"_dmarc.example.com TXT": ["v=DMARC1"]}, {"DMARC_P_MISSING", "DMARC_NO_RUA"}),
    ],
)
async def test_what_fails_has_its_reason(dns: Dns, zone: dict[str, list[str]], expected: set[str]) -> None:
    outcome = await check_dmarc(dns(MAIL | zone), "example.com")

    assert (outcome.check.state, outcome.check.policy) == ("fail", None)
    assert codes(outcome) == expected


async def test_several_records_are_discarded_and_the_walk_goes_on(dns: Dns) -> None:
    zone = MAIL | {"_dmarc.b.example.com TXT": [REJECT, "v=DMARC1; p=none"], "_dmarc.example.com TXT": [REJECT]}

    outcome = await check_dmarc(dns(zone), "b.example.com")

    assert (outcome.check.state, outcome.check.location) == ("pass", "example.com")
    assert codes(outcome) == {"DMARC_MULTIPLE_RECORDS", "DMARC_INHERITED"}


async def test_monitoring_passes_with_advice(dns: Dns) -> None:
    outcome = await check_dmarc(dns(MAIL | {"_dmarc.example.com TXT": ["v=DMARC1; p=none"]}), "example.com")

    assert outcome.check.state == "pass"
    assert codes(outcome) == {"DMARC_P_NONE", "DMARC_NO_RUA"}


OUTSIDE = {
    "_dmarc.example.com TXT": ["v=DMARC1; p=reject; rua=mailto:x@reports.example"],
    "reports.example MX": ["10 mx.reports.example"],
}


async def test_an_outside_receiver_has_to_agree(dns: Dns) -> None:
    agreed = {"example.com._report._dmarc.reports.example TXT": ["other", "v=DMARC1"]}
    wildcard = {"*._report._dmarc.reports.example TXT": ["v=DMARC1;"]}

    assert codes(await check_dmarc(dns(MAIL | OUTSIDE), "example.com")) == {"DMARC_RUA_NOT_AUTHORIZED"}
    assert codes(await check_dmarc(dns(MAIL | OUTSIDE | agreed), "example.com")) == set()
    assert codes(await check_dmarc(dns(MAIL | OUTSIDE | wildcard), "example.com")) == set()


async def test_a_receiver_of_the_same_organization_need_not_agree(dns: Dns) -> None:
    zone = MAIL | {
        "_dmarc.example.com TXT": ["v=DMARC1; p=reject; rua=mailto:x@reports.example.com"],
        "reports.example.com A": ["203.0.113.5"],
    }

    assert codes(await check_dmarc(dns(zone), "example.com")) == set()


@pytest.mark.parametrize("mail", [{}, {"reports.example MX": ["0 "]}])
async def test_a_receiver_that_takes_no_mail(dns: Dns, mail: dict[str, list[str]]) -> None:
    zone = MAIL | {
        "_dmarc.example.com TXT": OUTSIDE["_dmarc.example.com TXT"],
        "example.com._report._dmarc.reports.example TXT": ["v=DMARC1"],
    }

    assert codes(await check_dmarc(dns(zone | mail), "example.com")) == {"DMARC_RUA_NO_MX"}


@pytest.mark.parametrize(
    ("records", "listed", "publish"),
    [
        # only the subdomain has a record: for the tree walk it is an organization of its own
        (
            {"b.example.com": "p=reject"},
            "example.com",
            [("_dmarc.example.com", "v=DMARC1; p=reject; psd=n", ())],
        ),
        # the record of a public suffix does not say what it is
        (
            {"com": "p=none", "example.com": "p=reject"},
            "example.com",
            [("_dmarc.example.com", "v=DMARC1; p=reject; psd=n", ("v=DMARC1; p=reject",))],
        ),
        # somebody meant it
        ({"b.example.com": "p=reject; psd=n", "example.com": "p=reject"}, "example.com", []),
    ],
)
async def test_receivers_that_disagree_about_the_organization(
    dns: Dns, records: dict[str, str], listed: str, publish: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    zone = MAIL | {f"_dmarc.{name} TXT": [f"v=DMARC1; {tags}"] for name, tags in records.items()}

    outcome = await check_dmarc(dns(zone), "b.example.com")

    found = next(found for found in outcome.findings if found.code == "DMARC_ORGDOMAIN_DIFFERS")
    assert found.subject == "b.example.com"
    assert outcome.check.registrable_domain == listed != outcome.check.organizational_domain
    assert [(record.name, record.value, record.replaces) for record in found.publish] == publish


@pytest.mark.parametrize("failing", ["_dmarc.b.example.com TXT", "_dmarc.example.com TXT"])
async def test_a_temporary_error_leaves_it_open(dns: Dns, fails: list[str], failing: str) -> None:
    outcome = await check_dmarc(dns(MAIL | {failing: fails}), "b.example.com")

    assert outcome.check == DmarcCheck(state="unknown")
    assert codes(outcome) == {"DNS_TEMPFAIL"}


async def test_an_own_record_decides_whatever_the_parents_would_say(dns: Dns, fails: list[str]) -> None:
    zone = MAIL | {"_dmarc.b.example.com TXT": [f"v=DMARC1; p=reject; {RUA}"], "_dmarc.com TXT": fails}

    outcome = await check_dmarc(dns(zone), "b.example.com")

    assert outcome.check.state == "pass"
    assert codes(outcome) == {"DNS_TEMPFAIL"}, "whether the receiver is of the same organization stays open"
