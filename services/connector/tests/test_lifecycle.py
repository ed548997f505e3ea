"""Which event, which state, and when to look again."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_connector.lifecycle import Standing, decide
from berth_connector.policies import POLICIES
from berth_events.contracts import Diagnosis

DAY = timedelta(days=1)


def failure(policy: str) -> Diagnosis:
    return Diagnosis(
        code="X",
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
    assert result(standing, None, asked_for=asked_for) == (event, "connected", DAY)


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
    # a refused credential is never tried again unasked
    if policy and POLICIES[policy] is None:
        assert decision.next_look is None
    if policy is None:
        assert decision.next_look is not None
        assert decision.standing.failures == 0
