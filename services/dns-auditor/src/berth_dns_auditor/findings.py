"""The catalogue of findings: what each code means, how severe it is, and what to do about it."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, Literal, cast

from berth_dns_auditor.resolver import TemporaryDnsError, printable
from berth_events.contracts import Finding, RecordChange

__all__ = [
    "COMPOSITE",
    "PUBLISH_WIDTH",
    "CatalogueEntry",
    "Severity",
    "bounded",
    "catalogue",
    "change",
    "finding",
    "tempfail",
]

Severity = Literal["critical", "high", "medium", "low", "info", "unknown"]

#: Bounds that keep an event far below what the bus takes, whatever a zone says: characters of a subject, lines of
#: evidence and characters of each, characters of a record to publish, of all records to publish, findings of one code,
#: findings altogether.
SUBJECT_WIDTH: Final = 255
EVIDENCE_LINES: Final = 6
EVIDENCE_WIDTH: Final = 400
PUBLISH_WIDTH: Final = 1024
PUBLISH_MAX: Final = 48_000
PER_CODE_MAX: Final = 10
FINDINGS_MAX: Final = 80

#: Sums up what other findings say already.
COMPOSITE: Final = frozenset({"BULK_SENDER_NOT_READY"})

_ORDER: Final = ("critical", "high", "medium", "unknown", "low", "info")


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """What one code means. Texts live here only; events carry the code."""

    code: str
    severity: Severity
    meaning: str
    remedy: str
    reference: str


@cache
def catalogue() -> MappingProxyType[str, CatalogueEntry]:
    """Every code that an audit can raise, from `findings.csv`."""
    text = files("berth_dns_auditor").joinpath("findings.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    return MappingProxyType(
        {
            row["code"]: CatalogueEntry(
                code=row["code"],
                severity=cast("Severity", row["severity"]),
                meaning=row["meaning"],
                remedy=row["remedy"],
                reference=row["reference"],
            )
            for row in rows
        }
    )


def finding(
    code: str,
    subject: str,
    *evidence: str,
    severity: Severity | None = None,
    publish: Sequence[RecordChange] = (),
) -> Finding:
    """A finding with the severity of its code, unless the circumstances give another.

    Args:
        code: A code of the catalogue; another is a KeyError.
        subject: The name or the term that it is about; with the code it identifies the finding.
        evidence: Names asked, response codes, raw strings. Made printable and cut to a bounded size here.
        severity: Overrides that of the catalogue.
        publish: What to change in the DNS so that it goes away, from `change`; left out when it is too long.
    """
    entry = catalogue()[code]
    return Finding(
        code=code,
        subject=printable(subject, SUBJECT_WIDTH),
        severity=severity or entry.severity,
        evidence=tuple([printable(line, EVIDENCE_WIDTH) for line in evidence[:EVIDENCE_LINES]]),
        publish=tuple(publish) if _size(publish) <= 2 * PUBLISH_WIDTH else (),
    )


def _size(publish: Iterable[RecordChange]) -> int:
    return sum([len(text) for record in publish for text in (record.name, record.value or "", *record.replaces)])


def change(name: str, rdtype: str, value: str | None, *replaces: str) -> RecordChange:
    """A change to the records of one type at one name.

    Args:
        name: The name; made printable here, like every record.
        rdtype: The type.
        value: The record to publish, or None to publish none.
        replaces: The records that go, as they are published now.
    """
    return RecordChange(
        name=printable(name),
        type=rdtype,
        value=None if value is None else printable(value),
        replaces=tuple([printable(record) for record in replaces]),
    )


def bounded(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each (code, subject) once, the most severe first, and no more than an event can hold."""
    distinct: dict[tuple[str, str], Finding] = {}
    for found in findings:
        distinct.setdefault((found.code, found.subject), found)
    counts: Counter[str] = Counter()
    kept: list[Finding] = []
    published = 0
    for found in sorted(distinct.values(), key=_rank):
        counts[found.code] += 1
        if counts[found.code] > PER_CODE_MAX or len(kept) == FINDINGS_MAX:
            continue
        published += _size(found.publish)
        kept.append(found if published <= PUBLISH_MAX else found.model_copy(update={"publish": ()}))
    return tuple(kept)


def _rank(found: Finding) -> tuple[int, bool, str]:
    return _ORDER.index(found.severity), found.code in COMPOSITE, found.code


def tempfail(error: TemporaryDnsError) -> Finding:
    """The finding that says that a question got no definite answer."""
    return finding("DNS_TEMPFAIL", error.name, str(error))
