"""Which event, which state, and when to look again."""

from collections import Counter
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_connector.lifecycle import SERVER_FAULTS, Standing, decide
from berth_connector.policies import POLICIES
from berth_events.contracts import Diagnosis

DAY = timedelta(days=1)


def failure(policy: str, code: str = "X") -> Diagnosis:
    return Diagnosis(
        code=code,
        rule_id=None,
        table_version="1",
        confidence="none",
        severity="error",
        action_by="nobody",
        meaning="",
        remedy="",
        retry_policy=policy,
        reply="",
    )


def result(standing: Standing, policy: str | None, *, asked_for: bool) -> tuple[str, str, timedelta | None]:
    """The event, the state and the time until the next look, without jitter."""

    class Still(Random):
        def random(self) -> float:
            return 0.5 if policy is None else 0.0

    decision = decide(
        standing, failure(policy) if policy else None, None, asked_for=asked_for, recheck=DAY, random=Still()
    )
    return decision.event.__name__.removeprefix("Account"), decision.standing.state, decision.next_look


@pytest.mark.parametrize(
    ("state", "event"),
    [("unknown", "Connected"), ("failed", "Connected"), ("disconnected", "Reconnected"), ("connected", "Checked")],
)
@pytest.mark.parametrize("asked_for", [True, False])
def test_a_mailbox_that_works(state: str, event: str, asked_for: bool) -> None:
    standing = Standing(state=state, retry_policy="exponential", failures=3)  # type: ignore[arg-type]
    assert result(standing, None, asked_for=asked_for) == (
        event,
        "connected",
        DAY if state == "connected" else 0.6 * DAY,
    )


@pytest.mark.parametrize(
    ("state", "policy", "asked_for", "expected"),
    [
        ("unknown", "never", True, ("ConnectionFailed", "failed", None)),
        ("unknown", "exponential", True, ("ConnectionFailed", "failed", timedelta(minutes=1))),
        ("failed", "never", True, ("ConnectionFailed", "failed", None)),
        ("failed", "exponential", False, ("Checked", "failed", timedelta(minutes=1))),
        ("connected", "never", False, ("Disconnected", "disconnected", None)),
        ("connected", "recheck_slow", False, ("Disconnected", "disconnected", timedelta(hours=4))),
        ("connected", "exponential", False, ("Checked", "connected", timedelta(minutes=1))),
        ("connected", "exponential", True, ("Disconnected", "disconnected", timedelta(minutes=1))),
        ("disconnected", "exponential", False, ("Checked", "disconnected", timedelta(minutes=1))),
        ("disconnected", "never", True, ("Disconnected", "disconnected", None)),
    ],
)
def test_a_mailbox_that_does_not_work(
    state: str, policy: str, asked_for: bool, expected: tuple[str, str, timedelta | None]
) -> None:
    assert result(Standing(state=state), policy, asked_for=asked_for) == expected  # type: ignore[arg-type]


def looks(standing: Standing, policy: str, times: int) -> list[tuple[str, timedelta | None]]:
    """What so many looks of our own that fail alike say, and when the next would be."""
    said = []
    for _ in range(times):
        decision = decide(standing, failure(policy), None, asked_for=False, recheck=DAY, random=Random(1))
        said.append((decision.event.__name__.removeprefix("Account"), decision.next_look))
        standing = decision.standing
    return said


def test_a_mailbox_is_called_disconnected_when_the_retries_of_a_passing_fault_are_used_up() -> None:
    said = looks(Standing(state="connected"), "bounded", 5)
    assert [event for event, _ in said] == ["Checked", "Checked", "Checked", "Disconnected", "Checked"]
    assert all(wait and wait < timedelta(hours=2) for _, wait in said[:3])
    assert all(wait and wait > timedelta(hours=20) for _, wait in said[3:])  # it worked once: it is not given up


def test_an_account_that_never_worked_is_given_up() -> None:
    said = looks(Standing(state="failed"), "bounded", 4)
    assert [event for event, _ in said] == ["Checked"] * 4
    assert said[-1][1] is None


