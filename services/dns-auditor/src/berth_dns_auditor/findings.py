"""The catalogue of findings: what each code means, how severe it is, and what to do about it."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, Literal, cast

from berth_dns_auditor.resolver import TemporaryDnsError, printable
from berth_events.contracts import Finding

__all__ = ["CatalogueEntry", "Severity", "catalogue", "finding", "tempfail"]

Severity = Literal["critical", "high", "medium", "low", "info", "unknown"]

#: A finding keeps this much evidence: lines, and characters of each.
EVIDENCE_LINES: Final = 12
EVIDENCE_WIDTH: Final = 600
SUBJECT_WIDTH: Final = 300


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


def finding(code: str, subject: str, *evidence: str, severity: Severity | None = None) -> Finding:
    """A finding with the severity of its code, unless the circumstances give another.

    Args:
        code: A code of the catalogue; another is a KeyError.
        subject: The name or the term that it is about; with the code it identifies the finding.
        evidence: Names asked, response codes, raw strings. Made printable and cut to a bounded size here.
        severity: Overrides that of the catalogue.
    """
    entry = catalogue()[code]
    return Finding(
        code=code,
        subject=printable(subject, SUBJECT_WIDTH),
        severity=severity or entry.severity,
        evidence=tuple(printable(line, EVIDENCE_WIDTH) for line in evidence[:EVIDENCE_LINES]),
    )


def tempfail(error: TemporaryDnsError) -> Finding:
    """The finding that says that a question got no definite answer."""
    return finding("DNS_TEMPFAIL", error.name, str(error))
