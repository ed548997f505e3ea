"""When deliveries are tried again."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_gateway.webhooks.schedule import Schedule, retry_after

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Middle(random.Random):
    """No jitter."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def test_the_pauses_are_those_of_the_specification() -> None:
    schedule = Schedule(Middle())
    pauses = [schedule.pause(tries) for tries in range(1, 11)]
    assert pauses[-1] is None
    hours = [pause.total_seconds() / 3600 for pause in pauses if pause]
    assert hours == pytest.approx([5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24])
    assert 72 < sum(hours) < 120, "given up behind three days, before the endpoint is disabled"


@given(st.integers(1, 9), st.randoms(use_true_random=False))
def test_the_jitter_is_a_fifth(tries: int, rng: random.Random) -> None:
    exact, jittered = Schedule(Middle()).pause(tries), Schedule(rng).pause(tries)
    assert exact
    assert jittered
    assert exact * 0.8 <= jittered <= exact * 1.2


def test_an_endpoint_is_left_alone_from_its_third_failure_on() -> None:
    schedule = Schedule(Middle())
    holds = [schedule.hold(failures) for failures in (1, 2, 3, 4, 5, 9, 1000)]
    assert holds == [None, None, *(timedelta(seconds=seconds) for seconds in (5, 10, 20, 300, 300))]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("99999999999999999999", 86400),
        ("Sat, 21 Nov 2026 12:01:00 GMT", 60),
        ("Sat, 21 Nov 2026 12:01:00 -0000", 60),
        ("Sat, 21 Nov 2020 12:00:00 GMT", 0),
        ("Sat, 21 Nov 2037 12:00:00 GMT", 86400),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("\uff11\uff12", None),
        (None, None),
    ],
)
def test_retry_after(value: str | None, seconds: int | None) -> None:
    assert retry_after(value, NOW) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(max_size=40))
def test_any_header_is_read_or_ignored(value: str) -> None:
    found = retry_after(value, NOW)
    assert found is None or timedelta() <= found <= timedelta(hours=24)
