"""A verification: IMAP and SMTP proven at the same time, within one deadline."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from uuid import UUID

from berth_connector.diagnosis import DiagnosisTable, Finding
from berth_connector.policies import POLICIES
from berth_connector.probe.dial import Dialler, Limits
from berth_connector.probe.exchange import LAST_STEPS, OpenSession, plan
from berth_connector.probe.exchange import prove as prove_login
from berth_connector.probe.grants import TokenGrant, fetch_token
from berth_connector.probe.imap import ImapSession
from berth_connector.probe.login import Login
from berth_connector.probe.smtp import SmtpSession
from berth_connector.probe.steplog import Protocol, StepLog, Stopped
from berth_connector.redaction import Redactor
from berth_events.contracts import Diagnosis, Verification
from berth_events.runtime.clock import Clock
from berth_net import HostGuard

__all__ = ["ProbeResult", "Prober"]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a verification found.

    Attributes:
        verification: step by step.
        wait: what a server asked for, or None.
        no_token: why there was no access token, or None.
    """

    verification: Verification
    wait: timedelta | None = None
    no_token: Diagnosis | None = None


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

    async def verify(
        self, verification_id: UUID, imap: Login | None, smtp: Login | None, grant: TokenGrant | None = None
    ) -> ProbeResult:
        """Run all steps. Every failure of a server or the network is in the result; nothing is raised for it.

        Args:
            verification_id: names the run.
            imap: where and how to sign in, or None not to try.
            smtp: the same.
            grant: gives the access token that takes the place of both passwords, before anything is dialled.
        """
        started_at, started = self._clock.now(), self._clock.monotonic()
        deadline = asyncio.get_running_loop().time() + self._limits.total
        logs: list[StepLog] = []
        token: str | None = None
        if grant is not None:
            logs.append(StepLog("oauth", ("token",), self._table, Redactor(()), self._clock, deadline))
            token = await self._token(logs[0], grant)
            imap, smtp = _with_token(imap, token), _with_token(smtp, token)
        redactor = Redactor(login.password for login in (imap, smtp) if login)
        servers: tuple[tuple[Protocol, Login | None], ...] = (("imap", imap), ("smtp", smtp))
        exchanges = {
            protocol: StepLog(
                protocol,
                plan(login.server.security, *LAST_STEPS[protocol]),
                self._table,
                redactor,
                self._clock,
                deadline,
            )
            for protocol, login in servers
            if login is not None
        }
        logs += exchanges.values()
        proven: dict[Protocol, bool] = {}
        if grant is None or token is not None:
            proven = await self._prove_all(exchanges, imap, smtp)
        findings = [log.finding for log in logs if log.finding]
        first = _to_mend_first(findings)
        return ProbeResult(
            Verification(
                verification_id=verification_id,
                started_at=started_at,
                duration_ms=round((self._clock.monotonic() - started) * 1000, 1),
                outcome="failed" if first else "connected",
                imap=proven.get("imap"),
                smtp=proven.get("smtp"),
                steps=tuple(step for log in logs for step in log.steps()),
                diagnosis=first.diagnosis if first else None,
            ),
            first.wait if first else None,
            first.diagnosis if first and grant is not None and token is None else None,
        )

    async def diagnose(self, grant: TokenGrant) -> Finding | None:
        """Get a token and nothing else; why there is none, or None."""
        deadline = asyncio.get_running_loop().time() + self._limits.total
        log = StepLog("oauth", ("token",), self._table, Redactor(()), self._clock, deadline)
        await self._token(log, grant)
        return log.finding

    async def _token(self, log: StepLog, grant: TokenGrant) -> str | None:
        try:
            return await fetch_token(log, self._limits.token, grant)
        except Stopped:
            return None

    async def _prove_all(
        self, logs: dict[Protocol, StepLog], imap: Login | None, smtp: Login | None
    ) -> dict[Protocol, bool]:
        proven: dict[Protocol, bool] = {}

        async def prove(protocol: Protocol, login: Login, open_session: OpenSession) -> None:
            try:
                await prove_login(self._dialler, self._limits, logs[protocol], login, open_session)
            except Stopped:
                proven[protocol] = False
            else:
                proven[protocol] = True

        async with asyncio.TaskGroup() as group:
            if smtp is not None:
                group.create_task(prove("smtp", smtp, partial(SmtpSession, local_hostname=self._local_hostname)))
            if imap is not None:
                await prove("imap", imap, ImapSession)
        return proven


def _to_mend_first(findings: Sequence[Finding]) -> Finding | None:
    """The finding that is not tried again, if there is one: else a retry for the other would repeat what was refused."""
    final = [finding for finding in findings if POLICIES[finding.diagnosis.retry_policy] is None]
    return next(iter([*final, *findings]), None)


def _with_token(login: Login | None, token: str | None) -> Login | None:
    return replace(login, password=token or "") if login else None
