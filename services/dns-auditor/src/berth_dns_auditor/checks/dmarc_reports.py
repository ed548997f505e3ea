"""Where DMARC aggregate reports go: whether the receiver agreed (RFC 9990 §4) and takes mail."""

import asyncio
from typing import Final

from berth_dns_auditor.checks.dmarc_mend import mended_dmarc, reports_to
from berth_dns_auditor.checks.dmarc_record import DmarcRecord, is_dmarc
from berth_dns_auditor.checks.dmarc_tree import Walk, walk_from
from berth_dns_auditor.checks.outcome import ask_all
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError, exchanges
from berth_events.contracts import Finding, RecordChange

__all__ = ["check_destinations"]

#: Report addresses beyond these are not examined.
DESTINATIONS_MAX: Final = 8


async def check_destinations(resolver: Resolver, location: str, record: DmarcRecord) -> list[Finding]:
    """Examine the mail domains of rua.

    Args:
        resolver: Answers the questions.
        location: The domain whose record it is.
        record: The record.
    """
    domains = list(dict.fromkeys(address.domain for address in record.rua if address.domain))[:DESTINATIONS_MAX]
    results = await asyncio.gather(*(_check(resolver, location, record, domain) for domain in domains))
    return [found for some in results for found in some]


async def _check(resolver: Resolver, location: str, record: DmarcRecord, destination: str) -> list[Finding]:
    try:
        return [
            *await _authorization(resolver, location, destination),
            *await _mail(resolver, location, record, destination),
        ]
    except TemporaryDnsError as error:
        return [tempfail(error)]


async def _authorization(resolver: Resolver, location: str, destination: str) -> list[Finding]:
    if location == destination:
        return []
    ours, theirs = await asyncio.gather(walk_from(resolver, location), walk_from(resolver, destination))
    if _organization(ours) == _organization(theirs):
        return []
    answer = await resolver.query(f"{location}._report._dmarc.{destination}", "TXT")
    if any(is_dmarc(text) for text in answer.records):
        return []
    mend = change(answer.name, "TXT", "v=DMARC1")
    return [finding("DMARC_RUA_NOT_AUTHORIZED", destination, answer.evidence, *answer.records, publish=(mend,))]


def _organization(walk: Walk) -> str:
    if walk.error:
        raise walk.error
    return walk.organizational


async def _mail(resolver: Resolver, location: str, record: DmarcRecord, destination: str) -> list[Finding]:
    mx = await resolver.query(destination, "MX")
    if any(name for _, name in exchanges(mx)):
        return []
    if not mx.records:
        replies = await ask_all(resolver, ((destination, "A"), (destination, "AAAA")))
        if any(isinstance(reply, Answer) and reply.records for reply in replies):
            return []
        for reply in replies:
            if isinstance(reply, TemporaryDnsError):
                raise reply
    return [finding("DMARC_RUA_NO_MX", destination, mx.evidence, publish=_elsewhere(location, record, destination))]


def _elsewhere(location: str, record: DmarcRecord, destination: str) -> list[RecordChange]:
    """The change that sends no reports there: to the other receivers, else to the domain itself."""
    if record.psd == "y" or location == destination:
        return []
    others = [one.text for one in record.rua if one.domain and one.domain != destination]
    text = mended_dmarc(record.text, location, {"rua": ",".join(others) or reports_to(location)})
    return [change(f"_dmarc.{location}", "TXT", text, record.text)]
