"""The checks beyond those of `audit.CORE`: the way of the mail to the domain, its zone, its name.

What the resolver knows is asked at every audit; policies, sites, registries and single name servers have memories of their own
(`web.py`, `registry.py`, `authorities.py`), so that an audit that is repeated does not ask them again.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from berth_dns_auditor.checks.bimi import check_bimi
from berth_dns_auditor.checks.block_lists import check_block_lists
from berth_dns_auditor.checks.dane import check_dane
from berth_dns_auditor.checks.delegation import check_delegation
from berth_dns_auditor.checks.dnssec import check_dnssec
from berth_dns_auditor.checks.known import Known
from berth_dns_auditor.checks.mta_sts import Mode, check_mta_sts
from berth_dns_auditor.checks.name_servers import check_name_servers
from berth_dns_auditor.checks.obsolete import check_type99
from berth_dns_auditor.checks.outcome import Outcome, ask_all
from berth_dns_auditor.checks.registration import check_registration
from berth_dns_auditor.checks.tls_rpt import check_tls_rpt
from berth_dns_auditor.checks.web_site import check_web_site
from berth_dns_auditor.findings import finding
from berth_dns_auditor.means import Means
from berth_dns_auditor.resolver import Rdtype, Resolver
from berth_events.contracts import DnssecCheck, Finding, Registration, TransportCheck, WebCheck

__all__ = ["Wider", "check_wider"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wider:
    """What was found; None: not asked. `incomplete` are the names of the checks with an open question."""

    transport: TransportCheck
    dnssec: DnssecCheck
    name_servers: tuple[str, ...]
    registration: Registration | None
    web: WebCheck | None
    findings: tuple[Finding, ...]
    incomplete: frozenset[str]


async def check_wider(
    resolver: Resolver, domain: str, known: Known, means: Means, probe: str, now: datetime, *, deadline: float
) -> Wider:
    """Make the checks.

    Args:
        resolver: Asks the DNS.
        domain: The domain.
        known: Whose addresses are looked up in block lists.
        means: What there is beside the resolver.
        probe: A label that no zone has.
        now: The time.
        deadline: Seconds; a check that is not done by then is unknown.
    """
    expires = asyncio.get_running_loop().time() + deadline

    async def within(check: Coroutine[Any, Any, Outcome[T]], family: str, late: T) -> Outcome[T]:
        try:
            async with asyncio.timeout_at(expires):
                return await check
        except TimeoutError:
            shown = f"the {family} check was not done within {deadline:g} s"
            return Outcome(late, (finding("DNS_TEMPFAIL", domain, shown),))

    # One after the other: what they ask of the resolver is asked at once before, and a task for each would cost more.
    async def of_records() -> tuple[
        Outcome[str | None], Outcome[bool | None], Outcome[DnssecCheck], Outcome[None], Outcome[Mode | None]
    ]:
        await ask_all(resolver, _questions(domain))
        return (
            await within(check_tls_rpt(resolver, domain), "TLSRPT", None),
            await within(check_dane(resolver, domain), "DANE", None),
            await within(check_dnssec(resolver, domain, means.signatures, now), "DNSSEC", DnssecCheck(state="unknown")),
            await within(check_bimi(resolver, domain), "BIMI", None),
            await within(check_mta_sts(resolver, domain, means.policies), "MTA-STS", None),
        )

    async def of_the_zone() -> tuple[Outcome[tuple[str, ...]], Outcome[None]]:
        return (
            await within(check_name_servers(resolver, domain, probe), "name server", ()),
            await within(_delegation(resolver, domain, means), "delegation", None),
        )

    async def of_the_name() -> tuple[
        Outcome[WebCheck | None], Outcome[Registration | None], Outcome[None], Outcome[None]
    ]:
        senders = [sender.address for sender in known.senders]
        return (
            await within(_web(domain, means), "web", None),
            await within(_registration(domain, means, now), "registration", None),
            await within(check_block_lists(resolver, domain, senders, means.lists), "block list", None),
            await within(_type99(resolver, domain, means), "SPF type", None),
        )

    found = await asyncio.gather(of_records(), of_the_zone(), of_the_name())
    (rpt, dane, dnssec, bimi, sts), (servers, delegation), (web, registration, lists, obsolete) = found
    outcomes = {
        "transport": (sts, rpt, dane),
        "dnssec": (dnssec,),
        "zone": (servers, delegation),
        "registration": (registration,),
        "web": (web,),
        "bimi": (bimi,),
        "lists": (lists,),
        "obsolete": (obsolete,),
    }
    return Wider(
        transport=TransportCheck(mta_sts=sts.check, tls_rpt=rpt.check, dane=dane.check),
        dnssec=dnssec.check,
        name_servers=servers.check,
        registration=registration.check,
        web=web.check,
        findings=tuple(found for some in outcomes.values() for outcome in some for found in outcome.findings),
        incomplete=frozenset(name for name, some in outcomes.items() if not all(outcome.complete for outcome in some)),
    )


def _questions(domain: str) -> tuple[tuple[str, Rdtype], ...]:
    """What the checks ask at first."""
    return (
        (f"_smtp._tls.{domain}", "TXT"),
        (f"_mta-sts.{domain}", "TXT"),
        (f"default._bimi.{domain}", "TXT"),
        (domain, "MX"),
        (domain, "DS"),
        (domain, "NS"),
    )


async def _delegation(resolver: Resolver, domain: str, means: Means) -> Outcome[None]:
    return await check_delegation(resolver, domain, means.authorities) if means.authorities else Outcome(None)


async def _registration(domain: str, means: Means, now: datetime) -> Outcome[Registration | None]:
    return await check_registration(domain, means.registry, now) if means.registry else Outcome(None)


async def _web(domain: str, means: Means) -> Outcome[WebCheck | None]:
    return await check_web_site(domain, means.sites) if means.sites else Outcome(None)


async def _type99(resolver: Resolver, domain: str, means: Means) -> Outcome[None]:
    return await check_type99(resolver, domain) if means.type99 else Outcome(None)
