"""Secrets are taken out of everything that is kept, also where a server echoes them.

A secret is looked for as it is, as IMAP and SMTP carry it (quoted, base64, inside a SASL response), percent-encoded, escaped
for JSON and HTML, and with its white space collapsed, always without regard to case.
"""

import base64
import html
import json
import re
import string
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["MARK", "Redactor"]

MARK: Final = "***"
_BASE64: Final = frozenset(string.ascii_letters + string.digits + "+/-_=")
#: Of base64 only runs this long are looked for: shorter ones occur by chance in any word.
_SHORTEST_RUN: Final = 4


class Redactor:
    """Replaces secrets by a mark.

    Args:
        secrets: passwords and tokens; empty ones are left out.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = [secret for secret in secrets if secret.strip()]
        self._plain = _any_of(form for secret in known for form in _forms(secret))
        self._base64 = _any_of(run for secret in known for run in _base64_runs(secret))

    def __repr__(self) -> str:
        return "Redactor(***)"

    def __call__(self, text: str) -> str:
        """The text without the secrets. Of base64 that holds one, the whole run goes."""
        spans = [found.span() for found in self._plain.finditer(text)]
        spans += [_whole_run(text, *found.span()) for found in self._base64.finditer(text)]
        kept, end = [], 0
        for start, stop in sorted(spans):
            if start >= end:
                kept += [text[end:start], MARK]
            end = max(end, stop)
        return "".join([*kept, text[end:]])


def _any_of(forms: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted({form for form in forms if form.strip()}, key=lambda form: (-len(form), form))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE)


def _whole_run(text: str, start: int, stop: int) -> tuple[int, int]:
    while start > 0 and text[start - 1] in _BASE64:
        start -= 1
    while stop < len(text) and text[stop] in _BASE64:
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
