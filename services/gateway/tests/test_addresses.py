"""Email addresses, servers and cursors as callers write them."""

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_gateway.accounts.addresses import InvalidAddress, MailAddress
from berth_gateway.accounts.servers import NamedServer, ServerVetting, default_security
from berth_gateway.api.paths import decode_cursor, encode_cursor
from berth_gateway.errors import InvalidCursor
from berth_gateway.fingerprints import Fingerprints
from berth_net import Address, HostGuard, Policy


@pytest.mark.parametrize(
    ("text", "domain", "key"),
    [
        ("alice@acme.com", "acme.com", "alice@acme.com"),
        ("  Alice.O'Hara+tag@ACME.com ", "acme.com", "alice.o'hara+tag@acme.com"),
        ("grün@bücher.example", "xn--bcher-kva.example", "grün@xn--bcher-kva.example"),
        ("a@acme.com.", "acme.com", "a@acme.com"),
        ("Jose\u0301@acme.com", "acme.com", "jos\u00e9@acme.com"),
    ],
)
def test_addresses(text: str, domain: str, key: str) -> None:
    address = MailAddress.parse(text)
    assert (address.domain, address.key) == (domain, key)
    assert address.text == normalize("NFC", text.strip().removesuffix("."))


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "a", "a@", "@acme.com", "a b@acme.com", "a@b", "a@10.0.0.1", "a@[10.0.0.1]", "a@b@acme.com", ".a@acme.com",
        "a.@acme.com", "a..b@acme.com", "a@a..com", "a@-acme.com", '"a b"@acme.com', "a@acme.com\nBcc: x@y.com", "a\0@acme.com",
        "x" * 65 + "@acme.com", "a@" + "x" * 64 + ".com", "a\u2028b@acme.com", "<a@acme.com>",
        "a\u200bb@acme.com", "a\u202e@acme.com", "a@acme.com\ufeff",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidAddress):
        MailAddress.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no @"),
        ("alice", "no @"),
        ("@acme.com", "before the @ is missing"),
        ("alice@", "behind the @ is missing"),
        ("a@b@acme.com", "more than one @"),
        ('"a b"@acme.com', "in quotes"),
        ('"a@b"@acme.com', "in quotes"),
        ("a b@acme.com", "characters"),
        ("ü" * 33 + "@acme.com", "longer than 64 bytes"),
        (".a@acme.com", "dot"),
        ("a..b@acme.com", "dot"),
        ("alice@[10.0.0.1]", "not a domain name"),
        ("alice@acme", "not a full domain name"),
        ("alice@" + "a" * 64 + ".com", "not a domain name"),
        ("a@" + "a." * 125 + "com", "longer than 254 bytes"),
        ("x" * 64 + "@" + "a." * 93 + "com", None),
        ("x" * 64 + "@" + "a." * 94 + "com", "longer than 254 bytes"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str | None) -> None:
    if message is None:
        assert MailAddress.parse(text).text == text
        return
    with pytest.raises(InvalidAddress, match=message):
        MailAddress.parse(text)


@given(st.text(max_size=80) | st.from_regex(r"[^@]{0,10}@[a-z0-9.\-é]{0,20}", fullmatch=True))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = MailAddress.parse(text)
    except InvalidAddress:
        return
    again = MailAddress.parse(address.text)
    assert again == address
    assert MailAddress.parse(address.key).key == address.key, "the key is an address with the same key"
    assert not any(char.isspace() or ord(char) < 32 for char in address.text)
    assert address.domain.isascii()


@pytest.mark.parametrize(
    ("port", "security"),
    [(993, "tls"), (465, "tls"), (143, "starttls"), (587, "starttls"), (2525, "starttls"), (20993, "auto")],
)
def test_default_security(port: int, security: str) -> None:
    assert default_security(port) == security


async def test_provider_hosts_are_not_looked_up() -> None:
    class Nobody:
        async def addresses(self, host: str) -> tuple[Address, ...]:
            raise AssertionError(host)

    vetting = ServerVetting(HostGuard(Nobody(), Policy()))
    server = NamedServer(
        host="imap.gmail.com", port=993, security="tls", username="a", host_field="imap.host", port_field="imap.port"
    )
    vetted, faults = await vetting.vet([server])
    assert ([each.host for each in vetted], faults) == (["imap.gmail.com"], [])


@given(st.integers(0, 2**63 - 1))
def test_cursors_come_back(position: int) -> None:
    assert decode_cursor("e", encode_cursor("e", position)) == position


@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        position = decode_cursor("e", text)
    except InvalidCursor:
        return
    assert 0 <= position < 2**63


def test_fingerprints() -> None:
    one, other = Fingerprints(b"k" * 16), Fingerprints(b"o" * 16)
    assert one.of({"a": 1, "b": "ä"}) == one.of({"b": "ä", "a": 1})
    assert one.of({"a": 1}) != one.of({"a": "1"})
    assert one.of({"a": 1}) != other.of({"a": 1})
