"""The macros of SPF (RFC 7208 §7): what stands for the client and the message in names and explanations. Pure."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

__all__ = ["BadMacro", "check_macros", "client_macros", "expand", "expand_name", "letters_of"]

_MACRO: Final = re.compile(r"%\{([A-Za-z])([0-9]*)(r?)([.+,/_=-]*)\}|%[%_-]", re.IGNORECASE)
_PLAIN: Final[Mapping[str, str]] = {"%%": "%", "%_": " ", "%-": "%20"}
_LETTERS: Final = frozenset("slodiphv")
_EXPLANATION_LETTERS: Final = frozenset("crt")
NAME_MAX: Final = 253


class BadMacro(ValueError):
    """A macro is not in the grammar. Correct or remove it."""


def check_macros(text: str, *, explanation: bool = False) -> int:
    """Check every macro; returns where the last one ends (0: there is none).

    Args:
        text: A domain-spec, the value of a modifier, or an explanation.
        explanation: Whether it is the text that an exp modifier leads to, which alone may use c, r and t (§7.2).

    Raises:
        BadMacro: a percent sign begins nothing known, or a letter or a count is not allowed.
    """
    end = position = 0
    while (position := text.find("%", position)) >= 0:
        match = _MACRO.match(text, position)
        if match is None:
            raise BadMacro(f"{text[position : position + 12]} is not a macro")
        letter, digits = match.group(1), match.group(2)
        if letter and letter.lower() in _EXPLANATION_LETTERS and not explanation:
            raise BadMacro(f"the letter {letter} is for explanations only")
        if letter and letter.lower() not in _LETTERS | _EXPLANATION_LETTERS:
            raise BadMacro(f"{letter} is not a macro letter")
        if digits and not digits.strip("0"):
            raise BadMacro("a count of 0 labels")
        end = position = match.end()
    return end


def letters_of(text: str) -> frozenset[str]:
    """The macro letters in a checked text, in lower case."""
    if "%" not in text:
        return frozenset()
    return frozenset(match.group(1).lower() for match in _MACRO.finditer(text) if match.group(1))


def client_macros(address: str, version: int, exploded: str) -> dict[str, str]:
    """The macros c, i and v of a client (§7.2, §7.3).

    Args:
        address: Its address in the usual short form.
        version: 4 or 6.
        exploded: The same in full; of IPv6 each nibble becomes a label.
    """
    labels = address if version == 4 else ".".join(exploded.upper().replace(":", ""))  # noqa: PLR2004 - IPv4
    return {"c": address, "i": labels, "v": "in-addr" if version == 4 else "ip6"}  # noqa: PLR2004


def expand(text: str, values: Mapping[str, str]) -> str | None:
    """Put the values in place of the macros of a checked text; None when one of them has no value.

    Args:
        text: As `check_macros` took it.
        values: The value of each lower-case letter.
    """
    if "%" not in text:
        return text
    if not letters_of(text) <= values.keys():
        return None
    return _MACRO.sub(lambda match: _value(match, values), text)


def expand_name(spec: str, values: Mapping[str, str]) -> str | None:
    """The name that a domain-spec stands for, or None when a macro in it has no value.

    A name that is too long loses labels from the left (§7.3).
    """
    name = expand(spec, values)
    if name is None:
        return None
    name = name.lower().removesuffix(".")
    return name if len(name) <= NAME_MAX else name[-(NAME_MAX + 1) :].partition(".")[2] or name


def _value(match: re.Match[str], values: Mapping[str, str]) -> str:
    letter, digits, reverse, delimiters = match.groups()
    if letter is None:
        return _PLAIN[match.group()]
    value = values[letter.lower()]
    if digits or reverse or delimiters:
        parts = re.split(f"[{re.escape(delimiters or '.')}]", value)
        if reverse:
            parts.reverse()
        # No name has a thousand labels, and a longer run of digits would not even be an int.
        value = ".".join(parts[-int(digits.lstrip("0")[:4]) :] if digits else parts)
    return quote(value, safe="", encoding="latin-1", errors="replace") if letter.isupper() else value
