"""A verification: IMAP and SMTP proven at the same time, within one deadline."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from berth_connector.diagnosis import DiagnosisTable, Finding
from berth_connector.policies import POLICIES
from berth_connector.probe.dial import Dialler, Limits
from berth_connector.probe.exchange import OpenSession, plan, prove
from berth_connector.probe.imap import ImapSession
from berth_connector.probe.login import Login
from berth_connector.probe.smtp import SmtpSession
from berth_connector.probe.steplog import StepLog, Stopped
from berth_connector.redaction import Redactor
from berth_events.contracts import Verification
from berth_events.runtime.clock import Clock
from berth_net import HostGuard

__all__ = ["ProbeResult", "Prober"]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a verification found, and the time to wait that a server asked for, or None."""

    verification: Verification
    wait: timedelta | None = None


class Prober:
    """Proves mailboxes.

    Args:
        guard: which hosts and ports are allowed.
        tls: the context of every connection (`berth_connector.probe.tls.client_context`).
        table: gives the diagnoses.
        clock: gives the times of the steps.
        local_hostname: what SMTP's EHLO says.
        limits: seconds.
    """

    def __init__(
        self,
        guard: HostGuard,
        tls: ssl.SSLContext,
        table: DiagnosisTable,
        clock: Clock,
        *,
        local_hostname: str,
        limits: Limits | None = None,
    ) -> None:
        self._table, self._clock, self._local_hostname = table, clock, local_hostname
        self._limits = limits or Limits()
        self._dialler = Dialler(guard, tls, self._limits)

    async def verify(self, verification_id: UUID, imap: Login | None, smtp: Login | None) -> ProbeResult:
        """Run all steps. Every failure of a server or the network is in the result; nothing is raised for it.

        Args:
            verification_id: names the run.
            imap: where and how to sign in, or None not to try.
            smtp: the same.
        """
        started_at, started = self._clock.now(), self._clock.monotonic()
        deadline = asyncio.get_running_loop().time() + self._limits.total
        redactor = Redactor(login.password for login in (imap, smtp) if login)
        async with asyncio.TaskGroup() as group:
            runs = []
            if imap is not None:
                log = StepLog(
                    "imap",
                    plan(imap.server.security, "capabilities", "select"),
                    self._table,
                    redactor,
                    self._clock,
                    deadline,
                )
                runs.append((log, group.create_task(self._prove(log, imap, ImapSession))))
            if smtp is not None:
                log = StepLog(
                    "smtp", plan(smtp.server.security, "ehlo", "noop"), self._table, redactor, self._clock, deadline
                )
                session = partial(SmtpSession, local_hostname=self._local_hostname)
                runs.append((log, group.create_task(self._prove(log, smtp, session))))
        proven = {log.protocol: task.result() for log, task in runs}
        findings = [log.finding for log, _ in runs if log.finding]
        first = _to_mend_first(findings)
        return ProbeResult(
            Verification(
                verification_id=verification_id,
                started_at=started_at,
                duration_ms=round((self._clock.monotonic() - started) * 1000, 1),
                outcome="failed" if first else "connected",
                imap=proven.get("imap"),
                smtp=proven.get("smtp"),
                steps=tuple(step for log, _ in runs for step in log.steps()),
                diagnosis=first.diagnosis if first else None,
            ),
            first.wait if first else None,
        )

    async def _prove(self, log: StepLog, login: Login, open_session: OpenSession) -> bool:
        try:
            await prove(self._dialler, self._limits, log, login, open_session)
        except Stopped:
            return False
        return True


def _to_mend_first(findings: Sequence[Finding]) -> Finding | None:
    """The finding that is not tried again, if there is one: else a retry for the other would repeat what was refused."""
    final = [finding for finding in findings if POLICIES[finding.diagnosis.retry_policy] is None]
    return next(iter([*final, *findings]), None)
