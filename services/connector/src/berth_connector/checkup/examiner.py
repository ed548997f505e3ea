"""A checkup: one message sent from a mailbox to itself, and what its way tells."""

import asyncio
from dataclasses import replace
from datetime import datetime

from berth_connector.checkup.delivery import Delivery, Means
from berth_connector.checkup.mailbox import Arrived
from berth_connector.checkup.reading import provider_of, read
from berth_connector.checkup.worker import Errand, Examination
from berth_connector.diagnosis import Finding, Origin, Reply
from berth_connector.probe import Login, TokenGrant
from berth_connector.probe.grants import fetch_token
from berth_connector.probe.steplog import StepLog, Stopped
from berth_connector.redaction import Redactor
from berth_events.contracts import Checkup, MailServer
from berth_net import Address, LookupFailed, ReverseResolver, canonical_name

__all__ = ["Examiner"]


class Examiner:
    """Checks up on mailboxes.

    Args:
        means: what it takes.
        reverse: finds the names of addresses.
    """

    def __init__(self, means: Means, reverse: ReverseResolver) -> None:
        self._means, self._reverse = means, reverse

    async def examine(
        self, errand: Errand, address: str, imap: Login | None, smtp: Login | None, grant: TokenGrant | None = None
    ) -> Examination:
        """Run a checkup. Every failure of a server or the network is in the result; nothing is raised for it.

        Args:
            errand: names the message, and says whether it was sent already.
            address: of the mailbox.
            imap: where the message is looked for; None: nowhere, which is a failure.
            smtp: where it is sent; likewise.
            grant: gives the access token that takes the place of both passwords.
        """
        began = self._means.clock.now()
        if imap is None or smtp is None:
            return _failed(began, self._finding("MISSING:SERVER"))
        if grant is not None:
            try:
                token = await self._token(grant)
            except Stopped as stopped:
                return _failed(began, stopped.finding)
            imap, smtp = replace(imap, password=token), replace(smtp, password=token)
        local, _, domain = address.rpartition("@")
        delivery = Delivery(self._means, errand, (local, canonical_name(domain)), imap, smtp)
        try:
            arrived = await delivery.run()
        except Stopped as stopped:
            return _failed(delivery.handed_over or began, stopped.finding)
        at = delivery.handed_over or began
        if arrived is None:
            missing = self._finding("MISSING:MESSAGE").diagnosis
            return Examination(Checkup(started_at=at, outcome="missing", diagnosis=missing))
        return Examination(await self._told(at, delivery, arrived, imap.server, smtp.server))

    async def _told(
        self, at: datetime, delivery: Delivery, arrived: Arrived, imap: MailServer, smtp: MailServer
    ) -> Checkup:
        trace = read(arrived.header, domain=delivery.domain, imap_host=imap.host)
        address, signature, redacted = trace.sending_ip, trace.signature, delivery.redactor
        name = await self._name_of(address) if address else None
        # a server may write what it knows into a header: also the password
        told = signature if signature and redacted(f"{signature}") == f"{signature}" else None
        return Checkup(
            started_at=at,
            outcome="spam" if arrived.spam else "delivered",
            delay_ms=None if delivery.delay is None else round(delivery.delay * 1000, 1),
            folder=redacted(arrived.folder),
            sending_ip=str(address) if address else None,
            reverse_dns=name,
            provider=provider_of([*([name] if name else []), *trace.hosts, smtp.host]),
            dkim_domain=told.domain if told else None,
            dkim_selector=told.selector if told else None,
            authentication_results=redacted(trace.results)[:2000] if trace.results else None,
        )

    async def _token(self, grant: TokenGrant) -> str:
        means = self._means
        deadline = asyncio.get_running_loop().time() + means.limits.token
        log = StepLog("oauth", ("token",), means.table, Redactor(()), means.clock, deadline)
        return await fetch_token(log, means.limits.token, grant)

    async def _name_of(self, address: Address) -> str | None:
        """What the DNS calls the address: headers only repeat it, or make it up."""
        try:
            return next(iter(await self._reverse.names(address)), None)
        except LookupFailed:
            return None

    def _finding(self, token: str) -> Finding:
        return self._means.table.diagnose("imap", "checkup", [Reply.of([token])], Origin(), "")


def _failed(at: datetime, finding: Finding) -> Examination:
    return Examination(Checkup(started_at=at, outcome="failed", diagnosis=finding.diagnosis), finding.wait)
