"""A message on its way: signed in by IMAP, sent by SMTP, waited for, deleted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from berth_connector.checkup.connection import Connection
from berth_connector.checkup.mailbox import Arrived, Mailbox
from berth_connector.checkup.message import Marks, compose, message_id
from berth_connector.checkup.worker import Errand
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.policies import POLICIES
from berth_connector.probe import Dialler, Fault, Limits, Login
from berth_connector.probe.exchange import LAST_STEPS, plan, signed_in
from berth_connector.probe.imap import ImapSession
from berth_connector.probe.smtp import SmtpSession
from berth_connector.probe.steplog import CONNECTION_ERRORS, Protocol, StepLog, Stopped
from berth_connector.redaction import Redactor

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock

__all__ = ["Delivery", "Means"]

#: Seconds between two looks, doubled each time. A server that idles tells at once what comes to the INBOX.
_PAUSES: Final = (1.0, 15.0)
#: A server may close the connection while the message is waited for: so many are opened.
_CONNECTIONS: Final = 3

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a checkup works with.

    Attributes:
        dialler: opens connections to vetted addresses.
        table: gives the diagnoses.
        clock: time, for what is waited for; the deadlines of steps are the event loop's.
        limits: seconds for sign-in and answers.
        local_hostname: what SMTP's EHLO says.
        arrival: for how many seconds the message is waited for.
    """

    dialler: Dialler
    table: DiagnosisTable
    clock: "Clock"
    limits: Limits
    local_hostname: str
    arrival: float


