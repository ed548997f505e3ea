"""Why a step failed: one normalised reason with a remedy and a retry policy, from a versioned table."""

from berth_connector.diagnosis.matching import DiagnosisTable, Finding, Match, Origin
from berth_connector.diagnosis.replies import Reply, parse_reply
from berth_connector.diagnosis.rules import TABLE_VERSION, UNKNOWN, Code, Rule

__all__ = [
    "TABLE_VERSION",
    "UNKNOWN",
    "Code",
    "DiagnosisTable",
    "Finding",
    "Match",
    "Origin",
    "Reply",
    "Rule",
    "parse_reply",
]
