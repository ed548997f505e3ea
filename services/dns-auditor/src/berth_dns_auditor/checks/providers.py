"""What is known of mail providers: by which DNS names one tells them, their DKIM selectors, their SPF record.

A selector that providers choose at random or by date cannot be guessed, so to find none proves nothing.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["candidates", "spf_of"]


@dataclass(frozen=True, slots=True)
class _Provider:
    marks: tuple[str, ...]
    selectors: tuple[str, ...]
    spf: str

    def has(self, name: str) -> bool:
        """Whether a name is one of the provider's."""
        return any(name == mark or name.endswith(f".{mark}") for mark in self.marks)


@cache
def _providers() -> tuple[_Provider, ...]:
    text = files("berth_dns_auditor").joinpath("providers.csv").read_text("utf-8")
    return tuple(
        _Provider(tuple(row["marks"].split()), tuple(row["selectors"].split()), row["spf"])
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
        if any(provider.has(name) for name in names)
        for selector in provider.selectors
    )
    common = (selector for provider in _providers() if not provider.marks for selector in provider.selectors)
    return tuple(likely), tuple(selector for selector in dict.fromkeys(common) if selector not in likely)


def spf_of(hosts: Iterable[str]) -> str | None:
    """The domain whose SPF record the customers of a mail provider include; None when no provider is known.

    Args:
        hosts: The names that the domain's MX records point to.
    """
    names = tuple(hosts)
    return next((one.spf for one in _providers() if one.spf and any(one.has(name) for name in names)), None)
