"""Which rule of the table a reply matches best, and the diagnosis that follows.

Of several matching rules the best is decided by, most important first: who speaks (the service, then the confirmed software,
then any software's rule with a text while nobody is known, then anybody, then the standards); how many code tokens matched; how
exactly the step is named; how much text matched; the place in the file. Among the rules for what anybody says in words the place
decides: those of what forbids any further attempt come first.

A password is blamed only when no rule that matches says otherwise.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from berth_connector.diagnosis.replies import Reply
from berth_connector.diagnosis.rules import (
    TABLE_VERSION,
    UNKNOWN,
    Code,
    Provider,
    Rule,
    load_codes,
    load_providers,
    load_rules,
)
from berth_events.contracts import Diagnosis

__all__ = ["DiagnosisTable", "Finding", "Match", "Origin"]

_SERVICE, _SOFTWARE, _PERHAPS_SOFTWARE, _ANYBODY, _STANDARDS, _OTHER = 5, 4, 3, 2, 1, 0
_AUTH_STEPS: Final = ("auth_password", "auth_oauth")
#: Rows of the standards alone, and of what servers say in words; the other rows for anybody are findings of our own.
_FALLBACK: Final = "fallback."
_WORDS: Final = "words."
_BLAME: Final = "AUTH_BAD_CREDENTIALS"
#: An answer to a credential with one of these is final, whatever it means: the same credential is not tried again.
_REFUSALS: Final = frozenset({"no", "bad", "bye"})
_MAX_REPLY: Final = 1000
#: "Try again in 10 minutes." No reply makes us wait longer than a day.
_WAIT: Final = re.compile(r"\b(?:in|after|wait|for) (\d{1,6}) ?(second|minute|hour)s?\b", re.IGNORECASE)
_LONGEST_WAIT: Final = timedelta(days=1)
_HONOURS_HINTS: Final = "honour_hint"

Confidence = Literal["high", "medium", "low", "none"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who speaks, as far as it is known: a service (`google`) and a software (`sw:dovecot`)."""

    service: str | None = None
    software: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that matches. Greater ranks match better.

    Attributes:
        rule: the row.
        rank: provider, number of code tokens, exactness of the step, length of the matched text, and the place negated.
        wait: the time to wait that the reply itself gives, or None.
    """

    rule: Rule
    rank: tuple[int, int, int, int, int]
    wait: timedelta | None = None

    @property
    def confidence(self) -> Confidence:
        """How sure the diagnosis is: low for a row of the standards, high where speaker and text agree."""
        provider = self.rank[0]
        if provider == _STANDARDS:
            return "low"
        if provider == _ANYBODY:
            return "medium" if self.rule.rule_id.startswith(_WORDS) else "high"
        if provider == _PERHAPS_SOFTWARE or self.rule.pattern is None:
            return "medium"
        return "high"


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnosis, and the time to wait that the reply itself gives, or None."""

    diagnosis: Diagnosis
    wait: timedelta | None = None


