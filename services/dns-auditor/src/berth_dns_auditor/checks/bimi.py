"""BIMI: the record that names the domain's logo, and the DMARC policy that it needs (draft-08 §4.3)."""

import re
from typing import Final

from berth_dns_auditor.checks.dmarc_mend import mended_dmarc
from berth_dns_auditor.checks.dmarc_tree import walk_from
from berth_dns_auditor.checks.outcome import Outcome, ask
from berth_dns_auditor.checks.tag_list import parse_tags
from berth_dns_auditor.findings import change, finding, tempfail
from berth_dns_auditor.resolver import Answer, Resolver, TemporaryDnsError
from berth_events.contracts import Finding

__all__ = ["check_bimi"]

_HTTPS: Final = re.compile(r"https://[^\s,;/]+/\S*")
_HTTP: Final = re.compile(r"(?:http://|//)?(?=[^\s,;/]+\.[^\s,;/]+/)")


async def check_bimi(resolver: Resolver, domain: str) -> Outcome[None]:
    """Read the record of the default selector; that there is none is nothing to be said of."""
    reply = await ask(resolver, f"default._bimi.{domain}", "TXT")
    if isinstance(reply, TemporaryDnsError):
        return Outcome(None, (tempfail(reply),))
    texts = [text for text in reply.records if "bimi1" in text.lower()]
    if not texts:
        return Outcome(None)
    if len(texts) > 1 or not _is_valid(texts[0]):
        return Outcome(None, (_invalid(domain, reply, texts),))
    if not _value(texts[0], "l"):
        return Outcome(None)  # the domain says that it takes no part
    return Outcome(None, tuple(await _precondition(resolver, domain, texts[0])))


def _value(text: str, name: str) -> str:
    return next((tag.value for tag in parse_tags(text).tags if tag.name == name), "")


def _is_valid(text: str) -> bool:
    tags = parse_tags(text).tags
    if [(tag.name, tag.value) for tag in tags[:1]] != [("v", "BIMI1")] or "l" not in {tag.name for tag in tags}:
        return False
    return all(not value or _HTTPS.fullmatch(value) for value in (_value(text, "l"), _value(text, "a")))


def _invalid(domain: str, reply: Answer, texts: list[str]) -> Finding:
    kept = next(filter(_is_valid, texts), None)
    if kept:
        mend = [change(reply.name, "TXT", None, *(text for text in texts if text != kept))]
    else:
        places = {name: _HTTP.sub("https://", _value(texts[0], name), count=1) for name in ("l", "a")}
        text = f"v=BIMI1; l={places['l']}" + (f"; a={places['a']}" if places["a"] else "")
        mend = [change(reply.name, "TXT", text, *texts)] if _is_valid(text) else []
    return finding("BIMI_INVALID", domain, reply.evidence, *texts, publish=mend)


async def _precondition(resolver: Resolver, domain: str, text: str) -> list[Finding]:
    try:
        walk = await walk_from(resolver, domain)
    except TemporaryDnsError as error:
        return [tempfail(error)]
    place = walk.applicable
    record = place.record if place else None
    if place is None or record is None or not record.processed:
        return [tempfail(walk.error)] if walk.error else [finding("BIMI_DMARC_NOT_ENFORCED", domain, text)]
    inherited = place.domain != domain
    policies = {record.applied(record.asked(inherited=inherited, exists=True)), record.applied(record.p or "none")}
    if "none" not in policies:
        return []
    swap = {"p": "quarantine" if record.p != "reject" else "reject", "sp": None, "t": None}
    mend = change(place.answer.name, "TXT", mended_dmarc(record.text, place.domain, swap), record.text)
    return [finding("BIMI_DMARC_NOT_ENFORCED", domain, text, record.text, publish=(mend,))]
