"""One DMARC policy record (RFC 9989 §4.7, §4.8): what it asks for, and what is wrong with it. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, cast

from berth_dns_auditor.checks.tag_list import Fault, TagList, parse_tags

__all__ = ["DmarcRecord", "Policy", "ReportAddress", "is_dmarc", "lowered", "parse_dmarc", "weaker"]

Policy = Literal["none", "quarantine", "reject"]

#: An audit reads the records of a domain several times, so the last ones are kept.
RECORDS_KEPT: Final = 256

_STRICTNESS: Final[Mapping[str, int]] = {"none": 0, "quarantine": 1, "reject": 2}
_POLICY_TAGS: Final = ("p", "sp", "np")
_REMOVED_TAGS: Final = frozenset({"pct", "rf", "ri"})
_VALUES: Final[Mapping[str, frozenset[str]]] = {
    "adkim": frozenset("rs"),
    "aspf": frozenset("rs"),
    "psd": frozenset("ynu"),
    "t": frozenset("yn"),
}
_KNOWN_TAGS: Final = frozenset({"v", "fo", "rua", "ruf", *_POLICY_TAGS, *_REMOVED_TAGS, *_VALUES})
_VERSION: Final = re.compile(r"[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)")
_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):([!-~]+)")
_SIZE: Final = re.compile(r"![0-9]+[kmgt]?$", re.IGNORECASE)
_MAILBOX: Final = re.compile(r"[^@?]+@([A-Za-z0-9_.-]+)(?:\?.*)?")


@dataclass(frozen=True, slots=True)
class ReportAddress:
    """An entry of rua: `domain` is where mailto: leads, None for another scheme; `valid` whether it is a URI at all."""

    text: str
    valid: bool
    domain: str | None


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """A policy record as it was read.

    Attributes:
        text: The record.
        p: The policy of the domain; None when it is missing or not a policy. Likewise `sp` for subdomains and `np`
            for subdomains that do not exist.
        processed: Whether receivers apply the record at all (§4.10.1).
        psd: Whether the domain says of itself that it is a public suffix.
        testing: Whether every policy counts one level lower.
        aspf: Whether SPF must be aligned strictly (`s`), with the very domain, or relaxed (`r`); likewise `adkim`.
        rua: Where aggregate reports go.
        faults: Everything that is wrong with the record by itself.
    """

    text: str
    p: Policy | None
    sp: Policy | None
    np: Policy | None
    processed: bool
    psd: Literal["y", "n", "u"]
    testing: bool
    aspf: Literal["r", "s"]
    adkim: Literal["r", "s"]
    rua: tuple[ReportAddress, ...]
    faults: tuple[Fault, ...]

    def applied(self, policy: Policy) -> Policy | None:
        """What receivers make of a policy that is asked for: after test mode, and None when they ignore the record."""
        if not self.processed:
            return None
        return lowered(policy) if self.testing else policy

    def asked(self, *, inherited: bool, exists: bool) -> Policy:
        """The policy that is asked for a domain, before test mode (§4.10.1).

        Args:
            inherited: The record is that of a parent domain.
            exists: The domain itself exists in the DNS.
        """
        own = self.p or "none"
        if not inherited:
            return own
        subdomain = self.sp or own
        return subdomain if exists else self.np or subdomain


def is_dmarc(text: str) -> bool:
    """Whether a TXT record is a DMARC record: the tag v comes first, its value is DMARC1 in this very case."""
    return _VERSION.match(text) is not None


def lowered(policy: Policy) -> Policy:
    """The policy one level below: what test mode makes of it."""
    return "quarantine" if policy == "reject" else "none"


def weaker(policy: Policy | None, other: Policy | None) -> bool:
    """Whether the first policy lets more through than the second; one that is not given never does."""
    return policy is not None and other is not None and _STRICTNESS[policy] < _STRICTNESS[other]


@lru_cache(maxsize=RECORDS_KEPT)
def parse_dmarc(text: str) -> DmarcRecord:
    """Read a record for which `is_dmarc` holds. Never raises: what is wrong is in `faults`."""
    tags = parse_tags(text, fold_names=True)
    rua = tuple(_report_address(entry) for entry in (tags.get("rua") or "").split(",") if entry.strip())
    policies = {name: (tags.get(name) or "").lower() for name in _POLICY_TAGS if tags.get(name) is not None}
    invalid = [name for name, value in policies.items() if value not in _STRICTNESS]
    valid = {name: cast("Policy", value) for name, value in policies.items() if value in _STRICTNESS}
    reportable = any(address.valid for address in rua)
    if invalid and reportable:
        valid = {"p": "none"}
    psd = (tags.get("psd") or "u").lower()
    return DmarcRecord(
        text=text,
        p=valid.get("p"),
        sp=valid.get("sp"),
        np=valid.get("np"),
        processed=not tags.duplicates and (("p" in policies and not invalid) or reportable),
        psd="y" if psd == "y" else "n" if psd == "n" else "u",
        testing=(tags.get("t") or "").lower() == "y",
        aspf="s" if (tags.get("aspf") or "").lower() == "s" else "r",
        adkim="s" if (tags.get("adkim") or "").lower() == "s" else "r",
        rua=rua,
        faults=tuple(_faults(tags, policies, invalid, rua)),
    )


def _report_address(entry: str) -> ReportAddress:
    text = entry.strip()
    uri = _URI.fullmatch(_SIZE.sub("", text))
    if uri is None or uri.group(1).lower() != "mailto":
        return ReportAddress(text, valid=uri is not None, domain=None)
    mailbox = _MAILBOX.fullmatch(uri.group(2))
    return ReportAddress(
        text, valid=mailbox is not None, domain=mailbox.group(1).lower().removesuffix(".") if mailbox else None
    )


def _faults(
    tags: TagList, policies: Mapping[str, str], invalid: list[str], rua: tuple[ReportAddress, ...]
) -> Iterator[Fault]:
    for part in tags.broken:
        yield Fault("DMARC_SYNTAX_ERROR", part)
    for name in tags.duplicates:
        yield Fault("DMARC_DUPLICATE_TAG", name)
    for name in invalid:
        yield Fault("DMARC_P_INVALID", f"{name}={policies[name]}")
    if "p" not in policies:
        yield Fault("DMARC_P_MISSING", "p")
    elif len(tags.tags) > 1 and tags.tags[1].name != "p":
        yield Fault("DMARC_P_NOT_SECOND", f"{tags.tags[1].name} stands before p")
    yield from _value_faults(tags)
    if not rua:
        yield Fault("DMARC_NO_RUA", "rua")
    for address in rua:
        if address.domain is None:
            yield Fault("DMARC_RUA_INVALID", address.text)
        if _SIZE.search(address.text):
            yield Fault("DMARC_REMOVED_TAG", address.text)


def _value_faults(tags: TagList) -> Iterator[Fault]:
    for tag in tags.tags:
        text = f"{tag.name}={tag.value}"
        if tag.name not in _KNOWN_TAGS:
            yield Fault("DMARC_UNKNOWN_TAG", text)
        elif tag.name in _REMOVED_TAGS:
            yield Fault("DMARC_REMOVED_TAG", text)
            if tag.name == "pct" and tag.value != "100":
                yield Fault("DMARC_PCT_PARTIAL", text)
        elif (tag.name in _VALUES and tag.value.lower() not in _VALUES[tag.name]) or (
            tag.name == "fo" and not _is_fo(tag.value.lower())
        ):
            yield Fault("DMARC_INVALID_VALUE", text)
    if tags.get("fo") is not None and tags.get("ruf") is None:
        yield Fault("DMARC_FO_WITHOUT_RUF", f"fo={tags.get('fo')}")


def _is_fo(value: str) -> bool:
    """Any of 0, 1, d and s, each once, but not 0 and 1 together (§4.8)."""
    options = [option.strip() for option in value.split(":")]
    return set(options) <= {"0", "1", "d", "s"} and len(options) == len(set(options)) and not {"0", "1"} <= set(options)