def test_faults_that_take_turns_settle_too() -> None:
    standing, said = Standing(state="connected"), []
    for policy in ("bounded", "exponential") * 3:
        decision = decide(standing, failure(policy), None, asked_for=False, recheck=DAY, random=Random(1))
        said.append(decision.event.__name__.removeprefix("Account"))
        standing = decision.standing
    assert said == ["Checked"] * 4 + ["Disconnected", "Checked"]


@pytest.mark.parametrize("code", sorted(SERVER_FAULTS))
def test_a_servers_fault_is_looked_at_again_where_the_mailbox_has_worked(code: str) -> None:
    """A certificate that has ended says nothing of the password: it is renewed some day, and nobody has to ask."""
    standing, said, waits = Standing(state="connected"), [], []
    for _ in range(5):
        decision = decide(standing, failure("never", code), None, asked_for=False, recheck=DAY, random=Random(1))
        said.append(decision.event.__name__.removeprefix("Account"))
        waits.append(decision.next_look)
        standing = decision.standing
    assert said == ["Checked", "Checked", "Checked", "Disconnected", "Checked"]
    assert all(waits)
    works = decide(standing, None, None, asked_for=False, recheck=DAY, random=Random(1))
    assert works.event.__name__ == "AccountReconnected"
    asked = decide(
        Standing(state="connected"), failure("never", code), None, asked_for=True, recheck=DAY, random=Random(1)
    )
    assert (asked.event.__name__, asked.standing.state) == ("AccountDisconnected", "disconnected")
    assert asked.next_look
    never_worked = decide(Standing(), failure("never", code), None, asked_for=True, recheck=DAY, random=Random(1))
    assert never_worked.next_look is None


def test_what_connects_together_is_spread_over_the_whole_interval() -> None:
    random = Random(1)
    looks = [
        decide(Standing(), None, None, asked_for=True, recheck=DAY, random=random).next_look or timedelta()
        for _ in range(10_000)
    ]
    by_hour = Counter(look // timedelta(hours=1) for look in looks)
    assert timedelta(hours=2) < min(looks)
    assert max(looks) < timedelta(hours=27)
    assert max(by_hour.values()) < 2 * 10_000 / 24


def test_another_kind_of_failure_starts_anew() -> None:
    standing = Standing(state="failed", retry_policy="bounded", failures=3)
    again = decide(standing, failure("exponential"), None, asked_for=False, recheck=DAY, random=Random(1))
    assert (again.standing.retry_policy, again.standing.failures) == ("exponential", 1)


@given(
    state=st.sampled_from(["unknown", "connected", "disconnected", "failed"]),
    before=st.none() | st.sampled_from(sorted(POLICIES)),
    failures=st.integers(0, 100),
    policy=st.none() | st.sampled_from(sorted(POLICIES)),
    asked_for=st.booleans(),
    hint=st.none() | st.timedeltas(timedelta(), DAY),
)
def test_what_always_holds(
    state: str, before: str | None, failures: int, policy: str | None, asked_for: bool, hint: timedelta | None
) -> None:
    standing = Standing(state=state, retry_policy=before, failures=failures)  # type: ignore[arg-type]
    decision = decide(
        standing, failure(policy) if policy else None, hint, asked_for=asked_for, recheck=DAY, random=Random(1)
    )
    name = decision.event.__name__
    new = decision.standing.state
    # the events alone tell the state
    told = {
        "AccountConnected": "connected",
        "AccountReconnected": "connected",
        "AccountConnectionFailed": "failed",
        "AccountDisconnected": "disconnected",
        "AccountChecked": state,
    }
    assert new == told[name]
    # a refused credential is never tried again unasked; "X" is no fault of a server
    if policy and POLICIES[policy] is None:
        assert decision.next_look is None
    if policy is None:
        assert decision.next_look is not None
        assert decision.standing.failures == 0
