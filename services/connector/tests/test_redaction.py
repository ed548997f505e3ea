"""No secret survives, in whatever form a server sends it back."""

import base64
import html
import json
import quopri
import re
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from berth_connector.redaction import MARK, Redactor

SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=6, max_size=40).filter(
    lambda text: len(text.strip(" *")) > 5
)
NOISE = st.text(st.characters(codec="utf-8"), max_size=20)


def quoted(secret: str) -> str:
    return '"' + secret.replace("\\", "\\\\").replace('"', '\\"') + '"'


def every(template: str) -> Callable[[str], str]:
    """Each byte of the secret in a form of its own."""
    return lambda secret: "".join(template.format(byte) for byte in secret.encode())


def every_character(template: str) -> Callable[[str], str]:
    return lambda secret: "".join(template.format(ord(one)) for one in secret)


def every_utf16_unit(secret: str) -> str:
    return "".join(f"\\u{unit}" for unit in re.findall("....", secret.encode("utf-16-be").hex()))


def twice_base64(secret: str) -> str:
    return base64.b64encode(base64.b64encode(b"\0me@example.com\0" + secret.encode())).decode()


ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "quoted": quoted,
    "upper case": lambda secret: secret.upper() if secret.upper().lower() == secret.lower() else secret,
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
    "sasl plain": lambda secret: base64.b64encode(b"\0me@example.com\0" + secret.encode()).decode(),
    "sasl plain with identity": lambda secret: base64.b64encode(b"me\0me\0" + secret.encode()).decode(),
    "xoauth2": lambda secret: base64.b64encode(f"user=me\1auth=Bearer {secret}\1\1".encode()).decode(),
    "percent-encoded": lambda secret: urllib.parse.quote(secret, safe=""),
    "form-encoded": urllib.parse.quote_plus,
    "json": json.dumps,
    "html": html.escape,
    "latin-1": lambda secret: secret.encode("latin-1", "replace").decode("utf-8", "replace"),
    "hex": lambda secret: secret.encode().hex(),
    "hex in upper case": lambda secret: secret.encode().hex().upper(),
    "hex with colons": lambda secret: secret.encode().hex(":"),
    "hex with spaces": lambda secret: secret.encode().hex(" "),
    "hex of C": every("\\x{:02x}"),
    "hex literals": lambda secret: ", ".join(f"0x{byte:02x}" for byte in secret.encode()),
    "quoted-printable of all": every("={:02X}"),
    "quoted-printable": lambda secret: quopri.encodestring(secret.encode(), quotetabs=True).decode().replace("=\n", ""),
    "percent-encoded all": every("%{:02x}"),
    "percent-encoded twice": lambda secret: urllib.parse.quote(urllib.parse.quote(secret, safe=""), safe=""),
    "all percent-encoded twice": every("%25{:02X}"),
    "decimal entities": every_character("&#{};"),
    "hexadecimal entities": every_character("&#x{:X};"),
    "repr": lambda secret: repr(secret)[1:-1],
    "repr of bytes": lambda secret: repr(secret.encode())[2:-1],
    "json of all": every_utf16_unit,
    "base64 of utf-16-le": lambda secret: base64.b64encode(secret.encode("utf-16-le")).decode(),
    "base64 of utf-16-be": lambda secret: base64.b64encode(secret.encode("utf-16-be")).decode(),
    "base64 twice": twice_base64,
    "base64, percent-encoded": lambda secret: urllib.parse.quote(base64.b64encode(secret.encode()).decode(), safe=""),
    "base32": lambda secret: base64.b32encode(secret.encode()).decode(),
    "base32 within": lambda secret: base64.b32encode(b"me:" + secret.encode() + b"!").decode(),
    "collapsed": lambda secret: " ".join(secret.split()),
}


@pytest.mark.parametrize("form", ECHOES)
@given(secret=SECRETS, before=NOISE, after=NOISE)
def test_an_echoed_secret_is_gone(form: str, secret: str, before: str, after: str) -> None:
    echo = ECHOES[form](secret)
    assume(len(echo.strip(' *"')) > 5)
    redacted = Redactor([secret])(f"{before} {echo} {after}")
    assert MARK in redacted
    assert echo.strip('"') not in redacted
    assert secret not in redacted


