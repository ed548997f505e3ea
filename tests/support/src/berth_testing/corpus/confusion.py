"""What was expected of every row of the table, and what was found."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from berth_connector.diagnosis import Origin, Reply, Rule, parse_reply
from berth_events.contracts import Diagnosis
from berth_testing.corpus.conditions import CONDITIONS
from berth_testing.corpus.scenes import scenes
from berth_testing.corpus.stage import Stage

__all__ = ["Outcome", "play_all", "report"]

#: Scenes at once: each has a server and a client in this process.
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the probe made of one scene.

    Attributes:
        rule: the row that was played.
        place: who said it at which step.
        diagnosis: what was found; None when nothing was found wrong.
        played: by a server. Else the table alone was asked, because Berth does not speak that protocol.
    """

    rule: Rule
    place: str
    diagnosis: Diagnosis | None
    played: bool = True

    @property
    def found(self) -> str:
        """The code."""
        return self.diagnosis.code if self.diagnosis else "nothing"


async def play_all(stage: Stage) -> list[Outcome]:
    """Play every row at every place it is about."""
    crowd = asyncio.Semaphore(_AT_ONCE)
    alone = asyncio.Lock()  # the token service answers everybody alike; conditions change what others rely on

    async def play(rule: Rule) -> list[Outcome]:
        outcomes = []
        for scene in scenes(rule):
            async with alone if scene.protocol == "oauth" else crowd:
                outcomes.append(Outcome(rule, str(scene), await stage.play(scene)))
        protocols, condition = CONDITIONS.get(rule.rule_id, ((), None))
        for protocol in protocols:
            async with alone:
                diagnosis = await condition(stage, protocol) if condition else None
            outcomes.append(Outcome(rule, f"{rule.rule_id}: {protocol}", diagnosis))
        return outcomes or [_by_table(stage, rule)]

    played = await asyncio.gather(*map(play, stage.table.rules))
    return [outcome for outcomes in played for outcome in outcomes]


def _by_table(stage: Stage, rule: Rule) -> Outcome:
    protocol, provider = rule.protocols[0], rule.providers[0]
    reply = parse_reply(protocol, rule.example) if rule.example else Reply(rule.codes[0], "")
    origin = Origin(software=provider) if provider.startswith("sw:") else Origin(service=provider)
    diagnosis = stage.table.diagnose(protocol, rule.steps[0], [reply], origin, rule.example).diagnosis
    return Outcome(rule, f"{rule.rule_id}: by the table alone", diagnosis, played=False)


def report(outcomes: Sequence[Outcome]) -> str:
    """Expected code by found code, with the number of scenes and of rows; below it every scene off the diagonal."""
    cells = Counter((outcome.rule.code, outcome.found) for outcome in outcomes)
    rows: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for outcome in outcomes:
        rows[outcome.rule.code, outcome.found].add(outcome.rule.rule_id)
    lines = [f"{'expected':<28} {'found':<28} {'scenes':>6} {'rows':>5}"]
    lines += [
        f"{expected:<28} {found if found != expected else '=':<28} {count:>6} {len(rows[expected, found]):>5}"
        for (expected, found), count in sorted(cells.items())
    ]
    wrong = [outcome for outcome in outcomes if outcome.found != outcome.rule.code]
    lines += ["", *(f"WRONG {outcome.place}: {outcome.found}, not {outcome.rule.code}" for outcome in wrong)]
    played = [outcome for outcome in outcomes if outcome.played]
    left = [outcome for outcome in outcomes if not outcome.played]
    blamed = sum(outcome.found == "AUTH_BAD_CREDENTIALS" for outcome in wrong)
    lines.append(
        f"{len(played)} scenes of {_rows(played)} rows played; {_rows(left)} rows by the table alone; "
        f"{len(wrong)} scenes off the diagonal; {blamed} wrongly called a wrong password"
    )
    return "\n".join(lines)


def _rows(outcomes: Iterable[Outcome]) -> int:
    return len({outcome.rule.rule_id for outcome in outcomes})
