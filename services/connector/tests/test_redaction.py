"""No secret survives, in whatever form a server sends it back."""

import base64
import html
import json
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
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    assert Redactor([secret])(f"535 {encoded} refused") == f"535 {MARK} refused"


@given(text=st.text(st.characters(codec="utf-8"), max_size=200))
def test_other_text_is_left_alone(text: str) -> None:
    assume("correct horse" not in " ".join(text.split()).lower())
    assert Redactor(["correct horse battery staple"])(text) == text


def test_secrets_of_several_accounts_are_all_removed() -> None:
    redactor = Redactor(["hunter2", "", "hunter22", " "])
    assert redactor("got hunter22, then hunter2") == f"got {MARK}, then {MARK}"
    assert "hunter" not in repr(redactor)


def test_without_secrets_nothing_changes() -> None:
    assert Redactor([])("A1 OK done") == "A1 OK done"


def test_a_long_line_without_a_secret_costs_little() -> None:
    assert Redactor(["pass-word"])("A" * 200_000) == "A" * 200_000
