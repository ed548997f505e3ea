"""The steps of one protocol's exchange: times, outcomes, redacted transcripts, and the diagnosis of the one that failed."""

import asyncio
import os
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Literal, Self

from berth_connector.diagnosis import DiagnosisTable, Finding, Origin
from berth_connector.probe.faults import Fault
from berth_connector.redaction import Redactor
from berth_events.contracts import Step, StepName
from berth_events.runtime.clock import Clock

__all__ = ["CONNECTION_ERRORS", "MAX_LINE", "TABLE_STEPS", "RunningStep", "StepLog", "Stopped", "clean"]

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


class RunningStep:
    """A step, as `StepLog.step` makes it.

    Attributes:
        name: of the step.
        table_step: the table's name of it.
        message: a short sentence for people, set by whoever runs the step.
        transcript: what we (`C: `) and the server (`S: `) say while it runs, not redacted yet.
        said: the same when it has ended, in lines.
        started_at: when it began.
        duration_ms: how long it took.
        outcome: what became of it.
        finding: why it failed, or None.
    """

    __slots__ = (
        "_began", "_log", "_optional", "_timeout",
        "duration_ms", "finding", "message", "name", "outcome", "said", "started_at", "table_step", "transcript",
    )  # fmt: skip

    def __init__(self, log: "StepLog", name: StepName, table_step: str, ends: float, *, optional: bool) -> None:
        self.name, self.table_step = name, table_step
        self.message, self.transcript = "", list[str]()
        self.outcome: Outcome = "ok"
        self.finding: Finding | None = None
        self._log, self._optional = log, optional
        self._timeout = asyncio.timeout_at(ends)

    async def __aenter__(self) -> Self:
        self.started_at, self._began = self._log.clock.now(), self._log.clock.monotonic()
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError:
            error = TimeoutError()  # the other one keeps this frame, and would be kept by it
        fault: Fault | None = None
        if isinstance(error, Fault):
            fault = error
        elif isinstance(error, CONNECTION_ERRORS):
            fault = _transport_fault(error)
        elif error is not None:
            return False
        if fault is not None:
            self.message = fault.message
            self.outcome = "skipped" if self._optional and fault is not error else "failed"
        if fault is not None and self.outcome == "failed":
            self.finding = self._log.diagnose(self.table_step, fault)
        self.duration_ms = round((self._log.clock.monotonic() - self._began) * 1000, 1)
        self._log.ended(self)
        self.said = "\n".join(self.transcript)
        del self._log, self._timeout, self._began, self.transcript  # what is kept is small, and no circle
        if self.finding is not None:
            raise Stopped(self.finding) from fault
        return True


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

    __slots__ = (
        "_done", "_redactor", "_running", "_table", "clock", "deadline", "finding", "origin", "plan", "protocol"
    )  # fmt: skip

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
        self.clock = clock
        self._table, self._redactor, self.deadline = table, redactor, deadline
        self._done: list[RunningStep] = []
        self._running: RunningStep | None = None
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
        ends = min(asyncio.get_running_loop().time() + limit, self.deadline)
        self._running = RunningStep(self, name, table_step or TABLE_STEPS.get(name, name), ends, optional=optional)
        return self._running

    def said(self, who: Literal["C", "S"], text: str) -> None:
        """Keep a line of the exchange with the step that runs."""
        if self._running is not None and len(self._running.transcript) < _MAX_LINES:
            short = text if len(text) <= MAX_LINE else self._redactor(text)[:MAX_LINE]
            self._running.transcript.append(f"{who}: {short}")

    def ended(self, step: RunningStep) -> None:
        """A step of ours has ended."""
        self._done.append(step)
        self._running = None
        self.finding = step.finding or self.finding

    def steps(self) -> tuple[Step, ...]:
        """All planned steps; those that were not begun are skipped. Secrets are taken out: mostly there is none in all of it."""
        now = self.clock.now()
        kept = "\n".join([text for step in self._done for text in (step.message, step.said)])
        redact = str if self._redactor.finds_nothing(kept) else self._redactor
        done = [
            Step(
                protocol=self.protocol,
                name=step.name,
                outcome=step.outcome,
                started_at=step.started_at,
                duration_ms=step.duration_ms,
                message=clean(redact(step.message))[:_MAX_MESSAGE],
                diagnosis=step.finding.diagnosis if step.finding else None,
                transcript=tuple([clean(line)[:MAX_LINE] for line in redact(step.said).split("\n") if line]),
            )
            for step in self._done
        ]
        rest = [
            Step(protocol=self.protocol, name=name, outcome="skipped", started_at=now, duration_ms=0)
            for name in self.plan[len(done) :]
        ]
        return (*done, *rest)

    def diagnose(self, step: str, fault: Fault) -> Finding:
        """What the table says of a fault in a step."""
        if fault.diagnosis is not None:
            return Finding(fault.diagnosis)
        quote = clean(self._redactor(fault.quote))
        found = self._table.diagnose(self.protocol, fault.table_step or step, fault.replies, self.origin, quote)
        return Finding(found.diagnosis, fault.wait or found.wait)


def clean(text: str) -> str:
    """The text without control characters and lone surrogates, white space collapsed."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split()) if "  " in text or text[:1] == " " or text[-1:] == " " else text


def _transport_fault(error: BaseException) -> Fault:
    if isinstance(error, TimeoutError):
        return Fault.transport("timed out", "No answer in time.")
    if isinstance(error, EOFError | ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return Fault.transport("connection closed", "The server closed the connection.")
    if isinstance(error, ssl.SSLError):
        return Fault.transport(str(error), "The TLS connection failed.")
    number = error.errno if isinstance(error, OSError) else None
    # asyncio words its errors in its own way, with the address in it
    return Fault.transport(os.strerror(number) if number else str(error), "The connection failed.")
