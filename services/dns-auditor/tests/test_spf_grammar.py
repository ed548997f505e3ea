"""RFC 7208 §12, term by term."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_dns_auditor.checks.spf_grammar import Directive, Modifier, is_spf, parse_spf
from berth_dns_auditor.checks.spf_macros import expand_name


def issues(text: str) -> list[str]:
    return [issue.code for issue in parse_spf(text).issues]


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1",
        "V=SPF1 -ALL ",
        "v=spf1 a  mx -all",
        "v=spf1 a:example.com/24//64 mx//0 ?all",
        "v=spf1 a:foo/bar.example.com/24 -all",
        "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ip6:::1 ip6:::ffff:192.0.2.1/96 ~all",
        "v=spf1 include:_spf.example.com. -all",
        "v=spf1 exists:%{ir}.%{v}._spf.%{d2} -all",
        "v=spf1 exists:%{l1r-}.%%%_.example.com -all",
        "v=spf1 redirect=_spf.%{d} exp=explain._spf.%{d}",
        "v=spf1 include:%{o} -all",
        "v=spf1 unknown.name-1_x=anything%{s}/:= -all",
        "v=spf1 ptr ptr:example.com a:1-2.3-4 -all",
    ],
)
def test_records_of_the_grammar(record: str) -> None:
    assert is_spf(record)
    assert issues(record) == []


@pytest.mark.parametrize(
    ("term", "code"),
    [
        ("all:foo", "SPF_SYNTAX_ERROR"),
        ("-all.", "SPF_SYNTAX_ERROR"),
        ("ipv4:192.0.2.1", "SPF_SYNTAX_ERROR"),
        ("+redirect=example.com", "SPF_SYNTAX_ERROR"),
        ("include", "SPF_SYNTAX_ERROR"),
        ("include:", "SPF_SYNTAX_ERROR"),
        ("a:museum", "SPF_SYNTAX_ERROR"),
        ("a:example.-com", "SPF_SYNTAX_ERROR"),
        ("redirect=", "SPF_SYNTAX_ERROR"),
        ("ip4", "SPF_SYNTAX_ERROR"),
        ("ip4:192.0.2", "SPF_SYNTAX_ERROR"),
        ("ip4:192.0.2.01", "SPF_SYNTAX_ERROR"),
        ("ip4:2001:db8::1", "SPF_SYNTAX_ERROR"),
        ("ip6:fe80::1%eth0", "SPF_SYNTAX_ERROR"),
        ("1a=b", "SPF_SYNTAX_ERROR"),
        ("a:192.0.2.1", "SPF_A_IS_IP"),
        ("include:192.0.2.1", "SPF_A_IS_IP"),
        ("ip4:192.0.2.1/33", "SPF_BAD_CIDR"),
        ("ip4:192.0.2.1/024", "SPF_BAD_CIDR"),
        ("ip4:192.0.2.1/", "SPF_BAD_CIDR"),
        ("ip6:2001:db8::/129", "SPF_BAD_CIDR"),
        ("a:example.com/33", "SPF_BAD_CIDR"),
        ("a:example.com//129", "SPF_BAD_CIDR"),
        ("a:example.com/", "SPF_BAD_CIDR"),
        ("mx/24/64", "SPF_BAD_CIDR"),
        ("include/24", "SPF_SYNTAX_ERROR"),
        ("exists:%{c}.example.com", "SPF_MACRO_INVALID"),
        ("exists:%{x}.example.com", "SPF_MACRO_INVALID"),
        ("exists:%{d0}.example.com", "SPF_MACRO_INVALID"),
        ("exists:%{d.example.com", "SPF_MACRO_INVALID"),
        ("exists:100%.example.com", "SPF_MACRO_INVALID"),
        ("anything=50%", "SPF_MACRO_INVALID"),
        ("a:ex\xe4mple.com", "SPF_NON_ASCII"),
        ("a:ex\tample.com", "SPF_NON_ASCII"),
    ],
)
def test_terms_outside_the_grammar(term: str, code: str) -> None:
    parsed = parse_spf(f"v=spf1 a {term} -all")

    assert [(issue.code, issue.term, issue.position) for issue in parsed.issues] == [(code, term, 9)]
    assert len(parsed.terms) == 2, "the terms around it are still read"


def test_the_whole_record_is_read_also_after_all() -> None:
    assert issues("v=spf1 -all ipv4:192.0.2.1") == ["SPF_SYNTAX_AFTER_ALL"]


@pytest.mark.parametrize("name", ["redirect", "exp"])
def test_known_modifiers_appear_once(name: str) -> None:
    assert issues(f"v=spf1 {name}=a.example {name.upper()}=b.example") == ["SPF_MODIFIER_REPEATED"]
    assert issues("v=spf1 other=a other=b -all") == []


@pytest.mark.parametrize("text", ["v=spf10 -all", " v=spf1 -all", "v=spf1; -all", "v=spf1\t-all", "spf1", ""])
def test_other_texts_are_not_spf(text: str) -> None:
    assert not is_spf(text)


def test_terms_carry_what_they_say() -> None:
    record = parse_spf("v=spf1 ?a:mail.example.com/24//64 ip4:192.0.2.7/24 Redirect=other.example")

    assert record.terms == (
        Directive("?a:mail.example.com/24//64", "?", "a", "mail.example.com", prefixes=(24, 64)),
        Directive("ip4:192.0.2.7/24", "+", "ip4", network=ip_network("192.0.2.0/24")),
        Modifier("Redirect=other.example", "redirect", "other.example"),
    )


def test_what_stands_after_all_is_not_reached() -> None:
    record = parse_spf("v=spf1 a -all mx redirect=other.example")

    assert [term.mechanism for term in record.reached] == ["a", "all"]


_spec = st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5}){1,3}", fullmatch=True)
_networks = st.one_of(
    st.ip_addresses(v=4).map(lambda ip: f"ip4:{ip}"), st.ip_addresses(v=6).map(lambda ip: f"ip6:{ip}")
)
_terms = st.builds(
    str.__add__,
    st.sampled_from(["", "+", "-", "~", "?"]),
    st.one_of(
        st.sampled_from(["all", "a", "mx", "ptr", "a/24", "mx//64"]),
        st.builds("{}:{}".format, st.sampled_from(["a", "mx", "include", "exists", "ptr"]), _spec),
        _networks,
    ),
)


@given(st.lists(_terms, max_size=12))
def test_every_record_made_of_the_grammar_is_read_back(terms: list[str]) -> None:
    record = parse_spf(" ".join(["v=spf1", *terms]))

    assert record.issues == ()
    assert [term.text for term in record.terms] == terms


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_no_text_crashes_the_parser_and_nothing_is_lost(text: str) -> None:
    record = parse_spf(f"v=spf1 {text}")

    read = [term.text for term in record.terms] + [issue.term for issue in record.issues]
    if len(record.issues) < 10:
        assert sorted(read) == sorted(text.split(" ")) if "" not in text.split(" ") else len(read) <= len(text)
    for term in record.terms:
        if isinstance(term, Directive) and term.target:
            expand_name(term.target, dict.fromkeys("slodiphv", "x.\xe4"))


@pytest.mark.parametrize("hostile", ["a:" + "." + "a" * 60_000 + "!", "a" + "/1" * 30_000, "exists:%{d" + "9" * 60_000])
@pytest.mark.timeout(5)
def test_a_record_of_64_kilobytes_takes_no_time(hostile: str) -> None:
    assert len(issues(f"v=spf1 {hostile}")) == 1
