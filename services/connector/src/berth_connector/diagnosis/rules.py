"""The table of diagnoses, shipped with the package: rules (`diagnoses.csv`), codes (`codes.csv`), services (`providers.csv`)."""

import csv
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal, cast

__all__ = ["TABLE_VERSION", "UNKNOWN", "Code", "Provider", "Rule", "load_codes", "load_providers", "load_rules"]

#: Stands in every diagnosis, so that old events can be classified anew. Raised with every change of the two files.
TABLE_VERSION: Final = "2026-11-21.6"
#: The code of a reply that no rule matches.
UNKNOWN: Final = "UNKNOWN"

Severity = Literal["error", "warning"]
ActionBy = Literal["user", "admin", "caller", "operator", "nobody"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of `diagnoses.csv`.

    Attributes:
        rule_id: stable; never reused for another meaning.
        providers: mail services (`google`), server software (`sw:dovecot`), or `*`.
        protocols: `imap`, `smtp` and so on, or `*`.
        steps: step names of the table, `auth` for both ways to authenticate, or `*`.
        codes: alternatives; of one of them every token has to occur. One empty alternative when there is no condition.
        pattern: searched in the folded text; None when there is no condition.
        example: a raw reply that the rule is about; may be empty.
        meaning: what the reply means.
        code: the diagnosis.
        retry_policy: that of the diagnosis.
        remedy: what to do.
    """

    rule_id: str
    providers: tuple[str, ...]
    protocols: tuple[str, ...]
    steps: tuple[str, ...]
    codes: tuple[frozenset[str], ...]
    pattern: re.Pattern[str] | None
    example: str
    meaning: str
    code: str
    retry_policy: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One row of `codes.csv`: what holds for a diagnosis whichever rule led to it."""

    code: str
    retry_policy: str
    severity: Severity
    action_by: ActionBy
    meaning: str


@dataclass(frozen=True, slots=True)
class Provider:
    """One row of `providers.csv`: what a mail service is called, and its page about signing in with other programs."""

    name: str
    help: str


def load_rules() -> tuple[Rule, ...]:
    """The rules in the order of the file."""
    return tuple(
        Rule(
            rule_id=row["id"],
            providers=tuple(row["provider"].split("|")),
            protocols=tuple(row["protocol"].split("|")),
            steps=tuple(row["step"].split("|")),
            codes=tuple(frozenset(one.lower().split()) for one in row["reply_code"].split("|")),
            pattern=re.compile(row["match"], re.IGNORECASE) if row["match"] else None,
            example=row["example_reply"],
            meaning=row["meaning"],
            code=row["diagnosis_code"],
            retry_policy=row["retry_policy"],
            remedy=row["remedy"],
        )
        for row in _rows("diagnoses.csv")
    )


def load_codes() -> dict[str, Code]:
    """The codes by name."""
    return {
        row["code"]: Code(
            code=row["code"],
            retry_policy=row["retry_policy"],
            severity=cast("Severity", row["severity"]),
            action_by=cast("ActionBy", row["action_by"]),
            meaning=row["meaning"],
        )
        for row in _rows("codes.csv")
    }


def load_providers() -> dict[str, Provider]:
    """The mail services by the name that the rules have for them."""
    return {row["provider"]: Provider(row["name"], row["help"]) for row in _rows("providers.csv")}


def _rows(name: str) -> list[dict[str, str]]:
    text = (files("berth_connector.diagnosis") / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
