"""The work table under whatever order of requests, claims, crashes and the passing of time, against a model of it."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from berth_events.runtime.database import connect
from berth_events.runtime.work import Job, LeaseLost, WorkItem, WorkQueue
from berth_testing.clocks import SteppingClock

T = TypeVar("T")
KEYS = [UUID(int=number) for number in range(4)]
LIMITS = {"strict": 1, "usual": 2}
LEASE = timedelta(seconds=30)
#: Mostly nothing, or about a lease.
SECONDS = st.sampled_from([0, 0, 0, 1, 10, 29, 30, 31])


@dataclass
class Wanted:
    """A row of the work table, as it should be."""

    event_id: UUID
    key: UUID
    destination: str
    run_at: datetime
    lease: tuple[UUID, datetime] | None = None
    failed: bool = False

    @property
    def state(self) -> str:
        return "failed" if self.failed else "leased" if self.lease else "ready"


class Machine(RuleBasedStateMachine):
    """The queue on a real table, and the rows that should be in it."""

    dsn: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = SteppingClock()
        self.queue = WorkQueue(self.clock, default_limit=LIMITS["usual"], lease=LEASE)
        self.connection = self.run(connect(self.dsn, application_name="machine"))
        self.rows: list[Wanted] = []
        self.jobs: list[Job] = []  # everything that was ever leased, most of it stale
        self.blocked: dict[str, datetime] = {}
        self.requested: set[UUID] = set()
        self.replaced: set[UUID] = set()
        self.ended: list[UUID] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        try:
            self.finish_everything()
        finally:
            self.run(self.connection.close())
            self.runner.close()

    def finish_everything(self) -> None:
        """Time passes, nobody crashes any more: then every request comes to its end."""
        for _ in range(len(self.rows)):
            self.clock.step(200)
            for job in self.claim(3):
                self.finish(job)
        left = {row.event_id for row in self.rows}
        assert left == {row.event_id for row in self.rows if row.failed}
        assert len(self.ended) == len(set(self.ended)), "a result got in twice"
        assert self.requested == self.replaced | set(self.ended) | left
        assert not self.replaced & set(self.ended)

    def find(self, state: str, key: UUID) -> Wanted | None:
        return next((row for row in self.rows if row.key == key and row.state == state), None)

    def held(self, job: Job) -> Wanted | None:
        """The row that the job still holds."""
        return next((row for row in self.rows if row.lease and row.lease[0] == job.token and row.key == job.key), None)

    def live(self, destination: str) -> int:
        now = self.clock.now()
        return sum(row.destination == destination and row.lease is not None and row.lease[1] > now for row in self.rows)

    def due(self, row: Wanted) -> bool:
        """Whether a claim may take the row, were there room."""
        now = self.clock.now()
        if row.failed or self.blocked.get(row.destination, now) > now:
            return False
        if row.lease:
            return row.lease[1] <= now
        return row.run_at <= now and self.find("leased", row.key) is None

    # -- rules

    @initialize()
    def begin(self) -> None:
        self.run(self.connection.execute("TRUNCATE work, work_destination, work_limit"))
        self.run(
            self.connection.execute(
                "INSERT INTO work_limit (scope, name, max_in_flight) VALUES ('provider', 'strict', 1)"
            )
        )

    @rule(
        asked=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(list(LIMITS)), SECONDS), min_size=1, max_size=4)
    )
    def request(self, asked: list[tuple[UUID, str, float]]) -> None:
        for each in asked:
            self.ask(*each, scheduled=False)

    def ask(self, key: UUID, destination: str, delay: float, *, scheduled: bool) -> None:
        run_at = self.clock.now() + timedelta(seconds=delay)
        wanted = Wanted(uuid4(), key, destination, run_at)
        items = [
            WorkItem(key=key, kind="k", destination=destination, payload={}, event_id=wanted.event_id, run_at=run_at)
        ]
        self.run((self.queue.schedule if scheduled else self.queue.request)(self.connection, items))
        self.requested.add(wanted.event_id)
        waiting = self.find("ready", key)
        if waiting and scheduled:
            self.replaced.add(wanted.event_id)
            return
        if waiting:
            self.rows.remove(waiting)
            self.replaced.add(waiting.event_id)
        self.rows.append(wanted)

    @rule(limit=st.integers(1, 5), seconds=SECONDS)
    def begin_runs(self, limit: int, seconds: float) -> None:
        self.clock.step(seconds)
        self.claim(limit)

    def claim(self, limit: int) -> list[Job]:
        may = [row for row in self.rows if self.due(row)]
        before = {destination: self.live(destination) for destination in LIMITS}
        jobs = self.run(self.queue.claim(self.connection, limit))
        assert len(jobs) <= limit
        for job in jobs:
            [row] = [row for row in may if row.event_id == job.causation_id]
            row.lease = job.token, self.clock.now() + LEASE
            may.remove(row)
        for destination, most in LIMITS.items():
            assert self.live(destination) <= max(most, before[destination]), f"{destination} has too many"
            passed_over = [row for row in may if row.destination == destination]
            room = self.live(destination) < most
            assert not (passed_over and room and len(jobs) < limit), f"{passed_over} could have been claimed"
        self.jobs += jobs
        return jobs

    def finish(self, job: Job) -> None:
        async def end() -> None:
            async with self.connection.transaction():
                await self.queue.finish(self.connection, job)

        if row := self.held(job):
            self.run(end())
            self.rows.remove(row)
            self.ended.append(row.event_id)
        else:
            with pytest.raises(LeaseLost):
                self.run(end())

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(), outcome=st.sampled_from(["finish", "finish", "release", "give back", "fail", "renew", "crash"])
    )
    def end_a_run(self, data: st.DataObject, outcome: str) -> None:
        job = data.draw(st.sampled_from(self.jobs[-5:]))
        row = self.held(job)
        match outcome:
            case "finish":
                self.finish(job)
            case "release" | "give back":
                run_at = self.clock.now() + timedelta(seconds=data.draw(SECONDS))
                error = "OSError" if outcome == "release" else None
                self.run(self.queue.release(self.connection, job, run_at=run_at, error=error))
                if row and self.find("ready", row.key):
                    self.rows.remove(row)
                    self.replaced.add(row.event_id)
                elif row:
                    row.lease, row.run_at = None, run_at
            case "fail":
                self.run(self.queue.fail(self.connection, job, "ValueError"))
                if row:
                    row.lease, row.failed = None, True
            case "renew":
                now = self.clock.now()
                alive = row is not None and row.lease is not None and row.lease[1] > now
                assert self.run(self.queue.renew(self.connection, [job])) == ({job.id} if alive else set())
                if row and alive:
                    row.lease = job.token, now + LEASE
            case _:
                pass  # the worker is gone without a word

    @rule(
        what=st.sampled_from(["wait", "wait", "schedule", "schedule", "cancel", "block"]),
        key=st.sampled_from(KEYS),
        destination=st.sampled_from(list(LIMITS)),
        seconds=SECONDS,
    )
    def disturb(self, what: str, key: UUID, destination: str, seconds: float) -> None:
        match what:
            case "wait":
                self.clock.step(seconds)
            case "schedule":
                self.ask(key, destination, seconds, scheduled=True)
            case "cancel":
                self.run(self.queue.cancel(self.connection, [key]))
                self.replaced |= {row.event_id for row in self.rows if row.key == key}
                self.rows = [row for row in self.rows if row.key != key]
            case _:
                self.blocked[destination] = self.clock.now() + timedelta(seconds=seconds)
                self.run(
                    self.connection.execute(
                        """INSERT INTO work_destination (destination, blocked_until, until) VALUES ($1, $2, $2)
                           ON CONFLICT (destination, egress) DO UPDATE
                              SET blocked_until = excluded.blocked_until, until = excluded.until""",
                        destination,
                        self.blocked[destination],
                    )
                )

    @invariant()
    def the_table_is_as_the_model(self) -> None:
        found = self.run(self.connection.fetch("SELECT event_id, key, state, lease_token FROM work"))
        assert sorted((row["event_id"], row["key"], row["state"], row["lease_token"]) for row in found) == sorted(
            (row.event_id, row.key, row.state, row.lease[0] if row.lease else None) for row in self.rows
        )
        leased = [row["key"] for row in found if row["state"] == "leased"]
        assert len(leased) == len(set(leased)), "a key has two runs"


def test_the_queue_does_as_its_model_in_every_order(dsn: str) -> None:
    class Here(Machine):
        pass

    Here.dsn = dsn
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=30, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
