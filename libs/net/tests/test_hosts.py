"""Which texts are host names, and what their canonical form is."""

import re
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_net.hosts import HostRefused, canonical_name, is_private_name, literal_address

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
TOP = st.from_regex(r"[a-z]{2,12}", fullmatch=True)

ODD_SPELLINGS_OF_ADDRESSES = [
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "0177.0.0.1",
    "017700000001",
    "0",
    "00.0.0.0",
    "127.0.0.0x1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127.0.0.1",
    "127.0.0.1\0.example.com",
    "127.0.0.1%00.example.com",
    "[::1]",
    "::1",
    "::ffff:127.0.0.1",
    "127.0.0.1.",
    "256.256.256.256",
    "1.2.3.4.5",
    "example.com:143",
    "user@example.com",
    "a.b/c",
    "http://example.com",
    "exa mple.com",
    " example.com",
    "example.com\n",
    "example..com",
    ".example.com",
    "example.com..",
    "-a.example.com",
    "a-.example.com",
    "_dmarc.example.com",
    "",
    ".",
    "a" * 64 + ".com",
    "a" * 300 + ".com",
    ".".join(["abc"] * 70),
    "ex\N{ZERO WIDTH JOINER}ample.com",
    "xn--.com.1",
    "*.example.com",
    "$(id).example.com",
    "\N{FULLWIDTH DIGIT ONE}27.1",
    "\ud800.com",
    "é" * 200 + ".com",
]


@pytest.mark.parametrize("text", ODD_SPELLINGS_OF_ADDRESSES)
def test_odd_spellings_are_no_names(text: str) -> None:
    with pytest.raises(HostRefused):
        canonical_name(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("IMAP.Example.COM", "imap.example.com"),
        ("imap.example.com.", "imap.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("straße.de", "xn--strae-oqa.de"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("1and1.com", "1and1.com"),
        ("mail.test", "mail.test"),
        ("localhost", "localhost"),
    ],
)
def test_names_have_one_form(text: str, name: str) -> None:
    assert canonical_name(text) == name


@given(st.text(max_size=300))
def test_whatever_passes_is_plain_and_canonical(text: str) -> None:
    try:
        name = canonical_name(text)
    except HostRefused:
        return
    assert re.fullmatch(r"[a-z0-9.-]{1,253}", name)
    assert canonical_name(name) == name
    with pytest.raises(OSError, match="illegal IP address string"):
        socket.inet_aton(name)  # what a system resolver would read as a number


@given(st.lists(LABEL, min_size=1, max_size=5), TOP)
def test_ordinary_names_pass_unchanged(labels: list[str], top: str) -> None:
    name = ".".join([*labels, top])
    assert canonical_name(name) == name


@given(st.lists(st.sampled_from(["0x7f", "127", "0", "1", "0177", "0x0", "300"]), min_size=1, max_size=4))
def test_numbers_never_pass(labels: list[str]) -> None:
    with pytest.raises(HostRefused):
        canonical_name(".".join(labels))


@pytest.mark.parametrize(
    "name",
    ["localhost", "dovecot", "printer.local", "db.internal", "a.localhost", "nas.lan", "nas.home.arpa",
     "1.in-addr.arpa", "mail.default.svc", "mail.default.svc.cluster.local", "local", "internal"],
)  # fmt: skip
def test_names_that_only_private_networks_know(name: str) -> None:
    assert is_private_name(name)


@pytest.mark.parametrize("name", ["mail.test", "local.example.com", "notlocal.example", "mylan.de", "svc.example"])
def test_public_names_are_not_private(name: str) -> None:
    assert not is_private_name(name)


@pytest.mark.parametrize(
    ("text", "address"), [("10.0.0.1", "10.0.0.1"), ("[::1]", "::1"), ("2001:DB8::1", "2001:db8::1")]
)
def test_literal_addresses(text: str, address: str) -> None:
    assert str(literal_address(text)) == address


@pytest.mark.parametrize("text", ["127.1", "0x7f.0.0.1", "0177.0.0.1", "[example.com]", "[]", "1.2.3.4 "])
def test_odd_spellings_are_no_literal_addresses(text: str) -> None:
    assert literal_address(text) is None