class Delivery:
    """One message from a mailbox to itself.

    Args:
        means: what it takes.
        errand: names the message, and says whether it was sent already.
        mailbox: local part and domain of its address, this in A-label form.
        imap: where the message is looked for.
        smtp: where it is sent.

    Attributes:
        handed_over: when the message was handed to the SMTP server, once it was.
        redactor: takes the passwords out.
        domain: of the address.
        delay: seconds from its acceptance until it was seen; None for one that a run before this one has sent.
    """

    def __init__(self, means: Means, errand: Errand, mailbox: tuple[str, str], imap: Login, smtp: Login) -> None:
        self._means, self._errand, self._imap, self._smtp = means, errand, imap, smtp
        self._address, self.domain = "@".join(mailbox), mailbox[1]
        self._marks = Marks(message_id(errand.checkup_id, self.domain), str(errand.checkup_id))
        self.redactor = Redactor((imap.password, smtp.password))
        self._accepted: float | None = None
        self.handed_over: datetime | None = None
        self.delay: float | None = None

    async def run(self) -> Arrived | None:
        """Send, find and delete the message; None when it did not arrive in time.

        IMAP signs in first: a credential that is refused there is not tried by SMTP as well, and no message is sent that
        could not be deleted.

        Raises:
            Stopped: the message was not accepted, or the mailbox could not be read.
        """
        connections = 0
        while True:
            connections += 1
            try:
                async with self._mailbox() as (mailbox, log):
                    arrived = await self._send_and_find(mailbox, log)
                    tidied = arrived is None or await self._tidy(mailbox)
            except Stopped as stopped:
                may_pass = POLICIES[stopped.finding.diagnosis.retry_policy] is not None
                if self._accepted is None or not may_pass or connections == _CONNECTIONS or self._left <= 0:
                    raise
                _log.info("checkup.reconnects", checkup_id=str(self._errand.checkup_id))
            else:
                if not tidied:
                    await self._tidy_anew()
                return arrived

    async def _send_and_find(self, mailbox: Mailbox, log: StepLog) -> Arrived | None:
        total = self._means.limits.total
        if self._accepted is None:
            async with log.step("select", total, table_step="search"):
                arrived = await mailbox.find()
            if arrived is not None:  # sent by a run that was killed
                self.handed_over = _date_of(arrived.header)
                return arrived
            if self._errand.sent_at is None:
                await self._send()
            else:
                self._resume(self._errand.sent_at)
        async with log.step("select", max(self._left, 0) + total, table_step="search"):
            return await self._wait(mailbox)

    def _resume(self, sent_at: datetime) -> None:
        """A run that was killed has sent it, and it is on its way: only the rest of the time is waited."""
        clock = self._means.clock
        self.handed_over = sent_at
        self._accepted = clock.monotonic() - max(0.0, (clock.now() - sent_at).total_seconds())

    async def _send(self) -> None:
        means = self._means
        log = self._log("smtp", self._smtp, 3 * means.limits.total)
        session_of = partial(SmtpSession, local_hostname=means.local_hostname)
        async with signed_in(means.dialler, means.limits, log, self._smtp, session_of) as session:
            self.handed_over = means.clock.now()
            message = compose(self._errand.checkup_id, self._address, self.domain, self.handed_over)
            # servers look into a message before they accept it
            async with log.step("noop", 2 * means.limits.total):
                await session.send(self._address, self._address, message)
            self._accepted = means.clock.monotonic()
            await self._errand.note_sent(means.clock.now())
            session.part()

    async def _wait(self, mailbox: Mailbox) -> Arrived | None:
        """Look again and again, ever less often, until the time is over."""
        pause, longest = _PAUSES
        while True:
            arrived = await mailbox.find()
            if arrived is not None:
                if self._accepted is not None:
                    self.delay = max(0.0, self._means.clock.monotonic() - self._accepted)
                return arrived
            left = self._left
            if left <= 0:
                return None
            await mailbox.news(min(pause, left))
            pause = min(2 * pause, longest)

    async def _tidy(self, mailbox: Mailbox) -> bool:
        """Delete the message. What was found out stands when this fails.

        Returns:
            False when the connection was lost on it.
        """
        try:
            async with asyncio.timeout(self._means.limits.total):
                await mailbox.remove()
        except (Fault, *CONNECTION_ERRORS) as error:
            _log.warning("checkup.message_left", checkup_id=str(self._errand.checkup_id), error=type(error).__name__)
            return isinstance(error, Fault)
        return True

    async def _tidy_anew(self) -> None:
        """Delete the message over another connection."""
        with suppress(Stopped):
            async with self._mailbox() as (mailbox, _):
                await self._tidy(mailbox)

    @property
    def _left(self) -> float:
        """Seconds for which the message may still be waited for."""
        gone = self._means.clock.monotonic() - self._accepted if self._accepted is not None else 0
        return self._means.arrival - gone

    @asynccontextmanager
    async def _mailbox(self) -> AsyncIterator[tuple[Mailbox, StepLog]]:
        """The mailbox, signed in, and the log of what is done with it."""
        means = self._means
        log = self._log("imap", self._imap, means.limits.total)
        async with signed_in(means.dialler, means.limits, log, self._imap, ImapSession) as session:
            async with log.step("select", means.limits.total):
                await session.finish(stay=True)
                connection = await Connection.take_over(session, means.limits.reply)
            try:
                later = self._log("imap", self._imap, means.arrival + 4 * means.limits.total)
                later.origin = log.origin
                async with later.step("select", means.limits.total, table_step="search"):
                    mailbox = await Mailbox.open(connection, self._marks, means.clock)
                yield mailbox, later
            finally:
                connection.part()

    def _log(self, protocol: Protocol, login: Login, seconds: float) -> StepLog:
        """A log for the diagnosis alone: a checkup publishes no steps, and what is done at the end has no name of its own."""
        steps = plan(login.server.security, *LAST_STEPS[protocol])
        deadline = asyncio.get_running_loop().time() + seconds
        return StepLog(protocol, steps, self._means.table, self.redactor, self._means.clock, deadline)


def _date_of(header: bytes) -> datetime | None:
    """The message's date, which was ours."""
    written = BytesHeaderParser(policy=compat32).parsebytes(header).get("Date", "")
    try:
        return parsedate_to_datetime(str(written)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
