"""When a mail service is left alone."""

from uuid import UUID, uuid4

import pytest

from berth_connector.breaker import THROTTLED, Breaker
from berth_connector.diagnosis import DiagnosisTable
from berth_testing.clocks import SteppingClock


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def breaker(clock: SteppingClock) -> Breaker:
    return Breaker(clock)


def results(breaker: Breaker, *codes: str | None, account: UUID | None = None) -> list[bool]:
    return [breaker.trips("google", account or uuid4(), code) for code in codes]


def test_five_accounts_that_are_turned_away_trip_it_once(breaker: Breaker) -> None:
    assert results(breaker, *["TOO_MANY_AUTH"] * 9) == [False] * 4 + [True] + [False] * 4


def test_one_account_at_its_own_limit_does_not(breaker: Breaker) -> None:
    assert not any(results(breaker, *["CONNECTION_LIMIT"] * 50, account=uuid4()))


def test_a_service_that_mostly_answers_is_not_left_alone(breaker: Breaker) -> None:
    assert not any(results(breaker, *["RATE_LIMITED", None, "AUTH_BAD_CREDENTIALS"] * 20))


def test_other_failures_do_not_count(breaker: Breaker) -> None:
    assert not any(results(breaker, *["AUTH_BAD_CREDENTIALS", "PROVIDER_TEMPORARY", None] * 20))


def test_what_is_long_ago_is_forgotten(breaker: Breaker, clock: SteppingClock) -> None:
    assert not any(results(breaker, *["RATE_LIMITED"] * 4))
    clock.step(601)
    assert not any(results(breaker, *["RATE_LIMITED"] * 4))


def test_services_are_watched_apart_and_not_without_end(breaker: Breaker) -> None:
    for number in range(4 * 1500):
        assert not breaker.trips(f"host{number % 1500}.test", uuid4(), "RATE_LIMITED")
    assert len(breaker._watched) == 1000


def test_the_codes_exist() -> None:
    assert set(DiagnosisTable.load().codes) >= THROTTLED
