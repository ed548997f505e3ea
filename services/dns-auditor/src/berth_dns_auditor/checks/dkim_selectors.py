"""Which selectors are worth asking for: those of the domain's mail providers first, then those in common use.

A selector that providers choose at random or by date cannot be guessed, so to find none proves nothing.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["candidates"]


@dataclass(frozen=True, slots=True)
class _Provider:
    marks: tuple[str, ...]
    selectors: tuple[str, ...]


@cache
def _providers() -> tuple[_Provider, ...]:
    text = files("berth_dns_auditor").joinpath("selectors.csv").read_text("utf-8")
    return tuple(
        _Provider(tuple(row["marks"].split()), tuple(row["selectors"].split()))
        for row in csv.DictReader(text.splitlines())
    )


def candidates(hosts: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The selectors of the domain's mail providers, and those in common use besides; each once.

    Args:
        hosts: The names that the domain's MX records and SPF includes point to.
    """
    names = tuple(hosts)
    likely = dict.fromkeys(
        selector
        for provider in _providers()
        if any(name == mark or name.endswith(f".{mark}") for name in names for mark in provider.marks)
        for selector in provider.selectors
    )
    common = (selector for provider in _providers() if not provider.marks for selector in provider.selectors)
    return tuple(likely), tuple(selector for selector in dict.fromkeys(common) if selector not in likely)
