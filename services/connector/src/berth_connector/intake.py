"""From the gateway's events to accounts, workspaces and work: what is to be verified, and what not any more."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from berth_connector import repository
from berth_connector.checkup.requests import checkup_of
from berth_connector.policies import is_final
from berth_connector.requests import VerificationRequest, recheck_of, work_of
from berth_connector.workspaces import WorkspaceIntake
from berth_events.contracts import (
    AccountCheckupRequested,
    AccountCredentialsReplaced,
    AccountRemoved,
    AccountRequested,
    AccountResumed,
    AccountSuspended,
    AccountUpdated,
    AccountVerificationRequested,
    Envelope,
    Event,
)
from berth_events.contracts.topics import ACCOUNTS, WORKSPACES

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection
    from berth_events.runtime.work import WorkQueue

__all__ = ["Intake"]

_ASKING: Final = (AccountRequested, AccountCredentialsReplaced, AccountVerificationRequested)


class Intake:
    """Turns what accounts and workspaces ask for into work. Of several requests that wait for one the last one is run."""

    name: Final = "connector-intake"
    topics: Final = (ACCOUNTS, WORKSPACES)

    def __init__(self, queue: "WorkQueue", clock: "Clock") -> None:
        self._queue, self._clock = queue, clock
        self._workspaces = WorkspaceIntake(queue, clock)

    async def apply(self, connection: "Connection", envelopes: Sequence[Envelope]) -> None:
        """Apply events of one partition, in order; neighbours of one type together."""
        for kind, group in groupby(envelopes, key=lambda envelope: type(envelope.data)):
            run = list(group)
            if kind.topic == WORKSPACES:
                for envelope in run:
                    await self._workspaces.apply(connection, envelope)
            else:
                await self._apply(connection, kind, run)

    async def _apply(self, connection: "Connection", kind: type[Event], run: Sequence[Envelope]) -> None:
        account_ids = [envelope.data.aggregate_id for envelope in run]
        if issubclass(kind, _ASKING):
            await self._ask(connection, run, new_credential=kind is not AccountVerificationRequested)
        elif kind is AccountRemoved:
            # the work first, as workers do who write a result: else each would wait for the other
            await self._queue.cancel(connection, account_ids)
            await repository.remove(connection, account_ids)
        elif kind is AccountSuspended:
            # what somebody asked for is still answered; the next look of our own finds the account suspended
            await repository.set_suspended(connection, account_ids, suspended=True)
        elif kind is AccountResumed:
            await repository.set_suspended(connection, account_ids, suspended=False)
            for envelope in run:
                await self._resume(connection, envelope)
        elif kind is AccountCheckupRequested:
            data = ((envelope, envelope.data) for envelope in run)
            checkups = [checkup_of(one, event) for one, event in data if isinstance(event, AccountCheckupRequested)]
            await self._queue.request(connection, checkups)
        elif kind is AccountUpdated:
            for envelope in run:
                await self._update(connection, envelope)

    async def _ask(self, connection: "Connection", envelopes: Sequence[Envelope], *, new_credential: bool) -> None:
        items = [work_of(envelope, envelope.data) for envelope in envelopes if isinstance(envelope.data, _ASKING)]
        requests = [VerificationRequest.model_validate(item.payload) for item in items]
        kept = [request for request in requests if request.reason != "dry_run"]
        await repository.save_settings(connection, kept, new_credential=new_credential)
        await self._queue.request(connection, items)

    async def _resume(self, connection: "Connection", envelope: Envelope) -> None:
        """Look at the account now, unless its credential was refused: that is not tried again unasked.

        A workspace's may have been replaced meanwhile; while it is paused, nobody is asked.
        """
        account = await repository.find(connection, envelope.data.aggregate_id)
        if account is not None and not is_final(account.standing.retry_policy):
            await self._queue.schedule(connection, [recheck_of(account.request, envelope.event_id, self._clock.now())])

    async def _update(self, connection: "Connection", envelope: Envelope) -> None:
        event = envelope.data
        if isinstance(event, AccountUpdated) and event.imap_issue is not None:
            await repository.set_imap_issue(connection, event.account_id, imap_issue=event.imap_issue)
