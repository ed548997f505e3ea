"""One number for the health of a domain; the formula stands in docs/findings.md. Pure."""

from collections.abc import Mapping
from typing import Final

from berth_dns_auditor.findings import COMPOSITE
from berth_events.contracts import DomainRecord

__all__ = ["health_score"]

#: What one kind of finding takes away, by its severity.
WEIGHTS: Final[Mapping[str, int]] = {"critical": 40, "high": 20, "medium": 8, "low": 2, "info": 0, "unknown": 0}


def health_score(record: DomainRecord) -> int | None:
    """100 less the weight of each code among the findings, and at least 0.

    A code counts once, at its most severe. None while MX, SPF or DMARC is unknown: too little would be judged.
    """
    if "unknown" in {record.mx.state, record.spf.state, record.dmarc.state}:
        return None
    taken: dict[str, int] = {}
    for found in record.findings:
        if found.code not in COMPOSITE:
            taken[found.code] = max(taken.get(found.code, 0), WEIGHTS[found.severity])
    return max(0, 100 - sum(taken.values()))
