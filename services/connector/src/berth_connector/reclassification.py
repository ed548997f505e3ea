"""What a newer table of diagnoses says of verifications that were made, from what was kept of them: nobody is asked again."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from berth_connector.diagnosis import DiagnosisTable, Origin, Reply, parse_reply
from berth_connector.origins import of_host, recognise
from berth_connector.policies import POLICIES
from berth_connector.probe.steplog import MAX_LINE, TABLE_STEPS
from berth_events.contracts import Diagnosis, Step, Verification

__all__ = ["Parties", "reclassified"]

#: Rows about findings of our own: what they look at is a token that the row itself names.
_OWN: Final = ("net.", "own.")
_TELLING: Final = re.compile(r"\* (?:NO|BAD|BYE)\b", re.IGNORECASE)
_REFUSED: Final = re.compile(r"[^*\s]\S* (?:NO|BAD)\b", re.IGNORECASE)
_CHALLENGE: Final = re.compile(r"(?:\+|334) \S")
_BEARER: Final = re.compile(r"C: (?:\S+ )?AUTH(?:ENTICATE)? (?:XOAUTH2|OAUTHBEARER)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """With whom a verification spoke, as far as that is known by now.

    Attributes:
        imap: the host that was dialled.
        smtp: likewise.
        identity: the identity provider, `google` or `microsoft`.
    """

    imap: str | None = None
    smtp: str | None = None
    identity: str | None = None


def reclassified(table: DiagnosisTable, verification: Verification, parties: Parties) -> Verification:
    """The verification with the diagnoses of this table; the same when the table says the same.

    Args:
        table: usually a newer one.
        verification: as it was kept.
        parties: whose words they were.

    Returns:
        What cannot be judged again is left as it is: a finding whose row is gone.
    """
    hosts = {"imap": parties.imap, "smtp": parties.smtp, "oauth": None}
    steps = []
    for step in verification.steps:
        diagnosis = step.diagnosis
        if diagnosis is not None:
            exchange = [other for other in verification.steps if other.protocol == step.protocol]
            origin = _origin(exchange, hosts[step.protocol])
            if step.protocol == "oauth":
                origin = Origin(service=parties.identity)
            diagnosis = _rediagnosed(table, step, diagnosis, origin)
        steps.append(step.model_copy(update={"diagnosis": diagnosis}))
    found = [step.diagnosis for step in steps if step.diagnosis]
    final = [diagnosis for diagnosis in found if POLICIES[diagnosis.retry_policy] is None]
    return verification.model_copy(
        update={"steps": tuple(steps), "diagnosis": next(iter([*final, *found]), verification.diagnosis)}
    )


def _rediagnosed(table: DiagnosisTable, step: Step, old: Diagnosis, origin: Origin) -> Diagnosis:
    rule = next((rule for rule in table.rules if rule.rule_id == old.rule_id), None)
    if old.rule_id is not None and old.rule_id.startswith(_OWN):
        if rule is None:
            return old
        replies: tuple[Reply, ...] = (Reply.of(rule.codes[0], old.reply),)
    else:
        replies = _replies(step, old.reply)
    new = table.diagnose(step.protocol, _table_step(step, old), replies, origin, old.reply).diagnosis
    return old if _same(old, new) else new


def _same(old: Diagnosis, new: Diagnosis) -> bool:
    """Whether they differ in nothing but the table's version and the provider's page, which say nothing of the mailbox."""
    return old.model_copy(update={"table_version": new.table_version, "help_url": new.help_url}) == new


def _table_step(step: Step, old: Diagnosis) -> str:
    if step.name == "authenticate":
        return "auth_oauth" if any(map(_BEARER.match, step.transcript)) else "auth_password"
    turned_away = step.name == "tls" and not (old.rule_id or "net.").startswith(_OWN)
    return "greeting" if turned_away else TABLE_STEPS.get(step.name, step.name)


def _origin(exchange: Sequence[Step], host: str | None) -> Origin:
    """Who spoke: by the host, by the greeting, and by what it offered, as far as the exchange got."""
    origin = of_host(host) if host else Origin()
    for step in exchange:
        if step.outcome == "ok" and step.name == "greet":
            origin = recognise(origin, "\n".join(line[3:] for line in step.transcript if line.startswith("S: ")))
        elif step.outcome == "ok" and step.name in {"capabilities", "ehlo"}:
            origin = recognise(origin, step.message)
    return origin


def _replies(step: Step, quote: str) -> tuple[Reply, ...]:
    """What the server said in the step, the decisive reply first: from the transcript, or from the quote where that is cut."""
    if step.protocol == "oauth":
        error, _, description = quote.partition(":")
        return (parse_reply("oauth", json.dumps({"error": error, "error_description": description.strip()})),)
    said = [line[3:] for line in step.transcript if line.startswith("S: ")]
    last = next((n for n, line in enumerate(reversed(step.transcript)) if not line.startswith("S: ")), len(said))
    behind = said[len(said) - last :] if last else []
    cut = any(len(line) + 3 >= MAX_LINE for line in behind)
    if not behind or cut:
        return (parse_reply(step.protocol, quote),)
    challenges = [line for line in said[: len(said) - last] if _CHALLENGE.match(line)]
    if step.protocol == "smtp":
        raw = ["\n".join(behind)]
    else:
        raw = [*[line for line in behind if _REFUSED.match(line)][-1:], *filter(_TELLING.match, behind)] or [quote]
    return tuple(parse_reply(step.protocol, one) for one in [*raw, *challenges])
