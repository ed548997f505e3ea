"""What servers of many products say that no row of the table has as its example, and what it means.

`replies_elsewhere.csv` has a reply a row: `source` is who says so ("Any" and "… hoster" are composed after such replies),
`speaker` who is known to speak, `codes` every diagnosis that is right (UNKNOWN only where the words leave it open),
`action_by` who may have to act, and `retry` whether trying again soon is right (`may`) or dangerous (`no`).
"""

import base64
import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from berth_connector.diagnosis import DiagnosisTable, Origin, Reply, parse_reply
from berth_events.contracts import Diagnosis

__all__ = ["TRANSPORT", "Elsewhere", "load_elsewhere"]

#: Steps whose texts are those of the system or of OpenSSL.
TRANSPORT: Final = frozenset({"tls", "connect", "resolve"})


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A row of the file. The words of the module say what the fields are."""

    source: str
    speaker: str
    protocol: str
    step: str
    reply: str
    codes: frozenset[str]
    action_by: frozenset[str]
    retry: str

    @property
    def is_composed(self) -> bool:
        """Whether it was made up after replies of the kind, rather than seen."""
        return self.source == "Any" or self.source.endswith(" hoster")

    @property
    def origin(self) -> Origin:
        """Who is known to speak."""
        if self.speaker.startswith("sw:"):
            return Origin(software=self.speaker)
        return Origin(service=self.speaker or None)

    @property
    def parsed(self) -> Reply:
        """What the table looks at. JSON comes as a challenge."""
        if self.step in TRANSPORT:
            return Reply.of([], self.reply)
        raw = self.reply
        if raw.startswith("{"):
            raw = ("+ " if self.protocol == "imap" else "334 ") + base64.b64encode(raw.encode()).decode()
        return parse_reply(self.protocol, raw)

    def diagnosed(self, table: DiagnosisTable, origin: Origin | None = None) -> Diagnosis:
        """What the table makes of it.

        Args:
            table: the table.
            origin: who speaks, when somebody else than is known to.
        """
        who = self.origin if origin is None else origin
        return table.diagnose(self.protocol, self.step, [self.parsed], who, self.reply).diagnosis


def load_elsewhere() -> list[Elsewhere]:
    """The rows in the order of the file."""
    text = (files("berth_testing.corpus") / "replies_elsewhere.csv").read_text(encoding="utf-8")
    return [
        Elsewhere(
            **{name: row[name] for name in ("source", "speaker", "protocol", "step", "reply", "retry")},
            codes=frozenset(row["codes"].split("|")),
            action_by=frozenset(row["action_by"].split("|")),
        )
        for row in csv.DictReader(text.splitlines(keepends=True))
    ]
