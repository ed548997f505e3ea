"""Secrets are taken out of everything that is kept, also where a server echoes them.

A text is looked through as it is and as what it may stand for: its escapes undone (percent, quoted-printable, entities,
backslashes), up to three times, and its broken lines joined; in each of them also the hexadecimal digits, whatever stands
between them, what base32 decodes to, and base64. Case does not matter, but to base32. Of base64 and base32 that holds a
secret the whole run goes; of a long secret also the half that is left when a server cuts it. A digest of a secret stays.
"""

import re
import sys
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from html.entities import html5
from typing import Final, NamedTuple

__all__ = ["MARK", "Redactor"]

MARK: Final = "***"
#: Half of a secret this long is one too. Half of a shorter one may be any word.
_LONG: Final = 16
#: Shorter secrets are not looked for in decoded digits and letters: they would be found in any text by chance.
_SHORTEST_DECODED: Final = 4
#: Of base64 only runs this long are looked for: shorter ones occur by chance in any word. Of base64 of base64 there are many.
_SHORTEST_RUN: Final = 4
_SHORTEST_REENCODED: Final = 6
#: An access token or an assertion: no password is like that. All such runs go, and what begins or ends like ours.
_TOKEN: Final = re.compile(r"[A-Za-z0-9+/=._~-]{120,}")
_TOKEN_END: Final = 24
_RUN: Final = re.compile(r"[A-Za-z0-9+/=._~-]+")
#: Percent-encoded base64 in base64 is three steps away.
_DEPTH: Final = 3

_BACKSLASHED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
#: By what they begin with; each has one group.
_ESCAPES: Final = {
    "%": r"%([0-9A-Fa-f]{2})",
    "=": r"=([0-9A-F]{2})",
    "&": r"&(#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});",
    "\\": r"\\(u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}"
    r"|[0-3][0-7]{2}|[\"'/\\abfnrtv])",
}
_KINDS: Final = tuple((mark, re.compile(pattern)) for mark, pattern in _ESCAPES.items())
_ESCAPE: Final = re.compile("|".join(_ESCAPES.values()))
_SOFT_LINE_BREAK: Final = re.compile(r"=\r?\n")
#: Between two lines of a reply: what breaks them, who says it in a transcript, and the code, tag or mark of the second one.
_LINE_BREAK: Final = re.compile(
    r"\r?\n(?:[CS]: )?"
    r"(?:[2-5][0-9]{2}[ -](?:[245]\.[0-9]{1,3}\.[0-9]{1,3} )?|[*A-Z0-9]{1,8} (?:OK|NO|BAD|BYE) (?:\[[^]\n]{0,80}\] )?)?"
)

_BASE32_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE32_RUN: Final = re.compile(r"([A-Z2-7]{4,})=*")
_BASE32_CLASSES: Final = bytes(ord("a" if one in _BASE32_LETTERS else " ") for one in range(256))
#: To the digits that Python writes numbers of base 32 with.
_BASE32: Final = bytes.maketrans(_BASE32_LETTERS, b"0123456789abcdefghijklmnopqrstuv")
_HEX: Final = frozenset(b"0123456789abcdef")
_NOT_HEX: Final = bytes(set(range(256)) - _HEX)

Span = tuple[int, int]
#: What a text may stand for, and where a part of that is in the text.
View = tuple[str, Callable[[int, int], Iterable[Span]]]


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
        kept, end = [], 0
        for start, stop in sorted(self._found(text)):
            if start >= end:
                kept += [text[end:start], MARK]
            end = max(end, stop)
        return "".join([*kept, text[end:]])

    def finds_nothing(self, text: str) -> bool:
        """Whether no secret is in the text."""
        return not self._found(text)

    def _found(self, text: str) -> list[Span]:
        if self._search is None:
            self._search = _Search(self._secrets)
        return self._search.found(text)


class _Form(NamedTuple):
    """A secret as it is looked for: a text is near it if it has one of the halves."""

    whole: str
    head: str
    tail: str
    least: int

    @classmethod
    def of(cls, text: str, secret: str) -> "_Form":
        whole = _folded(text)
        half = (len(whole) + 1) // 2
        return cls(whole, whole[:half], whole[-half:], half if len(secret) >= _LONG else len(whole))

    def spans(self, folded: str) -> Iterator[Span]:
        whole, head, tail, least = self
        start = folded.find(head)
        while start >= 0:
            length = len(head)
            while folded[start + length : start + length + 1] == whole[length : length + 1] != "":
                length += 1
            if length >= least:
                yield start, start + length
            start = folded.find(head, start + (length if length >= least else 1))
        stop = folded.rfind(tail) + len(tail) if least < len(whole) and tail in folded else 0
        while stop:
            length = len(tail)
            while length < min(len(whole), stop) and folded[stop - length - 1] == whole[-length - 1]:
                length += 1
            yield stop - length, stop
            at = folded.rfind(tail, 0, stop - length)
            stop = at + len(tail) if at >= 0 else 0


