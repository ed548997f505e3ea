"""A DNS in memory: what the checks are tested against. The real servers are in test_nameservers.py and test_nsd.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import pytest

from berth_dns_auditor.resolver import Answer, Rdtype, TemporaryDnsError

#: In place of records: the name servers fail.
FAILS: Final = "SERVFAIL"

Zone = Mapping[str, Sequence[str]]


class MemoryResolver:
    """Answers from a zone of `"name TYPE"` -> records; CNAMEs are followed, `*` stands for any first labels.

    Attributes:
        asked: Every question, in order.
    """

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._names = {key.partition(" ")[0] for key in zone}
        self.asked: list[tuple[str, Rdtype]] = []

    async def query(self, name: str, rdtype: Rdtype) -> Answer:
        self.asked.append((name, rdtype))
        aliases: list[str] = []
        target = name
        while True:
            owner = self._owner(target)
            if owner is None:
                return Answer(name, rdtype, "NXDOMAIN", aliases=tuple(aliases))
            records = self._zone.get(f"{owner} {rdtype}", ())
            if records == FAILS or self._zone.get(owner) == FAILS:
                raise TemporaryDnsError(name, rdtype, "SERVFAIL")
            alias = self._zone.get(f"{owner} CNAME")
            if records or alias is None:
                return Answer(name, rdtype, records=tuple(records), aliases=tuple(aliases))
            aliases.append(alias[0])
            target = alias[0]

    def _owner(self, name: str) -> str | None:
        """The name in the zone that answers: itself, also as an empty non-terminal, or the closest wildcard."""
        if any(known == name or known.endswith(f".{name}") for known in self._names):
            return name
        parents = name.split(".")
        wildcards = (f"*.{'.'.join(parents[index:])}" for index in range(1, len(parents)))
        return next((wildcard for wildcard in wildcards if wildcard in self._names), None)


@pytest.fixture
def dns() -> Callable[[Zone], MemoryResolver]:
    """Make a resolver of a zone."""
    return MemoryResolver


@pytest.fixture
def fails() -> str:
    """In place of the records of a name: its servers fail."""
    return FAILS
