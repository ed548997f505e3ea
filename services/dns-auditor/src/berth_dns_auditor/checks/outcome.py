"""What a check returns, and how checks ask several questions at once."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from berth_dns_auditor.cache import AnswerCache
from berth_dns_auditor.resolver import Rdtype, Reply, Resolver, TemporaryDnsError
from berth_events.contracts import Finding

__all__ = ["Outcome", "Reply", "ask", "ask_all"]

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[C]):
    """The verdict of one check and its findings."""

    check: C
    findings: tuple[Finding, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every question got a definite answer. If not, the absence of a finding proves nothing."""
        return all(found.severity != "unknown" for found in self.findings)


async def ask(resolver: Resolver, name: str, rdtype: Rdtype) -> Reply:
    """Ask, with a temporary error as a value."""
    try:
        return await resolver.query(name, rdtype)
    except TemporaryDnsError as error:
        return error


async def ask_all(resolver: Resolver, questions: Iterable[tuple[str, Rdtype]]) -> list[Reply]:
    """Ask all at once; the replies come in the order of the questions."""
    if isinstance(resolver, AnswerCache):  # without a task for each
        return await resolver.query_all(questions)
    return await asyncio.gather(*(ask(resolver, name, rdtype) for name, rdtype in questions))
