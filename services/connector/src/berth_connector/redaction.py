"""Secrets are taken out of everything that is kept, also where a server echoes them.

A secret is looked for as it is, as IMAP and SMTP carry it (quoted, base64, inside a SASL response), percent-encoded, escaped
for JSON and HTML, and with its white space collapsed, always without regard to case. An access token is looked for by how it
begins, so that a server that cuts it does not give away a part of it.
"""

import base64
import html
import json
import re
import string
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

__all__ = ["MARK", "Redactor"]

MARK: Final = "***"
_RUN: Final = frozenset(string.ascii_letters + string.digits + "+/-_=.~")
#: Of base64 only runs this long are looked for: shorter ones occur by chance in any word.
_SHORTEST_RUN: Final = 4
#: An access token or an assertion: no password is like that.
_TOKEN: Final = re.compile(r"[A-Za-z0-9+/=._~-]{120,}")
_TOKEN_BEGINNING: Final = 24
_NOTHING: Final = re.compile(r"(?!)")


class Redactor:
    """Replaces secrets by a mark. What is looked for is worked out when the first text comes.

    Args:
        secrets: passwords and tokens; empty ones are left out.
    """

    __slots__ = ("_search", "_secrets")

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(dict.fromkeys(secret for secret in secrets if secret.strip()))
        self._search: _Search | None = None

    def __repr__(self) -> str:
        return "Redactor(***)"

    def __call__(self, text: str) -> str:
        """The text without the secrets. Of base64 that holds one, the whole run goes."""
        return text if self.finds_nothing(text) else self._searching().redacted(text)

    def finds_nothing(self, text: str) -> bool:
        """Whether it is plain that no secret is in the text. Mostly there is none, and then no pattern has to be compiled."""
        return self._searching().finds_nothing(text)

    def _searching(self) -> "_Search":
        if self._search is None:
            self._search = _Search(self._secrets)
        return self._search


class _Search:
    """What the secrets look like, wherever they are."""

    def __init__(self, known: Sequence[str]) -> None:
        tokens = [secret for secret in known if _TOKEN.fullmatch(secret)]
        begun = [token[:_TOKEN_BEGINNING] for token in tokens]
        others = [secret for secret in known if secret not in tokens]
        self._forms = _distinct(form for secret in others for form in _forms(secret))
        self._encoded = _distinct([*begun, *(run for secret in [*others, *begun] for run in _base64_runs(secret))])
        self._tokens = _TOKEN if tokens else _NOTHING
        marks = [*self._forms, *self._encoded]
        self._marks = {mark.lower() for mark in marks} if not tokens and all(map(str.isascii, marks)) else None

    def redacted(self, text: str) -> str:
        """The text without them."""
        spans = [found.span() for pattern in (self._plain, self._tokens) for found in pattern.finditer(text)]
        spans += [_whole_run(text, *found.span()) for found in self._runs.finditer(text)]
        kept, end = [], 0
        for start, stop in sorted(spans):
            if start >= end:
                kept += [text[end:start], MARK]
            end = max(end, stop)
        return "".join([*kept, text[end:]])

    def finds_nothing(self, text: str) -> bool:
        """See `Redactor.finds_nothing`."""
        if self._marks is None or not text.isascii():
            return False
        lower = text.lower()
        for mark in self._marks:  # noqa: SIM110 - half the time of any()
            if mark in lower:
                return False
        return True

    @cached_property
    def _plain(self) -> re.Pattern[str]:
        return _any_of(self._forms)

    @cached_property
    def _runs(self) -> re.Pattern[str]:
        return _any_of(self._encoded)


def _distinct(forms: Iterable[str]) -> list[str]:
    """The longest first."""
    return sorted({form for form in forms if form.strip()}, key=lambda form: (-len(form), form))


def _any_of(forms: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, forms)), re.IGNORECASE) if forms else _NOTHING


def _whole_run(text: str, start: int, stop: int) -> tuple[int, int]:
    while start > 0 and text[start - 1] in _RUN:
        start -= 1
    while stop < len(text) and text[stop] in _RUN:
        stop += 1
    return start, stop


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield " ".join(secret.split())
    yield secret.replace("\\", "\\\\").replace('"', '\\"')
    for ascii_only in (True, False):
        yield json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
    yield html.escape(secret)
    for safe in ("/", ""):
        yield urllib.parse.quote(secret, safe=safe, errors="replace")
        yield urllib.parse.quote_plus(secret, safe=safe, errors="replace")
    yield secret.encode("latin-1", "replace").decode("utf-8", "replace")  # a Latin-1 echo, read as UTF-8


def _base64_runs(secret: str) -> Iterator[str]:
    """What the base64 of something that holds the secret looks like, for each of three offsets of it."""
    raw = secret.encode("utf-8", "replace")
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).decode()
        # the characters at either end hold bits of the neighbours too
        run = encoded[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        if len(run) >= _SHORTEST_RUN:
            yield run
            yield run.translate(str.maketrans("+/", "-_"))
