"""The steps of one protocol's exchange: times, outcomes, redacted transcripts, and the diagnosis of the one that failed."""

import asyncio
import os
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Final, Literal

from berth_connector.diagnosis import DiagnosisTable, Finding, Origin
from berth_connector.probe.faults import Fault
from berth_connector.redaction import Redactor
from berth_events.contracts import Step, StepName
from berth_events.runtime.clock import Clock

__all__ = ["CONNECTION_ERRORS", "MAX_LINE", "TABLE_STEPS", "Note", "RunningStep", "StepLog", "Stopped", "clean"]

_MAX_LINES: Final = 24
MAX_LINE: Final = 240
_MAX_MESSAGE: Final = 500

#: The table's names of the steps that it knows under another one.
TABLE_STEPS: Final[dict[StepName, str]] = {
    "greet": "greeting",
    "capabilities": "capability",
    "ehlo": "capability",
}
#: A connection that ended or never came about.
CONNECTION_ERRORS: Final = (TimeoutError, OSError, EOFError)

Protocol = Literal["imap", "smtp", "oauth"]
Outcome = Literal["ok", "failed", "skipped"]


class Stopped(Exception):
    """A step failed and is recorded; the steps behind it are skipped. `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding


@dataclass(slots=True)
class Note:
    """What a running step has to say.

    Attributes:
        message: a short sentence for people.
        transcript: who said what (`C` is us), not redacted yet.
    """

    message: str = ""
    transcript: list[tuple[str, str]] = field(default_factory=list)


class StepLog:
    """Runs the planned steps of one exchange and keeps what became of them.

    Args:
        protocol: `imap`, `smtp` or `oauth`.
        plan: the names of all steps, in order.
        table: gives the diagnoses.
        redactor: takes the secrets out of everything that is kept.
        clock: gives the times.
        deadline: the event loop's time at which the whole exchange has to be over.
    """

    def __init__(
        self,
        protocol: Protocol,
        plan: Sequence[StepName],
        table: DiagnosisTable,
        redactor: Redactor,
        clock: Clock,
        deadline: float,
    ) -> None:
        self.protocol: Protocol = protocol
        self.plan = tuple(plan)
        self._table, self._redactor, self._clock, self._deadline = table, redactor, clock, deadline
        self._done: list[Step] = []
        self._note = Note()
        #: Who speaks, as far as it is known by now.
        self.origin = Origin()
        #: Why the exchange failed, or None.
        self.finding: Finding | None = None

    def step(
        self, name: StepName, limit: float, *, optional: bool = False, table_step: str | None = None
    ) -> "RunningStep":
        """Run a step for at most `limit` seconds, and never beyond the deadline: `async with log.step(...) as note`.

        Args:
            name: the next one of the plan.
            limit: seconds.
            optional: the step is skipped, not failed, when the server falls silent or hangs up.
            table_step: the table's name of it, when that depends on what is done in it.

        Raises:
            Stopped: it failed.
        """
        self._note = Note()
        ends = min(asyncio.get_running_loop().time() + limit, self._deadline)
        return RunningStep(self, self._note, name, table_step or TABLE_STEPS.get(name, name), ends, optional=optional)

    def said(self, who: Literal["C", "S"], text: str) -> None:
        """Keep a line of the exchange with the running step."""
        if len(self._note.transcript) < _MAX_LINES:
            short = text if len(text) <= MAX_LINE else self._redactor(text)[:MAX_LINE]
            self._note.transcript.append((who, short))

    def begin(self) -> tuple[datetime, float]:
        """A step begins: the time, also as the clock's seconds."""
        return self._clock.now(), self._clock.monotonic()

    def end(
        self, running: "RunningStep", began: tuple[datetime, float], outcome: Outcome, fault: Fault | None
    ) -> Finding | None:
        """A step has ended; what was found if it failed."""
        started_at, started = began
        note = running.note
        finding = self._diagnose(running.table_step, fault) if fault and outcome == "failed" else None
        self._done.append(
            Step(
                protocol=self.protocol,
                name=running.name,
                outcome=outcome,
                started_at=started_at,
                duration_ms=round((self._clock.monotonic() - started) * 1000, 1),
                message=clean(self._redactor(note.message))[:_MAX_MESSAGE],
                diagnosis=finding.diagnosis if finding else None,
                transcript=self._redacted(note.transcript),
            )
        )
        self.finding = finding or self.finding
        return finding

    def _redacted(self, transcript: Iterable[tuple[str, str]]) -> tuple[str, ...]:
        """The lines without secrets; these are taken out before a line is cut. Most steps have none."""
        redact = str if self._redactor.finds_nothing("\n".join(text for _, text in transcript)) else self._redactor
        return tuple([clean(f"{who}: {redact(text)}")[:MAX_LINE] for who, text in transcript])

    def steps(self) -> tuple[Step, ...]:
        """All planned steps; those that were not begun are skipped."""
        now = self._clock.now()
        rest = [
            Step(protocol=self.protocol, name=name, outcome="skipped", started_at=now, duration_ms=0)
            for name in self.plan[len(self._done) :]
        ]
        return (*self._done, *rest)

    def _diagnose(self, step: str, fault: Fault) -> Finding:
        if fault.diagnosis is not None:
            return Finding(fault.diagnosis)
        quote = clean(self._redactor(fault.quote))
        found = self._table.diagnose(self.protocol, fault.table_step or step, fault.replies, self.origin, quote)
        return Finding(found.diagnosis, fault.wait or found.wait)


class RunningStep:
    """A step that runs, as `StepLog.step` makes it.

    Attributes:
        note: what it has to say.
        name: of the step.
        table_step: the table's name of it.
    """

    __slots__ = ("_began", "_log", "_optional", "_timeout", "name", "note", "table_step")

    def __init__(
        self, log: StepLog, note: Note, name: StepName, table_step: str, ends: float, *, optional: bool
    ) -> None:
        self._log, self.note, self.name, self.table_step, self._optional = log, note, name, table_step, optional
        self._timeout = asyncio.timeout_at(ends)

    async def __aenter__(self) -> Note:
        self._began = self._log.begin()
        await self._timeout.__aenter__()
        return self.note

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as late:
            error = late
        outcome: Outcome = "ok"
        fault: Fault | None = None
        if isinstance(error, Fault):
            outcome, fault = "failed", error
        elif isinstance(error, CONNECTION_ERRORS):
            outcome, fault = "skipped" if self._optional else "failed", _transport_fault(error)
        elif error is not None:
            return False
        if fault is not None:
            self.note.message = fault.message
        finding = self._log.end(self, self._began, outcome, fault)
        if finding is not None:
            raise Stopped(finding) from fault
        return True


def clean(text: str) -> str:
    """The text without control characters and lone surrogates, white space collapsed."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())


def _transport_fault(error: BaseException) -> Fault:
    if isinstance(error, TimeoutError):
        return Fault.transport("timed out", "No answer in time.")
    if isinstance(error, EOFError | ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return Fault.transport("connection closed", "The server closed the connection.")
    if isinstance(error, ssl.SSLError):
        return Fault.transport(str(error), "TLS could not be established.")
    number = error.errno if isinstance(error, OSError) else None
    # asyncio words its errors in its own way, with the address in it
    return Fault.transport(os.strerror(number) if number else str(error), "The connection failed.")
