"""The formula of the health score, as docs/findings.md has it."""

import pytest

from berth_dns_auditor.score import health_score
from berth_events.contracts import DkimCheck, DmarcCheck, DomainRecord, Finding, MxCheck, SpfCheck


def record(*findings: tuple[str, str], **states: str) -> DomainRecord:
    checks = {"mx": MxCheck, "spf": SpfCheck, "dkim": DkimCheck, "dmarc": DmarcCheck}
    made = {name: kind(state=states.get(name, "pass")) for name, kind in checks.items()}
    found = tuple(
        Finding(code=code, subject=str(place), severity=severity) for place, (code, severity) in enumerate(findings)
    )
    return DomainRecord(**made, findings=found)


@pytest.mark.parametrize(
    ("findings", "score"),
    [
        ((), 100),
        ((("A", "info"), ("B", "unknown")), 100),
        ((("A", "low"), ("B", "medium"), ("C", "high"), ("D", "critical")), 30),
        ((("A", "low"), ("A", "high"), ("A", "high")), 80),
        ((("A", "critical"), ("B", "critical"), ("C", "critical")), 0),
        ((("BULK_SENDER_NOT_READY", "high"),), 100),
    ],
)
def test_the_formula(findings: tuple[tuple[str, str], ...], score: int) -> None:
    assert health_score(record(*findings)) == score


@pytest.mark.parametrize("check", ["mx", "spf", "dmarc"])
def test_too_little_is_known(check: str) -> None:
    assert health_score(record(**{check: "unknown"})) is None


def test_selectors_may_be_unknown() -> None:
    assert health_score(record(dkim="unknown")) == 100