@given(secret=SECRETS, before=st.binary(max_size=30), after=st.binary(max_size=30))
def test_base64_around_a_secret_goes_as_a_whole(secret: str, before: bytes, after: bytes) -> None:
    assume(secret.lower() not in "535 refused")
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    assert Redactor([secret])(f"535 {encoded} refused") == f"535 {MARK} refused"


@pytest.mark.parametrize(
    "form", ["base64", "base64 twice", "base64 of utf-16-le", "hex", "percent-encoded all", "base32"]
)
@given(secret=SECRETS, before=st.text("abcXYZ019+/-_ \n", max_size=9), after=st.text("abcXYZ019+/-_ \n", max_size=9))
def test_an_echo_is_gone_whatever_stands_right_beside_it(form: str, secret: str, before: str, after: str) -> None:
    echo = ECHOES[form](secret)
    assume(form not in {"base32", "hex"} or not {before[-1:], after[:1]} & set("abcXYZ019"))
    assert echo not in Redactor([secret])(before + echo + after)


@pytest.mark.parametrize(
    "form", ["as it is", "hex", "base64", "sasl plain", "percent-encoded all", "quoted-printable of all"]
)
@given(secret=st.text("abcdefghijklmnopqrstuvwxyzABCDEFG0123456789", min_size=16, max_size=60), data=st.data())
def test_of_a_long_secret_half_is_gone_too(form: str, secret: str, data: st.DataObject) -> None:
    half = data.draw(st.integers((len(secret) + 1) // 2, len(secret)))
    for cut in (secret[:half], secret[-half:]):
        redacted = Redactor([secret])(f"535 no {ECHOES[form](cut)} here")
        assert MARK in redacted
        assert ECHOES[form](cut) not in redacted
        assert cut not in redacted


@pytest.mark.parametrize(
    "line_break",
    ["\n", "\r\n", "=\r\n", "\n535 5.7.8 ", "\n535-", "\nS: 535 5.7.8 ", "\nS: * BAD ", "\nS: A3 NO [ALERT] "],
)
@given(secret=st.text("bdfhjkmp!?%&=4679", min_size=6, max_size=40), data=st.data())
def test_a_secret_over_two_lines_is_gone_and_the_lines_stay(line_break: str, secret: str, data: st.DataObject) -> None:
    assume(line_break[0] != "=" or "=" not in secret)  # it would have been escaped
    at = data.draw(st.integers(1, len(secret) - 1))
    text = f"S: 535-5.7.8 no: {secret[:at]}{line_break}{secret[at:]} here"
    kept = line_break.removeprefix("=").rstrip(" ")
    redacted = Redactor([secret])(text)
    assert redacted.replace("=\r", "\r").startswith(f"S: 535-5.7.8 no: {MARK}{kept}")
    assert redacted.endswith(f"{MARK} here")


@pytest.mark.parametrize("secret", ["path", "wore", "hunter2", "Secret-Login-Failed", "correct horse battery staple"])
def test_words_of_a_secret_may_be_said(secret: str) -> None:
    words = (
        "S: 535-5.7.8 Bad login: the user's word is not correct\nS: * LIST (\\HasNoChildren) p=40% AUTH=PLAIN a horse"
    )
    assert Redactor([secret]).finds_nothing(words)
    assert Redactor([secret])(words) == words


@given(text=st.text(st.characters(codec="utf-8"), max_size=200))
def test_other_text_is_left_alone(text: str) -> None:
    assume("horse" not in text.lower())
    assert Redactor(["correct horse battery staple"])(text) == text


def test_secrets_of_several_accounts_are_all_removed() -> None:
    redactor = Redactor(["hunter2", "", "hunter22", " "])
    assert redactor("got hunter22, then hunter2") == f"got {MARK}, then {MARK}"
    assert "hunter" not in repr(redactor)


def test_without_secrets_nothing_changes() -> None:
    assert Redactor([])("A1 OK done") == "A1 OK done"


def test_a_long_line_without_a_secret_costs_little() -> None:
    for long in ("A" * 200_000, "%41" * 70_000, "QUFB " * 40_000, "pass-wor" * 25_000, "pass\nword" * 20_000):
        assert Redactor(["pass-word"])(long) == long
