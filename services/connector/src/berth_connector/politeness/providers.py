"""Which mail services are counted as one destination each: those that diagnoses know, and large hosters besides.

A hoster's servers see whole offices behind one address and do not ban it for five wrong passwords, as a single server may.
"""

import csv
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files

from berth_connector.origins import SERVICES, of_host

__all__ = ["provider_of", "providers"]


@cache
def _hosters() -> Mapping[str, str]:
    """The hoster by the domain of its servers."""
    text = files("berth_connector.politeness").joinpath("hosters.csv").read_text(encoding="utf-8")
    return {row["domain"]: row["hoster"] for row in csv.DictReader(text.splitlines())}


@cache
def providers() -> tuple[str, ...]:
    """All names of them."""
    return (*SERVICES, *sorted(set(_hosters().values())))


@lru_cache(1024)
def provider_of(host: str) -> str | None:
    """The mail service that a host belongs to; None: a server of its own."""
    labels = host.split(".")
    domains = (".".join(labels[first:]) for first in range(len(labels) - 1))
    return of_host(host).service or next((_hosters()[domain] for domain in domains if domain in _hosters()), None)
