"""RFC 7208 §7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_dns_auditor.checks.spf_macros import (
    BadMacro,
    check_macros,
    client_macros,
    expand,
    expand_name,
    letters_of,
)

#: The message of §7.4.
EXAMPLE = {
    "s": "strong-bad@email.example.com",
    "l": "strong-bad",
    "o": "email.example.com",
    "d": "email.example.com",
    **client_macros("192.0.2.3", 4, "192.0.2.3"),
}
SIX = "2001:db8::cb01"
SIX_EXPLODED = "2001:0db8:0000:0000:0000:0000:0000:cb01"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
    ],
)
def test_the_examples_of_the_standard(spec: str, name: str) -> None:
    check_macros(spec)

    assert expand_name(spec, EXAMPLE) == name


def test_each_nibble_of_an_ipv6_address_is_a_label() -> None:
    nibbles = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"

    assert expand_name("%{ir}.%{v}._spf", client_macros(SIX, 6, SIX_EXPLODED)) == f"{nibbles}.ip6._spf"
    assert expand("%{c}", client_macros(SIX, 6, SIX_EXPLODED)) == SIX


def test_a_capital_letter_escapes_for_urls() -> None:
    assert expand("%{S}", {"s": "jack&jill=up@example.com"}) == "jack%26jill%3Dup%40example.com"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("_spf.%{d}", "_spf.sub.example.com"),
        ("%{d2}", "example.com"),
        ("%{dr}", "com.example.sub"),
        ("%{d1r}", "sub"),
        ("%{d99}", "sub.example.com"),
        ("%{o}", "sender.example"),
        ("a%%b%-.%{D}", "a%b%20.sub.example.com"),
        ("example.ORG.", "example.org"),
        ("%{i}.example.org", None),
        ("%{l}.%{d}", None),
    ],
)
def test_macros_that_do_not_depend_on_the_message_are_expanded(spec: str, name: str | None) -> None:
    assert expand_name(spec, {"d": "sub.example.com", "o": "sender.example"}) == name


def test_a_name_that_is_too_long_loses_labels_from_the_left() -> None:
    name = expand_name("%{d}." * 30 + "example.org", {"d": "sub.example.com"})

    assert name is not None
    assert len(name) <= 253
    assert name.endswith(".sub.example.com.example.org")


def test_only_explanations_use_every_letter() -> None:
    for letter in "crtCRT":
        with pytest.raises(BadMacro):
            check_macros(f"%{{{letter}}}")
        assert check_macros(f"%{{{letter}}}", explanation=True) == 4


_letters = st.sampled_from("slodiphvSLODIPHV")
_macros = st.builds(
    "%{{{}{}{}{}}}".format,
    _letters,
    st.sampled_from(["", "1", "9", "128"]),
    st.sampled_from(["", "r", "R"]),
    st.text("".join(".-+,/_="), max_size=3),
)


@given(st.lists(st.one_of(_macros, st.sampled_from(["%%", "%_", "%-", "a", "."])), max_size=10))
def test_every_text_made_of_the_grammar_is_expanded(parts: list[str]) -> None:
    text = "".join(parts)
    check_macros(text)

    assert expand(text, dict.fromkeys("slodiphv", "x.y-z")) is not None
    assert (expand(text, {}) is None) == bool(letters_of(text))


@given(st.text("%{}slodcr0123456789.-_", max_size=30))
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        check_macros(text)
    except BadMacro:
        return
    assert expand(text, dict.fromkeys("slodiphv", "x.\u20ac")) is not None
