"""The table of diagnoses, shipped with the package.

Rules (`diagnoses.csv`), codes (`codes.csv`), services (`providers.csv`), and what servers say in many languages of the same
cause (`words.csv`), which rules refer to as `{cause}`.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal, cast

__all__ = [
    "TABLE_VERSION",
    "UNKNOWN",
    "Code",
    "Provider",
    "Rule",
    "Words",
    "load_codes",
    "load_providers",
    "load_rules",
    "load_words",
]

#: Stands in every diagnosis, so that old events can be classified anew. Raised with every change of the files.
TABLE_VERSION: Final = "2026-11-21.12"
#: The code of a reply that no rule matches.
UNKNOWN: Final = "UNKNOWN"

_CAUSE: Final = re.compile(r"\{([a-z_]+)\}")

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
        match: the pattern as the file has it, with the names of causes; may be empty.
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
    match: str
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
    """One row of `providers.csv`: what a mail service is called, and its page about signing in with other programs.

    `pages`, from `pages.csv`, has its pages about single codes.
    """

    name: str
    help: str
    pages: Mapping[str, str]

    def page_about(self, code: str) -> str:
        """Where the service explains what a diagnosis is about."""
        return self.pages.get(code, self.help)


@dataclass(frozen=True, slots=True)
class Words:
    """One row of `words.csv`: what servers say of a cause in a language, as a pattern."""

    cause: str
    language: str
    pattern: str


def load_rules() -> tuple[Rule, ...]:
    """The rules in the order of the file."""
    said: dict[str, list[str]] = {}
    for words in load_words():
        said.setdefault(words.cause, []).append(words.pattern)
    causes = {cause: f"(?:{'|'.join(patterns)})" for cause, patterns in said.items()}
    return tuple(
        Rule(
            rule_id=row["id"],
            providers=tuple(row["provider"].split("|")),
            protocols=tuple(row["protocol"].split("|")),
            steps=tuple(row["step"].split("|")),
            codes=tuple(frozenset(one.lower().split()) for one in row["reply_code"].split("|")),
            match=row["match"],
            pattern=_pattern(row["match"], causes) if row["match"] else None,
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
    pages: dict[str, dict[str, str]] = {}
    for row in _rows("pages.csv"):
        pages.setdefault(row["provider"], {}).update(dict.fromkeys(row["codes"].split("|"), row["help"]))
    return {
        row["provider"]: Provider(row["name"], row["help"], pages.get(row["provider"], {}))
        for row in _rows("providers.csv")
    }


def load_words() -> tuple[Words, ...]:
    """The words in the order of the file."""
    return tuple(Words(row["cause"], row["language"], row["pattern"]) for row in _rows("words.csv"))


def _pattern(match: str, causes: dict[str, str]) -> re.Pattern[str]:
    return re.compile(_CAUSE.sub(lambda named: causes[named[1]], match), re.IGNORECASE)


def _rows(name: str) -> list[dict[str, str]]:
    text = (files("berth_connector.diagnosis") / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