class _Search:
    """What the secrets look like, wherever they are."""

    def __init__(self, known: Sequence[str]) -> None:
        tokens = [secret for secret in known if _TOKEN.fullmatch(secret)]
        ends = [end for token in tokens for end in (token[:_TOKEN_END], token[-_TOKEN_END:])]
        others = [secret for secret in known if secret not in tokens]
        self._tokens = bool(tokens)
        self._texts = tuple(_Form.of(form, secret) for secret in others for form in _written(secret))
        self._digits = tuple(
            _Form.of(secret.encode("utf-8", "replace").hex(), secret)
            for secret in (*others, *ends)
            if len(secret) >= _SHORTEST_DECODED
        )
        self._shortest_base32 = b"a" * (min((form.least for form in self._digits), default=0) * 4 // 5)
        #: Of runs that have one of these in them nothing is left.
        self._parts = (
            *map(str.lower, ends),
            *(run for secret in (*others, *ends) for part in _halves(secret) for run in _encoded_runs(part)),
        )

    def found(self, text: str) -> list[Span]:
        """Where they are."""
        return self._found(text, _DEPTH)

    def _found(self, text: str, depth: int) -> list[Span]:
        folded = _folded(text)
        spans, near = _spans(self._texts, folded)
        parts = []
        for part in self._parts:
            if part in folded:
                parts.append(part)  # noqa: PERF401 - quicker where there is none, as mostly
        if parts:
            spans += [run.span() for run in _RUN.finditer(folded) if any(part in run[0] for part in parts)]
        if self._tokens:
            spans += [run.span() for run in _TOKEN.finditer(text)]
        if self._digits:
            digits, back = _hex_digits(folded)
            for start, stop in _spans(self._digits, digits)[0]:
                spans += back(start, stop)
            spans += self._base32(text)
        if depth:
            for view, back in _meanings(text, near=near, each=depth == _DEPTH):
                for start, stop in self._found(view, depth - 1):
                    spans += back(start, stop)
        return spans

    def _base32(self, text: str) -> list[Span]:
        """The runs of base32 that hold one. First all runs are looked at together: mostly there is nothing in them."""
        raw = text.encode("ascii", "replace")
        classes, runs = raw.translate(_BASE32_CLASSES), []
        start = classes.find(self._shortest_base32)
        while start >= 0:
            stop = classes.find(b" ", start)
            runs.append(raw[start : stop if stop >= 0 else None])
            start = classes.find(self._shortest_base32, start + len(runs[-1]))
        if not runs or not _spans(self._digits, _base32_digits(b"".join(runs)))[1]:
            return []
        return [
            run.span() for run in _BASE32_RUN.finditer(text) if _spans(self._digits, _base32_digits(run[1].encode()))[0]
        ]


def _spans(forms: tuple[_Form, ...], folded: str) -> tuple[list[Span], bool]:
    """Where they are, and whether a half of one is anywhere."""
    spans: list[Span] = []
    near = False
    for form in forms:
        if form.head in folded or form.tail in folded:
            near = True
            spans += form.spans(folded)
    return spans, near


def _meanings(text: str, *, near: bool, each: bool) -> Iterator[View]:
    """The text in one piece, if that may help, and without escapes: without all of them, and without each kind."""
    if near and "\n" in text:
        for line_break in (_LINE_BREAK, _SOFT_LINE_BREAK):
            if line_break.search(text):
                yield _substituted(text, line_break, lambda _: "")
    kinds = [kind for mark, kind in _KINDS if mark in text and kind.search(text)]
    if kinds:
        yield _substituted(text, _ESCAPE, _unescaped)
    if each and len(kinds) > 1:  # what looks like an escape of the others may be the secret's own
        for kind in kinds:
            yield _substituted(text, kind, _unescaped)


def _folded(text: str) -> str:
    lower = text.lower()
    if lower.isascii() and len(lower) == len(text):
        return lower
    if len(lower) != len(text):
        lower = "".join(one if len(one.lower()) > 1 else one.lower() for one in text)
    return lower.replace("\N{GREEK SMALL LETTER FINAL SIGMA}", "\N{GREEK SMALL LETTER SIGMA}")


def _written(secret: str) -> set[str]:
    """As text, when its escapes are undone."""
    forms = {secret}
    if not secret.isascii():
        latin = secret.encode("latin-1", "replace")
        forms |= {secret.encode("utf-8", "replace").decode("latin-1"), latin.decode("latin-1")}
        forms.add(latin.decode("utf-8", "replace"))  # a Latin-1 echo, read as UTF-8
    if not secret.isalnum():
        forms |= {form.replace(" ", "+") for form in forms} | {" ".join(secret.split())}
    return forms


def _halves(secret: str) -> tuple[str, ...]:
    half = (len(secret) + 1) // 2
    return (secret[:half], secret[-half:]) if len(secret) >= _LONG else (secret,)


def _encoded_runs(secret: str) -> list[str]:
    """What base64 of something that holds the secret looks like, base64 twice and of UTF-16, too. In lower case."""
    runs = [run for run in _base64_runs(secret.encode("utf-8", "replace")) if len(run) >= _SHORTEST_RUN]
    raws = [*runs, secret.encode("utf-16-le", "replace").strip(b"\0")]
    if not secret.isascii():
        raws.append(secret.encode("utf-16-be", "replace").strip(b"\0"))
    runs += [run for raw in raws for run in _base64_runs(raw) if len(run) >= _SHORTEST_REENCODED]
    text = b" ".join(runs).decode().lower()
    if "+" in text or "/" in text:
        text += " " + text.replace("+", "-").replace("/", "_")
    return text.split()


def _base64_runs(raw: bytes) -> list[bytes]:
    """For each offset of it. The characters at either end hold bits of the neighbours too: they are left out."""
    bits = len(raw) * 8
    return [
        b2a_base64(raw)[: bits // 6],
        b2a_base64(b"\0" + raw)[2 : (bits + 8) // 6],
        b2a_base64(b"\0\0" + raw)[3 : (bits + 16) // 6],
    ]


def _unescaped(escape: re.Match[str]) -> str:
    mark, code = escape[0][0], escape[escape.lastindex or 0]
    if mark in "%=":
        return chr(int(code, 16))
    if mark == "&":
        if code[0] != "#":
            return html5.get(code + ";", escape[0])
        number = int(code[2:], 16) if code[1] in "xX" else int(code[1:])  # noqa: FURB166 - base 0 is not what is meant
        return chr(number) if number <= sys.maxunicode else escape[0]
    if len(code) == 1:
        return _BACKSLASHED.get(code, code)
    if len(code) == len(r"ud83d\ude00"):
        return chr(0x10000 + ((int(code[1:5], 16) & 0x3FF) << 10) + (int(code[7:], 16) & 0x3FF))
    number = int(code[1:], 16) if code[0] in "xuU" else int(code, 8)
    return chr(number) if number <= sys.maxunicode else escape[0]


def _substituted(text: str, pattern: re.Pattern[str], instead: Callable[[re.Match[str]], str]) -> View:
    origins: list[Span] = []

    def back(start: int, stop: int) -> Iterator[Span]:
        if not origins:
            end = 0
            for found in pattern.finditer(text):
                origins.extend((at, at + 1) for at in range(end, found.start()))
                origins.extend([found.span()] * len(instead(found)))
                end = found.end()
            origins.extend((at, at + 1) for at in range(end, len(text)))
        begin, end = origins[start]
        for origin in origins[start:stop]:
            if origin[0] > end:  # what was left out in between is kept
                yield begin, end
                begin = origin[0]
            end = origin[1]
        yield begin, end

    return pattern.sub(instead, text), back


def _base32_digits(run: bytes) -> str:
    """The hexadecimal digits of what it decodes to, from each of four bits on."""
    number = int(run.translate(_BASE32), 32)
    return " ".join([f"00{number << shift:x}" for shift in range(4)])


def _hex_digits(folded: str) -> View:
    """The hexadecimal digits of the text, whatever stands between them."""
    raw = folded.encode("ascii", "replace").replace(b"0x", b"  ")
    places: list[int] = []

    def back(start: int, stop: int) -> Iterator[Span]:
        if not places:
            places.extend(at for at, one in enumerate(raw) if one in _HEX)
        yield places[start], places[stop - 1] + 1

    return raw.translate(None, _NOT_HEX).decode(), back
