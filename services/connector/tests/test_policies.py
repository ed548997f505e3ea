"""When a failed verification is tried again."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_connector.diagnosis import DiagnosisTable
from berth_connector.policies import POLICIES, next_attempt, recheck_after

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Still(Random):
    """No jitter."""

    def random(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        ("never", [None]),
        ("never_pause_workspace", [None]),
        ("recheck_daily", [DAY, DAY, DAY]),
        ("recheck_slow", [4 * HOUR, 8 * HOUR, 16 * HOUR, DAY, DAY]),
        ("recheck_growing", [5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE, HOUR, HOUR]),
        ("once_fresh_token", [timedelta(seconds=1), None]),
        ("honour_hint", [15 * MINUTE, 30 * MINUTE, HOUR]),
        ("wait_hours", [6 * HOUR, 12 * HOUR, DAY, DAY]),
        ("exponential", [MINUTE, 3 * MINUTE, 9 * MINUTE, 27 * MINUTE, 81 * MINUTE, 2 * HOUR, 2 * HOUR, 2 * HOUR, None]),
        ("bounded", [2 * MINUTE, 10 * MINUTE, 50 * MINUTE, None]),
        ("immediate_with_id", [timedelta(seconds=1), None]),
    ],
)
def test_waits_grow_and_end(policy: str, waits: list[timedelta | None]) -> None:
    assert [next_attempt(policy, n, None, Still()) for n in range(1, len(waits) + 1)] == waits


def test_googles_propagation_is_waited_for_about_a_day() -> None:
    waits = [next_attempt("backoff_24h", n, None, Still()) for n in range(1, 12)]
    assert waits[-1] is None
    assert 20 * HOUR < sum((wait for wait in waits if wait), timedelta()) < 25 * HOUR


@given(
    policy=st.sampled_from(sorted(POLICIES)),
    attempts=st.integers(1, 10_000),
    hint=st.none() | st.timedeltas(timedelta(), DAY),
    seed=st.integers(),
)
def test_no_wait_is_shorter_than_the_hint_or_much_longer_than_the_policys(
    policy: str, attempts: int, hint: timedelta | None, seed: int
) -> None:
    wait, plain = next_attempt(policy, attempts, hint, Random(seed)), next_attempt(policy, attempts, hint, Still())
    if wait is None or plain is None:
        assert wait is plain
        return
    assert plain <= wait <= plain * 1.2
    assert wait >= (hint or timedelta())
    assert plain <= max(DAY, hint or timedelta())


def test_every_policy_of_the_table_is_known_and_the_same_for_a_code_and_its_rules() -> None:
    table = DiagnosisTable.load()
    assert {code.retry_policy for code in table.codes.values()} <= set(POLICIES)
    for rule in table.rules:
        assert rule.retry_policy == table.codes[rule.code].retry_policy, rule.rule_id


@given(seed=st.integers())
def test_rechecks_are_spread_around_their_interval(seed: int) -> None:
    assert 0.9 * DAY <= recheck_after(DAY, Random(seed)) <= 1.1 * DAY
