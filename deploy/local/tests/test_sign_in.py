"""Who signs in is read as the client meant it, whatever characters name and password are made of."""

import asyncio
import base64
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from berth_local.sandbox.providers.sign_in import SignIn, imap_sign_in, smtp_sign_in

#: What a client can send: a line has an end, and PLAIN has NUL between its parts.
WORDS = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
QUOTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60)


def read(lines: Sequence[str], *, imap: bool) -> tuple[SignIn | None, list[bytes]]:
    """The sign-in, and what the client was asked."""
    asked: list[bytes] = []
    rest = [line.encode() for line in lines]

    async def ask(prompt: bytes) -> bytes:
        asked.append(prompt)
        return rest.pop(0)

    first = rest.pop(0)
    found = asyncio.run(imap_sign_in(first, ask) if imap else smtp_sign_in(first, ask))
    assert not rest
    return found, asked


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@given(user=WORDS, password=WORDS)
def test_plain(user: str, password: str) -> None:
    response = encoded(f"\0{user}\0{password}")
    expected = SignIn(user, password, by_token=False)
    assert read([f"a AUTHENTICATE PLAIN {response}"], imap=True) == (expected, [])
    assert read(["a authenticate plain", response], imap=True) == (expected, [b"+ \r\n"])
    assert read([f"AUTH PLAIN {response}"], imap=False) == (expected, [])
    assert read(["auth plain", response], imap=False) == (expected, [b"334 \r\n"])


@given(user=QUOTABLE, password=QUOTABLE)
def test_login_with_quoted_strings(user: str, password: str) -> None:
    line = f"a LOGIN {quoted(user)} {quoted(password)}"
    assert read([line], imap=True) == (SignIn(user, password, by_token=False), [])


@given(user=WORDS, password=WORDS)
def test_login_with_literals(user: str, password: str) -> None:
    first, second = f"{{{len(user.encode())}}}", f"{{{len(password.encode())}+}}"
    lines = [f"a LOGIN {first}", f"{user} {second}", password]
    assert read(lines, imap=True) == (SignIn(user, password, by_token=False), [b"+ \r\n", b""])


@given(user=WORDS, password=WORDS)
def test_login_of_smtp(user: str, password: str) -> None:
    expected = SignIn(user, password, by_token=False)
    assert read(["AUTH LOGIN", encoded(user), encoded(password)], imap=False)[0] == expected
    assert read([f"AUTH LOGIN {encoded(user)}", encoded(password)], imap=False)[0] == expected


def test_tokens() -> None:
    expected = SignIn("ada@acme.test", "ya29.a-b_c", by_token=True)
    xoauth2 = encoded("user=ada@acme.test\1auth=Bearer ya29.a-b_c\1\1")
    bearer = encoded("n,a=ada@acme.test,\1host=imap.acme.test\1port=993\1auth=Bearer ya29.a-b_c\1\1")
    assert read([f"a AUTHENTICATE XOAUTH2 {xoauth2}"], imap=True)[0] == expected
    assert read(["AUTH OAUTHBEARER", bearer], imap=False)[0] == expected
    assert "ya29" not in repr(expected)


def test_nonsense_is_nobody() -> None:
    assert read(["a AUTHENTICATE PLAIN ???"], imap=True)[0] == SignIn("", "", by_token=False)
    assert read(["a LOGIN ada"], imap=True)[0] == SignIn("ada", "", by_token=False)
    assert read(["a NOOP"], imap=True)[0] is None
    assert read(["NOOP"], imap=False)[0] is None
