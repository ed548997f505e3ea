"""The connector's own history, judged by the table of diagnoses that this version has."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_connector import repository
from berth_connector.lifecycle import Standing
from berth_connector.policies import POLICIES, next_attempt
from berth_connector.reclassification import Parties, reclassified
from berth_connector.requests import recheck_of
from berth_events.contracts import (
    AccountChecked,
    AccountConnected,
    AccountConnectionFailed,
    AccountDisconnected,
    AccountReconnected,
    Verification,
    VerificationEvent,
)
from berth_events.contracts.upcasting import read_event_data
from berth_events.runtime.store import Context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from berth_connector.diagnosis import DiagnosisTable
    from berth_events.runtime.clock import Clock
    from berth_events.runtime.database import Connection, Pool
    from berth_events.runtime.store import EventStore
    from berth_events.runtime.work import WorkQueue

__all__ = ["Change", "History", "Survey"]

_TYPES: Final = [
    kind.__name__
    for kind in (AccountChecked, AccountConnected, AccountConnectionFailed, AccountDisconnected, AccountReconnected)
]
_EVENTS: Final = """
SELECT e.stream_id, e.version, e.event_id, e.type, e.schema_version, e.data,
       a.imap ->> 'host' AS imap, a.smtp ->> 'host' AS smtp, w.provider AS identity
  FROM event e
  LEFT JOIN account a ON a.account_id = e.stream_id
  LEFT JOIN email_workspace w ON w.workspace_id = a.workspace_id
"""
_ALL: Final = _EVENTS + " WHERE e.type = ANY($1::text[]) ORDER BY e.position"
_ONE: Final = _EVENTS + " WHERE e.stream_id = $1 AND e.version = $2"


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """From what to what: codes, and the rules behind them; no rule is UNKNOWN's."""

    old_code: str
    old_rule: str
    new_code: str
    new_rule: str

    def __str__(self) -> str:
        return f"{self.old_code} ({self.old_rule or '-'}) -> {self.new_code} ({self.new_rule or '-'})"


@dataclass(slots=True)
class Survey:
    """What the table would say otherwise.

    Attributes:
        verifications: how many were judged.
        changes: how many of them change, and how.
        standing: of the accounts of which the last verification changes, the version of that event.
    """

    verifications: int = 0
    changes: Counter[Change] = field(default_factory=Counter)
    standing: dict[UUID, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A verification as it is kept, and as the table judges it."""

    event_id: UUID
    event: VerificationEvent
    again: Verification


class History:
    """Judges what was kept, and says what follows.

    Args:
        pool: the connector's database.
        store: its events.
        queue: where the next looks wait.
        table: gives the diagnoses.
        clock: time.
        rng: spreads the next looks.
    """

    def __init__(
        self,
        pool: "Pool",
        store: "EventStore",
        queue: "WorkQueue",
        table: "DiagnosisTable",
        clock: "Clock",
        rng: random.Random,
    ) -> None:
        self._pool, self._store, self._queue = pool, store, queue
        self._table, self._clock, self._rng = table, clock, rng

    async def survey(self) -> Survey:
        """Judge every verification that is kept; nothing is changed."""
        survey = Survey()
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            async for row in self._rows(connection):
                kept = self._judged(row)
                survey.verifications += 1
                survey.standing.pop(row["stream_id"], None)
                if change := _change(kept):
                    survey.changes[change] += 1
                    survey.standing[row["stream_id"]] = row["version"]
        return survey

    async def correct(self, account_id: UUID, version: int) -> bool:
        """Say of an account what its last verification means by this table.

        The state stays: AccountChecked carries the same run with its new diagnoses. With another retry policy the account stands
        otherwise: a credential that counts as refused now is left alone, and what was left alone for nothing is looked at.

        Args:
            account_id: the account.
            version: of the event that a survey has judged.

        Returns:
            Whether it was said: not when the account is gone, something newer is known, or a workspace answers for it.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            # the work first, as workers and the intake do: else each would wait for the other
            await repository.hold_recheck(connection, account_id)
            account = await repository.lock(connection, account_id)
            if account is None or await self._store.version(connection, account_id) != version:
                return False
            row = await connection.fetchrow(_ONE, account_id, version)
            if row is None:
                return False
            kept = self._judged(row)
            old, new = kept.event.verification.diagnosis, kept.again.diagnosis
            if old is None or new is None or _is_of_a_workspace(kept.event.verification):
                return False
            event = AccountChecked.model_validate({**kept.event.model_dump(), "verification": kept.again})
            context = Context(causation_id=kept.event_id)
            [envelope] = await self._store.append(connection, account_id, version, [event], context)
            if account.standing.retry_policy != old.retry_policy or old.retry_policy == new.retry_policy:
                return True
            standing = Standing(state=account.standing.state, retry_policy=new.retry_policy, failures=1)
            await repository.save_standing(connection, account_id, standing)
            next_look = next_attempt(new.retry_policy, 1, None, self._rng)
            await repository.drop_recheck(connection, account_id)
            if next_look is not None and POLICIES[new.retry_policy] is not None and not account.suspended:
                run_at = self._clock.now() + next_look
                await self._queue.schedule(connection, [recheck_of(account.request, envelope.event_id, run_at)])
        return True

    async def _rows(self, connection: "Connection") -> "AsyncIterator[asyncpg.Record]":
        async for row in connection.cursor(_ALL, _TYPES):
            yield row

    def _judged(self, row: "asyncpg.Record") -> _Kept:
        event = read_event_data(row["type"], row["schema_version"], row["data"])
        if not isinstance(event, VerificationEvent):
            raise TypeError(f"{row['type']} is no event about a verification")
        parties = Parties(imap=row["imap"], smtp=row["smtp"], identity=row["identity"])
        return _Kept(row["event_id"], event, reclassified(self._table, event.verification, parties))


def _change(kept: _Kept) -> Change | None:
    old, new = kept.event.verification.diagnosis, kept.again.diagnosis
    if old is None or new is None or kept.again == kept.event.verification:
        return None
    return Change(old.code, old.rule_id or "", new.code, new.rule_id or "")


def _is_of_a_workspace(verification: Verification) -> bool:
    """Whether there was no access token: all accounts of a workspace share that, and the workspace tries again for them."""
    return any(step.name == "token" and step.outcome == "failed" for step in verification.steps)
