"""DMARC records that mend a finding: what is published, with one thing changed and what is wrong put right. Pure."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from berth_dns_auditor.checks.dmarc_record import DmarcRecord, parse_dmarc
from berth_dns_auditor.checks.tag_list import parse_tags

__all__ = ["mended_dmarc", "reports_to", "strictest", "suggested"]

_POLICIES: Final = ("none", "quarantine", "reject")
_VERSION: Final = re.compile(r"[\s\"']*v?\s*=?\s*dmarc1[\"']?\s*;?", re.IGNORECASE)
_MAILBOX: Final = re.compile(r"(?:mailto:)?/{0,2}([^@\s:/,]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+)", re.IGNORECASE)
#: Values that may be left as they are; another is dropped, and the default counts in its place.
_KEPT: Final[Mapping[str, re.Pattern[str]]] = {
    "sp": re.compile("none|quarantine|reject", re.IGNORECASE),
    "np": re.compile("none|quarantine|reject", re.IGNORECASE),
    "psd": re.compile("[ynu]", re.IGNORECASE),
    "t": re.compile("[yn]", re.IGNORECASE),
    "adkim": re.compile("[rs]", re.IGNORECASE),
    "aspf": re.compile("[rs]", re.IGNORECASE),
    "fo": re.compile("(?:[1ds]|0)(?::[ds])*", re.IGNORECASE),
    "ruf": re.compile(".+"),
}


def suggested(domain: str) -> str:
    """A record to begin with: no demands, and reports to the domain itself."""
    return f"v=DMARC1; p=none; rua={reports_to(domain)}"


def mended_dmarc(text: str, domain: str, swap: Mapping[str, str | None] | None = None) -> str:
    """The record with everything put right that needs no decision, and these tags set.

    Args:
        text: The record, or what resembles one.
        domain: Where it stands; reports go there when no address for them can be read.
        swap: The value to give a tag; None removes it.
    """
    tags: dict[str, str] = {}
    for tag in parse_tags("v=DMARC1;" + _VERSION.sub("", text, count=1), fold_names=True).tags:
        tags.setdefault(tag.name, tag.value.strip("\"'"))
    kept = {"v": "DMARC1", "p": _policy(tags.get("p", ""))}
    kept |= {name: tags[name] for name, legal in _KEPT.items() if legal.fullmatch(tags.get(name, ""))}
    if "ruf" not in kept:
        kept.pop("fo", None)
    if "rua" in tags:
        found = list(dict.fromkeys(f"mailto:{box}" for box in _MAILBOX.findall(tags["rua"])))
        kept["rua"] = ",".join(found) or reports_to(domain)
    for name, value in (swap or {}).items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
    return "; ".join(f"{name}={value}" for name, value in kept.items())


def strictest(texts: tuple[str, ...]) -> DmarcRecord:
    """Of several records the one that asks for most."""
    return max(map(parse_dmarc, texts), key=lambda record: (record.processed, _POLICIES.index(record.p or "none")))


def _policy(value: str) -> str:
    """The policy that was probably meant; none where that cannot be told."""
    return next(iter(get_close_matches(value.lower(), _POLICIES, 1)), "none")


def reports_to(domain: str) -> str:
    """The address for reports at a domain, as rua wants it."""
    return f"mailto:dmarc@{domain}"