class DiagnosisTable:
    """The loaded table."""

    def __init__(self, rules: Sequence[Rule], codes: dict[str, Code], providers: dict[str, Provider]) -> None:
        self.rules, self.codes, self.providers = tuple(rules), codes, providers

    @classmethod
    def load(cls) -> "DiagnosisTable":
        """The table that is shipped with the package."""
        return cls(load_rules(), load_codes(), load_providers())

    def matches(self, protocol: str, step: str, reply: Reply, origin: Origin) -> list[Match]:
        """Every matching rule, the best first."""
        found = (_match(place, rule, protocol, step, reply, origin) for place, rule in enumerate(self.rules))
        return sorted((match for match in found if match), key=lambda match: match.rank, reverse=True)

    def diagnose(self, protocol: str, step: str, replies: Sequence[Reply], origin: Origin, quote: str) -> Finding:
        """The diagnosis of a failed step.

        Args:
            protocol: as in the table.
            step: the table's name of the step.
            replies: what was said, the decisive reply first; a later one counts only when no earlier one matches.
            origin: who said it.
            quote: the words to show, already redacted.

        Returns:
            The best rule's diagnosis; UNKNOWN, which guesses nothing and quotes the words, when no rule matches.
        """
        for reply in replies:
            best = _best(self.matches(protocol, step, reply, origin))
            if best is not None:
                return Finding(self._diagnosis(best, origin, quote), best.wait)
        return Finding(self._unknown(replies, step, origin, quote))

    def _help(self, origin: Origin, code: str) -> str | None:
        known = self.providers.get(origin.service or "")
        return known.page_about(code) if known else None

    def _diagnosis(self, match: Match, origin: Origin, quote: str) -> Diagnosis:
        rule, code = match.rule, self.codes[match.rule.code]
        return Diagnosis(
            code=code.code,
            rule_id=rule.rule_id,
            table_version=TABLE_VERSION,
            confidence=match.confidence,
            severity=code.severity,
            action_by=code.action_by,
            meaning=rule.meaning,
            remedy=rule.remedy,
            retry_policy=rule.retry_policy,
            reply=quote[:_MAX_REPLY],
            help_url=self._help(origin, code.code),
        )

    def _unknown(self, replies: Sequence[Reply], step: str, origin: Origin, quote: str) -> Diagnosis:
        code = self.codes[UNKNOWN]
        refused = step in _AUTH_STEPS and any(map(_is_refusal, replies))
        return Diagnosis(
            code=code.code,
            rule_id=None,
            table_version=TABLE_VERSION,
            confidence="none",
            severity=code.severity,
            action_by=code.action_by,
            meaning=code.meaning,
            remedy="Read the server's own words; its administrator can say what they mean",
            retry_policy="never" if refused else code.retry_policy,
            reply=quote[:_MAX_REPLY],
            help_url=self._help(origin, code.code),
        )


def _best(matches: Sequence[Match]) -> Match | None:
    best = next(iter(matches), None)
    if best is None or best.rule.code != _BLAME or best.rule.pattern is None:
        return best  # a code that means nothing but this (AADSTS50126) needs no words
    return next((match for match in matches if match.rule.code != _BLAME), best)


def _is_refusal(reply: Reply) -> bool:
    permanent = any(token.startswith("5") and token.isdigit() for token in reply.tokens)
    return permanent or bool(reply.tokens & _REFUSALS)


def _match(place: int, rule: Rule, protocol: str, step: str, reply: Reply, origin: Origin) -> Match | None:
    provider = _provider_rank(rule, origin)
    if provider == _OTHER or not {protocol, "*"}.intersection(rule.protocols):
        return None
    step_rank = max(_step_rank(name, step) for name in rule.steps)
    tokens = max((len(wanted) for wanted in rule.codes if wanted <= reply.tokens), default=-1)
    if step_rank < 0 or tokens < 0:
        return None
    if rule.pattern is None:
        return Match(rule, (provider, tokens, step_rank, 0, -place))
    found = rule.pattern.search(reply.text)
    if found is None:
        return None
    wait = _wait(found, reply.text) if rule.retry_policy == _HONOURS_HINTS else None
    length = 1 if rule.rule_id.startswith(_WORDS) else len(found.group())
    return Match(rule, (provider, tokens, step_rank, length, -place), wait)


def _wait(found: re.Match[str], text: str) -> timedelta | None:
    """How long the reply asks us to wait: in a rule's own group, or in words."""
    milliseconds = found.groupdict().get("backoff_ms")
    if milliseconds:
        return timedelta(milliseconds=min(int(milliseconds), _LONGEST_WAIT // timedelta(milliseconds=1)))
    named = _WAIT.search(text)
    return min(timedelta(**{f"{named[2].lower()}s": int(named[1])}), _LONGEST_WAIT) if named else None


def _provider_rank(rule: Rule, origin: Origin) -> int:
    if origin.service in rule.providers:
        return _SERVICE
    if origin.software in rule.providers:
        return _SOFTWARE
    nobody_known = origin.service is None and origin.software is None
    if nobody_known and rule.pattern and any(name.startswith("sw:") for name in rule.providers):
        return _PERHAPS_SOFTWARE
    if "*" not in rule.providers:
        return _OTHER
    return _STANDARDS if rule.rule_id.startswith(_FALLBACK) else _ANYBODY


def _step_rank(named: str, step: str) -> int:
    if named == step:
        return 2
    if named == "auth" and step in _AUTH_STEPS:
        return 1
    return 0 if named == "*" else -1
