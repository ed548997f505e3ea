"""One audit: all checks at once, under one deadline."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from berth_dns_auditor.checks.basics import check_basics
from berth_dns_auditor.checks.bulk_senders import MailChecks, check_bulk_sender
from berth_dns_auditor.checks.dkim import check_dkim
from berth_dns_auditor.checks.dmarc import check_dmarc
from berth_dns_auditor.checks.known import NOTHING_KNOWN, Known
from berth_dns_auditor.checks.mx import check_mx
from berth_dns_auditor.checks.outcome import Outcome
from berth_dns_auditor.checks.sending import Senders, check_senders
from berth_dns_auditor.checks.spf import check_spf
from berth_dns_auditor.findings import bounded, finding
from berth_dns_auditor.means import RESOLVER_ONLY, Means
from berth_dns_auditor.resolver import Resolver
from berth_dns_auditor.score import health_score
from berth_dns_auditor.wider import Wider, check_wider
from berth_events.contracts import DkimCheck, DmarcCheck, DomainRecord, Finding, MxCheck, SpfCheck

__all__ = ["CORE", "Audit", "Auditor"]

T = TypeVar("T")

#: The checks that decide whether mail works; one with an open question is worth another audit soon.
CORE: Final = frozenset({"mx", "spf", "dkim", "dmarc", "senders"})


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of an audit.

    Attributes:
        record: What was found.
        incomplete: The checks (those of `CORE`, of `check_wider`, and `bulk`) in which a question stayed open, so that
            the absence of a finding proves nothing.
    """

    record: DomainRecord
    incomplete: frozenset[str]

    @property
    def pressing(self) -> frozenset[str]:
        """Those of the incomplete checks for which the audit is made again soon."""
        return self.incomplete & CORE


class Auditor:
    """Audits domains.

    Args:
        resolver: Asks the DNS; several checks ask it the same (see `AnswerCache`).
        probe: Gives a random DNS label at each call.
        means: What there is beside the resolver.
        now: The time, by which signatures and registrations end.
        deadline: Seconds that one audit may take; a check that is not done by then is unknown.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        probe: Callable[[], str],
        means: Means = RESOLVER_ONLY,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        deadline: float = 30.0,
    ) -> None:
        self._resolver = resolver
        self._probe = probe
        self._means = means
        self._now = now
        self._deadline = deadline

    async def audit(self, domain: str, known: Known = NOTHING_KNOWN) -> Audit:
        """Audit one domain. Errors of the DNS are part of the result, not raised.

        Args:
            domain: as A-labels.
            known: what messages showed of it.
        """
        domain = domain.lower().removesuffix(".")
        resolver = self._resolver
        (basics, mx, spf, dkim, dmarc, senders), wider = await asyncio.gather(
            asyncio.gather(
                self._within(check_basics(resolver, domain), lambda: ()),
                self._within(
                    check_mx(resolver, domain), lambda: Outcome(MxCheck(state="unknown"), self._late(domain, "MX"))
                ),
                self._within(
                    check_spf(resolver, domain), lambda: Outcome(SpfCheck(state="unknown"), self._late(domain, "SPF"))
                ),
                self._within(
                    check_dkim(resolver, domain, self._probe(), known),
                    lambda: Outcome(DkimCheck(state="unknown"), self._late(domain, "DKIM")),
                ),
                self._within(
                    check_dmarc(resolver, domain),
                    lambda: Outcome(DmarcCheck(state="unknown"), self._late(domain, "DMARC")),
                ),
                self._within(
                    check_senders(resolver, domain, known.senders), lambda: Senders((), self._late(domain, "sender"))
                ),
            ),
            check_wider(resolver, domain, known, self._means, self._probe(), self._now(), deadline=self._deadline),
        )
        findings = (*basics, *mx.findings, *spf.findings, *dkim.findings, *dmarc.findings, *senders.findings)
        complete = {
            "mx": mx.complete,
            "spf": spf.complete,
            "dkim": dkim.complete,
            "dmarc": dmarc.complete,
            "senders": senders.complete,
        }
        record = DomainRecord(mx=mx.check, spf=spf.check, dkim=dkim.check, dmarc=dmarc.check, senders=senders.checks)
        incomplete = frozenset(name for name, settled in complete.items() if not settled) | wider.incomplete
        return _whole(domain, record, findings, incomplete, wider)

    async def _within(self, check: Coroutine[Any, Any, T], late: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._deadline):
                return await check
        except TimeoutError:
            return late()

    def _late(self, domain: str, family: str) -> tuple[Finding, ...]:
        return (finding("DNS_TEMPFAIL", domain, f"the {family} check was not done within {self._deadline:g} s"),)


def _whole(
    domain: str, record: DomainRecord, findings: tuple[Finding, ...], incomplete: frozenset[str], wider: Wider
) -> Audit:
    """The record with what follows from the checks together."""
    mail = MailChecks(record.spf, record.dkim, record.dmarc, record.senders, findings)
    bulk = check_bulk_sender(domain, mail)
    update = {
        "transport": wider.transport,
        "dnssec": wider.dnssec,
        "name_servers": wider.name_servers,
        "registration": wider.registration,
        "web": wider.web,
        "bulk_sender": bulk.check,
        "findings": bounded((*findings, *wider.findings, *bulk.findings)),
    }
    record = record.model_copy(update=update)
    if None in (bulk.check.google, bulk.check.yahoo, bulk.check.microsoft):
        incomplete |= {"bulk"}
    return Audit(record.model_copy(update={"health_score": health_score(record)}), incomplete)
