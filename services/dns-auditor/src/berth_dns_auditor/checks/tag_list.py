"""The tag=value lists that DKIM keys and DMARC policies are written in (RFC 6376 §3.2). Pure: text in, tags out."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

__all__ = ["Fault", "Tag", "TagList", "parse_tags"]

#: More tags than this are not read: no list of either kind comes near.
TAGS_MAX: Final = 100

_VALUE: Final = re.compile(r"[\t\r\n -~]*")
_TAG: Final = re.compile(r"[ \t\r\n]*([A-Za-z][A-Za-z0-9_]*)[ \t\r\n]*=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag; white space around the name and the value is gone."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a record: a finding's code, and the tag or value that was seen."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class TagList:
    """A list as it was read. `broken` holds the parts that are not tag=value, or whose value has other characters."""

    tags: tuple[Tag, ...]
    broken: tuple[str, ...]

    def get(self, name: str) -> str | None:
        """The value of a tag; of the first one if it is repeated."""
        return next((tag.value for tag in self.tags if tag.name == name), None)

    @property
    def duplicates(self) -> tuple[str, ...]:
        """The names that appear more than once, which makes the whole list invalid (§3.2)."""
        return tuple(name for name, count in Counter(tag.name for tag in self.tags).items() if count > 1)


def parse_tags(text: str, *, fold_names: bool = False) -> TagList:
    """Read a list of tag=value separated by semicolons. Never raises: what is wrong is in `broken`.

    Args:
        text: The record, one character per byte.
        fold_names: Whether names are compared without regard to case, as in DMARC but not in DKIM.
    """
    tags: list[Tag] = []
    broken: list[str] = []
    parts = text.split(";", TAGS_MAX)[:TAGS_MAX]
    if not parts[-1].strip(" \t\r\n"):
        parts.pop()
    for part in parts:
        match = _TAG.fullmatch(part)
        value = match.group(2).strip(" \t\r\n") if match else ""
        if match is None or _VALUE.fullmatch(value) is None:
            broken.append(part.strip(" \t\r\n"))
            continue
        name = match.group(1).lower() if fold_names else match.group(1)
        tags.append(Tag(name, value))
    return TagList(tuple(tags), tuple(broken))
